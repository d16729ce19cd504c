//go:build unix

package supervise

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// programEnv makes the test's binary a program that is supervised.
const programEnv = "NARROW_SUPERVISE_TEST"

func TestMain(m *testing.M) {
	if what := os.Getenv(programEnv); what != "" {
		program(what)
	}
	os.Exit(m.Run())
}

// program does what it is told in a child, and its parent prints how that ended.
func program(what string) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	ctx, r := Child(ctx)
	if r == nil {
		e := Run()
		switch {
		case e.Done:
			os.Exit(e.Code)
		case e.By != nil:
			Raise(e.By)
		}
		fmt.Printf("%d %s %q %q %q\n", e.Crash.Cause, e.Crash.Signal, e.Crash.Text, e.Step, e.Node)
		os.Exit(1)
	}
	context.AfterFunc(ctx, func() { stop() })
	r.Step("working on " + strings.Repeat("é", 2000))
	r.Node("n1")
	r.Step("working")
	r.Node("n2")
	switch what {
	case "exit":
		fmt.Println("out")
		fmt.Fprintln(r.Stderr(), "err")
		r.Exit(42)
	case "panic":
		panic("boom")
	case "abort":
		_ = syscall.Kill(os.Getpid(), syscall.SIGABRT)
	case "fpe":
		_ = syscall.Kill(os.Getpid(), syscall.SIGFPE)
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "memory":
		os.Stderr = r.said // where the runtime prints
		fmt.Fprintln(os.Stderr, "fatal error: runtime: out of memory")
		os.Exit(2)
	case "quiet":
		os.Exit(0) // without a word to the parent
	case "wait":
		fmt.Println(os.Getpid())
		select {
		case <-ctx.Done():
			fmt.Println("interrupted")
			r.Exit(1)
		case <-time.After(time.Minute):
		}
	case "write":
		for {
			fmt.Println("y")
		}
	}
	time.Sleep(10 * time.Second)
	os.Exit(0)
}

func start(t *testing.T, what string) (*exec.Cmd, *bytes.Buffer, *bytes.Buffer) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(exe)
	c.Env = append(os.Environ(), programEnv+"="+what)
	// A group of its own, as a shell gives one: only such a one can be stopped.
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	return c, &out, &errs
}

// TestEnds: how a child ends comes back to its parent, and nothing of what the
// runtime prints at a crash reaches the terminal.
func TestEnds(t *testing.T) {
	for _, tt := range []struct {
		what string
		code int
		out  string
		errs string
	}{
		{"exit", 42, "out\n", "err\n"},
		{"panic", 1, fmt.Sprintf("%d  \"panic: boom\" \"working\" \"n2\"\n", Panic), ""},
		{"abort", 1, fmt.Sprintf("%d SIGABRT \"SIGABRT: abort\" \"working\" \"n2\"\n", Native), ""},
		{"kill", 1, fmt.Sprintf("%d SIGKILL \"\" \"working\" \"n2\"\n", Killed), ""},
		{"memory", 1, fmt.Sprintf("%d  \"fatal error: runtime: out of memory\" \"working\" \"n2\"\n", Memory), ""},
		{"quiet", 1, fmt.Sprintf("%d  \"\" \"working\" \"n2\"\n", Panic), ""},
	} {
		c, out, errs := start(t, tt.what)
		_ = c.Run() // the exit code is compared
		if code := c.ProcessState.ExitCode(); code != tt.code || out.String() != tt.out || errs.String() != tt.errs {
			t.Errorf("%s: exit code %d, output %q, errors %q; want %d, %q, %q", tt.what, code, out, errs, tt.code, tt.out, tt.errs)
		}
	}
}

// waiting starts a program that waits, and returns its child's process.
func waiting(t *testing.T) (*exec.Cmd, int, *os.File) {
	t.Helper()
	c, _, _ := start(t, "wait")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	c.Stdout = w
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	b := make([]byte, 64)
	n, err := r.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil || pid == c.Process.Pid {
		t.Fatalf("%q is not a child's process (%v)", b[:n], err)
	}
	return c, pid, r
}

// gone waits until a process has ended.
func gone(pid int) bool {
	for range 500 {
		// A child that nobody waits for is init's, who may take its time.
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil && syscall.Kill(pid, 0) != nil || strings.Contains(string(stat), ") Z ") {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

// TestParentDies: nothing runs on behind a parent that was killed.
func TestParentDies(t *testing.T) {
	c, pid, _ := waiting(t)
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if !gone(pid) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		t.Error("the child outlives its parent")
	}
}

// TestSignals: a signal to either process is an interruption; SIGQUIT ends
// both without a stack.
func TestSignals(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		for _, toChild := range []bool{false, true} {
			c, pid, r := waiting(t)
			to := c.Process.Pid
			if toChild {
				to = pid
			}
			if err := syscall.Kill(to, s); err != nil {
				t.Fatal(err)
			}
			_ = c.Wait()
			b := make([]byte, 64)
			n, _ := r.Read(b)
			if code := c.ProcessState.ExitCode(); code != 1 || string(b[:n]) != "interrupted\n" {
				t.Errorf("%v, to the child %v: exit code %d, output %q", s, toChild, code, b[:n])
			}
		}
	}
	c, pid, _ := waiting(t)
	if err := c.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if !gone(pid) {
		t.Error("the child outlives SIGQUIT")
	}
}

// TestStop: a parent that is stopped stops its child, and takes it along when it
// runs again.
func TestStop(t *testing.T) {
	c, pid, _ := waiting(t)
	defer c.Wait()         //nolint:errcheck // it was killed
	defer c.Process.Kill() //nolint:errcheck // it may have ended
	state := func(pid int) string {
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		_, after, _ := strings.Cut(string(stat), ") ")
		return strings.SplitN(after, " ", 2)[0]
	}
	if state(pid) == "" {
		t.Skip("no /proc here")
	}
	reaches := func(pid int, stopped bool) bool {
		for range 300 {
			if (state(pid) == "T") == stopped {
				return true
			}
			time.Sleep(10 * time.Millisecond)
		}
		return false
	}
	_ = c.Process.Signal(syscall.SIGTSTP)
	if !reaches(pid, true) {
		t.Error("the child runs while its parent is stopped")
	}
	_ = c.Process.Signal(syscall.SIGCONT)
	if !reaches(pid, false) || !reaches(c.Process.Pid, false) {
		t.Error("the two do not run again")
	}
}

// TestClosedPipe: a reader that goes away ends the program as it ends others.
func TestClosedPipe(t *testing.T) {
	c, _, _ := start(t, "write")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stdout = w
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	r.Close()
	var exit *exec.ExitError
	if err := c.Wait(); !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if status := exit.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGPIPE {
		t.Errorf("it ends with %v", exit)
	}
}
