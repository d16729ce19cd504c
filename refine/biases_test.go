package refine

import (
	"testing"

	"narrow/calibrate"
	"narrow/graph/graphtext"
	"narrow/plan"
	"narrow/scheme"
	"narrow/strategy"
)

// heldBias returns what holdBiases makes of a bias that was corrected, whose encoding was e
// under those settings.
func heldBias(t *testing.T, config string, corrected []float32, e scheme.Encoding) scheme.Encoding {
	t.Helper()
	m := graphtext.MustParse(`net (float[N, 1, 4, 4] x) => (float[N, 2, 4, 4] y)
		<float[2, 1, 1, 1] w = {0.5, 1}, float[2] b = {0.25, -0.5}> { y = Conv (x, w, b) }`)
	s, list := strategy.Parse("s", []byte(config))
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	p, _, err := plan.Build(m, s)
	if err != nil {
		t.Fatal(err)
	}
	bias := p.Operations[len(p.Operations)-1].Bias
	c := &calibrate.Calibrated{Plan: p, Bias: map[*plan.Tensor][]float32{bias: corrected}, Encodings: map[*plan.Tensor]scheme.Encoding{bias: e}}
	if err := holdBiases(c); err != nil {
		t.Fatal(err)
	}
	return c.Encodings[bias]
}

// A bias that correction moved beyond its range gets one that holds it; one that
// stays within keeps its scale.
func TestHoldBiases(t *testing.T) {
	const config = `{"target_device": "CPU", "include_cle": false,
		"overall_quantize_config": {"method": "maxmin", "scale_type": "float", "calib_statistic_method": "max", "round_mode": "half_even"}}`
	for _, tt := range []struct {
		corrected []float32
		want      float32
	}{
		{[]float32{0.25, -0.4}, 0.5 / 127},
		{[]float32{1.5, -0.4}, 1.5 / 127},
	} {
		e := scheme.Encoding{Axis: -1, Scale: []float32{0.5 / 127}, ZeroPoint: []int64{0}, Min: -128, Max: 127}
		if got := heldBias(t, config, tt.corrected, e).Scale[0]; got < tt.want*0.999 || got > tt.want*1.001 {
			t.Errorf("%v: scale %v, want %v", tt.corrected, got, tt.want)
		}
	}
}

// So does one with a fix position.
func TestHoldBiasesOfTheDPU(t *testing.T) {
	for _, tt := range []struct {
		corrected []float32
		want      int
	}{
		{[]float32{0.25, -0.4}, 8},
		{[]float32{3, -0.4}, 5},
	} {
		e := scheme.Encoding{Axis: -1, Scale: []float32{1. / 256}, ZeroPoint: []int64{0}, FixPosition: []int{8}, Min: -128, Max: 127}
		if got := heldBias(t, `{"target_device": "DPU", "include_cle": false}`, tt.corrected, e).FixPosition[0]; got != tt.want {
			t.Errorf("%v: fix position %d, want %d", tt.corrected, got, tt.want)
		}
	}
}
