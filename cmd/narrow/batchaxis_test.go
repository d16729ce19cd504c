package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestBatchAxis: wherever a network counts its samples, each is saved as it is,
// and the same whatever the batch size.
func TestBatchAxis(t *testing.T) {
	emptyFolder(t)
	for _, tt := range []struct {
		name, net, samples string
		shape              string // of what is saved
		note               string
	}{
		{"time first", `g (float[5, N, 10] x) => (float[] y) <float[1, 9, 10] w = {0.1, -0.2, 0.3, ...}, float[1, 9, 3] r = {0.2, -0.1, ...}, float[3, 4] v = {1, -1, 0.5, ...}>
			{ s, h = GRU <hidden_size = 3> (x, w, r) f = Squeeze <axes = [1]> (s) y = MatMul (f, v) }`, "21,5,10", "(21, 5, 4)", "samples go along axis 1"},
		{"time first in the output", `g (float[N, 3, 6] x) => (float[] y) <float[4, 3, 3] w = {0.1, -0.2, 0.3, ...}>
			{ c = Conv <pads = [1, 1]> (x, w) y = Transpose <perm = [2, 0, 1]> (c) }`, "21,3,6", "(21, 6, 4)", ""},
		{"16 written in", `g (float[N, 2, 6] x) => (float[] y) <int64[2] s = {16, -1}, float[12, 3] w = {0.1, -0.2, 0.3, ...}>
			{ h = Reshape (x, s) y = MatMul (h, w) }`, "21,2,6", "(21, 3)", "takes 16 samples at a time"},
		{"1 written in", `g (float[N, 3, 4] x) => (float[] y) <int64[3] s = {1, 6, -1}, float[4, 4] w = {0.1, -0.2, 0.3, ...}>
			{ h = MatMul (x, w) y = Reshape (h, s) }`, "21,3,4", "(21, 6, 2)", "takes one sample at a time"},
	} {
		if err := saveText("net.onnx", `<opset_import: ["": 12]> `+tt.net); err != nil {
			t.Fatal(tt.name, err)
		}
		if err := mkFile(strings.Fields("npy x.npy float32 " + tt.samples)); err != nil {
			t.Fatal(err)
		}
		var first string
		for _, batch := range []int{1, 5, 6, 16, 21} {
			args := fmt.Sprintf("--model net.onnx --data x.npy -o out --batch-size %d", batch)
			if batch == 1 {
				code, _, stderr := execute("calib --accuracy guide " + args)
				if code != 0 || !strings.Contains(stderr, tt.note) || tt.note == "" && stderr != "" {
					t.Fatalf("%s: exit code %d, %s", tt.name, code, stderr)
				}
			}
			if code, _, stderr := execute("test --save-output y.npy " + args); code != 0 {
				t.Fatalf("%s, batches of %d: %s", tt.name, batch, stderr)
			}
			data, err := os.ReadFile("y.npy")
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(data), "'shape': "+tt.shape) {
				t.Fatalf("%s: %.120q, want shape %s", tt.name, data, tt.shape)
			}
			if first == "" {
				first = string(data)
			}
			if string(data) != first {
				t.Errorf("%s: batches of %d save another output", tt.name, batch)
			}
		}
		if err := os.RemoveAll("out"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestJoinedSamples: a network that makes one row of four samples gets them four
// at a time, and what cannot be saved is told so.
func TestJoinedSamples(t *testing.T) {
	emptyFolder(t)
	if err := saveText("net.onnx", `<opset_import: ["": 12]> g (float[N, 10] x) => (float[] y) <int64[2] s = {10, -1}, int64[2] four = {4, -1}, float[10, 10] w = {0.1, -0.2, 0.3, ...}>
		{ h = MatMul (x, w) t = Transpose <perm = [1, 0]> (h) u = Reshape (t, s) v = Transpose <perm = [1, 0]> (u) r = Reshape (v, four) y = ReduceMean <axes = [0], keepdims = 1> (r) }`); err != nil {
		t.Fatal(err)
	}
	if err := mkFile(strings.Fields("npy x.npy float32 20,10")); err != nil {
		t.Fatal(err)
	}
	args := "--model net.onnx --data x.npy -o out"
	code, _, stderr := execute("calib --accuracy guide " + args)
	if code != 0 || !strings.Contains(stderr, "takes 4 samples at a time") {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	code, _, stderr = execute("test --save-output y.npy " + args)
	if code != 1 || !strings.Contains(stderr, "the network's first output has 5 rows for 20 samples") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	if _, err := os.Stat("y.npy"); err == nil {
		t.Error("half of y.npy is left")
	}
}
