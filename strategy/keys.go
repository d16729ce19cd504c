package strategy

import (
	"fmt"
	"strconv"

	"narrow/scheme"
)

// Key is one of the eleven settings of a tensor. The zero value is invalid.
type Key int

// The settings, in the order of the format's documentation.
const (
	KeyDatatype Key = iota + 1
	KeyBitWidth
	KeyMethod
	KeyPercentage
	KeyRoundMode
	KeySymmetry
	KeyPerChannel
	KeySigned
	KeyNarrowRange
	KeyScaleType
	KeyStatistic

	keyEnd
)

// Keys returns all settings in order.
func Keys() []Key {
	ks := make([]Key, 0, keyEnd-1)
	for k := KeyDatatype; k < keyEnd; k++ {
		ks = append(ks, k)
	}
	return ks
}

// String returns the key's spelling in a strategy file.
func (k Key) String() string {
	if k < KeyDatatype || k >= keyEnd {
		return fmt.Sprintf("Key(%d)", int(k))
	}
	return settingTable[k].name
}

// MarshalText writes the key's spelling in a strategy file.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// valueType is what a key takes.
type valueType int

const (
	boolValue valueType = iota + 1
	intValue
	numberValue
	enumValue
	kindsValue
	settingsValue
	tensorsValue
	rulesValue
	nameValue  // a string or null
	namesValue // a string, a list of strings, or null
)

// field describes one key of the format: the parser, the formatter and the
// schema go by it.
type field struct {
	name string
	typ  valueType
	doc  string
	// names are an enum's values, in order.
	names []string
	// min and max bound a number, both included unless openMin is set.
	min, max float64
	openMin  bool
	// required keys must be there.
	required bool
}

// settingTable describes the settings, by Key.
var settingTable = [keyEnd]field{
	KeyDatatype: {name: "datatype", typ: enumValue, names: scheme.DatatypeNames(),
		doc: "What the tensor is stored as. All other settings count only for int."},
	KeyBitWidth: {name: "bit_width", typ: intValue, min: 2, max: 32,
		doc: "Bits of an integer."},
	KeyMethod: {name: "method", typ: enumValue, names: scheme.MethodNames(),
		doc: "How the clipping range is found. With scale_type float: maxmin, percentile, entropy or mse; with poweroftwo: diffs or maxmin."},
	KeyPercentage: {name: "percentage", typ: numberValue, min: 0, max: 100, openMin: true,
		doc: "How many percent of the values lie inside the clipping range. Counts only for the method percentile."},
	KeyRoundMode: {name: "round_mode", typ: enumValue, names: scheme.RoundModeNames(),
		doc: "Where ties go: half_even to the even neighbour, half_up towards +infinity, half_down towards zero, std_round away from zero. The default is std_round, and half_up for activation."},
	KeySymmetry: {name: "symmetry", typ: boolValue,
		doc: "Symmetric quantization: no zero point."},
	KeyPerChannel: {name: "per_channel", typ: boolValue,
		doc: "One scale per output channel; for weights only."},
	KeySigned: {name: "signed", typ: boolValue,
		doc: "Signed integers."},
	KeyNarrowRange: {name: "narrow_range", typ: boolValue,
		doc: "Leave out the smallest signed integer, so that the range is symmetric."},
	KeyScaleType: {name: "scale_type", typ: enumValue, names: scheme.ScaleTypeNames(),
		doc: "Which numbers a scale can be: any, or powers of two."},
	KeyStatistic: {name: "calib_statistic_method", typ: enumValue, names: scheme.StatisticNames(),
		doc: "How the scales of several batches are joined; for input and activation only. modal goes with poweroftwo; max, mean and median with float."},
}

// The keys of a file, in order.
const (
	keyReLU6       = "convert_relu6_to_relu"
	keySiLU        = "convert_silu_to_hswish"
	keyCLE         = "include_cle"
	keyBiasCorr    = "include_bias_corr"
	keyFirstLast   = "keep_first_last_layer_accuracy"
	keyAdd         = "keep_add_layer_accuracy"
	keyTarget      = "target_device"
	keyOpset       = "onnx_opset_version"
	keyConcatFix   = "change_concat_input_fix"
	keyPoolFix     = "change_pool_input_fix"
	keyKinds       = "quantizable_data_type"
	keyOverall     = "overall_quantize_config"
	keyTensor      = "tensor_quantize_config"
	keyLayers      = "layer_quantize_config"
	keyLayerType   = "layer_type"
	keyLayerName   = "layer_name"
	aliasDatatype  = "data_type"
	maxOpset       = 99
	defaultPercent = 99.99
)

// fileTable describes the top-level keys.
var fileTable = []field{
	{name: keyReLU6, typ: boolValue, doc: "Replace ReLU6 by ReLU before calibration."},
	{name: keySiLU, typ: boolValue, doc: "Replace SiLU (x*sigmoid(x)) by HardSwish before calibration."},
	{name: keyCLE, typ: boolValue, doc: "Cross-layer equalization before calibration."},
	{name: keyBiasCorr, typ: boolValue, doc: "Bias correction."},
	{name: keyFirstLast, typ: boolValue, doc: "The first and the last layer with weights stay float32."},
	{name: keyAdd, typ: boolValue, doc: "Outputs of Add are not quantized."},
	{name: keyTarget, typ: enumValue, names: scheme.TargetNames(), doc: "The device whose restrictions apply."},
	{name: keyOpset, typ: intValue, min: 1, max: maxOpset, doc: "Opset version of the exported ONNX model."},
	{name: keyConcatFix, typ: boolValue, doc: "The inputs of Concat take the scale of its output."},
	{name: keyPoolFix, typ: boolValue, doc: "The input of a pooling takes the scale of its output."},
	{name: keyKinds, typ: kindsValue, doc: "Which kinds of tensors are quantized."},
	{name: keyOverall, typ: settingsValue, doc: "Settings for every tensor."},
	{name: keyTensor, typ: tensorsValue, doc: "Settings for one kind of tensor, over the overall ones."},
	{name: keyLayers, typ: rulesValue, doc: "Settings for single layers, over those of the model. A rule by name beats a rule by type; of two rules of one sort the later one wins."},
}

