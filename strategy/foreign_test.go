package strategy

import (
	"strings"
	"testing"
)

// TestForeign: a file of another quantizer is one mistake, with its name and what its
// words are here, and no advice to delete key after key.
func TestForeign(t *testing.T) {
	for _, tt := range []struct{ file, name, word string }{
		{`{"quant_mode":"static","global_quant_config":{"weight":{"dtype":"int8"}},"exclude":["stem"],"layer_type_quant_config":{}}`, "Quark", "exclude"},
		{`{"model_type":"x","quantization_config":{"quant_method":"quark","global_quant_config":{},"exclude":[]}}`, "Quark", "exclude"},
		{`{"dispatching_table":{"stem":"FP32","dw":"INT8"},"intro_0":"note"}`, "PPQ", "dispatching_table"},
		{`{"intro_0":"Dispatching Table is a str -> TargetPlatform dictionary.","dispatchings":{"Conv_1":0}}`, "PPQ", "FP32"},
		{`{"input_info":{"sample_size":[1,3,16,16]},"compression":{"algorithm":"quantization","weights":{"bits":8},"ignored_scopes":["stem"]}}`, "NNCF", "ignored_scopes"},
		{`{"compression":[{"algorithm":"quantization"},{"algorithm":"magnitude_sparsity"}]}`, "NNCF", "bits"},
		{`{"defaults":{"ops":{"is_output_quantized":"True"}},"params":{},"op_type":{},"supergroups":[{"op_list":["Conv","Relu"]}],"model_input":{}}`, "AIMET", "is_quantized"},
		{`{"version":"0.6.1","activation_encodings":{},"param_encodings":{}}`, "AIMET", "bitwidth"},
		{`{"per_channel":false,"reduce_range":false,"per_model_config":{"model":{"op_types":["Add"],"weight_type":"QUInt8"}}}`, "onnxruntime", "weight_type"},
		{`{"opset":null,"quantization":{"activations_dtype":"QInt8","format":"QDQ","nodes_to_exclude":["Mul_503"],"operators_to_quantize":["Conv"]}}`, "onnxruntime", "nodes_to_exclude"},
	} {
		_, list := Parse("other.json", []byte(tt.file))
		if len(list) != 1 || list[0].Code != "foreign-file" || !strings.Contains(list[0].Message.String(), "of "+tt.name) ||
			!strings.Contains(list[0].Fix.String(), tt.word) || !strings.Contains(list[0].Fix.String(), "narrow init") {
			t.Errorf("%s: %v", tt.file, list)
		}
	}
	for _, own := range []string{
		`{}`, `[]`, `{"compression": 1}`, `{"defaults": {}}`, `{"exclude": ["a"]}`,
		`{"target_device": "CPU", "global_quant_config": {}}`, `{"model_input": 1}`,
	} {
		_, list := Parse("own.json", []byte(own))
		for _, f := range list {
			if f.Code == "foreign-file" {
				t.Errorf("%s: %v", own, f)
			}
		}
	}
}
