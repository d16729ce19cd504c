// Package diag holds findings: what a stage of narrow noticed about its
// input, where, how bad it is, and the shortest way out.
//
// Stages return findings; only the command prints them. A list of findings is
// not an error value: ask it with [List.Err].
package diag

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Severity says how bad a finding is. The zero value is invalid.
type Severity int

const (
	// Error stops the run (exit code 2 for a strategy or usage, 1 otherwise).
	Error Severity = iota + 1
	// Warning is printed and changes the exit code only under --strict.
	Warning
	// Note is advice: nothing is wrong.
	Note
)

// String returns "error", "warning" or "note".
func (s Severity) String() string {
	switch s {
	case Error:
		return "error"
	case Warning:
		return "warning"
	case Note:
		return "note"
	}
	return fmt.Sprintf("Severity(%d)", int(s))
}

// Text returns the severity's name as a message.
func (s Severity) Text() Text {
	switch s {
	case Error:
		return Textf("error")
	case Warning:
		return Textf("warning")
	case Note:
		return Textf("note")
	}
	return Verbatim(s.String())
}

// MarshalText writes the severity's name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Pos is a place in a file. Line and Col count from 1, Col in characters
// (Unicode code points, a tab being one) from the line's start; Offset counts
// bytes from 0. The zero Pos means "no place".
type Pos struct {
	Line   int `json:"line"`
	Col    int `json:"col"`
	Offset int `json:"offset"`
}

// Range is the half-open stretch of a file [Start, End) that a finding is about.
type Range struct {
	File  string `json:"file"`
	Start Pos    `json:"start"`
	End   Pos    `json:"end"`
}

// IsZero reports whether r names no place at all.
func (r Range) IsZero() bool { return r == Range{} }

// String returns file:line:col, or just the file where there is no line.
func (r Range) String() string {
	if r.Start.Line == 0 {
		return r.File
	}
	return fmt.Sprintf("%s:%d:%d", r.File, r.Start.Line, r.Start.Col)
}

// Related points to a second place that takes part in a finding: the setting
// that a conflict is with, the rule that shadows another.
type Related struct {
	Range   Range `json:"range"`
	Message Text  `json:"message"`
}

// Finding is one thing noticed about an input.
type Finding struct {
	Severity Severity `json:"severity"`
	// Code is a stable kebab-case name of the check, such as "unknown-key".
	Code string `json:"code"`
	// Range is the place of the offending key or value.
	Range Range `json:"range"`
	// Rule is the number of the layer rule that it is about, counted from 1 as
	// the strategy file has them; 0 for other findings.
	Rule int `json:"rule,omitempty"`
	// Path is the JSON path of the place ($.layer_quantize_config[1].layer_type),
	// or empty where the input is not JSON.
	Path string `json:"path,omitempty"`
	// Message says what is wrong, in one line.
	Message Text `json:"message"`
	// Fix is the shortest way out, in one line; empty where Message says it.
	Fix Text `json:"fix,omitzero"`
	// Suggestions are the nearest valid spellings, nearest first, at most three.
	Suggestions []string  `json:"suggestions,omitempty"`
	Related     []Related `json:"related,omitempty"`
}

// String returns the finding on one line: place, severity, message, fix.
func (f Finding) String() string {
	var b strings.Builder
	if !f.Range.IsZero() {
		b.WriteString(f.Range.String())
		b.WriteString(": ")
	}
	fmt.Fprintf(&b, "%s: %s", f.Severity, f.Message)
	if !f.Fix.IsZero() {
		fmt.Fprintf(&b, " (%s)", f.Fix)
	}
	return b.String()
}

// List is a list of findings.
type List []Finding

// Sort orders the list by place, then severity, then code, then message.
func (l List) Sort() {
	slices.SortStableFunc(l, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(a.Range.File, b.Range.File),
			cmp.Compare(a.Range.Start.Offset, b.Range.Start.Offset),
			cmp.Compare(a.Severity, b.Severity),
			cmp.Compare(a.Code, b.Code),
			cmp.Compare(a.Message.String(), b.Message.String()),
		)
	})
}

// Count returns how many findings have severity s.
func (l List) Count(s Severity) int {
	n := 0
	for _, f := range l {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// HasErrors reports whether any finding is an error.
func (l List) HasErrors() bool { return l.Count(Error) > 0 }

// Err returns nil when l holds no error, and otherwise an error of type
// [*FindingsError] that carries the whole list.
func (l List) Err() error {
	if !l.HasErrors() {
		return nil
	}
	return &FindingsError{Findings: l}
}

// FindingsError is the error form of a list that holds at least one error.
type FindingsError struct{ Findings List }

// Error returns every error of the list, a line each.
func (e *FindingsError) Error() string {
	var lines []string
	for _, f := range e.Findings {
		if f.Severity == Error {
			lines = append(lines, f.String())
		}
	}
	return strings.Join(lines, "\n")
}

// AsFindings returns the findings inside err, if err carries any.
func AsFindings(err error) (List, bool) {
	var fe *FindingsError
	if errors.As(err, &fe) {
		return fe.Findings, true
	}
	return nil, false
}
