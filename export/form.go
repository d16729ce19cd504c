package export

import (
	"path/filepath"
	"slices"
	"strings"

	"narrow/diag"
	"narrow/graph"
	"narrow/plan"
	"narrow/scheme"
)

// Form is the runtime that a QDQ export is written for. The zero value stands
// for [ORT].
type Form int

const (
	// ORT is ONNX Runtime: pairs where it fuses, ties in scales, int32 biases. What
	// the file computes there is what a test of the calibration tells.
	ORT Form = iota + 1
	// OpenVINO has one pair at each place, the same scale and zero point in both
	// nodes, and biases in float32.
	OpenVINO
	// TensorRT has int8 pairs with a zero point of 0 for activations and for
	// weights, which stay float32 in front of their pair, and biases in float32.
	TensorRT
	// VitisAI is what AMD's NPU flow takes: int8 pairs with power-of-two scales
	// for everything, biases included, each with a scale of its own.
	VitisAI
)

// biasForm is how a form stores biases.
type biasForm int

const (
	// biasSums is int32 in units of the products that the bias is added to.
	biasSums biasForm = iota + 1
	// biasFloat is float32, with the values that the calibrated bias stands for.
	biasFloat
	// biasOwn is the calibrated integers with their own scale.
	biasOwn
)

// form is what an export for a runtime holds. A row of [forms] is the whole
// difference between two of them.
type form struct {
	name string
	// suffix ends the names of files.
	suffix string
	// fuse adds pairs that change no number and let ONNX Runtime compute in
	// integers, and keeps it from fusing what would change numbers.
	fuse bool
	// ties lets the two nodes of a pair differ, by a hair of the scale or by the
	// zero point, so that ties fall as the round mode asks.
	ties bool
	// everywhere has pairs behind operators that only move values too, whatever
	// reads them: the runtime's compiler takes an operator between two pairs.
	everywhere bool
	// unsigned stores signed 8-bit activations as uint8 where ONNX Runtime on
	// x86 needs that. False keeps them int8 everywhere.
	unsigned bool
	// fromFloat puts QuantizeLinear and DequantizeLinear behind float32 weights,
	// where the others store integers.
	fromFloat bool
	bias      biasForm
	// least is the narrowest type of constants, in bits, most the widest of all.
	least, most int
	// zeroPoint says that other zero points than 0 are taken, unsignedTypes that
	// uint8 and uint16 are, perChannel that a weight may have many scales.
	zeroPoint, unsignedTypes, perChannel bool
	// powerOfTwo asks for scales that are powers of two.
	powerOfTwo bool
	// half says that bfloat16 and float16 parts are taken.
	half bool
}

// forms returns the row of f.
func (f Form) form() form {
	switch f {
	case OpenVINO:
		return form{name: "openvino", suffix: "openvino.onnx", bias: biasFloat, least: 4, most: 32,
			zeroPoint: true, unsignedTypes: true, perChannel: true, half: true}
	case TensorRT:
		return form{name: "tensorrt", suffix: "tensorrt.onnx", fromFloat: true, bias: biasFloat, least: 8, most: 8,
			perChannel: true, half: true}
	case VitisAI:
		return form{name: "vitisai", suffix: "vitisai.onnx", everywhere: true, bias: biasOwn, least: 8, most: 8, powerOfTwo: true}
	}
	return form{name: "ort", suffix: "qdq.onnx", fuse: true, ties: true, unsigned: true, bias: biasSums, least: 4, most: 32,
		zeroPoint: true, unsignedTypes: true, perChannel: true, half: true}
}

// Forms returns the names that [ParseForm] reads.
func Forms() []string {
	var names []string
	for f := ORT; f <= VitisAI; f++ {
		names = append(names, f.String())
	}
	return names
}

// String returns the form's name, such as "ort".
func (f Form) String() string { return f.form().name }

// ParseForm reads a name of [Forms]; "" is ort.
func ParseForm(s string) (Form, error) {
	if s == "" {
		return ORT, nil
	}
	for f := ORT; f <= VitisAI; f++ {
		if f.String() == s {
			return f, nil
		}
	}
	return 0, diag.Errorf("the form is %q: it must be one of %s", s, diag.Commas(Forms()))
}

// FileName returns the name of the file that a model, by its path, is exported
// to: its own with .qdq.onnx, or .openvino.onnx and so on, for the ending.
func (f Form) FileName(model string) string {
	base := filepath.Base(model)
	return strings.TrimSuffix(base, filepath.Ext(base)) + "." + f.form().suffix
}

// refusal is why a form does not hold some tensors.
type refusal struct {
	code    string
	tensors []*plan.Tensor
	message func(n int, first diag.Text) diag.Text
	fix     diag.Text
}

