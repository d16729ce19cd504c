package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"mvdan.cc/sh/v3/syntax"
)

// TestQuotedCommands: every command that a document, an example or a build file
// quotes could be typed: narrow's commands and flags exist with that spelling, make's
// targets, the tools, scripts and tests of this tree too, and so does every file that
// is named in code. TestDocs runs those in blocks marked console.
func TestQuotedCommands(t *testing.T) {
	q := newQuoted(t)
	for _, file := range quotingFiles(t) {
		src, err := os.ReadFile(filepath.Join("../..", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range quotations(file, string(src)) {
			if err := q.check(s); err != nil {
				t.Errorf("%s:%d: %s: %v", file, s.line, s.text, err)
			}
		}
	}
	// Of each kind there are many: else the reading of documents misses them.
	for kind, least := range map[string]int{"narrow": 300, "make": 60, "go run": 8, "go test": 8, "python": 10, "flag": 300, "path": 100} {
		if q.seen[kind] < least {
			t.Errorf("only %d of the kind %q were found", q.seen[kind], kind)
		}
	}
}

// TestQuotedMistakes: the check finds what it is there for.
func TestQuotedMistakes(t *testing.T) {
	q := newQuoted(t)
	for _, tt := range []struct {
		text string
		span bool
		ok   bool
	}{
		{"narrow calib --model m.onnx --data d 2>/dev/null | tail -1", false, true},
		{"for f in *.json; do narrow lint \"$f\" || code=$?; done", false, true},
		{"source <(narrow completion bash)", false, true},
		{"narrow calibrate --model m.onnx", false, false},
		{"narrow calib --modell m.onnx", false, false},
		{"echo x | narrow lint --stricter -", false, false},
		{"diff <(narrow layers --model m.onnx) <(narrow layer --model m.onnx)", false, false},
		{"narrow compare", false, false}, // it takes files
		{"narrow compare", true, true},   // its name alone
		{"narrow test --min-top5", true, false},
		{"--subset-len", true, true},
		{"--subset-length", true, false},
		{"make test-report", false, true},
		{"make test-page", false, false},
		{"make install PREFIKS=/usr", false, false},
		{"go run ./tools/torture -seed 2", false, true},
		{"go run ./tools/torture -sead 2", false, false},
		{"go run ./tools/tortoise", false, false},
		{"go test ./cmd/narrow -run TestQuotedMistakes", false, true},
		{"go test ./cmd/narrow -run TestUnquoted", false, false},
		{"python3 examples/metrics/detector.py --truth boxes.csv", false, true},
		{"python3 examples/metrics/detector.py --truths boxes.csv", false, false},
		{"docker run narrow run --modell m.onnx", false, false},
		{"internal/broken", true, true},
		{"internal/brocken", true, false},
	} {
		if err := q.check(quotation{text: tt.text, span: tt.span}); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.text, err)
		}
	}
	const doc = "Text with `narrow lint\n--strict` in it.\n\n```sh\nnarrow calib --model x \\\n  --data y\n```\n\n    narrow run\n"
	var got []string
	for _, s := range quotations("x.md", doc) {
		got = append(got, fmt.Sprint(s.line, s.span, " ", s.text))
	}
	want := []string{"1 true narrow lint --strict", "5 false narrow calib --model x    --data y", "9 false narrow run"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// quotingFiles are the files of the tree that quote commands, as paths from its root.
func quotingFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, pattern := range []string{
		"*.md", "docs/*.md", "docs/guide/*.md", "models/*.md", "python/*.md", "examples/*/*", "Dockerfile", "Makefile",
		".pre-commit-hooks.yaml", ".github/workflows/*.yml",
	} {
		found, err := filepath.Glob(filepath.Join("../..", pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, f := range found {
			if rel := filepath.ToSlash(strings.TrimPrefix(f, filepath.FromSlash("../../"))); path.Ext(f) != ".go" {
				files = append(files, rel)
			}
		}
	}
	return files
}

// quotation is something that a document sets in code.
type quotation struct {
	line int // from 1
	text string
	// span is a word or a command within a sentence, which may be a part of one.
	span bool
}

var (
	quotedSpan = regexp.MustCompile("`([^`]+)`")
	// quotedHead begins a line that may be a command: a prompt, assignments and what
	// runs another command may stand before it.
	quotedHead = regexp.MustCompile(`^\s*(?:- run: +|- +|RUN +|entry: +)?(?:\$ +|[A-Z_]+=\S* +|sudo +)*(?:\S*/)?(?:narrow +[a-z-]+( |$)|make( |$)|go (run|test|build|tool) |python3? |docker |source <|echo .*\| narrow |for .*; do narrow )`)
	quotedTail = regexp.MustCompile(`\\$`)
)

// quotations are the commands of a file, and of a document's sentences also what
// stands in code.
func quotations(file, src string) []quotation {
	var list []quotation
	markdown := path.Ext(file) == ".md"
	lines := strings.Split(src, "\n")
	fenced := false
	var prose []string // of the paragraph
	from := 0
	flush := func() {
		text := strings.Join(prose, "\n")
		for _, m := range quotedSpan.FindAllStringSubmatchIndex(text, -1) {
			list = append(list, quotation{
				line: from + 1 + strings.Count(text[:m[0]], "\n"),
				text: strings.Join(strings.Fields(text[m[2]:m[3]]), " "), span: true,
			})
		}
		prose = nil
	}
	for i := 0; i < len(lines); i++ {
		l := lines[i]
		if markdown && strings.HasPrefix(strings.TrimSpace(l), "```") {
			flush()
			fenced = !fenced
			continue
		}
		code := !markdown || fenced || strings.HasPrefix(l, "    ") && len(prose) == 0
		switch {
		case !code && strings.TrimSpace(l) == "":
			flush()
		case !code:
			if len(prose) == 0 {
				from = i
			}
			prose = append(prose, l)
		case quotedHead.MatchString(l):
			s := quotation{line: i + 1}
			s.text = strings.TrimSpace(l)
			for quotedTail.MatchString(s.text) && i+1 < len(lines) {
				i++
				s.text = strings.TrimSuffix(s.text, `\`) + " " + lines[i]
			}
			list = append(list, s)
		}
	}
	flush()
	return list
}

// quoted checks what documents quote.
type quoted struct {
	seen map[string]int // by kind
	// flags are those of all of narrow's commands.
	flags map[string]bool
	make  string // the Makefile
	// tops are the folders and files of the tree's root.
	tops map[string]bool
}

func newQuoted(t *testing.T) *quoted {
	t.Helper()
	q := &quoted{seen: map[string]int{}, flags: map[string]bool{}, tops: map[string]bool{}}
	root := newRootCommand(&app{})
	for _, c := range append(root.Commands(), root) {
		c.Flags().VisitAll(func(f *pflag.Flag) { q.flags[f.Name] = true })
		c.PersistentFlags().VisitAll(func(f *pflag.Flag) { q.flags[f.Name] = true })
	}
	text, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	q.make = string(text)
	entries, err := os.ReadDir("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		q.tops[e.Name()] = e.IsDir()
	}
	return q
}

// othersFlags are flags of other programs that documents name by themselves.
var othersFlags = []string{
	"dependency",                                                                                                           // sbatch
	"truth",                                                                                                                // examples/metrics
	"limits",                                                                                                               // tools/networks
	"config_file", "quant_mode", "deploy", "inspect", "fast_finetune", "subset_len", "batch_size", "model_dir", "data_dir", // vai_q_pytorch's examples
}

var (
	flagSpan = regexp.MustCompile(`^--([a-z][a-z0-9_-]*)`)
	pathSpan = regexp.MustCompile(`^\.?[\w-]+(/[\w.-]+)+$`)
)

// check returns what is wrong with a quotation.
func (q *quoted) check(s quotation) error {
	text := strings.TrimSpace(s.text)
	for _, head := range []string{"- run: ", "- ", "RUN ", "entry: ", "$ "} {
		text = strings.TrimPrefix(text, head)
	}
	if m := flagSpan.FindStringSubmatch(text); m != nil {
		q.seen["flag"]++
		if !q.flags[strings.ReplaceAll(m[1], "_", "-")] && !slices.Contains(othersFlags, m[1]) {
			return fmt.Errorf("no command has a flag --%s", m[1])
		}
		return nil
	}
	if s.span && pathSpan.MatchString(text) {
		if top, _, _ := strings.Cut(text, "/"); q.tops[top] {
			q.seen["path"]++
			if _, err := os.Stat(filepath.Join("../..", filepath.FromSlash(text))); err != nil {
				return err
			}
		}
		return nil
	}
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), "")
	if err != nil {
		if s.span {
			return nil // no command, then
		}
		// A loop whose end stands on other lines.
		if file, err = syntax.NewParser(syntax.Variant(syntax.LangBash), syntax.RecoverErrors(5)).Parse(strings.NewReader(text), ""); err != nil {
			return err
		}
	}
	var bad error
	syntax.Walk(file, func(n syntax.Node) bool {
		if call, ok := n.(*syntax.CallExpr); ok && bad == nil {
			bad = q.call(literals(text, call.Args), s.span)
		}
		return bad == nil
	})
	return bad
}

// literals are the words of a command; what a shell would put in stands as written.
func literals(text string, args []*syntax.Word) []string {
	var words []string
	for _, w := range args {
		word := strings.Trim(text[w.Pos().Offset():w.End().Offset()], `"'`)
		// A summary sets in brackets what may be left out.
		if word = strings.Trim(word, "[]…"); word != "" && word != "..." && word != "flags" {
			words = append(words, word)
		}
	}
	return words
}

// call checks one command by the program that it calls.
func (q *quoted) call(words []string, span bool) error {
	// narrow within another command, as docker's.
	if i := slices.Index(words, "narrow"); i > 0 && i+1 < len(words) && words[0] == "docker" && words[1] == "run" {
		words = words[i:]
	}
	for len(words) > 0 && slices.Contains([]string{"sudo", "time", "nohup", "nice"}, words[0]) {
		words = words[1:]
	}
	if len(words) < 2 {
		return nil
	}
	switch name := path.Base(words[0]); {
	case name == "narrow":
		return q.narrow(words[1:], span)
	case name == "make":
		return q.makes(words[1:])
	case name == "go" && (words[1] == "run" || words[1] == "test"):
		return q.golang(words[1], words[2:])
	case name == "python" || name == "python3":
		return q.python(words[1:])
	}
	return nil
}

// narrow checks a command line of narrow's, within a sentence maybe a part of one.
func (q *quoted) narrow(args []string, span bool) error {
	if strings.Trim(args[0], "ABCDEFGHIJKLMNOPQRSTUVWXYZ[]<>.") == "" || args[0] == "$@" {
		return nil // a placeholder: COMMAND, [command], ...
	}
	q.seen["narrow"]++
	c, rest, err := newRootCommand(&app{}).Find(args)
	if err != nil {
		return err
	}
	if !c.HasParent() && !strings.HasPrefix(args[0], "-") {
		return fmt.Errorf("narrow has no command %s", args[0])
	}
	if c.DisableFlagParsing {
		return nil
	}
	parsed := c.ParseFlags(rest)
	if parsed != nil && (span || slices.ContainsFunc(rest, placeholder.MatchString)) {
		// A flag without its value, or with what stands for one.
		return flagsExist(c, rest)
	}
	if parsed != nil || span || slices.ContainsFunc(rest, placeholder.MatchString) {
		return parsed
	}
	return c.ValidateArgs(c.Flags().Args())
}

// placeholder is a word that stands for another, or for several: capitals, or a
// variable of the shell.
var placeholder = regexp.MustCompile(`^([A-Z][A-Z/]*|\$[A-Z]+)$`)

// flagsExist checks flags by their names alone.

func flagsExist(c *cobra.Command, args []string) error {
	for _, a := range args {
		name, ok := strings.CutPrefix(a, "--")
		name, _, _ = strings.Cut(name, "=")
		if ok && c.Flag(name) == nil {
			return fmt.Errorf("%s has no flag --%s", c.CommandPath(), name)
		}
	}
	return nil
}

func (q *quoted) makes(args []string) error {
	for _, a := range args {
		name, _, variable := strings.Cut(a, "=")
		if strings.HasPrefix(a, "-") || strings.Contains(a, "$") && !variable {
			continue
		}
		q.seen["make"]++
		pattern := `(?m)^` + regexp.QuoteMeta(name) + `:`
		if variable {
			pattern = `\b` + regexp.QuoteMeta(name) + `\b`
		}
		if !regexp.MustCompile(pattern).MatchString(q.make) {
			return fmt.Errorf("the Makefile has no %s", name)
		}
	}
	return nil
}

// golang checks go run and go test with folders of this tree.
func (q *quoted) golang(verb string, args []string) error {
	i := slices.IndexFunc(args, func(s string) bool { return strings.HasPrefix(s, "./") || strings.HasPrefix(s, "examples/") })
	if i < 0 {
		return nil
	}
	dir := args[i]
	if dir == "./PACKAGE" {
		return nil
	}
	source, err := sources(filepath.Join("../..", filepath.FromSlash(strings.TrimSuffix(dir, "..."))), strings.HasSuffix(dir, "..."))
	if err != nil {
		return err
	}
	q.seen["go "+verb]++
	if verb == "run" {
		for _, a := range args[i+1:] {
			name, _, _ := strings.Cut(strings.TrimLeft(a, "-"), "=")
			if strings.HasPrefix(a, "-") && !strings.Contains(source, `"`+name+`"`) {
				return fmt.Errorf("%s has no flag -%s", dir, name)
			}
		}
		return nil
	}
	for j, a := range args[:len(args)-1] {
		kind := map[string]string{"-run": "Test|Fuzz|Example", "-bench": "Benchmark", "-fuzz": "Fuzz"}[a]
		value := args[j+1]
		if kind == "" || value == "^$" || value == "." || strings.Contains(value, "$$") {
			continue
		}
		name, err := regexp.Compile(strings.TrimSuffix(value, "$"))
		if err != nil {
			return err
		}
		found := false
		for _, m := range regexp.MustCompile(`(?m)^func ((?:`+kind+`)\w+)\(`).FindAllStringSubmatch(source, -1) {
			found = found || name.MatchString(m[1])
		}
		if !found {
			return fmt.Errorf("%s has nothing for %s %s", dir, a, value)
		}
	}
	return nil
}

// python checks scripts and modules of this tree.
func (q *quoted) python(args []string) error {
	var file string
	switch {
	case args[0] == "-m" && len(args) > 1 && strings.HasPrefix(args[1], "narrow"):
		file = "python/src/" + strings.ReplaceAll(args[1], ".", "/") + "/__main__.py"
	case path.Ext(args[0]) == ".py" && q.tops[strings.Split(args[0], "/")[0]]:
		file = args[0]
	default:
		return nil // other people's
	}
	q.seen["python"]++
	text, err := os.ReadFile(filepath.Join("../..", filepath.FromSlash(file)))
	if err != nil {
		return err
	}
	for _, a := range args[1:] {
		name, _, _ := strings.Cut(a, "=")
		if strings.HasPrefix(name, "--") && args[0] != "-m" && !strings.Contains(string(text), `"`+name+`"`) {
			return fmt.Errorf("%s has no flag %s", file, name)
		}
	}
	return nil
}

// sources are a package's Go files as one text, with deep those of all packages below.
func sources(dir string, deep bool) (string, error) {
	var text strings.Builder
	err := filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && name != dir && !deep:
			return filepath.SkipDir
		case e.IsDir() && (e.Name() == "node_modules" || e.Name() == ".git"):
			return filepath.SkipDir
		case filepath.Ext(name) != ".go":
			return nil
		}
		src, err := os.ReadFile(name)
		text.Write(src)
		return err
	})
	return text.String(), err
}
