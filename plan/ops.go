package plan

import (
	"narrow/graph"
	"narrow/scheme"
)

// quantizable are the standard operators whose results an integer quantizer
// follows, as in vai_q_pytorch 3.5 (nndctgraph_holder, QUANTIZABLE_OPS), in
// ONNX's names.
var quantizable = map[string]bool{
	"Conv": true, "ConvTranspose": true, "Gemm": true, "MatMul": true,
	"BatchNormalization": true, "LayerNormalization": true, "InstanceNormalization": true, "GroupNormalization": true,
	"Add": true, "Sub": true, "Mul": true, "Div": true, "Max": true, "Min": true, "Sum": true, "Sqrt": true,
	"AveragePool": true, "GlobalAveragePool": true, "MaxPool": true, "GlobalMaxPool": true,
	"ReduceMean": true, "ReduceMax": true, "ReduceMin": true, "ReduceSum": true, "Mean": true,
	"Concat": true, "Resize": true, "Upsample": true, "Pad": true,
	"HardSwish": true, "HardSigmoid": true, "Softmax": true, "PRelu": true, "Gelu": true, "Mish": true,
	compositeLinear: true,
}

// activation are the functions that join the group of the layer before them
// when that layer feeds nothing else.
var activation = map[string]bool{
	"Relu": true, "Clip": true, "LeakyRelu": true,
}

// passive are the operators that move values without changing them: they join
// the group before them, and the group's quantizer stands before, not behind,
// them.
var passive = map[string]bool{
	"Flatten": true, "Reshape": true, "Squeeze": true, "Unsqueeze": true, "Transpose": true,
	"Slice": true, "Split": true, "Identity": true, "Dropout": true, "Expand": true, "Tile": true,
	"DepthToSpace": true, "SpaceToDepth": true,
}

// weightInputs returns, for a weighted operator, which inputs hold the weights
// and the bias (-1 where there is none).
func weightInputs(n *graph.Node) (weights, bias int, ok bool) {
	if n.Domain != "" {
		return 0, 0, false
	}
	switch n.OpType {
	case "Conv", "ConvTranspose", "Gemm":
		return 1, 2, true
	case "BatchNormalization", "LayerNormalization", "InstanceNormalization", "GroupNormalization":
		return 1, 2, true
	case "PRelu":
		return 1, -1, true
	case "MatMul":
		return 1, -1, true
	}
	return 0, 0, false
}

// ChannelAxis returns the axis of a weight tensor's output channels, which
// [Tensor.Axis] tells only where each has a scale of its own; -1 for other
// tensors, and for weights without axes.
func (t *Tensor) ChannelAxis() int {
	if t.Constant == nil || t.Kind != scheme.Weights || len(t.Constant.Dims) == 0 {
		return -1
	}
	return weightAxis(t.Uses[0].Node, t.Uses[0].Input, len(t.Constant.Dims))
}

// weightAxis returns the output channel axis of a weight tensor of rank r.
// ConvTranspose holds its output channels (of one group) second; Gemm's B is
// [out, in] only with transB; MatMul's constant is [..., in, out].
func weightAxis(n *graph.Node, input, r int) int {
	switch n.OpType {
	case "ConvTranspose":
		return 1
	case "Gemm":
		if n.Int("transB", 0) != 0 {
			return 0
		}
		return 1
	case "MatMul":
		switch {
		case r < 2:
			return 0
		case input == 0:
			return r - 2
		}
		return r - 1
	}
	return 0
}
