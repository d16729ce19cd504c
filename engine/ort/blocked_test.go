package ort

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"narrow/engine"
	"narrow/graph"
)

// blockedNet is a residual network with taps after every step: its channels
// fill blocks of 8 and 16, except for those of "odd".
func blockedNet() net {
	n := newNet().input("x", graph.Float32, -1, 3, 12, 12).output("y", graph.Float32, -1, 10)
	n.tap("x", "x1").conv("x1", "a", 3, 16).op("Relu", []string{"a"}, []string{"ar"}).tap("ar", "ar1").
		conv("ar1", "b", 16, 16).tap("b", "b1").
		op("Add", []string{"b1", "ar1"}, []string{"s"}).tap("s", "s1").
		op("MaxPool", []string{"s1"}, []string{"p"}, &graph.Attr{Name: "kernel_shape", Kind: graph.AttrInts, Ints: []int64{2, 2}}).tap("p", "p1").
		conv("p1", "odd", 16, 20).tap("odd", "odd1").
		conv("odd1", "c", 20, 32).tap("c", "c1").conv("p1", "d", 16, 16).tap("d", "d1").
		op("Concat", []string{"c1", "d1"}, []string{"cat"}, &graph.Attr{Name: "axis", Kind: graph.AttrInt, Int: 1}).tap("cat", "cat1").
		op("GlobalAveragePool", []string{"cat1"}, []string{"g"}).tap("g", "g1").
		op("Flatten", []string{"g1"}, []string{"f"}).tap("f", "f1").
		constant(randomTensor("w", 48, 10)).op("Gemm", []string{"f1", "w"}, []string{"fc"}).tap("fc", "y")
	return n
}

// seen records what a run's taps see, sorted where sort says so.
func seen(t testing.TB, s engine.Session, x engine.Tensor, sort bool) (taps map[int][]float32, shapes map[int]string, y []float32) {
	t.Helper()
	taps, shapes = map[int][]float32{}, map[int]string{}
	out := run(t, s, feed("x", x), func(tap int, dst, src []float32, shape []int64) error {
		for i, v := range src {
			dst[i] = float32(math.RoundToEven(float64(v)*64)) / 64
		}
		taps[tap] = append([]float32(nil), dst...)
		if sort {
			slices.Sort(taps[tap])
		}
		shapes[tap] = fmt.Sprint(shape)
		return nil
	})
	return taps, shapes, out["y"].Floats
}

// Loaded in two steps a network computes the same, and its taps see the same
// elements, each sample's together.
func TestBlocked(t *testing.T) {
	r := runner(t)
	m := blockedNet()
	plain := load(t, r, m.Model, engine.LoadOptions{})
	blocked := load(t, r, m.Model, engine.LoadOptions{AnyOrder: func(int) bool { return true }})
	if plain.blocked || !blocked.blocked {
		t.Fatalf("in blocks: plain %v, blocked %v", plain.blocked, blocked.blocked)
	}
	for _, n := range []int64{1, 3} {
		x := random(n, 3, 12, 12)
		wantTaps, wantShapes, wantY := seen(t, plain, x, true)
		gotTaps, gotShapes, gotY := seen(t, blocked, x, true)
		if len(gotTaps) != len(wantTaps) {
			t.Fatalf("%d taps of %d were called", len(gotTaps), len(wantTaps))
		}
		for i, want := range wantTaps {
			if gotShapes[i] != wantShapes[i] {
				t.Errorf("tap %d: shape %s, want %s", i, gotShapes[i], wantShapes[i])
			}
			if d := distance(gotTaps[i], want); d > 1.0/64+1e-6 {
				t.Errorf("tap %d: elements differ by %v", i, d)
			}
		}
		if d := distance(gotY, wantY); d > 0.1 {
			t.Errorf("outputs differ by %v", d)
		}
	}
	// Sample by sample, the second of a batch sees what it sees alone.
	x := random(2, 3, 12, 12)
	both, _, _ := seen(t, blocked, x, false)
	alone, _, _ := seen(t, blocked, engine.Tensor{Type: graph.Float32, Shape: []int64{1, 3, 12, 12}, Floats: x.Floats[3*12*12:]}, false)
	for i, want := range alone {
		if i < 9 && !slices.Equal(both[i][len(want):], want) {
			t.Errorf("tap %d: the second sample is not in the second half", i)
		}
	}
}

