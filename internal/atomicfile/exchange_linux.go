package atomicfile

import (
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// exchange gives two folders each other's name in one step.
func exchange(a, b string) error {
	return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
}

// sameAccess gives the folder to the mode of from, and reports whether nobody
// may do less or more with it.
func sameAccess(to, from string) bool {
	a, err := os.Stat(from)
	if err != nil || os.Chmod(to, a.Mode()) != nil {
		return false
	}
	b, err := os.Stat(to)
	if err != nil {
		return false
	}
	own, ok := a.Sys().(*syscall.Stat_t)
	got, ok2 := b.Sys().(*syscall.Stat_t)
	if !ok || !ok2 || own.Uid != got.Uid || own.Gid != got.Gid || a.Mode() != b.Mode() {
		return false
	}
	attrs := make([]byte, 4096)
	n, err := unix.Llistxattr(from, attrs)
	return err == nil && !strings.Contains(string(attrs[:n]), "posix_acl") || err == unix.ENOTSUP
}
