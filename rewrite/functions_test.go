package rewrite_test

import (
	"reflect"
	"slices"
	"testing"

	"narrow/graph"
	"narrow/graph/graphtext"
	"narrow/rewrite"
)

// silu has one that a depthwise and a dense convolution could read.
const silu = `g (float[N, 2, 4, 4] x) => (float[N, 2, 4, 4] z) <float[2, 2, 1, 1] w = {1, 2, 3, 4}, float[2, 1, 1, 1] d = {2, 8}, float[3, 2, 1, 1] v = {1, 1, 2, 0.5, 4, 4}>
{ [a] h = Conv (x, w) [s] s = Sigmoid (h) [m] y = Mul (h, s) `

func TestFunctionSteps(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		peaks []float32
		want  map[string][]int
	}{
		"depthwise: to one range":        {`[b] z = Conv <group = 2> (y, d) }`, []float32{8, 1}, map[string][]int{"y": {0, 12}}},
		"dense: half of it, both reach":  {`[b] z = Conv (y, v) }`, []float32{16, 1}, map[string][]int{"y": {0, 8}}},
		"a channel without values stays": {`[b] z = Conv <group = 2> (y, d) }`, []float32{8, 0}, nil},
		"at most 8 octaves":              {`[b] z = Conv <group = 2> (y, d) }`, []float32{8, 1e-9}, map[string][]int{"y": {0, 32}}},
		"another reader":                 {`[b] k = Conv <group = 2> (y, d) z = Add (k, y) }`, []float32{8, 1}, nil},
		"the same range":                 {`[b] z = Conv <group = 2> (y, d) }`, []float32{8, 8}, nil},
	} {
		got, err := rewrite.FunctionSteps(graphtext.MustParse(silu+c.text), map[string][]float32{"y": c.peaks})
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == 0 && c.want == nil {
			continue
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// What the value gains its readers' weights lose, channel by channel.
func TestEqualizeFunctions(t *testing.T) {
	m := graphtext.MustParse(silu + `[b] k = Conv <group = 2> (y, d) [c] z = Conv (y, v) o = Neg (k) }`)
	out, _, err := rewrite.Apply(m, rewrite.EqualizeFunctions(map[string][]int{"y": {0, 8}}))
	if err != nil {
		t.Fatal(err)
	}
	ix := graph.NewIndex(out.Graph)
	mul := ix.Producer["y"]
	if mul == nil || !mul.Is("Mul") || mul.Rule != "equalize-functions" {
		t.Fatalf("y is output by %v", mul)
	}
	floats := func(name string) []float32 {
		v, err := ix.Constant[name].Floats()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if got := floats(mul.Inputs[1]); !slices.Equal(got, []float32{1, 4}) {
		t.Errorf("factors %v", got)
	}
	for node, want := range map[string][]float32{"b": {2, 2}, "c": {1, 0.25, 2, 0.125, 4, 1}} {
		for _, n := range out.Graph.Nodes {
			if n.Name == node {
				if got := floats(n.Inputs[1]); !slices.Equal(got, want) {
					t.Errorf("weights of %s: %v, want %v", node, got, want)
				}
			}
		}
	}
}
