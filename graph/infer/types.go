package infer

import (
	"narrow/graph"
)

// outputTypes are the operators whose outputs have types of their own; an
// entry of 0 is the type of the first input, which all operators have that are
// not named here or in nodeTypes.
var outputTypes = map[string][]graph.DataType{
	"Shape":                 {graph.Int64},
	"Size":                  {graph.Int64},
	"NonZero":               {graph.Int64},
	"ArgMax":                {graph.Int64},
	"ArgMin":                {graph.Int64},
	"NonMaxSuppression":     {graph.Int64},
	"SequenceLength":        {graph.Int64},
	"Equal":                 {graph.Bool},
	"Greater":               {graph.Bool},
	"GreaterOrEqual":        {graph.Bool},
	"Less":                  {graph.Bool},
	"LessOrEqual":           {graph.Bool},
	"And":                   {graph.Bool},
	"Or":                    {graph.Bool},
	"Xor":                   {graph.Bool},
	"Not":                   {graph.Bool},
	"IsNaN":                 {graph.Bool},
	"IsInf":                 {graph.Bool},
	"RegexFullMatch":        {graph.Bool},
	"OptionalHasElement":    {graph.Bool},
	"ConvInteger":           {graph.Int32},
	"MatMulInteger":         {graph.Int32},
	"MaxPool":               {0, graph.Int64},
	"TopK":                  {0, graph.Int64},
	"Unique":                {0, graph.Int64, graph.Int64, graph.Int64},
	"StringSplit":           {graph.String, graph.Int64},
	"TfIdfVectorizer":       {graph.Float32},
	"ImageDecoder":          {graph.Uint8},
	"DynamicQuantizeLinear": {graph.Uint8, 0, graph.Uint8},
}

// typedByInput are the operators whose output has the type of another input
// than the first.
var typedByInput = map[string]int{
	"Where":            1,
	"OneHot":           2,
	"CastLike":         1,
	"QLinearMatMul":    7,
	"QLinearConv":      7,
	"DequantizeLinear": 1,
}

// typedByAttr are the operators whose output type an attribute gives, and the
// type without it, 0 for that of the first input.
var typedByAttr = map[string]struct {
	attr    string
	without graph.DataType
}{
	"Cast":              {"to", 0},
	"BitCast":           {"to", 0},
	"RandomNormal":      {"dtype", graph.Float32},
	"RandomUniform":     {"dtype", graph.Float32},
	"RandomNormalLike":  {"dtype", 0},
	"RandomUniformLike": {"dtype", 0},
	"Bernoulli":         {"dtype", 0},
	"EyeLike":           {"dtype", 0},
	"Multinomial":       {"dtype", graph.Int32},
	"HannWindow":        {"output_datatype", graph.Float32},
	"HammingWindow":     {"output_datatype", graph.Float32},
	"BlackmanWindow":    {"output_datatype", graph.Float32},
	"MelWeightMatrix":   {"output_datatype", graph.Float32},
}

// nodeTypes sets the types of n's outputs.
func (f *frame) nodeTypes(n *graph.Node) {
	first := f.typeOf(n.Input(0))
	if n.Domain != "" && !passesThrough(n) {
		return
	}
	if f.sequenceTypes(n) {
		return
	}
	if types, ok := outputTypes[n.OpType]; ok {
		for i, t := range types {
			if t == 0 {
				t = first
			}
			f.setType(n, i, t)
		}
		return
	}
	if a, ok := typedByAttr[n.OpType]; ok {
		t := graph.DataType(n.Int(a.attr, 0))
		if t == 0 {
			t = a.without
		}
		if t == 0 {
			t = first
		}
		f.setType(n, 0, t)
		return
	}
	if i, ok := typedByInput[n.OpType]; ok {
		t := f.typeOf(n.Input(i))
		if d := graph.DataType(n.Int("output_dtype", 0)); d != 0 {
			t = d
		}
		f.setType(n, 0, t)
		return
	}
	switch n.OpType {
	case "QuantizeLinear":
		t := f.typeOf(n.Input(2))
		if t == 0 {
			t = graph.DataType(n.Int("output_dtype", int64(graph.Uint8)))
		}
		if t == 0 {
			t = graph.Uint8
		}
		f.setType(n, 0, t)
	case "Constant": // a tensor is handled before; this is sparse or of strings
		switch {
		case n.Attr("value_string") != nil || n.Attr("value_strings") != nil:
			f.setType(n, 0, graph.String)
		}
	case "ConstantOfShape":
		t := graph.Float32
		if a := n.Attr("value"); a != nil && a.Tensor != nil {
			t = a.Tensor.Type
		}
		f.setType(n, 0, t)
	case "Dropout":
		f.setType(n, 0, first)
		mask := graph.Bool
		if f.opset < 10 {
			mask = first
		}
		f.setType(n, 1, mask)
	case "LayerNormalization":
		f.setType(n, 0, first)
		stash := graph.DataType(n.Int("stash_type", int64(graph.Float32)))
		f.setType(n, 1, stash)
		f.setType(n, 2, stash)
	case "BatchNormalization":
		f.setType(n, 0, first)
		for i := 1; i < len(n.Outputs); i++ {
			f.setType(n, i, f.typeOf(n.Input(3)))
		}
	case "Attention":
		f.setType(n, 0, first)
		f.setType(n, 1, f.typeOf(n.Input(1)))
		f.setType(n, 2, f.typeOf(n.Input(2)))
		f.setType(n, 3, first)
	default:
		for i := range n.Outputs {
			f.setType(n, i, first)
		}
	}
}

// sequenceTypes handles the operators on sequences, whose element types are
// kept apart: a sequence has no type that graph.DataType could name.
func (f *frame) sequenceTypes(n *graph.Node) bool {
	seq := func(name string) graph.DataType {
		t, _ := lookup(f, func(f *frame) map[string]graph.DataType { return f.sequence }, name)
		return t
	}
	if len(n.Outputs) == 0 {
		return false
	}
	switch n.OpType {
	case "SequenceConstruct", "SplitToSequence":
		f.sequence[n.Outputs[0]] = f.typeOf(n.Input(0))
	case "SequenceEmpty":
		f.sequence[n.Outputs[0]] = graph.DataType(n.Int("dtype", int64(graph.Float32)))
	case "SequenceInsert", "SequenceErase":
		f.sequence[n.Outputs[0]] = seq(n.Input(0))
	case "SequenceAt", "ConcatFromSequence":
		f.setType(n, 0, seq(n.Input(0)))
	case "Identity", "Optional", "OptionalGetElement":
		if t := seq(n.Input(0)); t != 0 {
			f.sequence[n.Outputs[0]] = t
			return true
		}
		return false
	default:
		return false
	}
	return true
}

// passesThrough reports whether n, of a domain that is not the standard one,
// is known to be shaped and typed as the standard operator of its name, or as
// its first input.
func passesThrough(n *graph.Node) bool {
	switch n.Domain {
	case "narrow":
		return n.OpType == "Tap"
	case "com.microsoft":
		switch n.OpType {
		case "QuantizeLinear", "DequantizeLinear", "Gelu", "FastGelu", "QuickGelu", "BiasGelu":
			return true
		}
	}
	return false
}
