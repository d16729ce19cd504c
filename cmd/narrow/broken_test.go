package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"narrow/graph/onnx"
	"narrow/internal/broken"
)

// brokenMessages holds what narrow says of every broken model.
const brokenMessages = "testdata/broken.golden"

// brokenMemory bounds what Go allocates for one broken model, in bytes. The bundled
// network, whole, takes 66 MiB.
const brokenMemory = 72 << 20

// TestBrokenModels: a broken model gives one line on standard error that names
// the file and the node or tensor, exit code 1, and takes little memory; one
// that only looks broken is calibrated. testdata/broken.golden has all lines.
func TestBrokenModels(t *testing.T) {
	lib := library(t)
	golden, err := filepath.Abs(brokenMessages)
	if err != nil {
		t.Fatal(err)
	}
	net, err := onnx.Load(bundled)
	if err != nil {
		t.Fatal(err)
	}
	cases, err := broken.Cases(append(broken.Bases(), broken.Base{Name: "fashion", Net: net}))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	t.Setenv("NARROW_ORT_LIB", lib)
	for _, line := range []string{"npy x.npy float32 2,3,8,8", "npy fashion.npy float32 2,1,28,28"} {
		if err := mkFile(strings.Fields(line)); err != nil {
			t.Fatal(err)
		}
	}
	var lines strings.Builder
	wrong := 0
	for _, c := range cases {
		message := tryBroken(t, c)
		if c.Legal {
			continue
		}
		wrong++
		fmt.Fprintf(&lines, "%s: %s\n", c.Name(), message)
	}
	if wrong < 200 {
		t.Errorf("%d broken models only", wrong)
	}
	if *update {
		if err := os.WriteFile(golden, []byte(lines.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatalf("%v: go test ./cmd/narrow -run TestBrokenModels -update writes it", err)
	}
	old, now := strings.Split(string(want), "\n"), strings.Split(lines.String(), "\n")
	for i := range min(len(old), len(now)) {
		if old[i] != now[i] {
			t.Fatalf("%s, line %d\nwas: %s\nnow: %s", brokenMessages, i+1, old[i], now[i])
		}
	}
	if len(old) != len(now) {
		t.Errorf("%s has %d lines, and there are %d messages", brokenMessages, len(old), len(now))
	}
}

// tryBroken calibrates the model of a case and returns what narrow says of it,
// without the program's name.
func tryBroken(t *testing.T, c broken.Case) string {
	t.Helper()
	const dir = "m"
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, data := range c.Files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range c.Links {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	data := "x.npy"
	if c.Base == "fashion" {
		data = "fashion.npy"
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	code, stdout, stderr := execute("calib --model m/" + broken.ModelFile + " --data " + data + " -o out --threads 1")
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > brokenMemory {
		t.Errorf("%s: %d MiB were allocated", c.Name(), used>>20)
	}
	if c.Legal {
		if code != 0 {
			t.Errorf("%s: exit code %d, and nothing is wrong with it: %s", c.Name(), code, stderr)
		}
		if err := os.RemoveAll("out"); err != nil {
			t.Fatal(err)
		}
		return ""
	}
	message, rest, _ := strings.Cut(stderr, "\n")
	if code != 1 || stdout != "" || rest != "" {
		t.Errorf("%s: exit code %d, standard output %q, standard error\n%s", c.Name(), code, stdout, stderr)
	}
	message = strings.TrimPrefix(message, "narrow: ")
	if !strings.Contains(message, "m/"+broken.ModelFile) {
		t.Errorf("%s: the file is not named: %s", c.Name(), message)
	}
	if len(c.Names) > 0 && !namesOne(message, c.Names) {
		t.Errorf("%s: none of %q is named: %s", c.Name(), c.Names, message)
	}
	if _, err := os.Stat("out"); err == nil {
		t.Fatalf("%s: a result was left", c.Name())
	}
	return message
}

// namesOne reports whether a message holds one of the names as a word.
func namesOne(message string, names []string) bool {
	for _, n := range names {
		if regexp.MustCompile(`(^|\W)` + regexp.QuoteMeta(n) + `($|\W)`).MatchString(message) {
			return true
		}
	}
	return false
}
