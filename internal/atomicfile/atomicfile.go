// Package atomicfile writes a set of files into a folder so that a failure, or
// a kill, leaves either what was there or all of the new.
//
// In go names and writers; every file is first written whole under a temporary
// name, and only when all are there do they take their places at once: see
// [Folder.Replace]. Nothing temporary stays behind, but what a killed process
// leaves, which the next one to [Hold] the folder clears away.
package atomicfile

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"narrow/diag"
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
	f, err := CreateTemp(dir, tempPattern)
	if err != nil {
		return cannot(dir, err)
	}
	name := f.Name()
	return errors.Join(f.Close(), os.Remove(name))
}

// CreateTemp makes a new file in dir, as [os.CreateTemp] does, but one that
// others may read as far as the user's umask lets them: it is to become a
// result.
func CreateTemp(dir, pattern string) (*os.File, error) {
	prefix, suffix, _ := strings.Cut(pattern, "*")
	for try := 0; ; try++ {
		path := filepath.Join(dir, prefix+strconv.FormatUint(uint64(rand.Uint32()), 10)+suffix)
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		if !errors.Is(err, fs.ErrExist) || try > 1000 {
			return f, err
		}
	}
}

// Missing returns the folders that [MakeDir] would make, outermost first.
func Missing(dir string) []string { return missing(dir) }

// Lock locks an open file until it is closed, or the process ends. The error
// says that somebody else holds it, or that the file system has no locks.
func Lock(f *os.File) error { return lockFile(f) }

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

var errIsFile = diag.Errorf("is a file")

// DirError says that a folder cannot be written into.
type DirError struct {
	Dir string
	// Err is the reason, without the folder's name.
	Err error
}

// Error names the folder, the reason and the flag that names another.
func (e *DirError) Error() string { return e.Text().String() }

// Text is Error in words that can be translated.
func (e *DirError) Text() diag.Text {
	if errors.Is(e.Err, errIsFile) {
		return diag.Textf("the output folder %s is a file: name another with -o", e.Dir)
	}
	return diag.Textf("cannot write into the output folder %s: %v: name another with -o", e.Dir, e.Err)
}

// Unwrap returns the reason.
func (e *DirError) Unwrap() error { return e.Err }

// Write writes the files into dir, which is created where it is missing, and
// taken away again when writing fails. Several files take their places as
// [Folder.Replace] says, but nobody is kept from dir: use [Hold] for that.
func Write(dir string, files ...File) (err error) {
	made := missing(dir)
	defer func() {
		if err != nil {
			removeDirs(made)
		}
	}()
	if err := MakeDir(dir); err != nil {
		return err
	}
	f := &Folder{dir: dir}
	if len(files) == 1 {
		return f.writeOne(files[0])
	}
	return f.Write(files...)
}

// WriteNew writes a file that is not there yet, through to the disk.
func WriteNew(path string, write func(io.Writer) error) error {
	t, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	return finish(t, write)
}

// finish writes, makes it last, and closes t.
func finish(t *os.File, write func(io.Writer) error) error {
	err := write(t)
	if err == nil {
		err = t.Sync()
	}
	if closed := t.Close(); err == nil {
		err = closed
	}
	return err
}