// ruleTable describes the keys of a layer rule.
var ruleTable = []field{
	{name: keyLayerType, typ: nameValue, doc: "Which layers: a torch class (torch.nn.Conv2d, nn.Conv2d or Conv2d), a torch function (matmul, torch.cat, F.relu) or an ONNX operator (Conv, Gemm). Set this or layer_name; the other is null."},
	{name: keyLayerName, typ: namesValue, doc: `Which layer: an ONNX node name, a torch module path (layer1.0.conv1), or a name from the listing that calibration writes (ResNet::ResNet/Conv2d[conv1]/input.2). Also a pattern (model.22.*, /head/**: * within a part of a path, ** across), or a list of names, which vai_q_pytorch does not take. Set this or layer_type; the other is null.`},
	{name: keyKinds, typ: kindsValue, doc: "Which kinds of tensors of the layer the rule is for. The others keep the model's settings.", required: true},
	{name: keyOverall, typ: settingsValue, doc: "Settings for every tensor of the layer that the rule is for. What is left out is inherited from the model.", required: true},
	{name: keyTensor, typ: tensorsValue, doc: "Settings for one kind of tensor of the layer, over the overall ones."},
}

// Defaults returns the settings that a kind of tensor has when no file says
// otherwise. They suit the DPU, whatever the target device is.
func Defaults(kind scheme.Kind) scheme.Settings {
	s := scheme.Settings{
		Datatype: scheme.Int, BitWidth: 8, Method: scheme.Diffs, Percentage: defaultPercent,
		RoundMode: scheme.StdRound, Symmetry: true, Signed: true,
		ScaleType: scheme.PowerOfTwo, Statistic: scheme.Modal,
	}
	if kind == scheme.Activation {
		s.RoundMode = scheme.HalfUp
	}
	return s
}

// copyKey sets one setting of dst to that of src.
func copyKey(dst, src *scheme.Settings, k Key) {
	switch k {
	case KeyDatatype:
		dst.Datatype = src.Datatype
	case KeyBitWidth:
		dst.BitWidth = src.BitWidth
	case KeyMethod:
		dst.Method = src.Method
	case KeyPercentage:
		dst.Percentage = src.Percentage
	case KeyRoundMode:
		dst.RoundMode = src.RoundMode
	case KeySymmetry:
		dst.Symmetry = src.Symmetry
	case KeyPerChannel:
		dst.PerChannel = src.PerChannel
	case KeySigned:
		dst.Signed = src.Signed
	case KeyNarrowRange:
		dst.NarrowRange = src.NarrowRange
	case KeyScaleType:
		dst.ScaleType = src.ScaleType
	case KeyStatistic:
		dst.Statistic = src.Statistic
	}
}

// setEnum sets an enum setting to its i-th value, counted from 0.
func setEnum(dst *scheme.Settings, k Key, i int) {
	switch k {
	case KeyDatatype:
		dst.Datatype = scheme.Datatype(i + 1)
	case KeyMethod:
		dst.Method = scheme.Method(i + 1)
	case KeyRoundMode:
		dst.RoundMode = scheme.RoundMode(i + 1)
	case KeyScaleType:
		dst.ScaleType = scheme.ScaleType(i + 1)
	case KeyStatistic:
		dst.Statistic = scheme.Statistic(i + 1)
	}
}

// setBool sets a boolean setting.
func setBool(dst *scheme.Settings, k Key, v bool) {
	switch k {
	case KeySymmetry:
		dst.Symmetry = v
	case KeyPerChannel:
		dst.PerChannel = v
	case KeySigned:
		dst.Signed = v
	case KeyNarrowRange:
		dst.NarrowRange = v
	}
}

// Value returns the text of one setting as a strategy file writes it, strings
// without their quotes.
func Value(s scheme.Settings, k Key) string {
	switch k {
	case KeyDatatype:
		return s.Datatype.String()
	case KeyBitWidth:
		return strconv.Itoa(s.BitWidth)
	case KeyMethod:
		return s.Method.String()
	case KeyPercentage:
		return strconv.FormatFloat(s.Percentage, 'f', -1, 64)
	case KeyRoundMode:
		return s.RoundMode.String()
	case KeySymmetry:
		return strconv.FormatBool(s.Symmetry)
	case KeyPerChannel:
		return strconv.FormatBool(s.PerChannel)
	case KeySigned:
		return strconv.FormatBool(s.Signed)
	case KeyNarrowRange:
		return strconv.FormatBool(s.NarrowRange)
	case KeyScaleType:
		return s.ScaleType.String()
	case KeyStatistic:
		return s.Statistic.String()
	}
	return ""
}

// jsonValue returns the text of one setting as JSON.
func jsonValue(s scheme.Settings, k Key) string {
	if settingTable[k].typ == enumValue {
		return strconv.Quote(Value(s, k))
	}
	return Value(s, k)
}
