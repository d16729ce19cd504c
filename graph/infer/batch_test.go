package infer

import (
	"maps"
	"testing"

	"narrow/graph/graphtext"
)

// TestBatches holds where samples are counted, and how many a network takes.
func TestBatches(t *testing.T) {
	for _, tt := range []struct {
		name    string
		text    string
		inputs  map[string]int
		outputs map[string]int
		size    int
	}{
		{"plain", "g (float[N, 4] x) => (float[N, 4] y) { y = Relu (x) }", map[string]int{"x": 0}, map[string]int{"y": 0}, 0},
		{"nothing told of the output", "g (float[?, 4] x) => (float[] y) { y = Relu (x) }", map[string]int{"x": 0}, map[string]int{"y": 0}, 0},
		{"time first, by name", "g (float[5, N, 10] x) => (float[5, N, 10] y) { y = Relu (x) }", map[string]int{"x": 1}, map[string]int{"y": 1}, 0},
		{"time first, by name", "g (float[5, batch_size, 10] x) => (float[] y) { y = Relu (x) }", map[string]int{"x": 1}, map[string]int{"y": 1}, 0},
		{"a batch of 5 with open lengths", "g (float[5, time, 10] x) => (float[] y) { y = Relu (x) }", map[string]int{"x": 0}, map[string]int{"y": 0}, 0},
		{"time first, by operator", "g (float[5, ?, 10] x) => (float[] y) <float[1, 9, 10] w = {1, ...}, float[1, 9, 3] r = {1, ...}> { y = GRU <hidden_size = 3> (x, w, r) }",
			map[string]int{"x": 1}, map[string]int{"y": 2}, 0},
		{"outputs with time first", "g (float[N, 3, 8] x) => (float[] y) { y = Transpose <perm = [2, 0, 1]> (x) }", map[string]int{"x": 0}, map[string]int{"y": 1}, 0},
		{"windows", "g (float[N, 4, 6] x) => (float[] y) <int64[2] s = {-1, 6}> { y = Reshape (x, s) }", map[string]int{"x": 0}, map[string]int{}, 0},
		{"one sample, written in", "g (float[N, 2, 6] x) => (float[] y) <int64[2] s = {1, -1}, float[12, 3] w = {1, ...}> { h = Reshape (x, s) y = MatMul (h, w) }",
			map[string]int{"x": 0}, map[string]int{}, 1},
		{"16 samples, written in", "g (float[N, 2, 6] x) => (float[] y) <int64[2] s = {16, -1}, float[12, 3] w = {1, ...}> { h = Reshape (x, s) y = MatMul (h, w) }",
			map[string]int{"x": 0}, map[string]int{}, 16},
		{"one sample, or they run into one another", "g (float[N, 10, 6] x) => (float[] y) <int64[3] s = {1, 10, -1}> { y = Reshape (x, s) }",
			map[string]int{"x": 0}, map[string]int{}, 1},
		{"one row for four samples, and a feature's axis of 10 in front", `g (float[N, 10] x) => (float[] y) <int64[2] s = {10, -1}, int64[2] four = {4, -1}>
			{ t = Transpose <perm = [1, 0]> (x) u = Reshape (t, s) v = Transpose <perm = [1, 0]> (u) w = Reshape (v, four) y = ReduceMean <axes = [0], keepdims = 1> (w) }`,
			map[string]int{"x": 0}, map[string]int{}, 4},
		{"fixed", "g (float[4, 3] x) => (float[] y) { y = Relu (x) }", map[string]int{"x": 0}, map[string]int{"y": 0}, 0},
	} {
		b := Batches(graphtext.MustParse(tt.text))
		if !maps.Equal(b.Inputs, tt.inputs) || !maps.Equal(b.Outputs, tt.outputs) || b.Size != tt.size {
			t.Errorf("%s: inputs %v, outputs %v, size %d; want %v, %v, %d", tt.name, b.Inputs, b.Outputs, b.Size, tt.inputs, tt.outputs, tt.size)
		}
	}
}
