package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestSamplesChange: samples that change or go away under a command end it with
// one line that names the file, and nothing is written.
func TestSamplesChange(t *testing.T) {
	if testing.Short() {
		t.Skip("with -short: it depends on how fast the program is")
	}
	if runtime.GOOS != "linux" {
		t.Skip("when a process has opened its samples is known on Linux only")
	}
	model := sandbox(t)
	if code, _, stderr := execute("calib --data x.npy -o out --model " + model); code != 0 {
		t.Fatal(stderr)
	}
	before := visible(t, "out")
	for _, line := range []string{"images pictures 1500 28x28 gray", "npy other.npy float32 8000,1,28,28 abs"} {
		if err := mkFile(strings.Fields(line)); err != nil {
			t.Fatal(err)
		}
	}
	last := filepath.Join("pictures", "1499.png")
	if _, err := os.Stat(last); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args, says string
		change     func() error
	}{
		{"calib --data many.npy -o out", "many.npy changed while it was in use", func() error { return os.Truncate("many.npy", 1<<20) }},
		{"run --data many.npy -o new", "many.npy changed while it was in use", func() error { return os.Rename("other.npy", "many.npy") }},
		{"test --data many.npy -o out", "many.npy vanished while it was in use", func() error { return os.Remove("many.npy") }},
		{"calib --data pictures --preprocess unit -o out", last + " changed while it was in use", func() error {
			now := time.Now().Add(time.Minute)
			return os.Chtimes(last, now, now)
		}},
		{"calib --data pictures --preprocess unit -o new", last + " vanished while it was in use", func() error { return os.Remove(last) }},
	} {
		if strings.Contains(tt.args, "many.npy") {
			if err := mkFile(strings.Fields("npy many.npy float32 8000,1,28,28 abs")); err != nil {
				t.Fatal(err)
			}
		}
		c, stderr := narrowCommand(tt.args + " --batch-size 4 --model " + model)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if !opened(c.Process.Pid) {
			t.Fatalf("narrow %s does not open its samples: %s", tt.args, stderr)
		}
		if err := tt.change(); err != nil {
			t.Fatal(err)
		}
		if err := c.Wait(); err == nil || c.ProcessState.ExitCode() != 1 {
			t.Errorf("narrow %s: %v", tt.args, err)
		}
		if s := stderr.String(); !strings.Contains(s, tt.says) || strings.Count(s, "\n") != 1 {
			t.Errorf("narrow %s: standard error %q, want one line with %q", tt.args, s, tt.says)
		}
		if got := visible(t, "out"); !maps.Equal(got, before) {
			t.Fatalf("narrow %s: %v", tt.args, difference(before, got))
		}
		if _, err := os.Stat("new"); err == nil {
			t.Fatalf("narrow %s left a folder", tt.args)
		}
	}
}

// opened waits until a process holds its output folder, which it does once it
// knows its samples, or reads from the array, and is in the midst of them.
func opened(pid int) bool {
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); time.Sleep(2 * time.Millisecond) {
		fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", childOf(pid))) // the child does the work
		for _, fd := range fds {
			to, _ := os.Readlink(fd)
			if strings.HasSuffix(to, ".narrow.lock") || strings.HasSuffix(to, "many.npy") {
				time.Sleep(20 * time.Millisecond)
				return true
			}
		}
	}
	return false
}
