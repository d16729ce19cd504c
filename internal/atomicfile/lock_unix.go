//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package atomicfile

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"narrow/diag"
)

// errLocked says that somebody else holds a lock.
var errLocked = diag.Errorf("locked")

// lockFile locks an open file until it is closed, or the process ends.
func lockFile(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errLocked
	}
	return err
}

// removeLock removes a lock file and then the lock.
func removeLock(f *os.File, path string) error {
	return errors.Join(os.Remove(path), f.Close())
}
