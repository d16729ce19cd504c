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

func TestFunctionScales(t *testing.T) {
	type scales struct{ steps, negated []int }
	const depthwise = `[b] z = Conv <group = 2> (y, d) }`
	for name, c := range map[string]struct {
		text      string
		low, high []float64
		symmetric bool
		want      scales
	}{
		"depthwise: to one range":        {text: depthwise, high: []float64{8, 1}, want: scales{steps: []int{0, 12}}},
		"both ends count":                {text: depthwise, low: []float64{0, -0.5}, high: []float64{8, 1}, want: scales{steps: []int{0, 11}}},
		"negative: it changes its sign":  {text: depthwise, low: []float64{0, -1}, high: []float64{8, 0.1}, want: scales{steps: []int{0, 12}, negated: []int{1}}},
		"symmetric: it does not matter":  {text: depthwise, low: []float64{0, -1}, high: []float64{8, 0.1}, symmetric: true, want: scales{steps: []int{0, 12}}},
		"a channel without values stays": {text: depthwise, high: []float64{8, 0}},
		"at most 12 octaves":             {text: depthwise, high: []float64{8, 1e-9}, want: scales{steps: []int{0, 48}}},
		"the same range":                 {text: depthwise, high: []float64{8, 8}},
		"another reader":                 {text: `[b] k = Conv <group = 2> (y, d) z = Add (k, y) }`, high: []float64{8, 1}},
		"dense: weights take some of it": {text: `[b] z = Conv (y, v) }`, high: []float64{16, 1}, want: scales{steps: []int{0, 9}}},
	} {
		r := rewrite.ChannelRange{Low: c.low, High: c.high, Symmetric: c.symmetric}
		if r.Low == nil {
			r.Low = make([]float64, 2)
		}
		for i, h := range r.High {
			r.Power = append(r.Power, max(h, -r.Low[i])*max(h, -r.Low[i])/9)
		}
		got, err := rewrite.ChooseFunctionScales(graphtext.MustParse(silu+c.text), map[string]rewrite.ChannelRange{"y": r})
		if err != nil {
			t.Fatal(err)
		}
		if found := (scales{got.Steps["y"], got.Negated["y"]}); !reflect.DeepEqual(found, c.want) {
			t.Errorf("%s: %v, want %v", name, found, c.want)
		}
	}
}

// What the value gains its readers' weights lose, channel by channel.
func TestEqualizeFunctions(t *testing.T) {
	m := graphtext.MustParse(silu + `[b] k = Conv <group = 2> (y, d) [c] z = Conv (y, v) o = Neg (k) }`)
	out, _, err := rewrite.Apply(m, rewrite.EqualizeFunctions(rewrite.FunctionScales{Steps: map[string][]int{"y": {0, 8}}, Negated: map[string][]int{"y": {1}}}))
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
	if got := floats(mul.Inputs[1]); !slices.Equal(got, []float32{1, -4}) {
		t.Errorf("factors %v", got)
	}
	for node, want := range map[string][]float32{"b": {2, -2}, "c": {1, -0.25, 2, -0.125, 4, -1}} {
		for _, n := range out.Graph.Nodes {
			if n.Name == node {
				if got := floats(n.Inputs[1]); !slices.Equal(got, want) {
					t.Errorf("weights of %s: %v, want %v", node, got, want)
				}
			}
		}
	}
}
