package main

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/spf13/cobra"

	"narrow/internal/messages"
)

// helpTexts are the English help texts of all commands, each with the command
// that says it first.
func helpTexts() map[string]string {
	texts := map[string]string{}
	root := newRootCommand(&app{lang: messages.English})
	for _, g := range root.Groups() {
		texts[g.Title] = root.Name()
	}
	var at string
	note := func(s string) string {
		if _, ok := texts[s]; !ok && s != "" {
			texts[s] = at
		}
		return s
	}
	for _, c := range append(root.Commands(), root) {
		if !c.Hidden {
			at = c.CommandPath()
			translateHelp(c, note)
		}
	}
	return texts
}

// TestHelpInChinese: all of the help has its Chinese, and no other stands there.
func TestHelpInChinese(t *testing.T) {
	english := helpTexts()
	if len(english) < 100 {
		t.Fatalf("only %d help texts were found", len(english))
	}
	for _, s := range slices.Sorted(maps.Keys(english)) {
		zh, ok := helpInChinese[s]
		switch {
		case !ok:
			t.Errorf("the help of %q has no Chinese for\n\t%q: \"\",\nadd that line, with the Chinese, to helpInChinese in cmd/narrow/chinese.go", english[s], s)
		case !strings.ContainsFunc(zh, func(c rune) bool { return unicode.Is(unicode.Han, c) }):
			t.Errorf("cmd/narrow/chinese.go: %q is not Chinese", zh)
		case strings.HasSuffix(zh, "。") != strings.HasSuffix(s, "."):
			t.Errorf("cmd/narrow/chinese.go: %q ends in a full stop, and its English does not, or the other way round", zh)
		}
		for _, mark := range []string{", ", "; ", " (", ") ", ": ", ". "} {
			if strings.Contains(zh, mark) {
				t.Errorf("cmd/narrow/chinese.go: %q holds a half-width %q: write ，；（）：。", zh, mark)
			}
		}
	}
	for s := range helpInChinese {
		if _, ok := english[s]; !ok {
			t.Errorf("cmd/narrow/chinese.go holds %q, which no help says any more", s)
		}
	}
}

// TestHelp: every command's help fits 80 columns in both languages, has an
// example, and stands with a task; every flag stands with a subject.
func TestHelp(t *testing.T) {
	for _, lang := range []messages.Language{messages.English, messages.Chinese} {
		var out bytes.Buffer
		a := &app{lang: lang, stdout: &out, stderr: &out}
		root := newRootCommand(a)
		if len(root.Commands()) < 15 {
			t.Fatal("there are hardly any commands")
		}
		for _, c := range append(root.Commands(), root) {
			if c.Hidden {
				continue
			}
			out.Reset()
			args := append(strings.Fields(c.CommandPath())[1:], "--help")
			if code := a.run(context.Background(), args); code != exitDone {
				t.Errorf("%q --help: exit code %d", c.CommandPath(), code)
			}
			checkHelp(t, c, out.String())
		}
	}
}

func checkHelp(t *testing.T, c *cobra.Command, help string) {
	t.Helper()
	name := c.CommandPath()
	for _, l := range strings.Split(help, "\n") {
		if n := width(l); n > helpWidth {
			t.Errorf("the help of %q has a line of %d columns, %d at most: break the example with \\, shorten the usage line, or let the flag take a shorter word\n\t%s", name, n, helpWidth, l)
		}
	}
	switch {
	case c.Example == "":
		t.Errorf("%q has no example: set Example, each line indented by two blanks", name)
	case !strings.HasPrefix(c.Example, "  "):
		t.Errorf("%q: each line of the example begins with two blanks", name)
	case !strings.Contains(help, c.Example):
		t.Errorf("the help of %q does not show the example", name)
	}
	if c.HasParent() && c.GroupID == "" {
		t.Errorf("%q stands with no task: put it into tasks, in cmd/narrow/root.go", name)
	}
	for _, s := range sectionsOf(c) {
		if s.title.String() == "Others" {
			for _, f := range s.flags {
				t.Errorf("%q: --%s stands with no subject: put it into flagSections, in cmd/narrow/help.go", name, f.Name)
			}
		}
	}
}

func TestWrap(t *testing.T) {
	tests := []struct {
		text    string
		columns int
		want    []string
	}{
		{"one two three", 7, []string{"one two", "three"}},
		{"one two three", 8, []string{"one two", "three"}},
		{"averylongword b", 4, []string{"averylongword", "b"}},
		{"量化训练好的网络。", 8, []string{"量化训练", "好的网", "络。"}},
		{"用 --data 指定样本", 10, []string{"用 --data", "指定样本"}},
		{"a\nb", 10, []string{"a", "b"}},
		{"", 10, []string{""}},
	}
	for _, tt := range tests {
		if got := wrap(tt.text, tt.columns); !slices.Equal(got, tt.want) {
			t.Errorf("%q in %d: %q, want %q", tt.text, tt.columns, got, tt.want)
		}
	}
}

func TestShorten(t *testing.T) {
	tests := []struct {
		text    string
		columns int
		want    string
	}{
		{"abcdef", 6, "abcdef"},
		{"abcdefg", 6, "abc…fg"},
		{"abcdefg", 1, "…"},
		{"量化网络", 5, "量…络"},
		{"", 0, ""},
	}
	for _, tt := range tests {
		if got := shorten(tt.text, tt.columns); got != tt.want {
			t.Errorf("%q to %d: %q, want %q", tt.text, tt.columns, got, tt.want)
		}
	}
}
