package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"narrow/graph/graphtext"
	"narrow/graph/onnx"
	"narrow/internal/supervise"
)

// TestMaxMemory: a process stays below --max-memory, with the batch size that
// it says, or says how much it needs.
func TestMaxMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("with -short: it measures memory, which the race detector takes itself")
	}
	t.Setenv(accuracyEnv, "guide")
	sandbox(t)
	for name, net := range map[string]string{
		// Large values and small weights, and the other way round.
		"wide.onnx": `wide (float[N, 3, 96, 96] x) => (float[N, 10] y) <float[48, 3, 3, 3] w0 = {0.1, -0.2, 0.3, 0.05, ...}, float[48, 48, 3, 3] w1 = {0.01, -0.02, 0.03, 0.005, ...}, float[48] b = {0.1, -0.1, ...}, float[48, 10] w2 = {0.1, -0.3, ...}>
			{ c0 = Conv <pads = [1, 1, 1, 1]> (x, w0, b)
			  r0 = Relu (c0)
			  c1 = Conv <pads = [1, 1, 1, 1]> (r0, w1, b)
			  s = Add (c1, r0)
			  r1 = Relu (s)
			  p = GlobalAveragePool (r1)
			  f = Flatten (p)
			  y = MatMul (f, w2) }`,
		"heavy.onnx": heavy(),
		// Values that wait for others of the same size, as in a U-Net.
		"skips.onnx": `skips (float[N, 3, 128, 128] x) => (float[N, 32, 128, 128] y) <float[32, 3, 3, 3] w0 = {0.1, -0.2, 0.3, 0.05, ...}, float[64, 32, 3, 3] w1 = {0.01, -0.02, 0.03, 0.005, ...}, float[64, 32, 2, 2] w2 = {0.1, -0.1, 0.3, ...}, float[32, 64, 3, 3] w3 = {0.01, -0.02, 0.03, 0.005, ...}>
			{ c0 = Conv <pads = [1, 1, 1, 1]> (x, w0)
			  r0 = Relu (c0)
			  p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r0)
			  c1 = Conv <pads = [1, 1, 1, 1]> (p, w1)
			  r1 = Relu (c1)
			  u = ConvTranspose <strides = [2, 2]> (r1, w2)
			  k = Concat <axis = 1> (u, r0)
			  c2 = Conv <pads = [1, 1, 1, 1]> (k, w3)
			  y = Relu (c2) }`,
	} {
		m, err := graphtext.Parse(net)
		if err != nil {
			t.Fatal(err)
		}
		if err := onnx.Save(m, name); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range []string{"npy wide.npy float32 40,3,96,96", "npy skips.npy float32 40,3,128,128", "npy heavy.npy float32 40,3,16,16"} {
		if err := mkFile(strings.Fields(line)); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		args  string
		net   string
		limit int // MB
		batch int // 0: refused
	}{
		{"calib", "wide", 90, 0}, {"calib", "wide", 140, 1}, {"calib", "wide", 4000, 16},
		{"run --no-report", "wide", 140, 1}, {"run --no-report", "wide", 440, 13},
		{"test", "wide", 140, 1}, {"test", "wide", 240, 5}, {"test", "wide", 440, 13},
		{"calib --propagate float", "wide", 130, 0}, {"calib --propagate float", "wide", 310, 8},
		{"calib", "skips", 400, 7}, {"test", "skips", 400, 7},
		{"run", "wide", 130, 0}, {"run", "wide", 440, 13},
		{"run", "heavy", 180, 0}, {"run", "heavy", 260, 16},
		{"calib --accuracy high", "wide", 900, 16}, {"run --accuracy high", "heavy", 800, 16},
		{"calib --accuracy high", "skips", 400, 7}, // guide
	} {
		args := fmt.Sprintf("%s --model %s.onnx --data %[2]s.npy -o out --max-memory %[3]dM", tt.args, tt.net, tt.limit)
		took, code, stderr := measured(t, args)
		if tt.batch == 0 {
			// The least that is named is enough.
			_, rest, found := strings.Cut(stderr, fmt.Sprintf("--max-memory is %dM, but %s.onnx takes ", tt.limit, tt.net))
			least, err := strconv.Atoi(strings.Split(rest, "M")[0])
			if code != 1 || !found || err != nil || !strings.Contains(stderr, "give at least that much") {
				t.Errorf("narrow %s: exit code %d, %s", args, code, stderr)
				continue
			}
			if _, err := os.Stat("new"); err == nil {
				t.Error("a folder is left")
			}
			args = strings.Replace(args, strconv.Itoa(tt.limit)+"M", strconv.Itoa(least)+"M", 1)
			tt.limit = least
			took, code, stderr = measured(t, args)
		}
		if code != 0 || !strings.Contains(stderr, fmt.Sprintf("--max-memory %dM: batches of ", tt.limit)) || tt.batch > 0 && !strings.Contains(stderr, fmt.Sprintf(" of %d (", tt.batch)) {
			t.Errorf("narrow %s: exit code %d, %s, want batches of %d", args, code, stderr, tt.batch)
		}
		if high := strings.Contains(args, "--accuracy high"); strings.Contains(stderr, "quantizing by --accuracy guide: high takes ") != (high && tt.net == "skips") {
			t.Errorf("narrow %s: %s", args, stderr)
		}
		if took >= tt.limit {
			t.Errorf("narrow %s took %d MB", args, took)
		}
		t.Logf("narrow %s: %d MB", args, took)
	}
}

// heavy is a network of 25 MB of weights and next to no values.
func heavy() string {
	var weights, nodes strings.Builder
	const layers, width = 8, 768
	for i := range layers {
		fmt.Fprintf(&weights, "float[%d, %d] w%d = {0.01, -0.02, 0.03, 0.005, ...}, float[%d] b%d = {0.1, -0.1, ...}, ", width, width+i*10, i, width+i*10, i)
		fmt.Fprintf(&nodes, "g%d = Gemm (r%d, w%d, b%d)\n s%d = Slice (g%d, from, to, axis)\n r%d = Relu (s%d)\n", i, i, i, i, i, i, i+1, i)
	}
	return fmt.Sprintf(`heavy (float[N, 3, 16, 16] x) => (float[N, %d] y) <%s int64[1] from = {0}, int64[1] to = {%d}, int64[1] axis = {1}>
		{ r0 = Flatten (x)
		  %s y = Neg (r%d) }`, width, weights.String(), width, nodes.String(), layers)
}

// measured runs the program and returns the most memory that it held, in MB.
func measured(t *testing.T, args string) (megabytes, code int, stderr string) {
	t.Helper()
	c, out := narrowCommand(args)
	c.Env = append(os.Environ(), supervise.Env+"=off") // the process that works
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	// The kernel's own figure for children counts the parent's memory too.
	done := make(chan int)
	stop := make(chan struct{})
	go func() {
		most := 0
		for {
			status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Process.Pid))
			for line := range strings.Lines(string(status)) {
				if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
					if n, err := strconv.Atoi(strings.Fields(rest)[0]); err == nil {
						most = max(most, n>>10)
					}
				}
			}
			select {
			case <-stop:
				done <- most
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	_ = c.Wait()
	close(stop)
	return <-done, c.ProcessState.ExitCode(), out.String()
}
