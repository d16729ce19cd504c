package export_test

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"narrow/export"
)

const int8Sym = `{"target_device": "CPU", "include_bias_corr": false, "overall_quantize_config": {"datatype": "int", "bit_width": 8, "method": "maxmin",
 "round_mode": "half_even", "symmetry": true, "per_channel": false, "signed": true, "narrow_range": false, "scale_type": "float", "calib_statistic_method": "max"}}`

// TestTry compares exports of the models named by TRY with the simulation.
func TestTry(t *testing.T) {
	text := int8Sym
	if f := os.Getenv("STRATEGY"); f != "" {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		text = string(b)
	}
	files, _ := filepath.Glob(os.Getenv("TRY"))
	for _, f := range files {
		t.Run(filepath.Base(filepath.Dir(f))+filepath.Base(f), func(t *testing.T) {
			c := calibrateOn(t, load(t, f), settings(t, text))
			want := c.simulate(t)
			for _, o := range []export.Options{{}, {Unsigned: true}, {KeepBias: true}, {Plain: true}, {ExactRounding: true, KeepBias: true}} {
				m, list := qdq(t, c.Input, o)
				got := run(t, m, c.in)
				for i := range want {
					n, worst := 0, 0.0
					for j := range want[i] {
						d := math.Abs(float64(want[i][j] - got[i][j]))
						if d > 0 {
							n++
						}
						worst = max(worst, d)
					}
					all := slices.Clone(want[i])
					slices.Sort(all)
					step := math.Inf(1)
					for j, v := range all[1:] {
						if d := float64(v - all[j]); d > 1e-6*math.Abs(float64(v)) {
							step = min(step, d)
						}
					}
					beyond := 0
					for j := range want[i] {
						if math.Abs(float64(want[i][j]-got[i][j])) > 1.01*step {
							beyond++
						}
					}
					t.Logf("step %g beyond %d", step, beyond)
					t.Logf("%+v output %d: %d of %d differ, worst %g, of %v %v", o, i, n, len(want[i]), worst, want[i][:3], list)
				}
			}
		})
	}
}
