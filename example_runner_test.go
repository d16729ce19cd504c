package narrow_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"

	"narrow"
	"narrow/engine"
	"narrow/graph"
	"narrow/graph/graphtext"
	"narrow/graph/onnx"
	"narrow/scheme"
)

// interpreter is an engine of few words: MatMul, Add of a vector, Relu, and
// narrow's taps.
type interpreter struct{}

func (interpreter) Load(_ context.Context, m *graph.Model, opts engine.LoadOptions) (engine.Session, error) {
	s := &interpretation{nodes: slices.Clone(m.Graph.Nodes), constants: map[string]engine.Tensor{}, outputs: opts.Outputs}
	for _, t := range m.Graph.Initializers {
		x, err := t.Floats()
		if err != nil {
			return nil, err
		}
		s.constants[t.Name] = engine.Tensor{Type: t.Type, Shape: slices.Clone(t.Dims), Floats: slices.Clone(x)}
	}
	if s.outputs == nil { // the graph's; an empty list means none
		for _, v := range m.Graph.Outputs {
			s.outputs = append(s.outputs, v.Name)
		}
	}
	return s, nil
}

type interpretation struct {
	nodes     []*graph.Node // in topological order, as those of any model
	constants map[string]engine.Tensor
	outputs   []string
}

func (s *interpretation) Close() error { return nil }

func (s *interpretation) Run(ctx context.Context, in map[string]engine.Tensor, hook engine.Hook) (map[string]engine.Tensor, error) {
	values := map[string]engine.Tensor{}
	value := func(name string) engine.Tensor {
		if t, ok := in[name]; ok {
			return t
		}
		if t, ok := s.constants[name]; ok {
			return t
		}
		return values[name]
	}
	tap := -1
	for _, n := range s.nodes {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		a := value(n.Input(0))
		y := engine.Tensor{Type: graph.Float32, Shape: a.Shape, Floats: slices.Clone(a.Floats)}
		switch {
		case n.IsTap():
			tap++
			if hook == nil {
				break
			}
			if second := n.Input(1); second != "" {
				t := value(second)
				if err := hook(tap, nil, t.Floats, t.Shape); err != nil {
					return nil, fmt.Errorf("tap %q: %w", n.Name, err)
				}
			}
			if err := hook(tap, y.Floats, a.Floats, a.Shape); err != nil {
				return nil, fmt.Errorf("tap %q: %w", n.Name, err)
			}
		case n.Is("MatMul"):
			y = multiply(a, value(n.Input(1)))
		case n.Is("Add"):
			b := value(n.Input(1)).Floats
			for i := range y.Floats {
				y.Floats[i] += b[i%len(b)]
			}
		case n.Is("Relu"):
			for i, v := range y.Floats {
				y.Floats[i] = max(v, 0)
			}
		default:
			return nil, fmt.Errorf("node %q: the interpreter has no %s", n.Label(), n.OpType)
		}
		values[n.Outputs[0]] = y
	}
	out := map[string]engine.Tensor{}
	for _, name := range s.outputs {
		out[name] = value(name)
	}
	return out, nil
}

func multiply(a, b engine.Tensor) engine.Tensor {
	rows, inner, columns := int(a.Shape[0]), int(a.Shape[1]), int(b.Shape[1])
	y := engine.Tensor{Type: graph.Float32, Shape: []int64{int64(rows), int64(columns)}, Floats: make([]float32, rows*columns)}
	for r := range rows {
		for c := range columns {
			for k := range inner {
				y.Floats[r*columns+c] += a.Floats[r*inner+k] * b.Floats[k*columns+c]
			}
		}
	}
	return y
}

// Another engine than ONNX Runtime: a Runner needs two methods of its own, and
// to call the hook at each tap.
func Example_runner() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "narrow")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "net.onnx")
	net := graphtext.MustParse(`net (float[N, 2] x) => (float[N, 1] y)
		<float[2, 2] w1 = {1, -0.5, 0.5, 1}, float[2] b = {0.25, 0}, float[2, 1] w2 = {0.5, -1}>
		{
			[fc1] h = MatMul (x, w1)
			[bias1] a = Add (h, b)
			[relu1] r = Relu (a)
			[fc2] y = MatMul (r, w2)
		}`)
	if err := onnx.Save(net, path); err != nil {
		log.Fatal(err)
	}

	model, err := narrow.Open(context.Background(), path)
	if err != nil {
		log.Fatal(err)
	}
	planned, err := model.Plan(nil, narrow.PlanOptions{})
	if err != nil {
		log.Fatal(err)
	}
	batches := func(yield func(*engine.Batch, error) bool) {
		yield(&engine.Batch{Count: 3, Inputs: map[string]engine.Tensor{
			"x": {Type: graph.Float32, Shape: []int64{3, 2}, Floats: []float32{1, 0.5, -1, 0.25, 0.5, -0.75}},
		}}, nil)
	}
	calibrated, err := planned.Calibrate(ctx, interpreter{}, batches, narrow.CalibrateOptions{})
	if err != nil {
		log.Fatal(err)
	}
	e, _ := calibrated.Encoding("x", scheme.Input)
	fmt.Println("x: scale", e.Scale[0])

	_, err = calibrated.Test(ctx, interpreter{}, batches, narrow.TestOptions{
		Output: func(_ int, outputs []engine.Tensor) error {
			fmt.Println("y:", outputs[0].Floats)
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// x: scale 0.015625
	// y: [0.75 -0.75 0.1875]
}
