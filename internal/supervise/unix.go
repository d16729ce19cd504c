//go:build unix

package supervise

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The files that a child gets beside the three of every process. Its own
// standard error is a pipe, where the runtime and native code print when they
// die.
const (
	stderrFD = 3 + iota // the command's standard error
	recordFD            // the record
	aliveFD             // closes with the parent; a byte is an interruption
)

// interruption is the byte that asks the child to end by itself.
const interruption = 'i'

// Run starts the program again, with the same arguments and streams, and waits
// for it. It returns nil where nothing was started: the caller then does the
// work itself.
func Run() *End {
	exe, err := os.Executable()
	if err != nil {
		return nil
	}
	record, err := newRecord()
	if err != nil {
		return nil
	}
	defer record.Close()
	said, saidWrite, err := os.Pipe()
	if err != nil {
		return nil
	}
	defer said.Close()
	aliveRead, alive, err := os.Pipe()
	if err != nil {
		saidWrite.Close()
		return nil
	}
	defer alive.Close()

	// The kernel ends the child when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c := &exec.Cmd{
		Path: exe, Args: os.Args, Env: append(os.Environ(), childEnv+"=1"),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: saidWrite,
		ExtraFiles:  []*os.File{os.Stderr, record, aliveRead},
		SysProcAttr: attributes(),
	}
	// Before the child is there, so that none of its signals are missed.
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, watched()...)
	defer signal.Stop(signals)
	err = c.Start()
	saidWrite.Close()
	aliveRead.Close()
	if err != nil {
		return nil
	}
	text := make(chan string, 1)
	go func() { text <- readEnds(said) }()
	ended := make(chan struct{})
	var by os.Signal // what ends this process besides
	var forwarding sync.WaitGroup
	forwarding.Go(func() { by = forward(c.Process, alive, signals, ended) })
	_ = c.Wait() // its state tells
	close(ended)
	forwarding.Wait()

	b := make([]byte, recordSize)
	_, _ = record.ReadAt(b, 0) // an empty record is that of a crash
	e := read(b)
	e.PID = c.Process.Pid
	e.Said = awaited(text)
	if e.Done {
		return e
	}
	name := ""
	if status, ok := c.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		name = unix.SignalName(status.Signal())
		switch status.Signal() {
		case syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE:
			by = status.Signal()
		}
	}
	if e.By = by; by == nil {
		e.Crash = crash(e.Said, name)
	}
	return e
}

// awaited waits for what a child said, but not for grandchildren that hold the
// pipe.
func awaited(text <-chan string) string {
	select {
	case s := <-text:
		return s
	case <-time.After(2 * time.Second):
		return ""
	}
}

// Raise ends this process by a signal, as if nobody had caught it.
func Raise(s os.Signal) {
	signal.Reset(s)
	n, _ := s.(syscall.Signal)
	if n == syscall.SIGPIPE { // Go programs take no notice of it, but for this
		if r, w, err := os.Pipe(); err == nil {
			r.Close()
			_ = redirect(w, 1)
			_, _ = os.Stdout.Write([]byte{'\n'})
		}
	}
	_ = unix.Kill(os.Getpid(), n)
	time.Sleep(time.Second) // it comes in its own time
	os.Exit(128 + int(n))
}

// watched are the signals that are for the child, too.
func watched() []os.Signal {
	list := []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGTSTP, syscall.SIGCONT}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		list = append(list, syscall.SIGHUP)
	}
	return list
}

// forward hands signals on until the child has ended, and returns the one that
// ended it by force.
//
// A terminal sends its signals to parent and child alike, kill sends them to
// one; so the child is told by its pipe, where twice is once.
func forward(child *os.Process, alive io.Writer, signals chan os.Signal, ended <-chan struct{}) (by os.Signal) {
	asked := false
	for {
		var s os.Signal
		select {
		case <-ended:
			return by
		case s = <-signals:
		}
		switch s {
		case syscall.SIGTSTP:
			_ = child.Signal(syscall.SIGSTOP)
			_ = unix.Kill(os.Getpid(), syscall.SIGSTOP) // until SIGCONT, which comes here too
		case syscall.SIGCONT:
			_ = child.Signal(syscall.SIGCONT)
		case syscall.SIGQUIT:
			by = s
			_ = child.Kill()
		default:
			if asked { // the second Ctrl-C ends a program at once
				by = s
				_ = child.Kill()
				continue
			}
			asked = true
			_, _ = alive.Write([]byte{interruption}) // a child that has ended needs none
		}
	}
}

// ends is how much of what a child says is kept, from the beginning and from
// the end.
const ends = 16 << 10

// readEnds reads r to its end and returns its two ends.
func readEnds(r io.Reader) string {
	head, err := io.ReadAll(io.LimitReader(r, ends))
	if err != nil || len(head) < ends {
		return string(head)
	}
	var tail []byte
	b := make([]byte, 4096)
	for {
		n, err := r.Read(b)
		if tail = append(tail, b[:n]...); len(tail) > 2*ends {
			tail = append(tail[:0], tail[len(tail)-ends:]...)
		}
		if err != nil {
			return string(head) + string(tail)
		}
	}
}

// Child returns the record where this process is a supervised child, nil where
// it is not. From then on standard error is the command's own again, the
// processes that it starts are not taken for children, and the process ends
// with its parent. When the parent was interrupted, ctx is done.
func Child(ctx context.Context) (context.Context, *Record) {
	if os.Getenv(childEnv) == "" {
		return ctx, nil
	}
	os.Unsetenv(childEnv)
	memory, err := unix.Mmap(recordFD, 0, recordSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return ctx, nil // somebody else set the variable
	}
	for fd := stderrFD; fd <= aliveFD; fd++ {
		unix.CloseOnExec(fd)
	}
	r := &Record{memory: memory, said: os.Stderr, alive: os.NewFile(aliveFD, "parent")}
	os.Stderr = os.NewFile(stderrFD, "/dev/stderr")
	// The parent handles it: no stacks are to be printed.
	signal.Ignore(syscall.SIGQUIT)
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		b := make([]byte, 1)
		for {
			n, err := r.alive.Read(b)
			if n == 0 && errors.Is(err, io.EOF) {
				_ = unix.Kill(os.Getpid(), syscall.SIGKILL) // the parent is gone
			}
			if err != nil {
				return
			}
			cancel()
		}
	}()
	return ctx, r
}

// Stderr is the command's standard error in a child. Writing to a pipe that
// nobody reads ends the process, as it does in every other one.
func (r *Record) Stderr() io.Writer {
	if st, err := os.Stderr.Stat(); err == nil && st.Mode()&os.ModeNamedPipe != 0 {
		return pipe{os.Stderr}
	}
	return os.Stderr
}

type pipe struct{ f *os.File }

func (p pipe) Write(b []byte) (int, error) {
	n, err := p.f.Write(b)
	if errors.Is(err, syscall.EPIPE) {
		Raise(syscall.SIGPIPE)
	}
	return n, err
}

// Exit ends a process with a code that the parent takes for its own. r may be
// nil.
func (r *Record) Exit(code int) {
	if r != nil {
		r.end(code)
	}
	os.Exit(code)
}
