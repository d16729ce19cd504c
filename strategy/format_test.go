package strategy_test

import (
	"encoding/json"
	"testing"
)

// TestFormatRestatesNothing: what is inherited anyway is left out.
func TestFormatRestatesNothing(t *testing.T) {
	for _, tt := range []struct{ name, src, want string }{
		{"nothing", `{}`, `{}`},
		{"defaults", `{"include_cle": true, "overall_quantize_config": {"bit_width": 8, "symmetry": true}, "tensor_quantize_config": {"bias": {}}, "layer_quantize_config": []}`, `{}`},
		{"the DPU config", `{"target_device": "DPU", "overall_quantize_config": {"round_mode": "std_round"}, "tensor_quantize_config": {"activation": {"round_mode": "half_up"}}}`, `{"target_device": "DPU"}`},
		{"overridden for every kind", `{"target_device": "CPU", "overall_quantize_config": {"bit_width": 4}, "tensor_quantize_config": {"input": {"bit_width": 5}, "weights": {"bit_width": 6}, "bias": {"bit_width": 7}, "activation": {"bit_width": 8}}}`,
			`{"target_device": "CPU", "tensor_quantize_config": {"input": {"bit_width": 5}, "weights": {"bit_width": 6}, "bias": {"bit_width": 7}}}`},
		{"back to the default", `{"target_device": "CPU", "overall_quantize_config": {"bit_width": 4}, "tensor_quantize_config": {"weights": {"bit_width": 8}, "bias": {"bit_width": 4}}}`,
			`{"target_device": "CPU", "overall_quantize_config": {"bit_width": 4}, "tensor_quantize_config": {"weights": {"bit_width": 8}}}`},
		{"rule", `{"target_device": "CPU", "overall_quantize_config": {"bit_width": 4}, "layer_quantize_config": [{"layer_type": "Conv", "quantizable_data_type": ["bias", "weights"],
			"overall_quantize_config": {"bit_width": 4, "narrow_range": true}, "tensor_quantize_config": {"weights": {"narrow_range": true, "bit_width": 6}, "activation": {"bit_width": 9}}}]}`,
			`{"target_device": "CPU", "overall_quantize_config": {"bit_width": 4}, "layer_quantize_config": [{"layer_type": "Conv", "layer_name": null, "quantizable_data_type": ["weights", "bias"],
			"overall_quantize_config": {"narrow_range": true}, "tensor_quantize_config": {"weights": {"bit_width": 6}}}]}`},
	} {
		got := compact(t, parseGood(t, tt.src).Format())
		if want := compact(t, []byte(tt.want)); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.name, got, want)
		}
	}
}

// compact writes JSON without white space, in the order of its keys.
func compact(t *testing.T, src []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(src, &v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
