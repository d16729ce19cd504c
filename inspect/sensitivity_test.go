package inspect_test

import (
	"context"
	"math"
	"slices"
	"testing"

	"narrow"
	"narrow/calibrate"
	"narrow/calibrate/observe"
	"narrow/engine"
	"narrow/evaluate"
	"narrow/inspect"
	"narrow/internal/testnet"
	"narrow/plan"
)

func rank(t testing.TB, c *narrow.Calibrated, in engine.Batches, opts inspect.SensitivityOptions) *inspect.Ranking {
	t.Helper()
	r, err := inspect.Sensitivity(context.Background(), c, testnet.Runner(t), in, opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestAlone holds each layer's costs against a plan that has no other tensors,
// tested as any plan is.
func TestAlone(t *testing.T) {
	m := testnet.Bundled(t)
	c := calibrated(t, m, dpu, 1)
	in := random(m, 24, 8, 1)
	labels := make([]int, 24)
	for i := range labels {
		labels[i] = i % 3
	}
	r := rank(t, c, in, inspect.SensitivityOptions{Labels: engine.Labels{Classes: labels}})
	only := func(ts []*plan.Tensor) calibrate.Calibrated {
		p := *c.Plan
		p.Tensors = ts
		part := *c.Result
		part.Plan = &p
		return part
	}
	test := func(ts []*plan.Tensor, original bool) *evaluate.Result {
		float := c.Plan.Model
		if original {
			float = m.Graph
		}
		part := only(ts)
		net, err := part.Network(0, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := evaluate.Run(context.Background(), testnet.Runner(t), float, []engine.Network{net}, in, evaluate.Options{Labels: engine.Labels{Classes: labels}})
		if err != nil {
			t.Fatal(err)
		}
		return res[0]
	}
	same := func(what string, got inspect.Cost, want *evaluate.Result) {
		t.Helper()
		if math.Abs(float64(got.SQNR-want.SQNR)) > 1e-3 || *got.Agreement != *want.Agreement ||
			*got.Top1 != want.Quantized.Top1 || *got.Drop != want.Float.Top1-want.Quantized.Top1 {
			t.Errorf("%s: %v dB, %v, %v, %v; test says %v, %v, %v, %v", what, got.SQNR, *got.Agreement, *got.Top1, *got.Drop,
				want.SQNR, *want.Agreement, want.Quantized.Top1, want.Float.Top1)
		}
	}
	all := test(c.Plan.Tensors, true)
	same("all", r.All, all)
	if *r.Float != *all.Float || r.Samples != 24 {
		t.Errorf("float %+v of %d samples, test says %+v", r.Float, r.Samples, all.Float)
	}
	same("rewrites", r.Rewrites, test(nil, true))
	if len(r.Layers) != len(c.Plan.Layers) {
		t.Fatalf("%d layers are ranked of %d", len(r.Layers), len(c.Plan.Layers))
	}
	if !slices.IsSortedFunc(r.Layers, func(a, b inspect.LayerCost) int { return int(math.Copysign(1, float64(a.SQNR-b.SQNR))) }) {
		t.Error("the layers are not in order")
	}
	before := slices.Clone(r.Layers)
	r.ByTop1()
	for i, l := range r.Layers[1:] {
		if prev := r.Layers[i]; *l.Drop > *prev.Drop || *l.Drop == *prev.Drop && l.SQNR < prev.SQNR {
			t.Errorf("by top-1, %s with %v, %v dB comes after %s with %v, %v dB", l.Name, *l.Drop, l.SQNR, prev.Name, *prev.Drop, prev.SQNR)
		}
	}
	if len(before) != len(r.Layers) || *r.Layers[0].Drop < *before[0].Drop {
		t.Errorf("%d layers of %d", len(r.Layers), len(before))
	}
	names := []string{}
	for _, l := range c.Plan.Layers {
		names = append(names, l.Output)
	}
	first := random(m, 8, 8, 1)
	float := values(t, c.Plan.Model, first, names, nil)
	eight := rank(t, c, first, inspect.SensitivityOptions{})
	for i, got := range r.Layers {
		l := c.Plan.Layers[got.Index]
		if got.Name != l.Name {
			t.Errorf("layer %d is %s, not %s", got.Index, l.Name, got.Name)
		}
		if i%3 != 0 {
			continue // all would take long
		}
		var ts []*plan.Tensor
		for _, p := range c.Plan.Tensors {
			if p.Layer == l {
				ts = append(ts, p)
			}
		}
		same("layer "+l.Name, got.Cost, test(ts, false))
		if l.Node == nil {
			continue // an input keeps its name before its quantizer
		}
		part := only(ts)
		sim, err := part.Simulation(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		out := values(t, sim.Model, first, []string{l.Output}, func(tap int, dst, src []float32, shape []int64) error {
			p := sim.Taps[tap].Tensor
			return observe.Apply(nil, dst, src, p.Settings.Settings, c.Result.Encodings[p], shape)
		})
		var q observe.Quality
		q.Add(nil, float[l.Output].Floats, out[l.Output].Floats)
		k := slices.IndexFunc(eight.Layers, func(x inspect.LayerCost) bool { return x.Index == got.Index })
		sameError(t, "layer "+l.Name+" alone", eight.Layers[k].Own, q)
	}
}

// TestRewrites: what taking ReLU6 away costs is told apart from quantization.
func TestRewrites(t *testing.T) {
	m := testnet.Parse(t, old(smallText(clip)))
	r := rank(t, calibrated(t, m, int16, 10), random(m, 20, 8, 10), inspect.SensitivityOptions{})
	if r.Rewrites.SQNR > 30 || r.Rewrites.Top1 != nil || r.Float != nil {
		t.Errorf("rewrites: %+v", r.Rewrites)
	}
	for _, l := range r.Layers {
		if l.SQNR < 50 {
			t.Errorf("layer %s alone: %v dB with 16 bits", l.Name, l.SQNR)
		}
	}
}

// TestProgress counts to the end.
func TestProgress(t *testing.T) {
	m := testnet.Bundled(t)
	last, total := 0, 0
	rank(t, calibrated(t, m, dpu, 1), random(m, 4, 4, 1), inspect.SensitivityOptions{Progress: func(done, all int) {
		if done != last+1 {
			t.Errorf("%d after %d", done, last)
		}
		last, total = done, all
	}})
	if last != total || total < 20 {
		t.Errorf("%d of %d", last, total)
	}
}
