package footprint

import (
	"errors"
	"testing"

	"narrow/graph"
	"narrow/graph/graphtext"
)

func parse(t *testing.T, text string) *graph.Model {
	t.Helper()
	m, err := graphtext.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func shapes(dims ...int64) func(n int64) map[string][]graph.Dim {
	return func(n int64) map[string][]graph.Dim {
		shape := []graph.Dim{{Size: n}}
		for _, d := range dims {
			shape = append(shape, graph.Dim{Size: d})
		}
		return map[string][]graph.Dim{"x": shape}
	}
}

func TestByHand(t *testing.T) {
	for _, tt := range []struct {
		name, net string
		in        []int64
		want      Footprint
	}{
		// a, then a and b: x stays, since it is the caller's.
		{"chain", `net (float[N, 10] x) => (float[N, 10] c) { a = Relu (x)
			b = Relu (a)
			c = Relu (b) }`, []int64{10}, Footprint{Inputs: 40, PerSample: 120, Largest: 40, Total: 160}},
		// s waits while a, b and c are computed: x, s, two of the chain.
		{"shortcut", `net (float[N, 10] x) => (float[N, 10] y) { s = Neg (x)
			a = Relu (s)
			b = Relu (a)
			y = Add (b, s) }`, []int64{10}, Footprint{Inputs: 40, PerSample: 160, Largest: 40, Total: 200}},
		{"weights and growth", `net (float[N, 2, 4, 4] x) => (float[N, 6, 4, 4] y) <float[6, 2, 1, 1] w = {1, ...}> { y = Conv (x, w) }`,
			[]int64{2, 4, 4}, Footprint{Weights: 48, Inputs: 128, PerSample: 512, Moments: 9, Largest: 384, Total: 512}},
		// k has no axis for samples.
		{"fixed part", `net (float[N, 4] x) => (float[N, 4] y) <float[4] w = {1, ...}> { k = Neg (w)
			y = Mul (x, k) }`, []int64{4}, Footprint{Weights: 16, Inputs: 16, Fixed: 16, PerSample: 32, Largest: 16, Total: 32}},
	} {
		got, err := Of(parse(t, tt.net), shapes(tt.in...))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if *got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, *got, tt.want)
		}
	}
}

func TestUnknown(t *testing.T) {
	for _, net := range []string{
		`net (float[N, 4] x) => (float[N, M] y) { i = NonZero (x)
			y = Cast <to = 1> (i) }`,
		`net (float[N, 4] x) => (float[N, 4] y) <bool c = {1}> { y = If <then_branch = t () => (float[N, 4] a) { a = Relu (x) }, else_branch = e () => (float[N, 4] b) { b = Neg (x) }> (c) }`,
	} {
		if f, err := Of(parse(t, net), shapes(4)); !errors.Is(err, ErrUnknown) {
			t.Errorf("%+v, %v", f, err)
		}
	}
}

// TestBatch: the batch chosen is the largest that fits, and 1 where none does.
func TestBatch(t *testing.T) {
	f := &Footprint{Weights: 1 << 20, Inputs: 1 << 10, Fixed: 1 << 12, PerSample: 1 << 20, Total: 1 << 21, Largest: 1 << 20, Moments: 1 << 16}
	for _, w := range []Work{{}, {Float: true}, {Float: true, Report: true}, {Float: true, High: true, Samples: 40}} {
		for _, n := range []int{1, 3, 16} {
			limit := f.Process(n, w)
			if got := f.Batch(limit, 16, w); got < n || f.Process(got, w) > limit || got < 16 && f.Process(got+1, w) <= limit {
				t.Errorf("%+v: %d samples take %d, and %d are chosen", w, n, limit, got)
			}
		}
		if got := f.Batch(1, 16, w); got != 1 {
			t.Errorf("%+v: %d samples in a byte", w, got)
		}
		if f.Process(16, w) < f.Process(1, w) || f.Process(16, Work{}) > f.Process(16, w) {
			t.Errorf("%+v takes less", w)
		}
	}
	// High accuracy takes more, the more samples there are and the wider layers are.
	high := Work{Float: true, High: true, Samples: 40}
	more, wider := high, *f
	more.Samples, wider.Moments = 60, 1<<20
	if need := f.Process(16, high); need <= f.Process(16, Work{Float: true}) || f.Process(16, more) <= need || wider.Process(16, high) != need+40*(1<<20-1<<16) {
		t.Errorf("high accuracy takes %d", need)
	}
}

// TestMoments: what counts is the layer with most products of two of its inputs, but for
// those that are too wide to hold them.
func TestMoments(t *testing.T) {
	f, err := Of(parse(t, `net (float[N, 3, 8, 8] x) => (float[N, 4] y) <float[8, 3, 3, 3] w = {0.1, ...}, float[8, 1, 3, 3] d = {0.1, ...}, float[300, 4] v = {0.1, ...}, float[512, 300] u = {0.1, ...}>
		{ c = Conv <pads = [1, 1, 1, 1]> (x, w) e = Conv <pads = [1, 1, 1, 1], group = 8> (c, d) f = Flatten (e) g = MatMul (f, u) y = MatMul (g, v) }`), shapes(3, 8, 8))
	if err != nil || f.Moments != 513*513 || f.Wide || Block(1, 2600, 1) != 512 || Block(1, 4608, 9) != 504 || Block(64, 300, 9) != 300 || Block(1, 8192, 4096) != 512 || Block(4, 2600, 2) != 256 {
		t.Errorf("%+v, %v", f, err)
	}
	f, err = Of(parse(t, `net (float[N, 3000] x) => (float[N, 4] y) <float[3000, 4] w = {0.1, ...}> { y = MatMul (x, w) }`), shapes(3000))
	if err != nil || f.Moments != 513*513 || !f.Wide {
		t.Errorf("%+v, %v", f, err)
	}
	other := *f
	other.Wide = false
	if d := f.Process(1, Work{High: true}) - other.Process(1, Work{High: true}); d != highRest {
		t.Errorf("a wide layer takes %d more", d)
	}
}
