package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// sandbox moves to an empty folder with 8 samples for the bundled network,
// x.npy, and a strategy that is not the default, other.json.
func sandbox(t *testing.T) (model string) {
	t.Helper()
	model = emptyFolder(t)
	if err := mkFile(strings.Fields("npy x.npy float32 8,1,28,28 abs")); err != nil {
		t.Fatal(err)
	}
	other := `{"target_device": "CPU", "overall_quantize_config": {"bit_width": 8, "method": "maxmin", "round_mode": "half_even", "symmetry": true, "scale_type": "float", "calib_statistic_method": "max"}}`
	if err := os.WriteFile("other.json", []byte(other), 0o600); err != nil {
		t.Fatal(err)
	}
	return model
}

// visible is what a stranger sees in a folder: its files, but for hidden ones.
func visible(t *testing.T, dir string) map[string]string {
	t.Helper()
	m := map[string]string{}
	for path, text := range tree(t, dir) {
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(rel, ".narrow") {
			m[rel] = text
		}
	}
	return m
}

// traces lists what is temporary in the folder dir and beside it.
func traces(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	for _, d := range []string{dir, filepath.Dir(dir)} {
		entries, err := os.ReadDir(d)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".narrow") || strings.HasSuffix(e.Name(), ".tmp") {
				found = append(found, filepath.Join(d, e.Name()))
			}
		}
	}
	return found
}

// TestKill: after kill -9 at any moment of run the folder holds the former
// result or the new one, all files of it, and files of others; the next run
// clears away what the kill left.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("with -short: it depends on how fast the program is")
	}
	if runtime.GOOS == "windows" {
		t.Skip("a killed process leaves its files open there for a while")
	}
	t.Setenv(accuracyEnv, "guide") // the quick way
	model := sandbox(t)
	if err := os.Mkdir("out", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("out/notes.txt", []byte("not ours"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{
		"run --data x.npy -o out --model " + model,
		"run --data x.npy -o out --config-file other.json --keep-bias --model " + model,
	}
	// What each leaves when nobody kills it.
	var results []map[string]string
	var took time.Duration
	for _, a := range args {
		start := time.Now()
		c, stderr := narrowCommand(a)
		if err := c.Run(); err != nil {
			t.Fatal(err, stderr)
		}
		took = time.Since(start)
		results = append(results, visible(t, "out"))
	}
	if len(results[0]) != 7 || results[0]["notes.txt"] != "not ours" {
		t.Fatalf("run leaves %v", slices.Sorted(maps.Keys(results[0])))
	}
	which := func() int {
		now := visible(t, "out")
		return slices.IndexFunc(results, func(r map[string]string) bool { return maps.Equal(r, now) })
	}

	draw := rand.New(rand.NewPCG(8, 0))
	kill := func(wait func()) {
		t.Helper()
		now := which()
		if now < 0 {
			now = 1
		}
		c, stderr := narrowCommand(args[1-now])
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		wait()
		if pid := childOf(c.Process.Pid); pid > 0 && draw.IntN(2) == 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL) // the process that works, and not the one that watches
		} else {
			_ = c.Process.Kill() // it may have ended
		}
		var exit *exec.ExitError
		if err := c.Wait(); errors.As(err, &exit) && exit.Exited() && !strings.Contains(stderr.String(), "working process was killed") {
			t.Fatalf("run ended by itself: %v\n%s", err, stderr)
		}
	}
	replaced := 0
	check := func(what string) {
		t.Helper()
		at := which()
		if at < 0 {
			t.Fatalf("%s left a folder that holds neither result, but %v", what, slices.Sorted(maps.Keys(visible(t, "out"))))
		}
		if at == 0 {
			replaced++
		}
	}
	for range 20 {
		after := time.Duration(draw.Float64() * 1.2 * float64(took))
		kill(func() { time.Sleep(after) })
		check("a kill after " + after.String())
	}
	// While files are written and take their places, which is a hundredth of
	// the time.
	latest := 8 * time.Millisecond
	writing := func() {
		for until := time.Now().Add(20 * time.Second); time.Now().Before(until); {
			if entries, _ := filepath.Glob("out/.narrow-stage-*"); len(entries) > 0 {
				break
			}
		}
		time.Sleep(time.Duration(draw.Float64() * float64(latest)))
	}
	// On a busy machine the files take longer to take their places.
	for i := 0; i < 6 || replaced == 0 && i < 20; i++ {
		kill(writing)
		check("a kill while writing")
		if i >= 6 {
			latest *= 2
		}
	}
	if runtime.GOOS == "linux" && replaced == 0 {
		t.Error("no kill came late enough for the other result to stand")
	}

	// With a folder inside, the files take their places one by one, and reading
	// the folder by narrow makes the set whole.
	if err := os.Mkdir("out/sub", 0o755); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		kill(writing)
		c, stderr := narrowCommand("test --data x.npy -o out --model " + model)
		if err := c.Run(); err != nil {
			t.Fatal(err, stderr)
		}
		check("a kill while writing, and test")
	}

	for _, a := range args {
		c, stderr := narrowCommand(a)
		if err := c.Run(); err != nil {
			t.Fatal(err, stderr)
		}
		if left := traces(t, "out"); len(left) > 0 {
			t.Errorf("after a whole run there are still %v", left)
		}
	}
	if which() != 1 {
		t.Error("a run after all the kills does not give what it gave before them")
	}
}

// childOf returns the process in which a supervised command works, 0 where there
// is none, or where the system does not tell.
func childOf(pid int) int {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		data, _ := os.ReadFile(list) // a thread may have ended
		if child, err := strconv.Atoi(strings.TrimSpace(string(data))); err == nil {
			return child
		}
	}
	return 0
}

// TestSecondRun: a second process is told of the first one and who it is; one
// that was killed holds nobody off.
func TestSecondRun(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a killed process leaves its files open there for a while")
	}
	model := sandbox(t)
	if err := mkFile(strings.Fields("npy many.npy float32 20000,1,28,28 abs")); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := execute("calib --data x.npy -o out --model " + model); code != 0 {
		t.Fatal(stderr)
	}
	before := visible(t, "out")
	first, _ := narrowCommand("calib --data many.npy -o out --model " + model)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	defer first.Process.Kill() //nolint:errcheck // it has ended when all went well
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if data, err := os.ReadFile("out/.narrow.lock"); err == nil && bytes.HasSuffix(data, []byte("\n")) {
			break
		}
		if time.Now().After(until) {
			t.Fatal("the first calibration does not hold its folder")
		}
	}
	holder := first.Process.Pid
	if child := childOf(holder); child > 0 {
		holder = child
	}
	want := fmt.Sprintf("narrow: the output folder out is in use by another process (%d): wait until it ends", holder)
	for _, args := range []string{"calib --data x.npy", "run --data x.npy", "export"} {
		code, stdout, stderr := execute(args + " -o out --model " + model)
		if code != 1 || stdout != "" || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("narrow %s: exit code %d, standard error %q, want one line with %q", args, code, stderr, want)
		}
	}
	// Reading disturbs nobody.
	if code, _, stderr := execute("test --data x.npy -o out --model " + model); code != 0 {
		t.Errorf("narrow test: %s", stderr)
	}
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait()
	if got := visible(t, "out"); !maps.Equal(got, before) {
		t.Errorf("the killed calibration left %v", difference(before, got))
	}
	if code, _, stderr := execute("calib --data x.npy -o out --model " + model); code != 0 {
		t.Errorf("after a kill: %s", stderr)
	}
	if left := traces(t, "out"); len(left) > 0 {
		t.Errorf("there are still %v", left)
	}
}
