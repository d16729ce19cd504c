package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestGenerated: the assembly that is committed is the one this program writes.
func TestGenerated(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"loops_amd64.s", "loops_amd64.go"} {
		if _, err := os.Stat(filepath.Join("../kernel", name)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "run", ".", "-out", filepath.Join(dir, "loops_amd64.s"), "-stubs", filepath.Join(dir, "loops_amd64.go"), "-pkg", "kernel")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"loops_amd64.s", "loops_amd64.go"} {
		if want, got := body(t, filepath.Join(dir, name)), body(t, filepath.Join("../kernel", name)); !bytes.Equal(got, want) {
			t.Errorf("%s is out of date: go generate ./internal/kernel", name)
		}
	}
}

// body is a file without its first line, which holds the command line.
func body(t *testing.T, name string) []byte {
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(b, []byte("\n"))
	return rest
}