// A tap that wants C order gets it in a network of blocks.
func TestBlockedSomeInOrder(t *testing.T) {
	r := runner(t)
	m := blockedNet()
	plain := load(t, r, m.Model, engine.LoadOptions{})
	blocked := load(t, r, m.Model, engine.LoadOptions{AnyOrder: func(tap int) bool { return tap%2 == 0 }})
	if !blocked.blocked {
		t.Fatal("not in blocks")
	}
	x := random(2, 3, 12, 12)
	want, _, _ := seen(t, plain, x, false)
	got, _, _ := seen(t, blocked, x, false)
	permuted := 0
	for i := range want {
		if d := distance(got[i], want[i]); d > 0.05 {
			if i%2 == 1 {
				t.Errorf("tap %d wants C order, and differs by %v", i, d)
			}
			permuted++
		}
	}
	if permuted == 0 {
		t.Error("no tap saw blocks: the test tests nothing")
	}
}

func distance(a, b []float32) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	var d float64
	for i := range a {
		d = max(d, math.Abs(float64(a[i])-float64(b[i])))
	}
	return d
}

// Where stand-ins cannot survive, the network is loaded in one step.
func TestBlockedFallsBack(t *testing.T) {
	r := runner(t)
	all := func(int) bool { return true }
	for name, m := range map[string]net{
		"no convolution": newNet().input("x", graph.Float32, -1, 4).output("y", graph.Float32, -1, 4).tap("x", "x1").op("Relu", []string{"x1"}, []string{"y"}),
		"constant convolution": newNet().input("x", graph.Float32, 1, 16, 4, 4).output("y", graph.Float32, 1, 16, 4, 4).
			constant(randomTensor("c", 1, 16, 4, 4)).conv("c", "k", 16, 16).tap("k", "k1").op("Add", []string{"k1", "x"}, []string{"y"}),
		"one dimension less": newNet().input("x", graph.Float32, 1, 16, 4).output("y", graph.Float32, 1, 16, 2).constant(randomTensor("w", 16, 16, 3)).
			op("Conv", []string{"x", "w"}, []string{"k"}).tap("k", "y"),
	} {
		s := load(t, r, m.Model, engine.LoadOptions{AnyOrder: all})
		x := m.Graph.Inputs[0].Shape
		var shape []int64
		for _, d := range x {
			size := d.Size
			if size < 0 {
				size = 2
			}
			shape = append(shape, size)
		}
		called := 0
		run(t, s, feed("x", random(shape...)), func(_ int, dst, src []float32, _ []int64) error {
			called++
			copy(dst, src)
			return nil
		})
		if called != 1 {
			t.Errorf("%s: the tap was called %d times", name, called)
		}
	}
}

// The bits of a run depend neither on the number of threads nor, for what
// comes before the last layer, on how samples are cut into batches.
func TestSameBits(t *testing.T) {
	r := runner(t)
	m := blockedNet()
	x := random(8, 3, 12, 12)
	for _, anyOrder := range []func(int) bool{nil, func(int) bool { return true }} {
		one := load(t, r, m.Model, engine.LoadOptions{Threads: 1, AnyOrder: anyOrder})
		two := load(t, r, m.Model, engine.LoadOptions{Threads: 2, AnyOrder: anyOrder})
		want, _, wantY := seen(t, one, x, false)
		got, _, gotY := seen(t, two, x, false)
		for i := range want {
			if !slices.Equal(got[i], want[i]) {
				t.Errorf("any order %v, tap %d: 2 threads give other bits than 1", anyOrder != nil, i)
			}
		}
		if !slices.Equal(gotY, wantY) {
			t.Errorf("any order %v: 2 threads give another output than 1", anyOrder != nil)
		}
		for k := range 8 {
			xk := engine.Tensor{Type: graph.Float32, Shape: []int64{1, 3, 12, 12}, Floats: x.Floats[k*3*144 : (k+1)*3*144]}
			alone, _, _ := seen(t, two, xk, false)
			for i, a := range alone {
				if !slices.Equal(a, want[i][k*len(a):(k+1)*len(a)]) {
					t.Errorf("any order %v, tap %d, sample %d: alone it has other bits than in a batch", anyOrder != nil, i, k)
				}
			}
		}
	}
}
