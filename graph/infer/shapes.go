package infer

import (
	"math"
	"slices"

	"narrow/graph"
	"narrow/graph/op"
)

// elementwise operators broadcast their inputs.
var elementwise = []string{
	"Add", "Sub", "Mul", "Div", "Pow", "Mod", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual",
	"And", "Or", "Xor", "Min", "Max", "Sum", "Mean", "Where", "PRelu", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor",
	"StringConcat",
}

// likeFirst operators put out the shape of their first input.
var likeFirst = []string{
	"Identity", "Relu", "LeakyRelu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Elu", "Selu", "Celu", "Softplus",
	"Softsign", "Mish", "Gelu", "FastGelu", "QuickGelu", "BiasGelu", "Swish", "ThresholdedRelu", "Shrink", "Erf", "Exp",
	"Log", "Sqrt", "Reciprocal", "Neg", "Abs", "Sign", "Floor", "Ceil", "Round", "Not", "BitwiseNot", "Sin", "Cos", "Tan",
	"Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh", "IsNaN", "IsInf", "Cast", "CastLike", "BitCast",
	"Clip", "Softmax", "LogSoftmax", "Hardmax", "BatchNormalization", "InstanceNormalization", "LayerNormalization",
	"GroupNormalization", "RMSNormalization", "LpNormalization", "MeanVarianceNormalization", "LRN", "Dropout",
	"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "CumSum", "CumProd", "Trilu", "ScatterElements",
	"Scatter", "ScatterND", "EyeLike", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "ReverseSequence", "Tap",
	"RotaryEmbedding", "TensorScatter", "SequenceErase",
}

// Bounds that keep absurd numbers in a file from becoming large loops.
const (
	maxRank = 64
	maxDim  = 1 << 40
)

