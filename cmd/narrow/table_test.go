package main

import (
	"strings"
	"testing"
)

// TestTable: a table is cut to the screen, never in its numbers, and not where
// there is no screen.
func TestTable(t *testing.T) {
	rows := [][]string{
		{"LAYER", "TYPE", "SQNR"},
		{"/features/features.0/Conv", "Conv", "38.20 dB"},
		{"层", "GlobalAveragePool", "8.11 dB"},
	}
	numbers := func(i int) bool { return i == 2 }
	tests := []struct {
		screen int
		want   string
	}{
		{0, `
LAYER                      TYPE                   SQNR
/features/features.0/Conv  Conv               38.20 dB
层                         GlobalAveragePool   8.11 dB
`},
		{40, `
LAYER           TYPE                SQNR
/featur….0/Conv  Conv            38.20 dB
`},
		{10, `
LAYER     TYPE          SQNR
/fea…onv  Conv      38.20 dB
层        Glob…ool   8.11 dB
`},
	}
	for _, tt := range tests {
		var b strings.Builder
		if err := (table{rows, numbers}).write(&b, tt.screen); err != nil {
			t.Fatal(err)
		}
		if tt.screen == 40 {
			for _, l := range strings.Split(strings.TrimSpace(b.String()), "\n") {
				if width(l) > 40 || !strings.Contains(l, "dB") && !strings.Contains(l, "SQNR") {
					t.Errorf("%d columns: %q", width(l), l)
				}
			}
			continue
		}
		if got := "\n" + b.String(); got != tt.want {
			t.Errorf("on %d columns:%s", tt.screen, got)
		}
	}
}

// TestTurned: rows become columns, in tables that fit, each with the head and the
// row that the others are compared with.
func TestTurned(t *testing.T) {
	rows := [][]string{
		{"strategy", "top-1", "cost"},
		{"float32", "90 %"},
		{"a.json", "89 %", "6 %"},
		{"b-with-a-name-that-is-long.json", "88 %", "3 %"},
		{"c.json", "87 %", "2 %"},
	}
	var got []string
	for _, tt := range (table{rows: rows}).turned(50) {
		var b strings.Builder
		if err := tt.write(&b, 50); err != nil {
			t.Fatal(err)
		}
		got = append(got, b.String())
	}
	want := []string{`strategy  float32  a.json
top-1        90 %    89 %
cost                  6 %
`}
	if len(got) != 2 || !strings.Contains(got[0], "b-with-a-n…long.json") || !strings.Contains(got[1], "float32  c.json") {
		t.Errorf("%q, want two tables, as\n%s", got, want[0])
	}
	for _, g := range got {
		for _, l := range strings.Split(g, "\n") {
			if width(l) > 50 {
				t.Errorf("%d columns: %q", width(l), l)
			}
		}
	}
	if n := len((table{rows: rows[:2]}).turned(45)); n != 1 {
		t.Errorf("%d tables of nothing but float", n)
	}
}
