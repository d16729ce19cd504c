//go:build unix

package metric

import (
	"os/exec"
	"syscall"
)

// group puts a command into a process group of its own, all of which ends where it
// is cancelled: a script's own children would go on otherwise.
func group(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
}
