package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// docWidth is how many columns a line of prose in the documents takes at most.
const docWidth = 120

// TestDocWidth: every paragraph of every document is filled to one width. go test
// -run TestDocWidth -update fills them anew.
func TestDocWidth(t *testing.T) {
	var files []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/guide/*.md", "examples/*/*.md", "examples/*.md", "models/*.md", "python/*.md"} {
		found, err := filepath.Glob(filepath.Join("../..", pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) < 25 {
		t.Fatalf("only %d documents were found", len(files))
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		filled := fillMarkdown(string(src))
		if filled == string(src) {
			continue
		}
		if *update {
			if err := os.WriteFile(file, []byte(filled), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		was, now := strings.Split(string(src), "\n"), strings.Split(filled, "\n")
		i := 0
		for i < min(len(was), len(now)) && was[i] == now[i] {
			i++
		}
		t.Errorf("%s:%d: paragraphs are filled to %d columns: go test ./cmd/narrow -run TestDocWidth -update does it", file, i+1, docWidth)
	}
}

var (
	// listItem begins an item of a list; its text follows.
	listItem = regexp.MustCompile(`^( *)([-*+]|\d+\.) +`)
	// asIs are lines that stand as they are: headings, tables, pictures, HTML, rules,
	// definitions of links, quotations.
	asIs = regexp.MustCompile(`^ *(#|\||!\[|<|---|\[[^\]]+\]: |>|    )`)
	// marker would begin something else at the start of a line.
	marker = regexp.MustCompile(`^([-*+#>|]|\d+\.)`)
)

// fillMarkdown fills the paragraphs of a document.
func fillMarkdown(src string) string {
	var out, paragraph []string
	first, rest := "", "" // what the paragraph's lines begin with
	flush := func() {
		if len(paragraph) == 0 {
			return
		}
		for i, l := range wrapProse(joinLines(paragraph), docWidth-len(rest)) {
			if i == 0 {
				out = append(out, first+l)
			} else {
				out = append(out, rest+l)
			}
		}
		paragraph, first, rest = nil, "", ""
	}
	code, indent := false, ""
	for _, l := range strings.Split(src, "\n") {
		fence := strings.HasPrefix(strings.TrimLeft(l, " "), "```")
		item := listItem.FindString(l)
		switch {
		case code || fence:
			flush()
			out = append(out, l)
			code = code != fence
		case strings.TrimSpace(l) == "":
			flush()
			out = append(out, "")
		case len(paragraph) == 0 && item == "" && indent != "" && strings.HasPrefix(l, indent) && !asIs.MatchString(l[len(indent):]):
			// A second paragraph of an item.
			first, rest = indent, indent
			paragraph = append(paragraph, l)
		case item != "":
			flush()
			first, rest = item, strings.Repeat(" ", len(item))
			indent = rest
			paragraph = append(paragraph, l[len(item):])
		case len(paragraph) == 0 && asIs.MatchString(l), asIs.MatchString(l) && !strings.HasPrefix(l, " "):
			flush()
			out = append(out, l)
			if !strings.HasPrefix(l, " ") {
				indent = ""
			}
		default:
			if len(paragraph) == 0 {
				indent = ""
			}
			paragraph = append(paragraph, l)
		}
	}
	flush()
	return strings.Join(out, "\n")
}

// joinLines makes one line of several: with a blank between, but not between two
// wide characters.
func joinLines(lines []string) string {
	text := ""
	for _, l := range lines {
		l = strings.TrimSpace(l)
		if text == "" {
			text = l
			continue
		}
		a, b := []rune(text), []rune(l)
		if runeWidth(a[len(a)-1]) == 2 && runeWidth(b[0]) == 2 {
			text += l
		} else {
			text += " " + l
		}
	}
	return text
}

// target is where a link leads, with the last character of its text.
var target = regexp.MustCompile(`.\]\([^)]*\)`)

// wrapProse is wrap, but for lines that would begin with the mark of a list or of
// something else, and for the targets of links, which are not broken.
func wrapProse(text string, columns int) []string {
	// No line ends at a rune of private use: they stand for the wide ones of targets.
	var wide []rune
	text = target.ReplaceAllStringFunc(text, func(link string) string {
		return strings.Map(func(r rune) rune {
			if runeWidth(r) < 2 {
				return r
			}
			wide = append(wide, r)
			return 0xE000 + rune(len(wide)) - 1
		}, link)
	})
	lines := wrap(text, columns)
	for i := range lines {
		lines[i] = strings.Map(func(r rune) rune {
			if k := int(r) - 0xE000; k >= 0 && k < len(wide) {
				return wide[k]
			}
			return r
		}, lines[i])
	}
	for i := 1; i < len(lines); i++ {
		if marker.MatchString(lines[i]) {
			// The mark goes up: one word too long is better than a list.
			word, after, _ := strings.Cut(lines[i], " ")
			lines[i-1] += " " + word
			if after == "" {
				lines = slices.Delete(lines, i, i+1)
				i--
				continue
			}
			lines[i] = after
		}
	}
	return lines
}

// TestReadmeIsShort: a README is read from top to bottom.
func TestReadmeIsShort(t *testing.T) {
	for _, name := range []string{"README.md", "README.zh-CN.md"} {
		src, err := os.ReadFile(filepath.Join("../..", name))
		if n := strings.Count(string(src), "\n"); err != nil || n >= 150 {
			t.Errorf("%s has %d lines, 149 at most: put what is more into docs (%v)", name, n, err)
		}
	}
}

func TestFillMarkdown(t *testing.T) {
	long := strings.Repeat("word ", 30)
	tests := []struct{ src, want string }{
		{"# A\n\none\ntwo\n", "# A\n\none two\n"},
		{"- one\n  two\n- three\n", "- one two\n- three\n"},
		{"一行\n两行\n", "一行两行\n"},
		{strings.Repeat("字", 56) + "[见](#下面的一节)", strings.Repeat("字", 56) + "\n[见](#下面的一节)"},
		{"| a |\n|---|\n| b |\n", "| a |\n|---|\n| b |\n"},
		{"```\na\nb\n```\n", "```\na\nb\n```\n"},
		{"x\n\n    code a\n    code b\n", "x\n\n    code a\n    code b\n"},
		{"- one\n\n  more\n  of it\n", "- one\n\n  more of it\n"},
		{long, strings.TrimSpace(strings.Repeat("word ", 24)) + "\n" + strings.TrimSpace(strings.Repeat("word ", 6))},
		{"1. " + long, "1. " + strings.TrimSpace(strings.Repeat("word ", 23)) + "\n   " + strings.TrimSpace(strings.Repeat("word ", 7))},
	}
	for _, tt := range tests {
		got := fillMarkdown(tt.src)
		if got != tt.want {
			t.Errorf("%q:\n%q, want\n%q", tt.src, got, tt.want)
		}
		if again := fillMarkdown(got); again != got {
			t.Errorf("%q: filled again, it is %q", tt.src, again)
		}
	}
}