// refuse adds an error for everything of the plan that the form does not hold,
// all at once, one for each reason.
func (q *qdq) refuse() {
	f := q.form
	name := diag.Verbatim(f.name)
	var wide, zero, unsigned, channels, powers, half []*plan.Tensor
	for _, t := range q.in.Plan.Tensors {
		s := t.Settings.Settings
		switch s.Datatype {
		case scheme.Float32:
			continue
		case scheme.BFloat16, scheme.Float16:
			if !f.half {
				half = append(half, t)
			}
			continue
		}
		if t.Kind == scheme.Bias && f.bias == biasFloat {
			continue
		}
		e := q.in.Encodings[t]
		if !holdsBits(e, f.most) {
			wide = append(wide, t)
		}
		switch {
		case !f.zeroPoint && (!s.Symmetry || slices.ContainsFunc(e.ZeroPoint, func(z int64) bool { return z != 0 })):
			zero = append(zero, t)
		case !f.unsignedTypes && e.Min >= 0:
			unsigned = append(unsigned, t)
		}
		if !f.perChannel && len(e.Scale) > 1 {
			channels = append(channels, t)
		}
		if f.powerOfTwo && e.FixPosition == nil {
			powers = append(powers, t)
		}
	}
	for _, r := range []refusal{
		{"form-bits", wide, func(n int, first diag.Text) diag.Text {
			return diag.Textf("%s takes integers of up to %d bits, and %d tensors have more, first %s", name, f.most, n, first)
		}, diag.Textf("a smaller bit_width in the strategy")},
		{"form-zero-point", zero, func(n int, first diag.Text) diag.Text {
			return diag.Textf("%s takes only zero points of 0, and %d tensors are asymmetric, first %s", name, n, first)
		}, diag.Textf(`"symmetry": true in the strategy`)},
		{"form-unsigned", unsigned, func(n int, first diag.Text) diag.Text {
			return diag.Textf("%s takes signed integers only, and %d tensors are unsigned, first %s", name, n, first)
		}, diag.Textf(`"signed": true in the strategy`)},
		{"form-channels", channels, func(n int, first diag.Text) diag.Text {
			return diag.Textf("%s takes one scale a tensor, and %d tensors have one a channel, first %s", name, n, first)
		}, diag.Textf(`"per_channel": false in the strategy`)},
		{"form-scale", powers, func(n int, first diag.Text) diag.Text {
			return diag.Textf("%s takes power-of-two scales only, and %d tensors have others, first %s", name, n, first)
		}, diag.Textf(`"scale_type": "poweroftwo" in the strategy, or none for the DPU's default`)},
		{"form-half", half, func(n int, first diag.Text) diag.Text {
			return diag.Textf("%s takes no bfloat16 or float16 parts, and %d tensors are such, first %s", name, n, first)
		}, diag.Textf("datatype int or float32 for them in the strategy")},
	} {
		if len(r.tensors) > 0 {
			q.list = append(q.list, diag.Finding{Severity: diag.Error, Code: r.code, Message: r.message(len(r.tensors), describe(r.tensors[0])), Fix: r.fix})
		}
	}
}

// holdsBits reports whether an encoding's integers fit a type of so many bits.
func holdsBits(e scheme.Encoding, bits int) bool {
	if e.Min < 0 {
		return e.Min >= -1<<(bits-1) && e.Max <= 1<<(bits-1)-1
	}
	return e.Max <= 1<<bits-1
}

// weightPair stores a weight as float32 with a pair behind, and returns the
// pair: the integers are computed by the runtime, and are those of values,
// which lie on the grid.
func (q *qdq) weightPair(t *plan.Tensor, values, scales []float32, zeros []int64, st storage, axis int, out string) []*graph.Node {
	var dims []int64
	var attrs []*graph.Attr
	if axis >= 0 {
		dims = []int64{int64(len(scales))}
		attrs = append(attrs, intAttr("axis", int64(axis)))
	}
	float := q.store(graph.NewFloats(t.Name+"_float", t.Constant.Dims, values))
	scale := q.store(graph.NewFloats(t.Name+"_scale", dims, scales))
	zero := q.store(pack(t.Name+"_zero_point", st.typ, dims, zeros))
	qn := q.node(ruleQDQ, "QuantizeLinear", t.Name+"/QuantizeLinear", q.fresh(t.Name+"_quantized"), []string{float, scale, zero}, attrs...)
	dn := q.node(ruleQDQ, "DequantizeLinear", t.Name+"/DequantizeLinear", out, []string{qn.Outputs[0], scale, zero}, attrs...)
	return []*graph.Node{qn, dn}
}
