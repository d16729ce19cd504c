package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"narrow/diag"
)

// Folder is a folder that files are written into.
type Folder struct {
	dir  string
	lock *os.File // nil where nobody is kept out
	made []string // what Hold created, outermost first
	// step is called between any two changes to the disk, for tests that end
	// there.
	step func(string)
}

const (
	// lockName is the file that keeps a second process out of a folder.
	lockName = ".narrow.lock"
	// stagePrefix begins the names of folders inside it that are being filled.
	stagePrefix = ".narrow-stage-"
	// nextName is a folder of files that are complete and decided on, but may
	// not have taken their places yet.
	nextName = ".narrow-next"
)

// BusyError says that another process writes into a folder.
type BusyError struct {
	Dir string
	// PID is the process, 0 where it is not known.
	PID int
}

// Error names the folder, the process and the way out.
func (e *BusyError) Error() string { return e.Text().String() }

// Text is Error in words that can be translated.
func (e *BusyError) Text() diag.Text {
	who := diag.Textf("another process")
	if e.PID > 0 {
		who = diag.Textf("another process (%d)", e.PID)
	}
	return diag.Textf("the output folder %s is in use by %s: wait until it ends, or name another with -o", e.Dir, who)
}

// Hold creates dir where it is missing, keeps other processes from holding it
// too until [Folder.Release], and repairs what a killed process left there. A
// lock left by a process that has ended, however it ended, holds nobody off. A
// [*BusyError] tells of another holder; any other error that dir cannot be
// written into.
func Hold(dir string) (*Folder, error) {
	f := &Folder{dir: dir, made: missing(dir)}
	if err := f.acquire(); err != nil {
		removeDirs(f.made)
		return nil, err
	}
	if err := f.recover(); err != nil {
		return nil, errors.Join(cannot(dir, err), f.Release())
	}
	return f, nil
}

// Repair clears away what a process left in dir that has been killed just now.
// A folder that another process holds is left to that one.
func Repair(dir string) {
	left := func(name string) bool {
		return name == lockName || name == nextName || strings.HasPrefix(name, stagePrefix)
	}
	list, _ := entries(dir) // nothing is left in one that cannot be read
	for name := range list {
		if left(name) {
			if f, err := Hold(dir); err == nil {
				_ = f.Release() // what cannot be removed holds nobody off
			}
			break
		}
	}
	Sweep(dir)
}

// Sweep removes files that a killed process was writing in dir.
func Sweep(dir string) { sweep(dir, 0) }

// dying is how long a killed process may hold its locks: it has memory to give
// back first.
const dying = 500 * time.Millisecond

// acquire takes the lock.
func (f *Folder) acquire() error {
	path := filepath.Join(f.dir, lockName)
	began := time.Now()
	for range 100 {
		if err := MakeDir(f.dir); err != nil {
			return err
		}
		l, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a holder that created the folder took it away just now
		}
		if err != nil {
			return cannot(f.dir, err)
		}
		if err := lockFile(l); errors.Is(err, errLocked) {
			b := make([]byte, 20)
			n, _ := l.ReadAt(b, 0)
			pid, _ := strconv.Atoi(strings.TrimSpace(string(b[:n])))
			l.Close()
			if time.Since(began) < dying && pid != os.Getpid() {
				time.Sleep(dying / 20)
				continue
			}
			return &BusyError{f.dir, pid}
		}
		// Any other error is of a file system without locks: go on without.
		have, err1 := l.Stat()
		there, err2 := os.Stat(path)
		if err1 != nil || err2 != nil || !os.SameFile(have, there) {
			l.Close() // a holder took the file away before it was locked here
			continue
		}
		f.lock = l
		// For the message only: a full disk has no room for it.
		if l.Truncate(0) == nil {
			_, _ = l.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
		}
		return nil
	}
	return &BusyError{Dir: f.dir}
}

// Release lets others hold the folder, and takes away what Hold created if
// nothing is in it.
func (f *Folder) Release() error {
	if f == nil || f.lock == nil {
		return nil
	}
	err := removeLock(f.lock, filepath.Join(f.dir, lockName))
	f.lock = nil
	removeDirs(f.made)
	return err
}

// removeDirs removes empty folders; one with something in it stays.
func removeDirs(dirs []string) {
	for _, d := range slices.Backward(dirs) {
		os.Remove(d)
	}
}

// Dir returns the folder's path as it was given.
func (f *Folder) Dir() string { return f.dir }

// Write is [Folder.Replace] with the files.
func (f *Folder) Write(files ...File) error {
	return f.Replace(func(stage string) error {
		for _, file := range files {
			if err := WriteNew(filepath.Join(stage, file.Name), file.Write); err != nil {
				return diag.Errorf("writing %s: %w", filepath.Join(f.dir, file.Name), anonymous(err, stage))
			}
		}
		return nil
	}, nil)
}

// anonymous drops a temporary path, which says nothing to anybody, from an
// error of package os.
func anonymous(err error, below string) error {
	var pe *fs.PathError
	if errors.As(err, &pe) && strings.HasPrefix(pe.Path, below) {
		return pe.Err
	}
	return err
}

// writeOne writes one file, which takes a rename and no more.
func (f *Folder) writeOne(file File) error {
	target := filepath.Join(f.dir, file.Name)
	sweep(f.dir, staleAfter)
	t, err := CreateTemp(f.dir, tempPattern)
	if err != nil {
		return diag.Errorf("writing %s: %w", target, cannot(f.dir, err))
	}
	_ = lockFile(t) // tells others that somebody writes it; see sweep
	if err = finish(t, file.Write); err == nil {
		if err = os.Rename(t.Name(), target); err == nil {
			return nil
		}
	}
	os.Remove(t.Name())
	return diag.Errorf("writing %s: %w", target, anonymous(err, t.Name()))
}