func (f *frame) nodeShapes(n *graph.Node) {
	if len(n.Outputs) == 0 || n.Domain != "" && !passesThrough(n) {
		return
	}
	x := f.shapeOf(n.Input(0))
	switch {
	case slices.Contains(likeFirst, n.OpType):
		f.setShape(n, 0, x)
		f.extraOutputs(n, x)
		return
	case slices.Contains(elementwise, n.OpType):
		f.setShape(n, 0, f.broadcastInputs(n))
		return
	}
	second := f.shapeOf(n.Input(1))
	switch n.OpType {
	case "Conv", "ConvInteger":
		f.setShape(n, 0, f.conv(n, x, second))
	case "QLinearConv":
		f.setShape(n, 0, f.conv(n, x, f.shapeOf(n.Input(3))))
	case "DeformConv":
		f.setShape(n, 0, f.conv(n, x, second))
	case "ConvTranspose":
		f.setShape(n, 0, f.convTranspose(n, x, second))
	case "MaxPool", "AveragePool", "LpPool":
		out := f.pool(n, x)
		f.setShape(n, 0, out)
		f.setShape(n, 1, out)
	case "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool":
		if len(x) >= 2 {
			out := slices.Clone(x)
			for i := 2; i < len(out); i++ {
				out[i] = graph.Dim{Size: 1}
			}
			f.setShape(n, 0, out)
		}
	case "Gemm":
		out := openShape(2)
		a, b := op.Trans(n)
		if len(x) == 2 {
			out[0] = x[a]
		}
		if len(second) == 2 {
			out[1] = second[1-b]
		}
		f.setShape(n, 0, out)
	case "MatMul", "MatMulInteger":
		f.setShape(n, 0, matMul(x, second))
	case "QLinearMatMul":
		f.setShape(n, 0, matMul(x, f.shapeOf(n.Input(3))))
	case "Reshape":
		f.setShape(n, 0, f.reshape(n, x))
	case "Flatten":
		f.setShape(n, 0, flatten(n, x))
	case "Transpose":
		f.setShape(n, 0, transpose(n, x))
	case "Concat":
		f.setShape(n, 0, f.concat(n))
	case "Split":
		f.split(n, x)
	case "Slice":
		f.setShape(n, 0, f.slice(n, x))
	case "Pad":
		f.setShape(n, 0, f.pad(n, x))
	case "Resize", "Upsample":
		f.setShape(n, 0, f.resize(n, x))
	case "Squeeze":
		f.setShape(n, 0, f.squeeze(n, x))
	case "Unsqueeze":
		f.setShape(n, 0, f.unsqueeze(n, x))
	case "Gather":
		if x != nil && second != nil {
			if axis, ok := axisOf(n.Int("axis", 0), len(x)); ok {
				f.setShape(n, 0, join(x[:axis], second, x[axis+1:]))
			}
		}
	case "GatherElements":
		f.setShape(n, 0, second)
	case "GatherND":
		f.setShape(n, 0, gatherND(n, x, second))
	case "Shape":
		if x != nil {
			start, end := clampRange(n.Int("start", 0), n.Int("end", math.MaxInt64), int64(len(x)))
			f.setShape(n, 0, fixed([]int64{max(end-start, 0)}))
		} else {
			f.setShape(n, 0, openShape(1))
		}
	case "Size":
		f.setShape(n, 0, []graph.Dim{})
	case "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSum",
		"ReduceLogSumExp", "ReduceSumSquare":
		f.setShape(n, 0, f.reduce(n, x))
	case "ArgMax", "ArgMin":
		if axis, ok := axisOf(n.Int("axis", 0), len(x)); ok {
			f.setShape(n, 0, drop(x, []int64{int64(axis)}, n.Int("keepdims", 1) != 0))
		}
	case "Expand":
		if v, ok := f.valueOf(n.Input(1)); ok && x != nil {
			f.setShape(n, 0, broadcast(x, dims(v)))
		}
	case "Tile":
		f.setShape(n, 0, f.tile(n, x))
	case "ConstantOfShape":
		if v, ok := f.valueOf(n.Input(0)); ok {
			f.setShape(n, 0, dims(v))
		} else if len(x) == 1 && x[0].Size >= 0 && x[0].Size <= maxRank {
			f.setShape(n, 0, openShape(int(x[0].Size)))
		}
	case "RandomNormal", "RandomUniform":
		f.setShape(n, 0, fixed(n.Ints("shape")))
	case "Range":
		f.setShape(n, 0, []graph.Dim{f.rangeLen(n)})
	case "NonZero":
		if x != nil {
			f.setShape(n, 0, []graph.Dim{{Size: int64(len(x))}, open})
		}
	case "TopK":
		f.topK(n, x)
	case "OneHot":
		f.oneHot(n, x)
	case "DepthToSpace", "SpaceToDepth":
		f.setShape(n, 0, depthSpace(n, x))
	case "LSTM", "GRU", "RNN":
		f.recurrent(n, x)
	case "Einsum":
		f.setShape(n, 0, f.einsum(n))
	case "NonMaxSuppression":
		f.setShape(n, 0, []graph.Dim{open, {Size: 3}})
	case "GridSample":
		if len(x) >= 2 && len(second) == len(x) {
			f.setShape(n, 0, join(x[:2], second[1:len(second)-1]))
		}
	case "MaxRoiPool":
		if size := n.Ints("pooled_shape"); len(x) == 4 && len(second) == 2 && len(size) == 2 {
			f.setShape(n, 0, join(second[:1], x[1:2], fixed(size)))
		}
	case "RoiAlign":
		if len(x) == 4 && len(second) == 2 {
			f.setShape(n, 0, []graph.Dim{second[0], x[1], {Size: n.Int("output_height", 1)}, {Size: n.Int("output_width", 1)}})
		}
	case "Attention":
		f.attention(n, x)
	case "Compress":
		if a := n.Attr("axis"); a == nil {
			f.setShape(n, 0, []graph.Dim{open})
		} else if axis, ok := axisOf(a.Int, len(x)); ok {
			out := slices.Clone(x)
			out[axis] = open
			f.setShape(n, 0, out)
		}
	}
}

// extraOutputs shapes the outputs of likeFirst operators beyond the first.
func (f *frame) extraOutputs(n *graph.Node, x []graph.Dim) {
	switch n.OpType {
	case "Dropout":
		f.setShape(n, 1, x)
	case "DynamicQuantizeLinear":
		f.setShape(n, 1, []graph.Dim{})
		f.setShape(n, 2, []graph.Dim{})
	case "BatchNormalization":
		for i := 1; i < len(n.Outputs); i++ {
			f.setShape(n, i, f.shapeOf(n.Input(3)))
		}
	case "LayerNormalization":
		axis, ok := axisOf(n.Int("axis", -1), len(x))
		if !ok {
			return
		}
		stats := slices.Clone(x)
		for i := axis; i < len(stats); i++ {
			stats[i] = graph.Dim{Size: 1}
		}
		f.setShape(n, 1, stats)
		f.setShape(n, 2, stats)
	}
}

func matMul(a, b []graph.Dim) []graph.Dim {
	if len(a) == 0 || len(b) == 0 {
		return nil
	}
	rowA, columnB := len(a) == 1, len(b) == 1
	if rowA {
		a = join(fixed([]int64{1}), a)
	}
	if columnB {
		b = join(b, fixed([]int64{1}))
	}
	batch := broadcast(a[:len(a)-2], b[:len(b)-2])
	if batch == nil {
		return nil
	}
	if !rowA {
		batch = append(batch, a[len(a)-2])
	}
	if !columnB {
		batch = append(batch, b[len(b)-1])
	}
	return batch
}
