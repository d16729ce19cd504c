package atomicfile

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"narrow/diag"
)

// Held keeps other processes from writing one file. Its lock is a hidden file
// beside that one, which [Sweep] removes where a killed process left it.
type Held struct{ lock *os.File }

// HoldFile keeps other processes from holding the file too, until
// [Held.Release]. The error names another holder. On a file system without locks
// nobody is kept out.
func HoldFile(file string) (*Held, error) {
	name := filepath.Join(filepath.Dir(file), strings.Replace(tempPattern, "*", "lock-"+filepath.Base(file), 1))
	l, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, cannot(filepath.Dir(file), err)
	}
	if err := lockFile(l); errors.Is(err, errLocked) {
		b := make([]byte, 20)
		n, _ := l.ReadAt(b, 0)
		l.Close()
		return nil, diag.Errorf("%s is being written by another process (%s): wait until it ends, or name another file with -o", file, strings.TrimSpace(string(b[:n])))
	}
	if l.Truncate(0) == nil { // for the message only
		_, _ = l.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return &Held{l}, nil
}

// Release lets others hold the file. h may be nil.
func (h *Held) Release() {
	if h == nil || h.lock == nil {
		return
	}
	_ = removeLock(h.lock, h.lock.Name())
	h.lock = nil
}
