package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"narrow/internal/ortlib"
)

// commandDocs are the documents whose blocks marked "console" are run, in their
// order and in one folder and shell per document.
var commandDocs = []string{
	"README.md",
	"README.zh-CN.md",
	"docs/guide/README.md",
	"docs/guide/README.zh-CN.md",
	"docs/from-vai.md",
	"docs/from-vai.zh-CN.md",
	"docs/deploy-dpu.md",
	"docs/deploy-dpu.zh-CN.md",
	"docs/compare.md",
	"docs/compare.zh-CN.md",
	"docs/results.md",
	"docs/results.zh-CN.md",
	"docs/ci.md",
	"docs/ci.zh-CN.md",
	"docs/metrics.md",
	"docs/metrics.zh-CN.md",
	"docs/search.md",
	"docs/search.zh-CN.md",
	"docs/interruptions.md",
	"docs/interruptions.zh-CN.md",
	"docs/troubleshooting.md",
	"docs/troubleshooting.zh-CN.md",
}

// TestDocs runs the commands in the documents and compares what they print with
// what the document says: standard output and error together. A line "..." stands
// for any lines; times may differ, and figures a little, since other processors
// sum in another order. go test -run TestDocs -update writes anew what differs.
func TestDocs(t *testing.T) {
	lib, cache := library(t), cacheRoot(t)
	for _, doc := range commandDocs {
		t.Run(filepath.Base(filepath.Dir(doc))+"_"+filepath.Base(doc), func(t *testing.T) {
			t.Parallel()
			checkDoc(t, filepath.Join("../..", doc), docEnv(t, lib, cache, strings.Contains(doc, "zh-CN")))
		})
	}
}

// cacheRoot is the folder that make setup fills.
func cacheRoot(t *testing.T) string {
	t.Helper()
	cache, err := ortlib.CacheRoot()
	if err == nil {
		_, err = os.Stat(filepath.Join(cache, "fashion-mnist"))
	}
	if err != nil {
		t.Fatalf("%v: run go run ./tools/setup", err)
	}
	return cache
}

// shellCommand runs a script in a document's folder.
func shellCommand(t *testing.T, at docDir, script string) *exec.Cmd {
	t.Helper()
	sh := exec.CommandContext(t.Context(), "bash")
	sh.Dir, sh.Env, sh.Stdin = at.dir, at.env, strings.NewReader(script)
	return sh
}

// docDir is a folder in which the documents' commands run, with the environment
// for them.
type docDir struct {
	dir, home string
	env       []string
}

// docEnv makes a folder that looks like the tree, with a home that has the cache.
func docEnv(t *testing.T, lib, cache string, chinese bool) docDir {
	t.Helper()
	dir, home := t.TempDir(), t.TempDir()
	link := func(from, to string) {
		t.Helper()
		abs, err := filepath.Abs(from)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(to), 0o755)
		}
		if err == nil {
			err = os.Symlink(abs, to)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"models", "examples", "tools"} {
		link(filepath.Join("../..", name), filepath.Join(dir, name))
	}
	link(cache, filepath.Join(home, ".cache/narrow"))
	lang := "en"
	if chinese {
		lang = "zh"
	}
	return docDir{dir, home, append(os.Environ(), "HOME="+home, "XDG_CACHE_HOME="+home+"/.cache", ortlib.Env+"="+lib, "NARROW_LANG="+lang)}
}

// docCommand is one command of a document.
type docCommand struct {
	line    int // of the command, from 1
	command string
	// from and to are the lines of the output, counted from 0: [from, to).
	from, to int
}

// heredoc begins a file in a command, which ends with a line EOF.
const heredoc = "<<'EOF'"

