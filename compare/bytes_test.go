package compare_test

import (
	"context"
	"strings"
	"testing"

	"narrow"
	"narrow/cost"
	"narrow/internal/testnet"
	"narrow/scheme"
)

// TestCostBytes holds the size of weights and biases that package cost estimates
// from a plan to what the export stores.
func TestCostBytes(t *testing.T) {
	ctx, engine := context.Background(), testnet.Runner(t)
	const float = `"overall_quantize_config": {"method": "maxmin", "scale_type": "float", "calib_statistic_method": "max"`
	for name, text := range map[string]string{
		"int8":           guide,
		"int4":           perChannel,
		"dpu":            dpu,
		"bfloat16":       `{"target_device": "GPU", "overall_quantize_config": {"datatype": "bfloat16"}}`,
		"16-bit weights": `{"target_device": "GPU", ` + float + `}, "tensor_quantize_config": {"weights": {"bit_width": 12}}}`,
		"float biases":   `{"target_device": "GPU", ` + float + `}, "quantizable_data_type": ["input", "weights", "activation"]}`,
		"a float layer": `{"target_device": "GPU", ` + float + `}, "layer_quantize_config": [{"layer_type": "Linear", "layer_name": null,
			"quantizable_data_type": ["weights", "bias", "activation"], "overall_quantize_config": {"datatype": "float32"}}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			r := entries(t, narrow.Guide, text)[0].Planned
			c, err := r.Calibrate(ctx, engine, testnet.Blobs(8, 8), narrow.CalibrateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			x, err := c.Export(narrow.ExportOptions{})
			if err != nil {
				t.Fatal(err)
			}
			left := map[string]bool{}
			for _, l := range r.Plan.FloatTensors {
				left[l.Name] = l.Kind == scheme.Weights || l.Kind == scheme.Bias
			}
			var want int64
			for _, init := range x.Graph.Graph.Initializers {
				for _, end := range []string{"_quantized", "_bfloat16", "_float16"} {
					left[init.Name] = left[init.Name] || strings.HasSuffix(init.Name, end)
				}
				if left[init.Name] {
					want += int64(len(init.Raw))
				}
			}
			if got := cost.Of(r.Plan, nil).Bytes; got != want || want == 0 {
				t.Errorf("%d bytes estimated, %d stored", got, want)
			}
		})
	}
}
