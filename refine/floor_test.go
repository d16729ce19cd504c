package refine

import (
	"math"
	"testing"

	"narrow/calibrate"
	"narrow/graph/graphtext"
	"narrow/plan"
	"narrow/scheme"
	"narrow/strategy"
)

// TestFloors: the scale of a channel whose weights are next to nothing is raised until
// its bias fits, those of the others stay.
func TestFloors(t *testing.T) {
	m := graphtext.MustParse(`net (float[N, 1, 4, 4] x) => (float[N, 2, 4, 4] y)
		<float[2, 1, 1, 1] w = {0.5, 1e-12}, float[2] b = {0.25, -3.0}> { y = Conv (x, w, b) }`)
	s, list := strategy.Parse("s", []byte(`{"target_device": "CPU", "include_cle": false,
		"overall_quantize_config": {"method": "maxmin", "scale_type": "float", "calib_statistic_method": "max", "round_mode": "half_even"},
		"tensor_quantize_config": {"weights": {"per_channel": true}, "bias": {"bit_width": 32}}}`))
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	p, _, err := plan.Build(m, s)
	if err != nil {
		t.Fatal(err)
	}
	op := p.Operations[len(p.Operations)-1]
	c := &calibrate.Calibrated{Plan: p, Encodings: map[*plan.Tensor]scheme.Encoding{
		op.Input(0): {Scale: []float32{0.01}}, op.Weights: {Scale: []float32{0.004, 1e-14}},
	}}
	(&refiner{c: c}).holdAll()
	got := c.Encodings[op.Weights].Scale
	if got[0] != 0.004 {
		t.Errorf("the scale of the first channel became %v", got[0])
	}
	if units := 3 / (float64(got[1]) * 0.01); units > math.MaxInt32 || units < math.MaxInt32/64 {
		t.Errorf("the second bias is %v of its units", units)
	}
	if len(c.Findings) != 1 || c.Findings[0].Code != "scale-floor" {
		t.Errorf("findings %v", c.Findings)
	}
}
