package main

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestInterrupt: Ctrl-C ends the program within a second, at whatever it is,
// and leaves what was there before and nothing else.
func TestInterrupt(t *testing.T) {
	if testing.Short() {
		t.Skip("with -short: it depends on how fast the program is")
	}
	if runtime.GOOS == "windows" {
		t.Skip("a program cannot send Ctrl-C to another one there")
	}
	model := emptyFolder(t)
	for _, line := range []string{"npy x.npy float32 8,1,28,28 abs", "idx many.idx 1,28,28"} {
		if err := mkFile(strings.Fields(line)); err != nil {
			t.Fatal(err)
		}
	}
	// More samples than a second is enough for, in a file of holes.
	if err := os.Remove("many.idx"); err != nil {
		t.Fatal(err)
	}
	const samples = 100_000
	head := []byte{0, 0, 8, 3, samples >> 24, samples >> 16 & 255, samples >> 8 & 255, samples & 255, 0, 0, 0, 28, 0, 0, 0, 28}
	if err := os.WriteFile("many.idx", head, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate("many.idx", int64(len(head))+samples*28*28); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := execute("run --model " + model + " --data x.npy"); code != 0 {
		t.Fatal(stderr)
	}
	if err := os.WriteFile("y.npy", []byte("former"), 0o600); err != nil {
		t.Fatal(err)
	}
	// The samples are not read again: they are large.
	state := func() map[string]string {
		m := tree(t, "quantize_result")
		entries, err := os.ReadDir(".")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			m[e.Name()] = ""
		}
		y, err := os.ReadFile("y.npy")
		if err != nil {
			t.Fatal(err)
		}
		m["y.npy"] = string(y)
		return m
	}
	before := state()

	for _, tt := range []struct {
		args   string
		after  time.Duration
		signal os.Signal
	}{
		{"calib --data many.idx", 0, os.Interrupt},
		{"calib --data many.idx", 60 * time.Millisecond, os.Interrupt},  // loads the engine, hashes samples
		{"calib --data many.idx", 500 * time.Millisecond, os.Interrupt}, // calibrates
		{"calib --data many.idx -o new", 500 * time.Millisecond, os.Interrupt},
		{"calib --data many.idx -o new", 500 * time.Millisecond, syscall.SIGTERM},
		{"calib --data many.idx -o new", 500 * time.Millisecond, syscall.SIGHUP}, // the terminal is gone
		{"calib --data many.idx --batch-size 500", 500 * time.Millisecond, os.Interrupt},
		{"test --data many.idx --save-output y.npy", 500 * time.Millisecond, os.Interrupt},
		{"run --data many.idx --accuracy guide --subset-len 16 --test-len 10000000", 500 * time.Millisecond, os.Interrupt}, // tests
	} {
		if tt.signal == syscall.SIGHUP && signal.Ignored(syscall.SIGHUP) {
			continue // these tests run below nohup, which the command inherits and heeds
		}
		c, stderr := narrowCommand(tt.args + " --model " + model)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(tt.after)
		start := time.Now()
		if err := c.Process.Signal(tt.signal); err != nil {
			t.Fatalf("narrow %s ended before it was interrupted: %v\n%s", tt.args, err, stderr)
		}
		err := c.Wait()
		took := time.Since(start)
		if took > 20*time.Second { // the command ends itself at 0.7 s; the rest is for a busy machine
			t.Errorf("narrow %s took %v to end", tt.args, took)
		}
		var exit *exec.ExitError
		early := tt.after < 500*time.Millisecond // the program may not have come to main
		switch {
		case !errors.As(err, &exit) || exit.ExitCode() != 1 && !early:
			t.Errorf("narrow %s: %v", tt.args, err)
		case exit.ExitCode() == 1 && stderr.String() != "narrow: interrupted\n":
			t.Errorf("narrow %s: standard error %q", tt.args, stderr)
		}
		if got := state(); !maps.Equal(got, before) {
			t.Fatalf("narrow %s, interrupted after %v, left %v", tt.args, tt.after, difference(before, got))
		}
	}
}

// difference lists what is not the same in two trees.
func difference(a, b map[string]string) []string {
	var out []string
	for name, text := range b {
		if was, ok := a[name]; !ok {
			out = append(out, name+" is new")
		} else if was != text {
			out = append(out, name+" has changed")
		}
	}
	for name := range a {
		if _, ok := b[name]; !ok {
			out = append(out, name+" is gone")
		}
	}
	return out
}
