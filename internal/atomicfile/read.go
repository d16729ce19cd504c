package atomicfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"narrow/diag"
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
	return nil, diag.Errorf("%s keeps changing: wait until nothing writes into it", dir)
}

var errChanged = diag.Errorf("the folder changed")

func readOnce(dir string, names []string) (map[string][]byte, error) {
	next := filepath.Join(dir, nextName)
	// These three tell whether anything took its place meanwhile.
	var pins []*pin
	for _, open := range []func() (*os.File, error){
		func() (*os.File, error) { return os.Open(dir) },
		func() (*os.File, error) { return os.Open(next) },
		func() (*os.File, error) { return openEither(next, dir, names[0]) },
	} {
		h, err := newPin(open)
		if err != nil {
			return nil, err
		}
		defer h.close()
		pins = append(pins, h)
	}
	files := map[string][]byte{}
	for _, name := range names {
		f, err := openEither(next, dir, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		files[name], err = io.ReadAll(f)
		f.Close()
		if err != nil {
			return nil, err
		}
	}
	for _, h := range pins {
		if !h.still() {
			return nil, errChanged
		}
	}
	return files, nil
}

// openEither opens a file that is decided on, or else the one in its place.
func openEither(next, dir, name string) (*os.File, error) {
	f, err := os.Open(filepath.Join(next, name))
	if errors.Is(err, fs.ErrNotExist) {
		return os.Open(filepath.Join(dir, name))
	}
	return f, err
}

// pin is a file or folder that stays open, so that no other one gets its
// number, or the knowledge that there is none.
type pin struct {
	open func() (*os.File, error)
	f    *os.File // nil where there is none
}

func newPin(open func() (*os.File, error)) (*pin, error) {
	f, err := open()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return &pin{open, f}, nil
}

// still reports whether the same one is there now.
func (h *pin) still() bool {
	now, err := h.open()
	if err != nil {
		return h.f == nil && errors.Is(err, fs.ErrNotExist)
	}
	defer now.Close()
	if h.f == nil {
		return false
	}
	a, err1 := h.f.Stat()
	b, err2 := now.Stat()
	return err1 == nil && err2 == nil && os.SameFile(a, b)
}

func (h *pin) close() {
	if h.f != nil {
		h.f.Close()
	}
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
