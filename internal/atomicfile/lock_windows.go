package atomicfile

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"

	"narrow/diag"
)

// errLocked says that somebody else holds a lock.
var errLocked = diag.Errorf("locked")

// lockFile locks an open file until it is closed, or the process ends. What is
// locked is a byte far behind the content, which others may read.
func lockFile(f *os.File) error {
	far := &windows.Overlapped{Offset: 1 << 30}
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, far)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return errLocked
	}
	return err
}

// removeLock removes a lock file. An open file cannot be removed, which is
// as well: another process may have opened it since.
func removeLock(f *os.File, path string) error {
	err := f.Close()
	os.Remove(path)
	return err
}
