// Package atomicfile writes a set of files into a folder so that a failure
// leaves the folder as it was.
//
// In go names and writers; every file is first written whole under a
// temporary name in the same folder, and only when all are there are they
// renamed. Nothing temporary stays behind.
package atomicfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// File is one file to write: its name in the folder, and who writes it.
type File struct {
	Name  string
	Write func(io.Writer) error
}

// Bytes returns a file of fixed content.
func Bytes(name string, data []byte) File {
	return File{name, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}}
}

// CheckDir makes sure that files can be written into dir before long work
// begins, and leaves nothing there: a folder that is missing is created and
// taken away again. The error names the folder and the reason.
func CheckDir(dir string) error {
	for _, made := range missing(dir) {
		defer os.Remove(made) // stays where something else is in it by then
	}
	if err := MakeDir(dir); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, tempPattern)
	if err != nil {
		return cannot(dir, err)
	}
	name := f.Name()
	return errors.Join(f.Close(), os.Remove(name))
}

// missing returns those of dir and its parents that do not exist, outermost
// first.
func missing(dir string) []string {
	var dirs []string
	for d := filepath.Clean(dir); ; d = filepath.Dir(d) {
		// Lstat, since a link to nowhere is not ours to take away.
		if _, err := os.Lstat(d); !errors.Is(err, fs.ErrNotExist) || d == filepath.Dir(d) {
			return dirs
		}
		dirs = append([]string{d}, dirs...)
	}
}

// tempPattern names files under way.
const tempPattern = ".narrow-*.tmp"

// MakeDir creates dir where it is missing. The error names it and the reason.
func MakeDir(dir string) error {
	if st, err := os.Stat(dir); err == nil && !st.IsDir() {
		return &DirError{dir, errIsFile}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return cannot(dir, err)
	}
	return nil
}

func cannot(dir string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return &DirError{dir, err}
}

var errIsFile = errors.New("is a file")

// DirError says that a folder cannot be written into.
type DirError struct {
	Dir string
	// Err is the reason, without the folder's name.
	Err error
}

// Error names the folder, the reason and the flag that names another.
func (e *DirError) Error() string {
	if errors.Is(e.Err, errIsFile) {
		return fmt.Sprintf("the output folder %s is a file: name another with -o", e.Dir)
	}
	return fmt.Sprintf("cannot write into the output folder %s: %v: name another with -o", e.Dir, e.Err)
}

// Unwrap returns the reason.
func (e *DirError) Unwrap() error { return e.Err }

// Write writes the files into dir, which is created where it is missing, and
// taken away again when writing fails.
func Write(dir string, files ...File) (err error) {
	made := missing(dir)
	defer func() {
		if err != nil {
			for _, d := range slices.Backward(made) {
				os.Remove(d) // stays where something else is in it by then
			}
		}
	}()
	if err := MakeDir(dir); err != nil {
		return err
	}
	var temps []string
	defer func() {
		for _, t := range temps {
			os.Remove(t) // those already renamed are gone
		}
	}()
	for _, f := range files {
		t, err := writeTemp(dir, f)
		if t != "" {
			temps = append(temps, t)
		}
		if err != nil {
			var pe *fs.PathError
			if errors.As(err, &pe) && pe.Path == t {
				err = pe.Err // nobody knows the temporary name
			}
			return fmt.Errorf("writing %s: %w", filepath.Join(dir, f.Name), err)
		}
	}
	for i, f := range files {
		if err := os.Rename(temps[i], filepath.Join(dir, f.Name)); err != nil {
			return fmt.Errorf("writing %s: %w", filepath.Join(dir, f.Name), err)
		}
	}
	return nil
}

// writeTemp writes one file under a temporary name and returns that.
func writeTemp(dir string, f File) (name string, err error) {
	t, err := os.CreateTemp(dir, tempPattern)
	if err != nil {
		return "", cannot(dir, err)
	}
	if err := f.Write(t); err != nil {
		return t.Name(), errors.Join(err, t.Close())
	}
	if err := t.Chmod(0o644); err != nil {
		return t.Name(), errors.Join(err, t.Close())
	}
	if err := t.Sync(); err != nil {
		return t.Name(), errors.Join(err, t.Close())
	}
	return t.Name(), t.Close()
}