// docCommands finds the commands: lines that begin with "$ " in blocks marked
// console, and those that they go on in, behind a backslash or as a heredoc.
func docCommands(lines []string) []docCommand {
	var list []docCommand
	in := false
	for i := 0; i < len(lines); i++ {
		switch l := lines[i]; {
		case !in:
			in = l == "```console"
		case l == "```":
			in = false
		case strings.HasPrefix(l, "$ "):
			c := docCommand{line: i + 1, command: strings.TrimPrefix(l, "$ ")}
			here := strings.Contains(l, heredoc)
			for i+1 < len(lines) && (here && lines[i] != "EOF" || strings.HasSuffix(lines[i], `\`)) {
				i++
				c.command += "\n" + lines[i]
			}
			c.from, c.to = i+1, i+1
			for c.to < len(lines) && lines[c.to] != "```" && !strings.HasPrefix(lines[c.to], "$ ") {
				c.to++
			}
			list = append(list, c)
		}
	}
	return list
}

// checkDoc runs a document's commands and compares.
func checkDoc(t *testing.T, file string, at docDir) {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(src), "\n")
	commands := docCommands(lines)
	if len(commands) == 0 {
		t.Fatalf("%s: no commands", file)
	}
	// One shell for all, so that variables stay; a mark behind each output.
	const mark = "=== end of a command ==="
	var script strings.Builder
	for _, c := range commands {
		fmt.Fprintf(&script, "%s\necho '%s'\n", c.command, mark)
	}
	sh := shellCommand(t, at, script.String())
	var out bytes.Buffer
	sh.Stdout, sh.Stderr = &out, &out
	if err := sh.Run(); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	outputs := strings.Split(out.String(), mark+"\n")
	if len(outputs) != len(commands)+1 {
		t.Fatalf("%d outputs of %d commands:\n%s", len(outputs)-1, len(commands), &out)
	}
	differ := false
	for i, c := range slices.Backward(commands) {
		var got []string
		if s := strings.TrimRight(strings.ReplaceAll(outputs[i], at.home, "/home/you"), "\n"); s != "" {
			got = strings.Split(s, "\n")
		}
		if likeLines(lines[c.from:c.to], got) && !(*update && otherFigures(lines[c.from:c.to], got)) {
			continue
		}
		differ = true
		if *update {
			lines = slices.Replace(lines, c.from, c.to, got...)
			continue
		}
		t.Errorf("%s:%d: $ %s\nprints\n%s\nnot\n%s", file, c.line, c.command, strings.Join(got, "\n"), strings.Join(lines[c.from:c.to], "\n"))
	}
	if differ && *update {
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// otherFigures reports whether two outputs, neither of them cut, differ in more than
// times: an update writes those too.
func otherFigures(want, got []string) bool {
	if slices.Contains(want, "...") {
		return false
	}
	return !slices.EqualFunc(want, got, func(a, b string) bool {
		return docTime.ReplaceAllString(a, "TIME") == docTime.ReplaceAllString(b, "TIME")
	})
}

// likeLines compares lines, "..." in want standing for any.
func likeLines(want, got []string) bool {
	if len(want) == 0 {
		return len(got) == 0
	}
	if want[0] == "..." {
		for i := 0; i <= len(got); i++ {
			if likeLines(want[1:], got[i:]) {
				return true
			}
		}
		return false
	}
	return len(got) > 0 && like(want[0], got[0]) && likeLines(want[1:], got[1:])
}

var (
	docTime   = regexp.MustCompile(`\d+\.\d+ ?(s|秒)`)
	docNumber = regexp.MustCompile(`\d+(\.\d+)?`)
)

// like compares two lines but for times, and for figures that lie near each
// other: 0.5 where there is a decimal point, 5 % of counts above a thousand.
func like(want, got string) bool {
	want, got = docTime.ReplaceAllString(want, "TIME"), docTime.ReplaceAllString(got, "TIME")
	if want == got {
		return true
	}
	if docNumber.ReplaceAllString(want, "0") != docNumber.ReplaceAllString(got, "0") {
		return false
	}
	a, b := docNumber.FindAllString(want, -1), docNumber.FindAllString(got, -1)
	for i := range a {
		x, err := strconv.ParseFloat(a[i], 64)
		y, err2 := strconv.ParseFloat(b[i], 64)
		near := 0.0
		if strings.Contains(a[i], ".") {
			near = 0.5
		}
		if x > 1000 {
			near = 0.05 * x
		}
		if err != nil || err2 != nil || math.Abs(x-y) > near {
			return false
		}
	}
	return true
}

func TestLike(t *testing.T) {
	tests := []struct {
		want, got string
		like      bool
	}{
		{"top-1 92.86 %", "top-1 92.80 %", true},
		{"top-1 92.86 %", "top-1 91.86 %", false},
		{"54 tensors (0.2 s)", "54 tensors (13.9 s)", true},
		{"54 tensors", "55 tensors", false},
		{"501090 of 34245200", "501093 of 34245200", true},
		{"用 200 个样本（0.2 秒）", "用 200 个样本（0.3 秒）", true},
		{"a 1", "b 1", false},
		{"a\n...\nd", "a\nb\nc\nd", true},
		{"a\n...", "a", true},
		{"a\n...\nd", "a\nb\nc", false},
		{"a", "a\nb", false},
	}
	for _, tt := range tests {
		if got := likeLines(strings.Split(tt.want, "\n"), strings.Split(tt.got, "\n")); got != tt.like {
			t.Errorf("%q and %q: %v", tt.want, tt.got, got)
		}
	}
}
