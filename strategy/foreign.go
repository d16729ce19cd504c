package strategy

import (
	"slices"
	"strings"

	"narrow/diag"
)

// foreign is the configuration of another quantizer, told by its keys.
type foreign struct {
	name string
	// keys are those of which some stand at the top, or in the object in.
	keys []string
	in   string
	// words says what its exclusions and widths are called here.
	words diag.Text
}

// foreigns are the formats that people bring along: files of Quark (with the
// quantization_config of a checkpoint, too), PPQ, NNCF, AIMET, and of ONNX
// Runtime as optimum and transformers.js write them.
func foreigns() []foreign {
	quark := diag.Textf("exclude becomes layer rules with datatype float32, layer_quant_config and layer_type_quant_config layer rules by layer_name and layer_type, weight and input_tensors the kinds weights and activation, dtype the keys datatype and bit_width")
	ort := diag.Textf("nodes_to_exclude becomes layer rules with datatype float32, operators_to_quantize layer rules by layer_type, weight_type and activation_type the bit_width and signed of the kinds weights and activation")
	return []foreign{
		{"Quark", []string{"global_quant_config", "layer_type_quant_config", "layer_quant_config"}, "", quark},
		{"Quark", []string{"global_quant_config", "layer_type_quant_config", "layer_quant_config"}, "quantization_config", quark},
		{"PPQ", []string{"dispatching_table", "dispatchings"}, "", diag.Textf("operations that dispatching_table sends to FP32 become layer rules with datatype float32, other platforms the bit_width of a rule")},
		{"NNCF", []string{"compression", "input_info"}, "", diag.Textf("ignored_scopes become layer rules with datatype float32, bits becomes bit_width, mode symmetry, and scope_overrides layer rules by layer_name")},
		{"AIMET", []string{"defaults", "supergroups", "op_type", "model_input", "model_output"}, "", diag.Textf("is_quantized False becomes datatype float32 in tensor_quantize_config or a layer rule, op_type layer rules by layer_type, is_symmetric symmetry")},
		{"AIMET", []string{"activation_encodings", "param_encodings"}, "", diag.Textf("encodings are a result, not a strategy: bitwidth becomes bit_width, is_symmetric symmetry; the ranges are found again by calib")},
		{"onnxruntime", []string{"nodes_to_exclude", "op_types_to_quantize", "operators_to_quantize", "activation_type", "weight_type", "per_model_config", "TensorQuantOverrides"}, "", ort},
		{"onnxruntime", []string{"nodes_to_exclude", "operators_to_quantize", "activations_dtype", "weights_dtype"}, "quantization", ort},
	}
}

// enough is how many of a format's keys tell that a file is of it; one that no
// other format has is enough by itself.
const enough = 2

// alone are keys that tell a format by themselves.
var alone = []string{
	"global_quant_config", "layer_type_quant_config", "dispatching_table", "dispatchings", "supergroups", "activation_encodings",
	"nodes_to_exclude", "operators_to_quantize", "op_types_to_quantize", "per_model_config", "TensorQuantOverrides",
}

// foreign reports a file of another quantizer as the one mistake that it is,
// and whether it is one. A file with a key of this format's own is none.
func (p *parser) foreign(root *node) bool {
	if root == nil || root.typ != objectNode {
		return false
	}
	for _, m := range root.members {
		if find(fileTable, m.key) != nil {
			return false
		}
	}
	for _, f := range foreigns() {
		object := root
		if f.in != "" {
			if object = valueOf(root, f.in); object == nil || object.typ != objectNode {
				continue
			}
		}
		var first *member
		count := 0
		for _, m := range object.members {
			if !slices.Contains(f.keys, m.key) || m.key == "compression" && !isCompression(m.val) {
				continue
			}
			if first == nil {
				first = m
			}
			if count++; slices.Contains(alone, m.key) || m.key == "compression" {
				count = enough
			}
			if count >= enough {
				break
			}
		}
		if count < enough {
			continue
		}
		path := "$"
		if f.in != "" {
			path = join(path, f.in)
		}
		p.error("foreign-file", p.t.rng(first.keySpan), join(path, first.key),
			diag.Textf("this is no strategy file of vai_q_pytorch, but looks like a configuration of %s", f.name),
			diag.Textf("narrow init writes a strategy file to begin with; in it %s", f.words))
		return true
	}
	return false
}

// isCompression reports whether a value is NNCF's: algorithms, one or a list.
func isCompression(n *node) bool {
	if n.typ == objectNode {
		return valueOf(n, "algorithm") != nil
	}
	return slices.ContainsFunc(n.elems, func(e *node) bool { return e.typ == objectNode && valueOf(e, "algorithm") != nil })
}

// valueOf returns the value of a key, nil where there is none.
func valueOf(n *node, key string) *node {
	for _, m := range n.members {
		if strings.EqualFold(m.key, key) {
			return m.val
		}
	}
	return nil
}
