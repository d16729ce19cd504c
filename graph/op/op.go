// Package op holds facts about operators: which of their inputs are data,
// weights and bias, along which axes channels lie, how windows slide, and
// which operators only move values.
//
// Rule of the house: an axis, a group, a window or a transposed factor is
// worked out here and nowhere else. The facts follow from a node's attributes
// and the shape of its weights; nothing here knows what is quantized.
package op

import "narrow/graph"

// movers are the operators that move values without changing them.
var movers = map[string]bool{
	"Flatten": true, "Reshape": true, "Squeeze": true, "Unsqueeze": true, "Transpose": true,
	"Slice": true, "Split": true, "Identity": true, "Dropout": true, "Expand": true, "Tile": true,
	"DepthToSpace": true, "SpaceToDepth": true,
}

// Moves reports whether n moves the values of its first input, or copies them,
// without changing any.
func Moves(n *graph.Node) bool { return n.Domain == "" && movers[n.OpType] }

// Inputs are the places of a weighted operator's inputs, -1 where it has none.
type Inputs struct {
	Data, Weights, Bias int
}

// InputsOf returns where a weighted operator reads what: an operator that
// applies constants of its own to its data. constant tells which values are
// constants. ok is false for other operators, and for products of two values
// that are computed.
func InputsOf(n *graph.Node, constant func(value string) bool) (in Inputs, ok bool) {
	if n.Domain != "" {
		return Inputs{}, false
	}
	switch n.OpType {
	case "Conv", "ConvTranspose", "Gemm", "BatchNormalization", "LayerNormalization", "InstanceNormalization", "GroupNormalization":
		in = Inputs{0, 1, 2}
	case "PRelu", "MatMul":
		in = Inputs{0, 1, -1}
	default:
		return Inputs{}, false
	}
	switch {
	case constant(n.Input(in.Weights)):
		return in, true
	case n.OpType == "MatMul" && constant(n.Input(0)):
		return Inputs{1, 0, -1}, true
	}
	return Inputs{}, false
}

// WeightAxis returns the axis of the output channels in a weighted operator's
// weights of rank r, which it reads as that input. ConvTranspose holds them
// (those of one group) second; Gemm's B is [out, in] only with transB; a
// MatMul's constant is [..., in, out], or as the left factor [..., out, in].
func WeightAxis(n *graph.Node, input, r int) int {
	switch n.OpType {
	case "ConvTranspose":
		return 1
	case "Gemm":
		_, b := Trans(n)
		return 1 - b
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

// ChannelsPerGroup reports whether the axis of the output channels in n's
// weights counts those of one group only, although there are more groups.
func ChannelsPerGroup(n *graph.Node) bool {
	return n.Is("ConvTranspose") && Groups(n) != 1
}

// Groups returns into how many groups a convolution divides its channels.
func Groups(n *graph.Node) int { return int(n.Int("group", 1)) }

// Trans returns 1 for each factor of a Gemm that is transposed, else 0.
func Trans(n *graph.Node) (a, b int) {
	if n.Int("transA", 0) != 0 {
		a = 1
	}
	if n.Int("transB", 0) != 0 {
		b = 1
	}
	return a, b
}

// PlainSum reports whether n adds its bias to the products of data and
// weights as they are: a Gemm may scale both.
func PlainSum(n *graph.Node) bool {
	return n.OpType != "Gemm" || n.Float("alpha", 1) == 1 && n.Float("beta", 1) == 1
}
