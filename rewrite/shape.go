package rewrite

import "narrow/graph"

// alike are operators whose result has the rank and the type of their first
// input. They matter for values that rules made; package infer knows the
// others.
var alike = map[string]bool{
	"Relu": true, "LeakyRelu": true, "PRelu": true, "Elu": true, "Selu": true, "Celu": true, "Clip": true, "Sigmoid": true,
	"Tanh": true, "HardSigmoid": true, "HardSwish": true, "Softmax": true, "LogSoftmax": true, "Gelu": true, "Mish": true,
	"Softplus": true, "Erf": true, "Exp": true, "Log": true, "Sqrt": true, "Neg": true, "Abs": true, "Identity": true,
	"Dropout": true, "BatchNormalization": true, "LayerNormalization": true, "InstanceNormalization": true,
	"GroupNormalization": true, "LRN": true, "MaxPool": true, "AveragePool": true, "GlobalAveragePool": true,
	"GlobalMaxPool": true, "Pad": true, "Resize": true, "Upsample": true, "Concat": true, "Slice": true, "DepthToSpace": true,
	"SpaceToDepth": true, "Conv": true, "ConvTranspose": true, "Transpose": true,
}

// rank returns the number of dimensions of v, or -1 where that is not known.
func (w *work) rank(v string) int {
	if t := w.ix.Constant[v]; t != nil {
		return len(t.Dims)
	}
	if s := w.shapes[v]; s != nil {
		return len(s)
	}
	if r, ok := w.ranks[v]; ok {
		return r
	}
	w.ranks[v] = -1 // while we look, and against cycles
	r := w.rankBehind(w.ix.Producer[v])
	w.ranks[v] = r
	return r
}

func (w *work) rankBehind(n *graph.Node) int {
	if n == nil || n.Domain != "" {
		return -1
	}
	switch {
	case n.Is("Conv", "ConvTranspose"):
		return w.rank(n.Input(1))
	case n.Is("Gemm", "Flatten"):
		return 2
	case n.Is("Transpose") && n.Ints("perm") != nil:
		return len(n.Ints("perm"))
	case alike[n.OpType]:
		return w.rank(n.Input(0))
	case n.Is("Reshape"):
		if shape, ok := w.ints(n.Input(1)); ok {
			return len(shape)
		}
	case n.Is("Add", "Sub", "Mul", "Div"):
		if a, b := w.rank(n.Input(0)), w.rank(n.Input(1)); a >= 0 && b >= 0 {
			return max(a, b)
		}
	case n.Is("MatMul"):
		if a, b := w.rank(n.Input(0)), w.rank(n.Input(1)); a >= 2 && b >= 2 {
			return max(a, b)
		}
	}
	return -1
}

// typeOf returns the element type of v, or graph.Undefined where that is not
// known.
func (w *work) typeOf(v string) graph.DataType {
	for range 64 { // deeper than any chain without a type in the file
		if t := w.ix.Constant[v]; t != nil {
			return t.Type
		}
		if t := w.types[v]; t != graph.Undefined {
			return t
		}
		p := w.ix.Producer[v]
		switch {
		case p == nil || p.Domain != "":
			return graph.Undefined
		case p.Is("Cast"):
			return graph.DataType(p.Int("to", 0))
		case p.Is("Shape", "Size"):
			return graph.Int64
		case alike[p.OpType] && v == p.Outputs[0], p.Is("Add", "Sub", "Mul", "Div", "MatMul", "Gemm", "Reshape", "Flatten", "Squeeze", "Unsqueeze"):
			v = p.Input(0)
		default:
			return graph.Undefined
		}
	}
	return graph.Undefined
}

// static returns the sizes of v where all of them are known.
func (w *work) static(v string) ([]int64, bool) {
	if t := w.ix.Constant[v]; t != nil {
		return t.Dims, true
	}
	s := w.shapes[v]
	if s == nil {
		return nil, false
	}
	dims := make([]int64, len(s))
	for i, d := range s {
		if d.Size < 0 {
			return nil, false
		}
		dims[i] = d.Size
	}
	return dims, true
}
