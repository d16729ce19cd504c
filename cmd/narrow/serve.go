package main

import (
	"bytes"
	"context"
	"os"
	"time"

	"github.com/spf13/cobra"

	"narrow/diag"
	"narrow/engine"
	"narrow/serve"
)

func newServeCommand(a *app) *cobra.Command {
	var in inputFlags
	var parent int
	c := &cobra.Command{
		Use:   "serve",
		Short: "Answer the requests of another program",
		Long: `serve reads requests from standard input and writes answers to standard output,
in frames of JSON and raw arrays: the Python package is built on it. It ends when
standard input is closed or the program that began it is gone. The protocol is in
docs/protocol.md.`,
		Example: `  narrow serve --threads 4`,
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := in.checkNumbers(); err != nil {
				return err
			}
			ctx, cancel := context.WithCancel(c.Context())
			defer cancel()
			go watchParent(ctx, parent)
			return serve.New(a.stdin, a.stdout, serve.Config{
				Engine:  func() (engine.Runner, error) { return in.engine(a) },
				Text:    a.findingsText,
				Say:     a.lang.Sprint,
				Command: run,
				Threads: in.threads,
				// Work that is between two points where it could stop ends with the
				// process.
				Gone: func() { time.AfterFunc(patience, func() { os.Exit(exitOther) }) },
			}).Serve(ctx)
		},
	}
	in.addEngine(c)
	c.Flags().IntVar(&parent, "parent", 0, "end when the process of this number is no longer the parent")
	in.batch = 1
	return c
}

// findingsText writes findings as the command prints them.
func (a *app) findingsText(list diag.List, source []byte) string {
	var b bytes.Buffer
	for _, f := range list {
		printFinding(&b, a.lang, false, f, source)
	}
	return b.String()
}

// watchParent ends the process when its parent has: one that is killed closes
// no pipe that a child of its own holds open too.
func watchParent(ctx context.Context, parent int) {
	if parent <= 0 {
		return
	}
	for t := time.NewTicker(200 * time.Millisecond); ; {
		if os.Getppid() != parent {
			os.Exit(exitOther)
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}
