// Package scratch makes folders for temporary files that do not outlive their
// process for long.
//
// In goes nothing; out comes a folder in the system's temporary folder, whose
// name holds the process, with a lock in it. A process that is killed leaves
// its folder: the next one to make a folder clears away those whose lock
// nobody holds.
package scratch

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"narrow/internal/atomicfile"
)

// Dir is a temporary folder.
type Dir struct {
	// Path is where it is.
	Path string
	lock *os.File
}

const (
	// prefix begins the names of the folders, before the process.
	prefix   = "narrow-run-"
	lockName = "lock"
	// settled is how old a folder must be to be a dead process's if nobody holds
	// its lock: there is a moment between making one and locking it.
	settled = 10 * time.Second
)

// New makes a folder that only this user can read, and clears away those of
// dead processes.
func New() (*Dir, error) {
	clear(func(_ int, made time.Time) bool { return time.Since(made) > settled })
	path, err := os.MkdirTemp("", prefix+strconv.Itoa(os.Getpid())+"-*")
	if err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(path))
	}
	_ = atomicfile.Lock(lock) // on a file system without locks nobody clears it away
	return &Dir{path, lock}, nil
}

// Remove removes the folder with all that is in it. Files that are mapped into
// memory may be removed too, wherever the system allows it.
func (d *Dir) Remove() error {
	return errors.Join(d.lock.Close(), os.RemoveAll(d.Path))
}

// Clear removes the folders of a process that has ended.
func Clear(pid int) {
	clear(func(of int, _ time.Time) bool { return of == pid })
}

// clear removes the folders that nobody holds and for which dead holds.
func clear(dead func(pid int, made time.Time) bool) {
	root := os.TempDir()
	list, _ := os.ReadDir(root) // nothing can be cleared in one that cannot be read
	for _, e := range list {
		name, ok := strings.CutPrefix(e.Name(), prefix)
		number, _, _ := strings.Cut(name, "-")
		pid, err := strconv.Atoi(number)
		if !ok || err != nil || !e.IsDir() {
			continue
		}
		info, err := e.Info()
		if err != nil || !dead(pid, info.ModTime()) {
			continue
		}
		path := filepath.Join(root, e.Name())
		// Without O_CREATE: one that has no lock yet is left, or is empty.
		lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR, 0)
		if errors.Is(err, os.ErrNotExist) {
			os.Remove(path)
			continue
		}
		if err != nil { // another user's
			continue
		}
		err = atomicfile.Lock(lock)
		lock.Close() // Windows removes no open file
		if err == nil {
			os.RemoveAll(path)
		}
	}
}
