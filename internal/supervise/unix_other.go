//go:build unix && !linux

package supervise

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes: the pipe alone tells the child that its parent died.
func attributes() *syscall.SysProcAttr { return nil }

// newRecord makes a file that has no name any more.
func newRecord() (*os.File, error) {
	f, err := os.CreateTemp("", "narrow-*")
	if err != nil {
		return nil, err
	}
	os.Remove(f.Name())
	if err := f.Truncate(recordSize); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// redirect makes fd another name of f.
func redirect(f *os.File, fd int) error { return unix.Dup2(int(f.Fd()), fd) }
