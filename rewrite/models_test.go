package rewrite_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"narrow/graph"
	"narrow/graph/graphtext"
	"narrow/rewrite"
)

// TestExactOnModels runs whole networks before and after all exact rules.
func TestExactOnModels(t *testing.T) {
	files, err := filepath.Glob(models + "/*/model.onnx")
	if err != nil || len(files) == 0 {
		t.Fatalf("no models: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			m := load(t, file)
			before := graphtext.Format(m)
			out, _ := apply(t, m, rewrite.Before(rewrite.Options{Equalize: true, Relu6: rewrite.Relu6Bounds, Rounds: 2})...)
			if graphtext.Format(m) != before {
				t.Error("the model that came in was changed")
			}
			same(t, m, out, 4)
		})
	}
}

// TestExactOnRandomNets runs networks put together by chance out of what the
// rules know, with their batch norms, before and after.
func TestExactOnRandomNets(t *testing.T) {
	applied := &rewrite.Report{}
	for seed := range uint64(60) {
		m := randomNet(seed)
		out, report := apply(t, m, rewrite.Before(rewrite.Options{Equalize: true, Relu6: rewrite.Relu6Bounds})...)
		applied.Changes = append(applied.Changes, report.Changes...)
		same(t, m, out, 2)
		if t.Failed() {
			t.Fatalf("seed %d:\n%s", seed, report)
		}
	}
	for _, rule := range []string{"fold-batchnorm", "equalize", "fold-pad", "fold-bias", "remove-identity", "normalize-batchnorm", "fold-constants"} {
		if applied.Count(rule) == 0 {
			t.Errorf("%s was never applied", rule)
		}
	}
}

// net is a network being put together.
type net struct {
	g *graph.Graph
	r *rand.Rand
}

func (b *net) floats(scale float64, dims ...int64) string {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(scale * b.r.NormFloat64())
	}
	name := fmt.Sprintf("k%d", len(b.g.Initializers))
	b.g.Initializers = append(b.g.Initializers, graph.NewFloats(name, dims, x))
	return name
}

func (b *net) positive(c int64) string {
	name := b.floats(1, c)
	t := b.g.Initializers[len(b.g.Initializers)-1]
	x, _ := t.Floats()
	for i := range x {
		x[i] = 0.1 + x[i]*x[i]
	}
	b.g.Initializers[len(b.g.Initializers)-1] = graph.NewFloats(name, t.Dims, x)
	return name
}

func (b *net) ints(x ...int64) string {
	name := fmt.Sprintf("k%d", len(b.g.Initializers))
	b.g.Initializers = append(b.g.Initializers, graph.NewInts(name, []int64{int64(len(x))}, x))
	return name
}

func (b *net) add(op string, in []string, attrs ...*graph.Attr) string {
	out := fmt.Sprintf("v%d", len(b.g.Nodes))
	b.g.Nodes = append(b.g.Nodes, &graph.Node{Name: fmt.Sprintf("n%d", len(b.g.Nodes)), OpType: op, Inputs: in, Outputs: []string{out}, Attrs: attrs})
	return out
}

func ints(name string, x ...int64) *graph.Attr {
	return &graph.Attr{Name: name, Kind: graph.AttrInts, Ints: x}
}

func integer(name string, x int64) *graph.Attr {
	return &graph.Attr{Name: name, Kind: graph.AttrInt, Int: x}
}

// fan is the size of weights that keeps sums of n products as large as they came.
func fan(n int64) float64 { return 1.5 / math.Sqrt(float64(n)) }

// randomNet makes a chain with a branch now and then; images stay 8 by 8.
func randomNet(seed uint64) *graph.Model {
	b := &net{g: &graph.Graph{Name: fmt.Sprintf("random%d", seed), Values: map[string]*graph.Value{}}, r: rand.New(rand.NewPCG(seed, 5))}
	v, c := "x", int64(4)
	b.g.Inputs = []*graph.Value{{Name: "x", Type: graph.Float32, Shape: []graph.Dim{{Size: -1, Param: "N"}, {Size: 4}, {Size: 8}, {Size: 8}}}}
	var old string
	var oldC int64
	for range 14 {
		switch b.r.IntN(13) {
		case 0, 1: // convolution, with or without bias
			o := 2 * (1 + b.r.Int64N(3))
			var w string
			if b.r.IntN(3) == 0 { // the weights behind a transposition
				w = b.add("Transpose", []string{b.floats(fan(9*c), c, o, 3, 3)}, ints("perm", 1, 0, 2, 3))
			} else {
				w = b.floats(fan(9*c), o, c, 3, 3)
			}
			in := []string{v, w}
			if b.r.IntN(2) == 0 {
				in = append(in, b.floats(2, o))
			}
			v, c = b.add("Conv", in, ints("pads", 1, 1, 1, 1)), o
		case 2: // depthwise
			m := 1 + b.r.Int64N(2)
			v = b.add("Conv", []string{v, b.floats(fan(9), c*m, 1, 3, 3)}, ints("pads", 1, 1, 1, 1), integer("group", c))
			c *= m
		case 3:
			o := 2 * (1 + b.r.Int64N(3))
			v, c = b.add("ConvTranspose", []string{v, b.floats(fan(9*c/2), c, o/2, 3, 3), b.floats(1, o)}, ints("pads", 1, 1, 1, 1), integer("group", 2)), o
		case 4, 5, 6:
			v = b.add("BatchNormalization", []string{v, b.floats(1, c), b.floats(1, c), b.floats(1, c), b.positive(c)})
		case 7, 8:
			v = b.add("Relu", []string{v})
		case 9:
			lo, hi := graph.NewFloats("lo", nil, []float32{0}), graph.NewFloats("hi", nil, []float32{6})
			b.g.SetInitializer(lo)
			b.g.SetInitializer(hi)
			v = b.add("Clip", []string{v, "lo", "hi"})
		case 10:
			v = b.add("Identity", []string{v})
			if b.r.IntN(2) == 0 {
				v = b.add("Add", []string{v, b.floats(1, c, 1, 1)})
			}
		case 11:
			if old != "" && oldC == c {
				v = b.add("Add", []string{v, old})
			}
			old, oldC = v, c
		case 12: // an even convolution behind a Pad
			p := b.add("Pad", []string{v, b.ints(0, 0, 1, 0, 0, 0, 0, 1)})
			v = b.add("Conv", []string{p, b.floats(fan(4*c), c, c, 2, 2)})
		}
	}
	v = b.add("Abs", []string{v}) // so that the output's name never moves
	b.g.Outputs = []*graph.Value{{Name: v, Type: graph.Float32}}
	return &graph.Model{Graph: b.g, Opsets: map[string]int64{"": 13}, IRVersion: 8}
}
