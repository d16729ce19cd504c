package narrow_test

import (
	"context"
	"testing"

	"narrow"
	"narrow/calibrate/observe"
	"narrow/engine"
	"narrow/graph"
	"narrow/internal/testnet"
)

// TestFloatReference: the network to compare inner values with puts out what the
// model does, and has the plan's weights.
func TestFloatReference(t *testing.T) {
	between := `net (float[N, 1, 28, 28] image) => (float[N, 2, 28, 28] y) <float[2, 1, 1, 1] v = {9, -0.1}, float[2, 2, 1, 1] w = {0.5, -0.2, 30, 0.1}>
		{ h = Conv (image, v)
		  r = Clip <min = 0.0, max = 6.0> (h)
		  y = Conv (r, w) }`
	for name, tt := range map[string]struct {
		model    *narrow.Model
		accuracy narrow.Accuracy
		exact    bool
	}{
		"bundled":        {testnet.Bundled(t), narrow.Guide, true},
		"bundled, high":  {testnet.Bundled(t), narrow.High, true},
		"ReLU6":          {testnet.Parse(t, `<ir_version: 7, opset_import: ["": 10]> `+between), narrow.Guide, true},
		"before Min was": {testnet.Parse(t, `<ir_version: 4, opset_import: ["": 7]> `+between), narrow.Guide, false}, // broadcast: no bound per channel
	} {
		t.Run(name, func(t *testing.T) {
			r, err := tt.model.Plan(nil, narrow.PlanOptions{Accuracy: tt.accuracy})
			if err != nil {
				t.Fatal(err)
			}
			if tt.accuracy == narrow.High { // decides over samples how to equalize
				r = calibratedOn(t, r, pictures(40), narrow.CalibrateOptions{}).Planned
			}
			m, exact, err := r.FloatReference()
			if err != nil || exact != tt.exact {
				t.Fatal(exact, err)
			}
			if !exact {
				if m != r.Plan.Model {
					t.Error("the network is not the plan's")
				}
				return
			}
			if tt.accuracy != narrow.High && r.Rewrites.Count("equalize") == 0 {
				t.Fatal("nothing was equalized")
			}
			constants := graph.NewIndex(m.Graph).Constant
			for _, p := range r.Plan.Tensors {
				if p.Constant != nil && string(constants[p.Name].Raw) != string(p.Constant.Raw) {
					t.Errorf("%s differs", p.Name)
				}
			}
			var q observe.Quality
			for b := range pictures(16) {
				want, got := outputOf(t, tt.model.Graph, b), outputOf(t, m, b)
				q.Add(nil, want.Floats, got.Floats)
			}
			if q.SQNR() < 100 {
				t.Errorf("the outputs differ: %v dB", q.SQNR())
			}
		})
	}
}

func outputOf(t *testing.T, m *graph.Model, b *engine.Batch) engine.Tensor {
	t.Helper()
	s, err := testnet.Runner(t).Load(context.Background(), m, engine.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := s.Run(context.Background(), b.Inputs, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out[m.Graph.Outputs[0].Name]
}
