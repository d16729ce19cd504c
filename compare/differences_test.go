package compare_test

import (
	"encoding/json"
	"testing"

	"narrow"
	"narrow/compare"
	"narrow/internal/testnet"
)

// small has four layers with weights, two of them with a bias.
const small = `<ir_version: 8, opset_import: ["": 17]>
g (float[N, 3, 8, 8] x) => (float[N, 4] y)
<float[4, 3, 3, 3] w1 = {0.5, ...}, float[4] b1 = {0.25, ...}, float[4, 4, 1, 1] w2 = {0.5, ...}, float[4, 4, 1, 1] w3 = {0.5, ...},
 float[4, 4] w4 = {0.5, ...}, float[4] b4 = {0.25, ...}>
{
  [one] c1 = Conv <kernel_shape = [3, 3]> (x, w1, b1)
  [one_relu] r1 = Relu (c1)
  [two] c2 = Conv <kernel_shape = [1, 1]> (r1, w2)
  [two_gate] g2 = Sigmoid (c2)
  [two_mul] m2 = Mul (c2, g2)
  [three] c3 = Conv <kernel_shape = [1, 1]> (m2, w3)
  [pool] p = GlobalAveragePool (c3)
  [flat] f = Flatten (p)
  [four] y = Gemm (f, w4, b4)
}
`

// TestDifferences holds the words next to strategies that differ in one thing
// each, and in several.
func TestDifferences(t *testing.T) {
	const float = `"target_device": "GPU", "include_cle": false, "include_bias_corr": false, "overall_quantize_config": {"scale_type": "float", "method": "maxmin", "calib_statistic_method": "max", "round_mode": "half_even"`
	rule := func(name, kinds, settings string) string {
		return `{"layer_type": null, "layer_name": "` + name + `", "quantizable_data_type": [` + kinds + `], "overall_quantize_config": {` + settings + `}}`
	}
	for name, tt := range map[string]struct{ from, to, want string }{
		"the same in other words": {`{` + float + `}}`, `{` + float + `, "bit_width": 8}, "tensor_quantize_config": {"weights": {"signed": true}}}`,
			`nothing: it quantizes every tensor alike`},
		"per channel": {`{` + float + `}}`, `{` + float + `}, "tensor_quantize_config": {"weights": {"per_channel": true}}}`,
			`per channel on all 4 weights`},
		"back": {`{` + float + `}, "tensor_quantize_config": {"weights": {"per_channel": true}}}`, `{` + float + `}}`,
			`per tensor on all 4 weights`},
		"a layer": {`{` + float + `}}`, `{` + float + `}, "layer_quantize_config": [` + rule("one", `"activation"`, `"bit_width": 16`) + `]}`,
			`int8 → int16 on 1 of 6 activations (one)`},
		"a float layer": {`{` + float + `}}`, `{` + float + `}, "layer_quantize_config": [` + rule("four", `"weights", "bias", "activation"`, `"datatype": "float32"`) + `]}`,
			`int8 → float32 on 1 of 4 weights (four), 1 of 2 biases (four) and 1 of 6 activations (four)`},
		"a kind": {`{` + float + `}}`, `{` + float + `}, "quantizable_data_type": ["input", "weights", "activation"]}`,
			`int8 → float32 on all 2 biases`},
		"what enters a layer": {`{` + float + `}}`, `{` + float + `}, "layer_quantize_config": [` + rule("three", `"input"`, `"bit_width": 4`) + `]}`,
			`int8 → int4 on 1 of 2 inputs (three)`},
		"percentage": {`{` + float + `}, "tensor_quantize_config": {"activation": {"method": "percentile"}}}`,
			`{` + float + `}, "tensor_quantize_config": {"activation": {"method": "percentile", "percentage": 99.5}}}`,
			"method percentile 99.99 → percentile 99.5 on all 6 activations"},
		"several": {`{` + float + `}}`, `{` + float + `}, "tensor_quantize_config": {"weights": {"per_channel": true, "bit_width": 4}, "activation": {"symmetry": false}}, "onnx_opset_version": 21}`,
			"onnx_opset_version unset → 21\nasymmetric on all 6 activations\nint8 → int4, per channel on all 4 weights"},
		"everything": {`{` + float + `}}`, `{` + float + `, "bit_width": 6}}`,
			"int8 → int6 on all 13 tensors"},
		"another rewrite": {`{` + float + `}}`, `{"convert_silu_to_hswish": true, ` + float + `}}`,
			"convert_silu_to_hswish false → true\nrewrites otherwise: two_mul"},
	} {
		t.Run(name, func(t *testing.T) {
			m := testnet.Parse(t, small)
			d := compare.Differences([]compare.Entry{entry(t, m, narrow.Guide, "from", tt.from), entry(t, m, narrow.Guide, "to", tt.to)})
			if d[0] != nil {
				t.Errorf("the first differs from itself: %v", d[0])
			}
			if got := lines(d[1].Words); got != tt.want {
				data, _ := json.Marshal(d[1])
				t.Errorf("got\n%s\nwant\n%s\nin %s", got, tt.want, data)
			}
		})
	}
}
