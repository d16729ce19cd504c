package rewrite_test

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"narrow/calibrate"
	"narrow/graph"
	"narrow/internal/testnet"
)

// samples makes reproducible inputs for m, open dimensions of size n.
func samples(m *graph.Model, n int64, seed uint64) map[string]calibrate.Tensor {
	r := rand.New(rand.NewPCG(seed, 1))
	in := map[string]calibrate.Tensor{}
	ix := graph.NewIndex(m.Graph)
	for _, v := range m.Graph.Inputs {
		if !ix.IsInput(v.Name) {
			continue
		}
		x := calibrate.Tensor{Type: v.Type}
		for _, d := range v.Shape {
			if d.Size < 0 {
				d.Size = n
			}
			x.Shape = append(x.Shape, d.Size)
		}
		if v.Type != graph.Float32 {
			x.Raw = make([]byte, x.Len()*v.Type.Bits()/8)
			in[v.Name] = x
			continue
		}
		x.Floats = make([]float32, x.Len())
		for i := range x.Floats {
			x.Floats[i] = float32(3 * r.NormFloat64())
		}
		in[v.Name] = x
	}
	return in
}

func run(t *testing.T, m *graph.Model, in map[string]calibrate.Tensor) map[string]calibrate.Tensor {
	t.Helper()
	s, err := testnet.Runner(t).Load(context.Background(), m, calibrate.LoadOptions{Threads: 1})
	if err != nil {
		t.Fatalf("%v\n%s", err, clip(graph.Format(m)))
	}
	defer s.Close()
	out, err := s.Run(context.Background(), in, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, clip(graph.Format(m)))
	}
	return out
}

func clip(s string) string {
	if len(s) > 4000 {
		return s[:4000] + "..."
	}
	return s
}

// same runs both models over random inputs, open dimensions of size n, and
// wants the outputs equal to 1e-5 of each output's largest magnitude.
func same(t *testing.T, before, after *graph.Model, n int64) {
	t.Helper()
	const tolerance = 1e-5
	in := samples(before, n, 7)
	want, got := run(t, before, in), run(t, after, in)
	for _, v := range before.Graph.Outputs {
		a, b := want[v.Name], got[v.Name]
		if len(a.Floats) != len(b.Floats) || a.Type != b.Type {
			t.Errorf("output %s: %v%v became %v%v", v.Name, a.Type, a.Shape, b.Type, b.Shape)
			continue
		}
		var top, off float64
		for i := range a.Floats {
			top = max(top, math.Abs(float64(a.Floats[i])))
			d := math.Abs(float64(a.Floats[i]) - float64(b.Floats[i]))
			if math.IsNaN(d) {
				d = math.Inf(1)
			}
			off = max(off, d)
		}
		if off > tolerance*top {
			t.Errorf("output %s is off by %g of %g", v.Name, off, top)
		}
		if top == 0 && a.Type == graph.Float32 {
			t.Errorf("output %s is 0 everywhere: the test shows nothing", v.Name)
		}
	}
}
