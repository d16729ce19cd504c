package main

import (
	"strings"
	"unicode/utf8"
)

// notAtStart and notAtEnd are the marks that no line of Chinese begins or ends
// with.
const (
	notAtStart = "，。；：、！？）》」』”’…"
	notAtEnd   = "（《「『“‘"
)

// wrap breaks a text into lines of so many columns: at blanks, and beside wide
// characters, which have none around them. A word that is wider stays whole; a
// line break in the text stays.
func wrap(s string, columns int) []string {
	var lines []string
	for _, paragraph := range strings.Split(s, "\n") {
		line, used := "", 0
		for _, piece := range pieces(paragraph) {
			n := width(piece)
			if bare := width(strings.TrimRight(piece, " ")); used > 0 && used+bare > columns {
				lines = append(lines, strings.TrimRight(line, " "))
				line, used = "", 0
			}
			line += piece
			used += n
		}
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return lines
}

// pieces divides a line where it may be broken; blanks stay with what they
// follow.
func pieces(s string) []string {
	var out []string
	start := 0
	last := rune(0)
	for i, c := range s {
		breaks := last == ' ' && c != ' '
		if last != 0 && c != ' ' && (runeWidth(c) == 2 || runeWidth(last) == 2) {
			breaks = !strings.ContainsRune(notAtStart, c) && !strings.ContainsRune(notAtEnd, last)
		}
		if breaks {
			out = append(out, s[start:i])
			start = i
		}
		last = c
	}
	if start < len(s) {
		out = append(out, s[start:])
	}
	return out
}

// shorten cuts the middle of s out, so that it takes so many columns at most.
func shorten(s string, columns int) string {
	if width(s) <= columns {
		return s
	}
	if columns < 2 {
		return "…"
	}
	back := (columns - 1) / 2
	front := columns - 1 - back
	i := 0
	for n := 0; i < len(s); {
		c, size := utf8.DecodeRuneInString(s[i:])
		if n += runeWidth(c); n > front {
			break
		}
		i += size
	}
	j := len(s)
	for n := 0; j > i; {
		c, size := utf8.DecodeLastRuneInString(s[:j])
		if n += runeWidth(c); n > back {
			break
		}
		j -= size
	}
	return s[:i] + "…" + s[j:]
}
