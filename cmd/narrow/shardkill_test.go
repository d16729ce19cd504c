package main

import (
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"narrow/calibrate"
)

// TestShardKill: a worker that is killed at any moment leaves no shard, or a whole one,
// and the part is computed again; two workers on one part leave one whole shard.
func TestShardKill(t *testing.T) {
	if testing.Short() {
		t.Skip("with -short: it depends on how fast the program is")
	}
	if runtime.GOOS == "windows" {
		t.Skip("a killed process leaves its files open there for a while")
	}
	model := emptyFolder(t)
	if err := mkFile(strings.Fields("npy x.npy float32 64,1,28,28 abs")); err != nil {
		t.Fatal(err)
	}
	args := "calib --data x.npy --propagate float --shard 1/2 --save-shard part/1.shard --model " + model
	if err := os.Mkdir("part", 0o755); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	c, stderr := narrowCommand(args)
	if err := c.Run(); err != nil {
		t.Fatal(err, stderr)
	}
	took := time.Since(start)
	want, err := os.ReadFile("part/1.shard")
	if err != nil {
		t.Fatal(err)
	}
	check := func() (there bool) {
		t.Helper()
		data, err := os.ReadFile("part/1.shard")
		if os.IsNotExist(err) {
			return false
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := calibrate.ReadShard(data); err != nil || string(data) != string(want) {
			t.Fatalf("a kill left another shard (%v)", err)
		}
		return true
	}
	draw := rand.New(rand.NewPCG(20, 1))
	none := 0
	for range 20 {
		os.Remove("part/1.shard")
		c, _ := narrowCommand(args)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(draw.Int64N(int64(took)*11/10 + 1)))
		pid := childOf(c.Process.Pid)
		if pid > 0 && draw.IntN(2) == 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL) // the process that works, and not the one that watches
		} else {
			_ = c.Process.Kill() // it may have ended
		}
		_ = c.Wait()
		for pid > 0 && syscall.Kill(pid, 0) == nil { // a worker whose parent was killed takes a moment to end
			time.Sleep(5 * time.Millisecond)
		}
		if !check() {
			none++
		}
	}
	if none == 0 {
		t.Error("no kill came before the shard was written")
	}

	os.Remove("part/1.shard")
	a, _ := narrowCommand(args)
	b, _ := narrowCommand(args)
	for _, c := range []interface{ Start() error }{a, b} {
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []interface{ Wait() error }{a, b} {
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	}
	if !check() {
		t.Error("two workers on one part left no shard")
	}
	if found := traces(t, "part"); len(found) > 0 {
		t.Errorf("temporary files stay: %v", found)
	}
}
