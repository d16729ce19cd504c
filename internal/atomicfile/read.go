package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Read returns the named files of dir by name, all from one [Folder.Replace],
// also while another runs or after one was killed; those that do not exist are
// missing. The first name should be of a file that every Replace brings.
func Read(dir string, names ...string) (map[string][]byte, error) {
	for range 50 {
		files, err := readOnce(dir, names)
		if !errors.Is(err, errChanged) {
			return files, err
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil, fmt.Errorf("%s keeps changing: wait until nothing writes into it", dir)
}

var errChanged = errors.New("the folder changed")

func readOnce(dir string, names []string) (map[string][]byte, error) {
	d, err := os.Open(dir) // until the end, so that no other folder gets its number
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer d.Close()
	opened, err := d.Stat()
	if err != nil {
		return nil, err
	}
	next := filepath.Join(dir, nextName)
	find := func(name string) fs.FileInfo {
		for _, in := range []string{next, dir} {
			if st, err := os.Stat(filepath.Join(in, name)); err == nil {
				return st
			}
		}
		return nil
	}
	_, undecided := os.Lstat(next)
	first := find(names[0])
	files := map[string][]byte{}
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(next, name))
		if errors.Is(err, fs.ErrNotExist) {
			data, err = os.ReadFile(filepath.Join(dir, name))
		}
		switch {
		case err == nil:
			files[name] = data
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	last := find(names[0])
	_, stillUndecided := os.Lstat(next)
	now, err := os.Stat(dir)
	switch {
	case err != nil || !os.SameFile(opened, now),
		undecided != nil && stillUndecided == nil,
		(first == nil) != (last == nil), first != nil && !os.SameFile(first, last):
		return nil, errChanged
	}
	return files, nil
}

// Finish puts into their places the files of a [Folder.Replace] that was
// killed, for whoever reads the folder next, if it may be written. [Read] needs
// none of that.
func Finish(dir string) {
	if _, err := os.Lstat(filepath.Join(dir, nextName)); err != nil {
		return
	}
	if f, err := Hold(dir); err == nil {
		_ = f.Release() // files are in their places, or stay where Read finds them
	}
}
