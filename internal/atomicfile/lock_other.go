//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly || windows)

package atomicfile

import (
	"errors"
	"os"

	"narrow/diag"
)

// errLocked says that somebody else holds a lock.
var errLocked = diag.Errorf("locked")

// lockFile does nothing: two processes are not kept apart here.
func lockFile(*os.File) error { return nil }

func removeLock(f *os.File, path string) error {
	return errors.Join(os.Remove(path), f.Close())
}
