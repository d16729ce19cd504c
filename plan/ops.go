package plan

import (
	"narrow/graph/op"
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

// ChannelAxis returns the axis of a weight tensor's output channels, which
// [Tensor.Axis] tells only where each has a scale of its own; -1 for other
// tensors, and for weights without axes.
func (t *Tensor) ChannelAxis() int {
	if t.Constant == nil || t.Kind != scheme.Weights || len(t.Constant.Dims) == 0 {
		return -1
	}
	return op.WeightAxis(t.Uses[0].Node, t.Uses[0].Input, len(t.Constant.Dims))
}
