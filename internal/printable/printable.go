// Package printable makes what comes from files fit to be printed: strings come
// in, and out come strings that do nothing to a terminal and do not fill a
// screen.
package printable

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// longest is how many characters of a name are shown: files may hold names of
// any length.
const longest = 200

// Name returns s, which comes from a file, in a form that does nothing to
// a terminal: control characters are escaped, line breaks too, and the middle
// of long ones is left out.
func Name(s string) string { return cut(escape(s, false), longest) }

// Passage is [Name] for what another program says, which may hold names: it is
// one line, and may be three times as long.
func Passage(s string) string { return cut(escape(s, false), 3*longest) }

// Text returns a message fit to be printed: what [Name] does to names, it
// does to everything in it that is quoted or that no blank divides. Line
// breaks and tabs stay: messages have their own.
func Text(s string) string {
	if len(s) <= longest && plain(s) {
		return s
	}
	s = escape(s, true)
	if len(s) <= longest {
		return s
	}
	var b strings.Builder
	for s != "" {
		n := word(s)
		b.WriteString(cut(s[:n], longest))
		s = s[n:]
		space := strings.IndexFunc(s, func(c rune) bool { return !unicode.IsSpace(c) })
		if space < 0 {
			space = len(s)
		}
		b.WriteString(s[:space])
		s = s[space:]
	}
	return b.String()
}

// plain reports whether s is ASCII without control characters.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\n' && c != '\t' || c >= 0x7f {
			return false
		}
	}
	return true
}

// word returns the length of the first word of s: up to the next blank that
// does not stand in quotes.
func word(s string) int {
	quoted := false
	for i, c := range s {
		switch {
		case c == '"' && (i == 0 || s[i-1] != '\\'):
			// A quote that nothing closes on its line is a mark like any other.
			if !quoted {
				end := strings.IndexAny(s[i+1:], "\"\n")
				if end < 0 || s[i+1+end] == '\n' {
					continue
				}
			}
			quoted = !quoted
		case c == '\n', unicode.IsSpace(c) && !quoted:
			return i
		case c >= 0x2e80 && !quoted: // East Asian sentences have no blanks
			if i == 0 {
				return utf8.RuneLen(c)
			}
			return i
		}
	}
	return len(s)
}

// escape makes what a terminal would act on visible, as Go strings have it.
func escape(s string, lines bool) string {
	if plain(s) && (lines || !strings.ContainsAny(s, "\n\t")) {
		return s
	}
	var b strings.Builder
	for i, c := range s {
		switch {
		case lines && (c == '\n' || c == '\t'):
			b.WriteRune(c)
		case c == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			b.WriteString(`\x` + strconv.FormatUint(uint64(s[i]), 16))
		case unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) || c == '\u2028' || c == '\u2029':
			q := strconv.QuoteRuneToASCII(c)
			b.WriteString(q[1 : len(q)-1])
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}

// cut leaves out the middle of what has more than most characters.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	n := utf8.RuneCountInString(s)
	if n <= most {
		return s
	}
	runes := []rune(s)
	return string(runes[:most*3/4]) + "…" + string(runes[n-most/4+1:])
}
