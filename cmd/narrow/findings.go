package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"narrow/diag"
	"narrow/internal/messages"
)

// printFindings writes findings for people: the message, the line with a caret
// under the place, the way out. src is the file that they are about, nil where
// its lines are not at hand.
func (a *app) printFindings(w io.Writer, list diag.List, src []byte) {
	a.told = append(a.told, list...)
	for _, f := range list {
		printFinding(w, a.lang, a.colors(w), f, src)
	}
}

// printFinding prints one finding; with colours where colors says so.
func printFinding(w io.Writer, lang messages.Language, colors bool, f diag.Finding, src []byte) {
	place := ""
	if !f.Range.IsZero() {
		place = f.Range.String() + ": "
	}
	on, off := "", ""
	if colors {
		on, off = colorOf(f.Severity), plain
	}
	severity := lang.Sprint(diag.Textf("%s", f.Severity))
	message := strings.TrimPrefix(lang.Sprint(diag.Textf("%s: %s", f.Severity, f.Message)), severity)
	fmt.Fprintf(w, "%s%s%s%s%s\n", place, on, severity, off, message)
	indent := "  "
	if src != nil && f.Range.Start.Line > 0 {
		var line, carets string
		line, carets, indent = snippet(f.Range, src)
		fmt.Fprintf(w, "%s\n%s|%s%s%s\n", line, indent, on, carets, off)
	}
	if f.Path != "" && f.Path != "$" {
		fmt.Fprintf(w, "%s= %s\n", indent, lang.Sprint(diag.Textf("at %s", f.Path)))
	}
	for _, r := range f.Related {
		fmt.Fprintf(w, "%s= %s: %s\n", indent, r.Range, lang.Sprint(r.Message))
	}
	if !f.Fix.IsZero() {
		fmt.Fprintf(w, "%s= %s\n", indent, lang.Sprint(diag.Textf("fix: %s", f.Fix)))
	}
	fmt.Fprintln(w)
}

// say prints lines to standard output in the user's language.
func (a *app) say(lines ...diag.Text) error {
	for _, t := range lines {
		if _, err := fmt.Fprintln(a.stdout, a.lang.Sprint(t)); err != nil {
			return err
		}
	}
	return nil
}

// note prints a line to standard error in the user's language.
func (a *app) note(t diag.Text) { fmt.Fprintln(a.stderr, a.lang.Sprint(t)) }

const (
	// snippetWidth is how many columns of a line are shown.
	snippetWidth = 100
	// snippetReach is how many bytes to either side of a place are looked at:
	// more than are shown, whatever the characters.
	snippetReach = 8 * snippetWidth
)

// snippet returns the line of a range, the carets under it, and how far what
// belongs to it has to be indented.
func snippet(r diag.Range, src []byte) (text, carets, indent string) {
	start := min(r.Start.Offset, len(src))
	end := min(max(r.End.Offset, start), len(src))
	// A file may be one line of megabytes, with mistakes all along it: only what
	// may be shown is looked at.
	lineStart := max(0, start-snippetReach)
	if i := bytes.LastIndexByte(src[lineStart:start], '\n'); i >= 0 {
		lineStart += i + 1
	}
	lineEnd := min(len(src), start+snippetReach)
	if i := bytes.IndexByte(src[start:lineEnd], '\n'); i >= 0 {
		lineEnd = start + i
	}
	line := strings.TrimSuffix(string(src[lineStart:lineEnd]), "\r")
	from := min(start-lineStart, len(line))
	to := min(max(end-lineStart, from), len(line))
	before, marked, after := line[:from], line[from:to], line[to:]
	before = strings.TrimPrefix(before, "\ufeff")
	if width(before)+width(marked)+width(after) > snippetWidth {
		before = tail(before, snippetWidth*4/10)
		marked = head(marked, snippetWidth*4/10)
		after = head(after, snippetWidth*2/10)
	}

	number := fmt.Sprint(r.Start.Line)
	text = number + " |" + lead(clean(before)+clean(marked)+clean(after))
	carets = lead(blank(before) + strings.Repeat("^", max(1, width(marked))))
	return text, carets, strings.Repeat(" ", len(number)+1)
}

