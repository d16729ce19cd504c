package strategy

import (
	"bytes"
	"sort"
	"unicode/utf8"

	"narrow/diag"
)

// text is a file's content with an index of its lines.
type text struct {
	file  string
	src   []byte
	lines []int // offset of each line's first byte
	// first is where the content starts: behind a byte order mark, if any.
	first int
	ascii bool
}

func newText(file string, src []byte) *text {
	t := &text{file: file, src: src, lines: []int{0}, ascii: true}
	if bytes.HasPrefix(src, []byte("\ufeff")) {
		t.first = 3
		t.lines[0] = 3 // a mark has no width: columns count from behind it
	}
	for i := t.first; i < len(src); i++ {
		switch c := src[i]; {
		case c == '\n':
			t.lines = append(t.lines, i+1)
		case c >= utf8.RuneSelf:
			t.ascii = false
		}
	}
	return t
}

// pos turns a byte offset into a place; the column counts characters.
func (t *text) pos(off int) diag.Pos {
	off = min(max(off, t.first), len(t.src))
	line := sort.Search(len(t.lines), func(i int) bool { return t.lines[i] > off })
	start := t.lines[line-1]
	col := off - start
	if !t.ascii {
		col = utf8.RuneCount(t.src[start:off])
	}
	return diag.Pos{Line: line, Col: col + 1, Offset: off}
}

func (t *text) rng(s span) diag.Range {
	return diag.Range{File: t.file, Start: t.pos(s.start), End: t.pos(max(s.start, s.end))}
}

// span is a stretch of a file in byte offsets.
type span struct{ start, end int }
