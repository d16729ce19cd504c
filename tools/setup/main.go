// Setup installs what narrow needs into the user's cache: the ONNX Runtime
// library (by npm) and the Fashion-MNIST images (by apt). What is there
// already is left alone, so running it again costs nothing.
//
//	go run ./tools/setup          both, and prints where they are
//	go run ./tools/setup ort      the library only; prints its path
//	go run ./tools/setup data     the images only; prints their folder
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"narrow/internal/setup"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "setup:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	s, err := setup.New(os.Stderr)
	if err != nil {
		return err
	}
	what := ""
	switch {
	case len(args) == 1 && (args[0] == "ort" || args[0] == "data"):
		what = args[0]
	case len(args) > 0:
		return errors.New("usage: setup [ort|data]")
	}
	// Both are tried, so that one run tells all that is missing.
	var errs []error
	if what != "data" {
		errs = append(errs, report(s.Runtime(ctx)))
	}
	if what != "ort" {
		errs = append(errs, report(s.Data(ctx)))
	}
	return errors.Join(errs...)
}

func report(path string, err error) error {
	if err == nil {
		fmt.Println(path)
	}
	return err
}
