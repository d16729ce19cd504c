package diag

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

func TestSeverity(t *testing.T) {
	for s, want := range map[Severity]string{Error: "error", Warning: "warning", Note: "note", 0: "Severity(0)"} {
		if s.String() != want || s.Text().String() != want {
			t.Errorf("%d is %q, as a message %q", int(s), s, s.Text())
		}
		if b, err := s.MarshalText(); err != nil || string(b) != want {
			t.Errorf("%d is written %q, %v", int(s), b, err)
		}
	}
}

func TestFindingString(t *testing.T) {
	at := Range{File: "s.json", Start: Pos{Line: 3, Col: 5, Offset: 40}}
	for want, f := range map[string]Finding{
		"s.json:3:5: error: it is wrong (fix it)": {Severity: Error, Range: at, Message: Textf("it is wrong"), Fix: Verbatim("fix it")},
		"s.json: note: well":                      {Severity: Note, Range: Range{File: "s.json"}, Message: Textf("well")},
		"warning: hm":                             {Severity: Warning, Message: Textf("hm")},
	} {
		if got := f.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestList: a list is sorted by place first, counted by severity, and an error
// only where it holds one, which then carries all of it through wrapping.
func TestList(t *testing.T) {
	at := func(file string, offset int) Range {
		return Range{File: file, Start: Pos{Line: 1, Col: offset + 1, Offset: offset}}
	}
	l := List{
		{Severity: Note, Code: "e", Range: at("b", 0), Message: Textf("5")},
		{Severity: Warning, Code: "d", Range: at("a", 9), Message: Textf("4")},
		{Severity: Error, Code: "b", Range: at("a", 9), Message: Textf("3")},
		{Severity: Error, Code: "a", Range: at("a", 9), Message: Textf("2")},
		{Severity: Error, Code: "a", Range: at("a", 9), Message: Textf("1")},
		{Severity: Warning, Code: "z", Range: at("a", 1), Message: Textf("0")},
	}
	l.Sort()
	for i, f := range l {
		if f.Message.String() != fmt.Sprint(i) {
			t.Errorf("%d stands at %d", i, slices.IndexFunc(l, func(f Finding) bool { return f.Message.String() == fmt.Sprint(i) }))
		}
	}
	if l.Count(Error) != 3 || l.Count(Warning) != 2 || l.Count(Note) != 1 {
		t.Errorf("%d errors, %d warnings, %d notes", l.Count(Error), l.Count(Warning), l.Count(Note))
	}
	harmless := List{l[0], l[5]}
	if harmless.HasErrors() || harmless.Err() != nil || List(nil).Err() != nil {
		t.Error("warnings are an error")
	}
	err := fmt.Errorf("planning: %w", l.Err())
	if want := "planning: a:1:10: error: 1\na:1:10: error: 2\na:1:10: error: 3"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	if got, ok := AsFindings(err); !ok || len(got) != len(l) {
		t.Errorf("the error carries %v", got)
	}
	if got, ok := AsFindings(errors.New("another")); ok || got != nil {
		t.Errorf("another error carries %v", got)
	}
}
