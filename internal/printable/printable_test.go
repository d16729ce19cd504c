package printable

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	long := strings.Repeat("a", 100_000)
	for _, tt := range []struct{ in, want string }{
		{"node \"conv\" (Conv): all is well\n\tline 2", "node \"conv\" (Conv): all is well\n\tline 2"},
		{"a\x1b[31mred\x1b]0;pwned\x07\u009bz\x7f", `a\x1b[31mred\x1b]0;pwned\a\u009bz\x7f`},
		{"\u202eevil\u2066", `\u202eevil\u2066`},
		{"bad \xff byte", `bad \xff byte`},
		{"attribute " + long + " is too long", "attribute " + long[:150] + "…" + long[:49] + " is too long"},
		{`name "` + strings.Repeat("b c ", 1000) + `" end`, `name "` + strings.Repeat("b c ", 250)[:149] + "…" + strings.Repeat("b c ", 250)[1000-48:] + `" end`},
		{strings.Repeat("模型的层。", 100), strings.Repeat("模型的层。", 100)},
		{strings.Repeat("word ", 1000), strings.Repeat("word ", 1000)},
	} {
		if got := Text(tt.in); got != tt.want {
			t.Errorf("Text(%.60q) = %.400q, want %.400q", tt.in, got, tt.want)
		}
	}
	if got := Name("x\ny\x1b" + long); strings.ContainsAny(got, "\n\x1b") || utf8.RuneCountInString(got) != longest {
		t.Errorf("Name gives %q", got)
	}
}

// FuzzText: whatever a file holds, a message has no control characters, and no
// word that fills a screen.
func FuzzText(f *testing.F) {
	f.Add("a \"b c\" \x1b[0m\n", 3)
	f.Add("\"\\\"", 300)
	f.Fuzz(func(t *testing.T, s string, n int) {
		if n > 0 && n < 1000 && len(s) < 1000 {
			s = strings.Repeat(s, n)
		}
		got := Text(s)
		if !plain(escape(got, true)) && escape(got, true) != got {
			t.Errorf("%q has control characters", got)
		}
		for line := range strings.Lines(got) {
			for _, w := range strings.Fields(line) {
				if strings.ContainsFunc(w, func(c rune) bool { return c >= 0x2e80 }) {
					continue
				}
				if utf8.RuneCountInString(w) > longest {
					t.Errorf("a word of %d characters: %.100q", utf8.RuneCountInString(w), w)
				}
			}
		}
	})
}
