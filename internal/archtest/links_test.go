package archtest

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var (
	fence    = regexp.MustCompile("(?ms)^[ \t]*```.*?^[ \t]*```[ \t]*$")
	codeSpan = regexp.MustCompile("`[^`\n]*`")
	link     = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#{1,6} +(.*)$`)
	scheme   = regexp.MustCompile(`^[a-z]+:`)
)

// Every link of a document to another file of the tree, or to a heading, leads
// somewhere.
func TestLinks(t *testing.T) {
	texts := documents(t)
	if len(texts) < 20 {
		t.Errorf("%d documents were found: the walk misses some", len(texts))
	}
	n := 0
	for name, text := range texts {
		for _, m := range link.FindAllStringSubmatch(codeSpan.ReplaceAllString(text, ""), -1) {
			if scheme.MatchString(m[1]) {
				continue
			}
			n++
			if err := leads(texts, name, m[1]); err != nil {
				t.Errorf("%s: (%s): %v", name, m[1], err)
			}
		}
	}
	if n < 100 {
		t.Errorf("%d links were found: the expression misses some", n)
	}
}

// leads returns an error if target, as a link in the document from, leads nowhere.
func leads(texts map[string]string, from, target string) error {
	file, anchor, _ := strings.Cut(target, "#")
	file, err := url.PathUnescape(file)
	if err != nil {
		return err
	}
	to := from
	if file != "" {
		to = path.Join(path.Dir(from), file)
		if _, err := os.Stat(filepath.Join("../..", filepath.FromSlash(to))); err != nil {
			return fmt.Errorf("no such file: %w", err)
		}
	}
	if anchor == "" {
		return nil
	}
	for _, h := range heading.FindAllStringSubmatch(texts[to], -1) {
		if slug(h[1]) == anchor {
			return nil
		}
	}
	return fmt.Errorf("%s has no heading for #%s", to, anchor)
}

// slug is what GitHub makes an anchor of: letters, digits, - and _ in lower
// case, blanks as -.
func slug(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

// documents returns the text of every .md file by its path, without its blocks
// of code.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	root := "../.."
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // another process's temporary file
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch base := d.Name(); {
			case rel == ".":
			case base == "node_modules" || base == "bin" || base == "demo" || base == "dist" || base[0] == '.':
				return fs.SkipDir // what others wrote, or narrow
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".md") {
			return nil
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		texts[filepath.ToSlash(rel)] = fence.ReplaceAllString(string(b), "")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}
