package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// TestCommandsCloseFiles: commands that run one after the other in a process
// leave no open file and no goroutine.
func TestCommandsCloseFiles(t *testing.T) {
	model := sandbox(t)
	// A collection closes files that nobody closed.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	files, goroutines := 0, 0
	for i := range 6 {
		for _, args := range []string{"calib --data x.npy --save-stats s --model ", "test --data x.npy --model ", "run --data x.npy --model "} {
			if code, _, stderr := execute(args + model); code != 0 {
				t.Fatal(stderr)
			}
		}
		time.Sleep(20 * time.Millisecond)
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		if i == 0 {
			files, goroutines = len(fds), runtime.NumGoroutine()
		} else if len(fds) > files+2 || runtime.NumGoroutine() > goroutines+2 {
			t.Fatalf("round %d: %d files are open and were %d, %d goroutines and were %d", i, len(fds), files, runtime.NumGoroutine(), goroutines)
		}
	}
}
