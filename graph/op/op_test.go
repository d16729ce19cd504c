package op_test

import (
	"testing"

	"narrow/graph"
	"narrow/graph/graphtext"
	"narrow/graph/op"
)

// node parses one node with its attributes.
func node(t *testing.T, text string) *graph.Node {
	t.Helper()
	m, err := graphtext.Parse("g (x, w) => (y) { y = " + text + " }")
	if err != nil {
		t.Fatal(err)
	}
	return m.Graph.Nodes[0]
}

func TestInputsOf(t *testing.T) {
	for text, want := range map[string]op.Inputs{
		"Conv (x, w, b)":            {Data: 0, Weights: 1, Bias: 2},
		"Gemm (x, w)":               {Data: 0, Weights: 1, Bias: 2},
		"MatMul (x, w)":             {Data: 0, Weights: 1, Bias: -1},
		"MatMul (w, x)":             {Data: 1, Weights: 0, Bias: -1},
		"PRelu (x, w)":              {Data: 0, Weights: 1, Bias: -1},
		"LayerNormalization (x, w)": {Data: 0, Weights: 1, Bias: 2},
		"MatMul (x, x)":             {},
		"Gemm (w, x)":               {},
		"Add (x, w)":                {},
		"their.Conv (x, w)":         {},
	} {
		in, ok := op.InputsOf(node(t, text), func(v string) bool { return v == "w" })
		if in != want || ok != (want != op.Inputs{}) {
			t.Errorf("%s: %+v, %v, want %+v", text, in, ok, want)
		}
	}
}

// TestProducts holds where channels lie against an independent walk over the
// weights, axis by axis.
func TestProducts(t *testing.T) {
	for _, c := range []struct {
		text            string
		input           int
		dims            []int64
		in, out, result int
		axis            int
	}{
		{"Conv (x, w)", 1, []int64{6, 4, 3, 2}, 4, 6, 1, 0},
		{"Conv <group = 2> (x, w)", 1, []int64{6, 4, 3}, 8, 6, 1, 0},
		{"Conv <group = 4> (x, w)", 1, []int64{8, 1, 3, 3}, 4, 8, 1, 0},
		{"ConvTranspose (x, w)", 1, []int64{6, 4, 2, 2}, 6, 4, 1, 1},
		{"ConvTranspose <group = 3> (x, w)", 1, []int64{6, 4, 2}, 6, 12, 1, 1},
		{"Gemm (x, w)", 1, []int64{5, 3}, 5, 3, -1, 1},
		{"Gemm <transB = 1> (x, w)", 1, []int64{5, 3}, 3, 5, -1, 0},
		{"MatMul (x, w)", 1, []int64{5, 3}, 5, 3, -1, 1},
		{"MatMul (w, x)", 0, []int64{5, 3}, 3, 5, -2, 0},
		{"MatMul (x, w)", 1, []int64{2, 5, 3}, 5, 3, -1, 2},
	} {
		p, ok := op.ProductOf(node(t, c.text), c.input, c.dims)
		if !ok || !p.Valid() || p.In != c.in || p.Out != c.out || p.ResultAxis != c.result || p.Axis != c.axis {
			t.Errorf("%s %v: %+v, %v", c.text, c.dims, p, ok)
			continue
		}
		n := 1
		for _, d := range c.dims {
			n *= int(d)
		}
		seen := map[[2]int]int{}
		for i := range n {
			at := make([]int, len(c.dims))
			for a, rest := len(c.dims)-1, i; a >= 0; a-- {
				at[a], rest = rest%int(c.dims[a]), rest/int(c.dims[a])
			}
			in, out := at[p.InAxis], at[p.Axis]
			// A group's channels of what is counted by group follow one another.
			switch {
			case p.Node.Is("Conv"):
				in += out / (c.out / p.Groups) * int(c.dims[1])
			case p.Node.Is("ConvTranspose"):
				out += in / (c.in / p.Groups) * int(c.dims[1])
			}
			if p.InOf(i) != in || p.OutOf(i) != out {
				t.Fatalf("%s %v: element %d is of %d and %d, want %d and %d", c.text, c.dims, i, p.InOf(i), p.OutOf(i), in, out)
			}
			seen[[2]int{in, out}]++
		}
		next := 0
		p.Each(n, func(from, in, out int) {
			if from != next || in != p.InOf(from) || out != p.OutOf(from) {
				t.Fatalf("%s %v: the kernel at %d is of %d and %d", c.text, c.dims, from, in, out)
			}
			next += p.Kernel
		})
		if next != n {
			t.Errorf("%s %v: %d elements", c.text, c.dims, next)
		}
		if len(seen) != c.in/p.Groups*c.out {
			t.Errorf("%s %v: %d pairs of channels", c.text, c.dims, len(seen))
		}
	}
	for text, dims := range map[string][]int64{
		"Conv (x, w)": {6, 4}, "Gemm (x, w)": {6}, "MatMul (x, w)": {6}, "Add (x, w)": {6, 4}, "their.Gemm (x, w)": {6, 4},
	} {
		if _, ok := op.ProductOf(node(t, text), 1, dims); ok {
			t.Errorf("%s %v is a product", text, dims)
		}
	}
}

// TestWindows holds sizes and padding against counting the places where the
// window fits.
func TestWindows(t *testing.T) {
	for text, want := range map[string][5]int64{ // size, before, after, out, transposed
		"Conv <kernel_shape = [3]> (x, w)":                                           {8, 0, 0, 6, 10},
		"Conv <kernel_shape = [3], pads = [1, 2], strides = [2]> (x, w)":             {8, 1, 2, 5, 14},
		"Conv <kernel_shape = [3], dilations = [2], pads = [2, 2]> (x, w)":           {8, 2, 2, 8, 8},
		"Conv <kernel_shape = [2], strides = [2], auto_pad = \"SAME_UPPER\"> (x, w)": {7, 0, 1, 4, 14},
		"Conv <kernel_shape = [2], strides = [2], auto_pad = \"SAME_LOWER\"> (x, w)": {7, 1, 0, 4, 14},
		"Conv <kernel_shape = [2], pads = [9, 9], auto_pad = \"VALID\"> (x, w)":      {7, 0, 0, 6, 8},
		"MaxPool <kernel_shape = [2], strides = [2], ceil_mode = 1> (x)":             {7, 0, 0, 4, 14},
		"MaxPool <kernel_shape = [2], strides = [2], pads = [1, 1], ceil_mode = 1> (x)": {
			7, 1, 1, 4, 12}, // a fifth window would start in the padding
		"ConvTranspose <kernel_shape = [3], strides = [2], output_padding = [1]> (x, w)": {4, 0, 0, 1, 10},
	} {
		n := node(t, text)
		w := op.Windows(n, op.Kernel(n, nil))[0]
		before, after := w.Pads(want[0])
		out, ok := w.Out(want[0])
		if got := [5]int64{want[0], before, after, out, w.OutTransposed(want[0])}; got != want || !ok || !w.Sane() {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	n := node(t, "Conv (x, w)")
	if k := op.Kernel(n, []int64{4, 3, 5, 7}); len(k) != 2 || k[0] != 5 || k[1] != 7 {
		t.Errorf("kernel %v", k)
	}
	if _, ok := op.Windows(n, []int64{9})[0].Out(8); ok {
		t.Error("a window of 9 fits into 8")
	}
}
