//go:build !unix

package supervise

import (
	"context"
	"io"
	"os"
)

// Run starts nothing: see the package.
func Run() *End { return nil }

// Raise ends the process.
func Raise(os.Signal) { os.Exit(1) }

// Child returns no record.
func Child(ctx context.Context) (context.Context, *Record) { return ctx, nil }

// Exit ends the process.
func (r *Record) Exit(code int) { os.Exit(code) }

// Stderr is the command's standard error.
func (r *Record) Stderr() io.Writer { return os.Stderr }
