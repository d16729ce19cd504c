package supervise

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes: the kernel kills the child when its parent dies.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// newRecord makes a file in memory.
func newRecord() (*os.File, error) {
	fd, err := unix.MemfdCreate("narrow", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "record")
	if err := f.Truncate(recordSize); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// redirect makes fd another name of f.
func redirect(f *os.File, fd int) error { return unix.Dup3(int(f.Fd()), fd, 0) }
