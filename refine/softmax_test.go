package refine

import (
	"math"
	"testing"

	"narrow/engine"
	"narrow/graph"
	"narrow/graph/graphtext"
)

// The errors of samples whose Softmax is certain count as they would for the others, and
// what one sample has with its own error is what the output itself is off by.
func TestPairs(t *testing.T) {
	tensor := func(x ...float32) engine.Tensor {
		return engine.Tensor{Type: graph.Float32, Shape: []int64{int64(len(x) / 2), 2}, Floats: x}
	}
	want := tensor(20, -20, 0.5, -0.5) // one is certain, one is not
	for _, c := range []struct {
		name string
		got  engine.Tensor
		off  bool // is the output itself off, by more than next to nothing
	}{
		{"no error", want, false},
		{"of the certain one", tensor(21, -20, 0.5, -0.5), false},
		{"of the other", tensor(20, -20, 1.5, -0.5), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := (&logits{}).with(logitsOf(want, c.got, 2)).pairs(nil)
			if err != nil {
				t.Fatal(err)
			}
			all, own := p.without(-1), p.both[0]+p.both[1]
			if (own > 1e-6) != c.off {
				t.Errorf("with their own errors the samples are off by %g", own)
			}
			if c.name == "no error" != (all.noise == 0) {
				t.Errorf("with all errors they are off by %g", all.noise)
			}
			if left := p.without(1); left.noise > 1e-6 {
				t.Errorf("the certain one alone is off by %g", left.noise)
			}
		})
	}
}

// What follows the Softmax is part of the error.
func TestPairsQuantized(t *testing.T) {
	z := engine.Tensor{Type: graph.Float32, Shape: []int64{1, 2}, Floats: []float32{0.5, -0.5}}
	p, err := (&logits{}).with(logitsOf(z, z, 1)).pairs(func(x []float32) error {
		for i, v := range x {
			x[i] = float32(math.Round(float64(v)))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if all := p.without(-1); math.Abs(all.noise-2*math.Pow(1/(1+math.E), 2)) > 1e-6 {
		t.Errorf("off by %g", all.noise)
	}
}

func TestSoftmaxInput(t *testing.T) {
	node := func(op, in, out string) *graph.Node {
		return &graph.Node{OpType: op, Inputs: []string{in}, Outputs: []string{out}}
	}
	tap := node(graph.TapOp, "p", "y")
	tap.Domain = graph.TapDomain
	for _, c := range []struct {
		name  string
		nodes []*graph.Node
		want  string
	}{
		{"behind a tap", []*graph.Node{node("Softmax", "z", "p"), tap}, "z"},
		{"another function", []*graph.Node{node("Sigmoid", "z", "y")}, ""},
		{"not the last one", []*graph.Node{node("Softmax", "z", "p"), node("Relu", "p", "y")}, ""},
		{"an input", nil, ""},
	} {
		m := &graph.Model{Graph: &graph.Graph{Nodes: c.nodes}}
		if got := softmaxInput(m, "y"); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// A Softmax that is written out is one, whatever is taken off before; a quotient is not.
func TestWrittenSoftmax(t *testing.T) {
	for _, c := range []struct{ name, nodes, want string }{
		{"one operator", `y = Softmax <axis = 1> (x)`, "x"},
		{"written out", `e = Exp (x) s = ReduceSum <keepdims = 1> (e, axes) y = Div (e, s)`, "x"},
		{"the largest taken off", `m = ReduceMax (x, axes) d = Sub (x, m) e = Exp (d) s = ReduceSum (e, axes) t = Max (least, s) y = Div (e, t)`, "d"},
		{"by the inverse", `e = Exp (x) s = ReduceSum (e, axes) r = Reciprocal (s) y = Mul (r, e)`, "x"},
		{"the inverse divides", `e = Exp (x) s = ReduceSum (e, axes) r = Reciprocal (s) y = Div (e, r)`, ""},
		{"another sum", `e = Exp (x) s = ReduceSum (x, axes) y = Div (e, s)`, ""},
		{"rounded between", `e = Exp (x) k = Round (e) s = ReduceSum (e, axes) y = Div (k, s)`, ""},
	} {
		m, err := graphtext.Parse(`g (float[N, 3] x) => (float[N, 3] y) <int64[1] axes = {1}, float least = {0.0}> { ` + c.nodes + ` }`)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := softmaxInput(m, "y"); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	z := engine.Tensor{Type: graph.Float32, Shape: []int64{1, 2}, Floats: []float32{0.5, -0.5}}
	for _, c := range []struct {
		y  []float32
		is bool
	}{{[]float32{0.7311, 0.2689}, true}, {[]float32{0.5, 0.5}, false}, {[]float32{1}, false}} {
		if got := logitsOf(z, z, 1).is(c.y); got != c.is {
			t.Errorf("%v is the Softmax: %v", c.y, got)
		}
	}
}
