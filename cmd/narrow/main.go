// Command narrow quantizes trained networks after training, by a strategy
// file in the format of vai_q_pytorch.
//
// Flags, files and samples come in; what was made goes to files, what was
// asked for to standard output, progress and messages to standard error.
//
// Rule of the house: this package parses flags, prints, and picks exit codes;
// what is quantized and how is decided in the packages below it.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"narrow/internal/messages"
	"narrow/internal/supervise"
)

func main() {
	lean := os.Getenv("GOGC") == ""
	if lean {
		// Most of the heap is weights, which stay: waiting for it to double would
		// be memory for nothing.
		debug.SetGCPercent(collectAt)
	}
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		ends = append(ends, syscall.SIGHUP) // the terminal is gone
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, lang: messages.FromEnv(os.Getenv), lean: lean}
	if ctx, a.record = supervise.Child(ctx); a.record != nil {
		a.stderr = a.record.Stderr()
	} else if code, handled := a.supervised(os.Args[1:]); handled {
		os.Exit(code)
	}
	context.AfterFunc(ctx, func() {
		stop() // a second Ctrl-C ends the program as it always does
		a.leave()
	})
	a.record.Exit(a.run(ctx, os.Args[1:]))
}

// patience is how long an interrupted command may take to end by itself.
const patience = 700 * time.Millisecond

// leave ends the program where a stage does not look at its context (reading,
// rewriting and planning a network), but not in the middle of writing a result.
func (a *app) leave() {
	time.Sleep(patience)
	a.writing.Lock()
	a.release()
	fmt.Fprintln(a.stderr, a.lang.Sprint(interrupted()))
	a.record.Exit(exitOther)
}

// commit writes results by f, unless ctx is done; the program does not end
// itself meanwhile.
func (a *app) commit(ctx context.Context, f func() error) error {
	a.writing.Lock()
	defer a.writing.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	return f()
}

// run does what args ask for, in English, and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr, lang: messages.English}
	return a.run(ctx, args)
}

func (a *app) run(ctx context.Context, args []string) int {
	defer func() {
		for _, set := range a.opened {
			_ = set.Close() // it was read only
		}
		a.writing.Lock()
		defer a.writing.Unlock()
		a.release()
	}()
	root := newRootCommand(a)
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	c, err := root.ExecuteContextC(ctx)
	return a.exit(c, err)
}
