package calibrate_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"narrow"
	"narrow/calibrate"
	"narrow/engine"
	"narrow/internal/testnet"
)

// every strategy whose scales are found in a way of its own.
var methods = map[string]string{
	"maxmin max":    `"method": "maxmin", "scale_type": "float", "calib_statistic_method": "max"`,
	"maxmin mean":   `"method": "maxmin", "scale_type": "float", "calib_statistic_method": "mean"`,
	"maxmin median": `"method": "maxmin", "scale_type": "float", "calib_statistic_method": "median"`,
	"asymmetric":    `"method": "maxmin", "scale_type": "float", "calib_statistic_method": "max", "symmetry": false`,
	"percentile":    `"method": "percentile", "scale_type": "float", "calib_statistic_method": "mean", "percentage": 99.5`,
	"entropy":       `"method": "entropy", "scale_type": "float", "calib_statistic_method": "median"`,
	"mse":           `"method": "mse", "scale_type": "float", "calib_statistic_method": "max", "round_mode": "half_even"`,
	"diffs modal":   `"method": "diffs", "scale_type": "poweroftwo", "calib_statistic_method": "modal"`,
	"maxmin modal":  `"method": "maxmin", "scale_type": "poweroftwo", "calib_statistic_method": "modal"`,
	"sixteen bits":  `"method": "maxmin", "bit_width": 16, "scale_type": "float", "calib_statistic_method": "mean"`,
	"bfloat16":      `"datatype": "bfloat16"`,
	"float16":       `"datatype": "float16"`,
}

// TestSplits: in float propagation the samples' split into batches never
// reaches a result, with any method.
func TestSplits(t *testing.T) {
	m := testnet.Bundled(t)
	for name, settings := range methods {
		t.Run(name, func(t *testing.T) {
			config := fmt.Sprintf(`{"target_device": "CPU", "overall_quantize_config": {%s}}`, settings)
			var first string
			for _, size := range []int{1, 8, 32, 3} {
				r := testnet.Plan(t, m, config)
				c, err := r.Calibrate(context.Background(), testnet.Runner(t), engine.Rebatch(pictures(40), size), narrow.CalibrateOptions{Propagate: calibrate.Float})
				if err != nil {
					t.Fatal(err)
				}
				var b strings.Builder
				for _, x := range r.Plan.Tensors {
					e := c.Result.Encodings[x]
					fmt.Fprintln(&b, x.Kind, x.Name, e.Scale, e.ZeroPoint, e.FixPosition, c.Result.Bias[x])
				}
				if first == "" {
					first = b.String()
				}
				if b.String() != first {
					t.Errorf("batches of %d give other scales than batches of 1", size)
				}
			}
		})
	}
}

// TestInvalid: NaN and Inf are told with the tensor and the sample, or passed
// over where asked.
func TestInvalid(t *testing.T) {
	spoiled := func(v float32) engine.Batches {
		return func(yield func(*engine.Batch, error) bool) {
			for b, err := range engine.Rebatch(pictures(40), 8) {
				if err == nil && b.First == 16 {
					x := b.Inputs
					for name, in := range x {
						in.Floats = append([]float32(nil), in.Floats...)
						in.Floats[5*len(in.Floats)/8+3] = v // the sixth sample of the batch
						x[name] = in
					}
				}
				if !yield(b, err) {
					return
				}
			}
		}
	}
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		for config := range map[string]bool{"{}": true, testnet.Configs["bfloat16"]: true} {
			for _, how := range []calibrate.Propagation{calibrate.Progressive, calibrate.Float} {
				r := testnet.Plan(t, testnet.Bundled(t), config)
				_, err := r.Calibrate(context.Background(), testnet.Runner(t), spoiled(float32(v)), narrow.CalibrateOptions{Propagate: how})
				if err == nil {
					t.Fatalf("%v, %v: no error", v, how)
				}
				input := r.Model.Graph.Graph.Inputs[0].Name
				for _, part := range []string{fmt.Sprintf("tensor %q", input), fmt.Sprint(v), "sample 21", "skip such tensors"} {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("%v, %v: %q does not say %q", v, how, err, part)
					}
				}
				c, err := r.Calibrate(context.Background(), testnet.Runner(t), spoiled(float32(v)), narrow.CalibrateOptions{Propagate: how, SkipInvalid: true})
				if err != nil {
					t.Fatalf("%v, %v, skipping: %v", v, how, err)
				}
				if c.Result.Invalid == 0 || c.Result.Samples != 40 {
					t.Errorf("%v, %v: %d invalid of %d samples", v, how, c.Result.Invalid, c.Result.Samples)
				}
			}
		}
	}
}
