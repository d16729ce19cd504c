package narrow_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"narrow"
	"narrow/engine"
	"narrow/internal/testnet"
	"narrow/scheme"
)

// TestFoldedPlans: a plan does not depend on whether an engine computed the
// constants, and only with them it can be calibrated or exported.
func TestFoldedPlans(t *testing.T) {
	const net = `g (float[N, 3, 4, 4] x) => (float[N, 4, 4, 4] y) <float16[4, 3, 1, 1] h = {15360, 14336, 48384, ...}, float[4, 3, 1, 1] v = {1, -2, 3, 0.5, ...}, float[4, 1, 1, 1] gain = {1, 2, 0.5, 3}, float[4] b = {0.5, ...}>
{ [c] w = Cast <to = 1> (h) [one] a = Conv (x, w, b) [r] r = Relu (a)
  [n] n = ReduceL2 <axes = [1, 2, 3]> (v) [d] d = Div (v, n) [m] wn = Mul (d, gain) [t] s = Transpose <perm = [1, 0, 2, 3]> (wn) [u] u = ConvTranspose (x, s) [add] y = Add (r, u) }`
	list := func(p *narrow.Planned) (out []string) {
		for _, x := range p.Plan.Tensors {
			out = append(out, x.Name+" "+x.Kind.String()+" "+x.Where.String())
		}
		for _, x := range p.Plan.FloatTensors {
			out = append(out, x.Name+" left: "+x.Why.String())
		}
		return out
	}
	m := testnet.Parse(t, net)
	before := testnet.Plan(t, m, perChannel)
	if len(before.Plan.Model.Unknown) == 0 {
		t.Fatal("nothing is to be computed")
	}
	opened := 0
	open := func() (engine.Runner, error) { opened++; return testnet.Runner(t), nil }
	for range 2 {
		if err := m.Fold(context.Background(), open); err != nil {
			t.Fatal(err)
		}
	}
	after := testnet.Plan(t, m, perChannel)
	if opened != 1 || len(after.Plan.Model.Unknown) != 0 {
		t.Errorf("opened %d times, %q still unknown", opened, after.Plan.Model.Unknown)
	}
	if a, b := list(before), list(after); !slices.Equal(a, b) || len(a) < 8 {
		t.Errorf("without an engine\n%q\nwith one\n%q", a, b)
	}
	// Calibrating folds by itself.
	fresh := testnet.Plan(t, testnet.Parse(t, net), perChannel)
	in := func(yield func(*engine.Batch, error) bool) {
		yield(&engine.Batch{Count: 4, Inputs: testnet.Inputs(m.Graph, 4, 1, 1)}, nil)
	}
	c, err := fresh.Calibrate(context.Background(), testnet.Runner(t), in, narrow.CalibrateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	d, err := after.Calibrate(context.Background(), testnet.Runner(t), in, narrow.CalibrateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"w", "s", "b"} {
		x, ok := c.Encoding(name, kindOf[name])
		y, ok2 := d.Encoding(name, kindOf[name])
		if !ok || !ok2 || !slices.Equal(x.Scale, y.Scale) {
			t.Errorf("%s has the scale %v, or %v", name, x.Scale, y.Scale)
		}
	}
	none := testnet.Parse(t, `g (float[N, 2] x) => (float[N, 2] y) { y = Relu (x) }`)
	if err := none.Fold(context.Background(), func() (engine.Runner, error) { return nil, errors.New("no engine is needed") }); err != nil {
		t.Error(err)
	}
}

var kindOf = map[string]scheme.Kind{"w": scheme.Weights, "s": scheme.Weights, "b": scheme.Bias}

// TestConstantBranch: an If whose condition a shape tells is the branch that it takes,
// whose layers are quantized and can be named by rules.
func TestConstantBranch(t *testing.T) {
	m := testnet.Parse(t, `g (float[N, 3, 4, 4] x) => (float[N, 2, 4, 4] y) <float[4, 3, 1, 1] w = {1, -2, 3, 0.5, ...}, int64 one = {1}, int64 four = {4}> {
		[c] a = Conv (x, w) s = Shape (a) d = Gather (s, one) same = Equal (d, four)
		[if] y = If <then_branch = yes () => (float[N, 2, 4, 4] t) <float[2, 4, 1, 1] v = {1, -2, 3, 0.5, ...}> { [inside] t = Conv (a, v) },
			else_branch = no () => (float[N, 2, 4, 4] e) <float[2, 4, 1, 1] v = {1, ...}> { [other] e = Conv (a, v) }> (same) }`)
	p := testnet.Plan(t, m, `{"target_device": "CPU", "include_cle": false, "layer_quantize_config": [
		{"layer_type": null, "layer_name": "inside", "quantizable_data_type": ["weights"], "overall_quantize_config": {"bit_width": 4}}]}`)
	var got []string
	for _, x := range p.Plan.Tensors {
		got = append(got, fmt.Sprintf("%s %d", x.Name, x.Settings.Settings.BitWidth))
	}
	if want := []string{"x 8", "w 8", "a 8", "v 4", "y 8"}; !slices.Equal(got, want) {
		t.Errorf("quantized are %q, want %q", got, want)
	}
}
