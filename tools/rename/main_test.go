package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestRename gives a copy of the tree another path, and builds it.
func TestRename(t *testing.T) {
	if testing.Short() {
		t.Skip("with -short: it builds everything anew")
	}
	root := filepath.Join("..", "..")
	list, err := exec.Command("git", "-C", root, "ls-files", "-z").Output()
	if err != nil {
		t.Skipf("not a checkout, so that there is no list of what belongs to the tree: %v", err)
	}
	dir := t.TempDir()
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		data, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) {
			continue // removed, and not yet committed
		}
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	const path = "example.com/x/narrow"
	n, err := rename(dir, path)
	if err != nil || n < 100 {
		t.Fatalf("%d files, %v", n, err)
	}
	for _, args := range [][]string{{"build", "./..."}, {"test", "./internal/archtest"}} {
		c := exec.Command("go", args...)
		c.Dir = dir
		c.Env = append(os.Environ(), "GOFLAGS=-trimpath -buildvcs=false", "GOWORK=off")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	if n, err := rename(dir, path); n != 0 || err != nil {
		t.Errorf("once more changes %d files, %v", n, err)
	}
	if _, err := rename(dir, "no path"); err == nil {
		t.Error("a path with a blank is taken")
	}
}
