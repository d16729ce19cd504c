package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"narrow/calibrate"
	"narrow/diag"
)

// The exit codes.
const (
	exitDone  = 0
	exitOther = 1
	// exitUsage is for a mistake in the strategy file or the command line.
	exitUsage = 2
)

// interrupted is the last word after Ctrl-C.
func interrupted() diag.Text { return diag.Textf("narrow: interrupted") }

// exitError is an error with the exit code that it leads to.
type exitError struct {
	code int
	// err is printed; nil where everything has been printed already.
	err error
	// text is err in words that can be translated; zero where there are none.
	text diag.Text
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// Text returns the error in words that can be translated.
func (e *exitError) Text() diag.Text {
	if e.text.IsZero() {
		return diag.ErrorText(e.err)
	}
	return e.text
}

// usagef makes an error for a mistake in the command line.
func usagef(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &exitError{code: exitUsage, err: err, text: diag.Textf(strings.ReplaceAll(format, "%w", "%v"), args...)}
}

// exit prints err, if anything is left to print, and returns the exit code.
func (a *app) exit(c *cobra.Command, err error) int {
	if err == nil {
		a.printFindings(a.stderr, a.later, nil)
		return exitDone
	}
	code, quiet := exitOther, false
	var ee *exitError
	if errors.As(err, &ee) {
		code, quiet = ee.code, ee.err == nil
	}
	if quiet {
		return code
	}
	if list, ok := diag.AsFindings(err); ok {
		a.printFindings(a.stderr, list, nil)
		return code
	}
	if errors.Is(err, context.Canceled) {
		fmt.Fprintln(a.stderr, a.lang.Sprint(interrupted()))
		return exitOther
	}
	text := diag.ErrorText(err)
	if flags := wayOut(err); flags != "" {
		text = diag.Textf("%s (%s)", text, flags)
	}
	name := "narrow:"
	if a.colors(a.stderr) {
		name = red + name + plain
	}
	fmt.Fprintf(a.stderr, "%s %s\n", name, strings.TrimSpace(a.lang.Sprint(text)))
	if code == exitUsage && c != nil {
		fmt.Fprintln(a.stderr, a.lang.Sprint(diag.Textf("Run \"%s --help\" for the ways to call it.", c.CommandPath())))
	}
	return code
}

// wayOut names the flags for what an error of a package advises.
func wayOut(err error) string {
	var bad *calibrate.NotFiniteError
	switch {
	case !errors.As(err, &bad) || bad.Origin == calibrate.FromModel && !bad.Spoilt:
		return ""
	case bad.Origin == calibrate.FromQuantizer:
		return "--accuracy high"
	}
	return "--skip-invalid"
}

// verdict returns the error of a list of findings about a strategy that has
// been printed: nil, or one with the exit code for it.
func (a *app) verdict(list diag.List) error {
	if list.HasErrors() || a.strict && list.Count(diag.Warning) > 0 {
		return &exitError{code: exitUsage}
	}
	return nil
}
