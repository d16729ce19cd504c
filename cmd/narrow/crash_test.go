package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"narrow/internal/supervise"
)

// TestCrash: when ONNX Runtime ends its process, one line says so, with the
// model and what was being done; the exit code is 1, and nothing is left.
func TestCrash(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("nothing is supervised there")
	}
	models, err := filepath.Abs("testdata/crash")
	if err != nil {
		t.Fatal(err)
	}
	emptyFolder(t)
	tmp := filepath.Join(t.TempDir(), "tmp")
	if err := os.Mkdir(tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", tmp)
	if err := mkFile(strings.Fields("npy x.npy float32 2,4")); err != nil {
		t.Fatal(err)
	}
	// A frame of no length, which only running the network tells.
	for _, model := range []string{"stft.onnx"} {
		path := filepath.Join(models, model)
		start := time.Now()
		c, stderr := narrowCommand("calib --data x.npy -o new/out --model " + path)
		_ = c.Run() // the exit code is compared
		text := stderr.String()
		if c.ProcessState.ExitCode() != 1 || !strings.HasPrefix(text, "narrow: ONNX Runtime crashed (SIG") || !strings.Contains(text, model) || strings.Count(text, "\n") != 1 {
			t.Errorf("%s: exit code %d after %v, standard error %q", model, c.ProcessState.ExitCode(), time.Since(start), text)
		}
		if !strings.Contains(text, "while running the network, after node \"ReduceMax:z_") {
			t.Errorf("%s: it does not say when: %q", model, text)
		}
		if left, _ := os.ReadDir(tmp); len(left) > 0 {
			t.Errorf("%s: %d temporary files stay", model, len(left))
		}
		if _, err := os.Stat("new"); err == nil {
			t.Errorf("%s: the folder that was made stays", model)
		}
	}
	// A folder that was there keeps what it had, and no lock.
	if err := os.Mkdir("out", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("out/notes.txt", []byte("not ours"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _ := narrowCommand("calib --data x.npy -o out --model " + filepath.Join(models, "stft.onnx"))
	_ = c.Run()
	if list, err := os.ReadDir("out"); err != nil || len(list) != 1 {
		t.Errorf("the folder holds %v (%v)", list, err)
	}
}

// TestDamagedLibrary: a library that was cut off ends with a message too.
func TestDamagedLibrary(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems' loaders look first")
	}
	lib := library(t)
	model := emptyFolder(t)
	if err := mkFile(strings.Fields("npy x.npy float32 1,1,28,28")); err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 1<<20)
	f, err := os.Open(lib)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Read(data); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("libcut.so", data, 0o600); err != nil {
		t.Fatal(err)
	}
	c, stderr := narrowCommand("calib --ort-lib libcut.so --data x.npy --model " + model)
	_ = c.Run()
	text := stderr.String()
	if c.ProcessState.ExitCode() != 1 || strings.Count(text, "\n") != 1 || !strings.Contains(text, "libcut.so") || !strings.Contains(text, "the library is damaged") {
		t.Errorf("exit code %d, standard error %q", c.ProcessState.ExitCode(), text)
	}
}

// TestNoSupervision: with the variable set, the command works in the process
// that was started.
func TestNoSupervision(t *testing.T) {
	model := sandbox(t)
	t.Setenv(supervise.Env, "off")
	c, stderr := narrowCommand("calib --data x.npy --model " + model)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	if pid := childOf(c.Process.Pid); pid > 0 {
		t.Error("it has a child")
	}
	if err := c.Wait(); err != nil {
		t.Error(err, stderr)
	}
}
