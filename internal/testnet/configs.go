package testnet

// Configs are strategies for the bundled network that between them have most of
// what a strategy can ask for.
var Configs = map[string]string{
	"default": "{}",
	"per channel": `{"target_device": "CPU",
		"overall_quantize_config": {"method": "maxmin", "scale_type": "float", "calib_statistic_method": "max", "round_mode": "half_even"},
		"tensor_quantize_config": {"weights": {"per_channel": true}, "activation": {"symmetry": false, "method": "percentile", "percentage": 99.9}}}`,
	"bfloat16": `{"target_device": "CPU", "overall_quantize_config": {"datatype": "bfloat16"}}`,
	"rules": `{"target_device": "CPU", "convert_relu6_to_relu": true, "include_bias_corr": false, "layer_quantize_config": [
		{"layer_type": "Linear", "layer_name": null, "quantizable_data_type": ["weights", "bias", "activation"], "overall_quantize_config": {"bit_width": 16}}]}`,
}
