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
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run does what args ask for and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr}
	root := newRootCommand(a)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	c, err := root.ExecuteContextC(ctx)
	return a.exit(c, err)
}
