package main

import (
	"io"
	"os"
	"strconv"

	"golang.org/x/term"

	"narrow/diag"
)

// colorMode is the value of --color.
type colorMode string

const (
	colorAuto   colorMode = "auto"
	colorAlways colorMode = "always"
	colorNever  colorMode = "never"
)

func (m *colorMode) String() string { return string(*m) }
func (m *colorMode) Type() string   { return "color" }

func (m *colorMode) Set(s string) error {
	switch v := colorMode(s); v {
	case colorAuto, colorAlways, colorNever:
		*m = v
		return nil
	}
	return diag.Errorf("no such value") // flagError says it better
}

// terminal returns w as a file where it is a terminal, else nil.
func terminal(w io.Writer) *os.File {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}

// colors reports whether what is printed to w has colours: by --color, else on a
// terminal that has them and a user who has not set NO_COLOR (https://no-color.org).
func (a *app) colors(w io.Writer) bool {
	switch a.color {
	case colorAlways:
		return true
	case colorNever:
		return false
	}
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && terminal(w) != nil
}

// The colours of what is printed, as terminals take them (ECMA-48, SGR).
const (
	red    = "\x1b[1;31m"
	yellow = "\x1b[1;33m"
	cyan   = "\x1b[1;36m"
	plain  = "\x1b[0m"
)

// colorOf returns the colour of a severity.
func colorOf(s diag.Severity) string {
	switch s {
	case diag.Error:
		return red
	case diag.Warning:
		return yellow
	}
	return cyan
}

// columns returns how many columns a line to w may take, 0 where it may take any
// number: where w is no terminal, a program may read it. COLUMNS, if it is set,
// says how wide the terminal is.
func columns(w io.Writer) int {
	f := terminal(w)
	if f == nil {
		return 0
	}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
		return n
	}
	return helpWidth
}
