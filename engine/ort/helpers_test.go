package ort

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"

	"narrow/engine"
	"narrow/graph"
)

var library = sync.OnceValues(func() (*Runner, error) { return Open("") })

// runner returns the one runner of the tests. After the test no object of
// ONNX Runtime's may be left that was not there before it.
func runner(t testing.TB) *Runner {
	t.Helper()
	r, err := library()
	if err != nil {
		t.Fatal(err)
	}
	before := r.Live()
	t.Cleanup(func() {
		if after := r.Live(); after != before {
			t.Errorf("objects left over: %+v before, %+v after", before, after)
		}
	})
	return r
}

// load loads m until the test ends.
func load(t testing.TB, r *Runner, m *graph.Model, opts engine.LoadOptions) *session {
	t.Helper()
	s, err := r.Load(t.Context(), m, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s.(*session)
}

func run(t testing.TB, s engine.Session, in map[string]engine.Tensor, hook engine.Hook) map[string]engine.Tensor {
	t.Helper()
	out, err := s.Run(context.Background(), in, hook)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// net is a model under construction.
type net struct{ *graph.Model }

func newNet() net {
	return net{&graph.Model{
		IRVersion: 8, Opsets: map[string]int64{"": 17},
		Graph: &graph.Graph{Name: "net", Values: map[string]*graph.Value{}},
	}}
}

// input adds an input; a size of -1 is open.
func (n net) input(name string, typ graph.DataType, dims ...int64) net {
	n.Graph.Inputs = append(n.Graph.Inputs, value(name, typ, dims))
	return n
}

func (n net) output(name string, typ graph.DataType, dims ...int64) net {
	n.Graph.Outputs = append(n.Graph.Outputs, value(name, typ, dims))
	return n
}

func value(name string, typ graph.DataType, dims []int64) *graph.Value {
	v := &graph.Value{Name: name, Type: typ, Shape: []graph.Dim{}}
	for _, d := range dims {
		v.Shape = append(v.Shape, graph.Dim{Size: d})
	}
	return v
}

func (n net) constant(t *graph.Tensor) net {
	n.Graph.Initializers = append(n.Graph.Initializers, t)
	return n
}

// op adds a node named for its first output.
func (n net) op(op string, inputs, outputs []string, attrs ...*graph.Attr) net {
	n.Graph.Nodes = append(n.Graph.Nodes, &graph.Node{Name: "make_" + outputs[0], OpType: op, Inputs: inputs, Outputs: outputs, Attrs: attrs})
	return n
}

func (n net) tap(in, out string) net {
	n.op(graph.TapOp, []string{in}, []string{out})
	n.Graph.Nodes[len(n.Graph.Nodes)-1].Domain = graph.TapDomain
	return n
}

// conv adds a 3x3 convolution with random weights.
func (n net) conv(in, out string, cin, cout int64) net {
	n.constant(randomTensor(out+".w", cout, cin, 3, 3))
	return n.op("Conv", []string{in, out + ".w"}, []string{out},
		&graph.Attr{Name: "pads", Kind: graph.AttrInts, Ints: []int64{1, 1, 1, 1}},
		&graph.Attr{Name: "kernel_shape", Kind: graph.AttrInts, Ints: []int64{3, 3}})
}

func randomTensor(name string, dims ...int64) *graph.Tensor {
	return graph.NewFloats(name, dims, randomFloats(dims))
}

func randomFloats(dims []int64) []float32 {
	n := 1
	for _, d := range dims {
		n *= int(d)
	}
	r := rand.New(rand.NewPCG(uint64(n), 7))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64()) / 4
	}
	return x
}

func random(dims ...int64) engine.Tensor {
	return engine.Tensor{Type: graph.Float32, Shape: dims, Floats: randomFloats(dims)}
}

func vector(x ...float32) engine.Tensor {
	return engine.Tensor{Type: graph.Float32, Shape: []int64{int64(len(x))}, Floats: x}
}

func feed(name string, t engine.Tensor) map[string]engine.Tensor {
	return map[string]engine.Tensor{name: t}
}