// lead puts a blank before a line, unless the line starts with a tab: both
// lines then have the tab at the same place either way.
func lead(s string) string { return " " + s }

// clean makes what a terminal would act on visible.
func clean(s string) string {
	return strings.Map(func(c rune) rune {
		if c != '\t' && runeWidth(c) == 1 && (unicode.IsControl(c) || c == utf8.RuneError) {
			return '·'
		}
		if unicode.Is(unicode.Bidi_Control, c) {
			return -1
		}
		return c
	}, s)
}

// blank returns white space as wide as s.
func blank(s string) string {
	var b strings.Builder
	for _, c := range s {
		if c == '\t' {
			b.WriteRune(c)
			continue
		}
		b.WriteString(strings.Repeat(" ", runeWidth(c)))
	}
	return b.String()
}

// head and tail cut s to n columns.
func head(s string, n int) string {
	if width(s) <= n {
		return s
	}
	for i, c := range s {
		if n -= runeWidth(c); n < 1 {
			return s[:i] + "…"
		}
	}
	return s
}

func tail(s string, n int) string {
	if width(s) <= n {
		return s
	}
	for i := len(s); ; {
		c, size := utf8.DecodeLastRuneInString(s[:i])
		if n -= runeWidth(c); n < 1 {
			return "…" + s[i:]
		}
		i -= size
	}
}

// width returns how many columns of a terminal s takes, a tab counted as one.
func width(s string) int {
	n := 0
	for _, c := range s {
		n += runeWidth(c)
	}
	return n
}

// runeWidth returns 0 for marks that join the character before, 2 for East
// Asian wide characters, else 1.
func runeWidth(c rune) int {
	switch {
	case c < 0x300 && c != 0xad:
		return 1
	case unicode.Is(unicode.Mn, c) || unicode.Is(unicode.Me, c) || unicode.Is(unicode.Cf, c):
		return 0
	case c < 0x1100:
		return 1
	case unicode.Is(wide, c):
		return 2
	}
	return 1
}

// wide holds the East Asian wide and fullwidth blocks (Unicode TR 11).
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x1100, Hi: 0x115f, Stride: 1}, {Lo: 0x2e80, Hi: 0x303e, Stride: 1}, {Lo: 0x3041, Hi: 0x33ff, Stride: 1},
		{Lo: 0x3400, Hi: 0x4dbf, Stride: 1}, {Lo: 0x4e00, Hi: 0x9fff, Stride: 1}, {Lo: 0xa000, Hi: 0xa4cf, Stride: 1},
		{Lo: 0xac00, Hi: 0xd7a3, Stride: 1}, {Lo: 0xf900, Hi: 0xfaff, Stride: 1}, {Lo: 0xfe30, Hi: 0xfe6f, Stride: 1},
		{Lo: 0xff00, Hi: 0xff60, Stride: 1}, {Lo: 0xffe0, Hi: 0xffe6, Stride: 1},
	},
	R32: []unicode.Range32{
		{Lo: 0x1f300, Hi: 0x1f64f, Stride: 1}, {Lo: 0x1f900, Hi: 0x1f9ff, Stride: 1}, {Lo: 0x20000, Hi: 0x3fffd, Stride: 1},
	},
}

// count writes "1 error" or "2 errors".
func count(n int, what string) diag.Text {
	if n == 1 {
		return diag.Textf("1 " + what)
	}
	return diag.Textf("%d "+what+"s", n)
}

// summary writes what a list holds on one line.
func summary(list diag.List) diag.Text {
	var parts []diag.Text
	if n := list.Count(diag.Error); n > 0 {
		parts = append(parts, count(n, "error"))
	}
	if n := list.Count(diag.Warning); n > 0 {
		parts = append(parts, count(n, "warning"))
	}
	if n := list.Count(diag.Note); n > 0 {
		parts = append(parts, count(n, "note"))
	}
	if len(parts) == 0 {
		return diag.Textf("no mistakes")
	}
	return diag.Commas(parts)
}
