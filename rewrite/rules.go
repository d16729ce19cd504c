package rewrite

import "narrow/graph"

// Options say which changes a network gets before calibration.
type Options struct {
	// ConvertRelu6 replaces ReLU6 by Relu (convert_relu6_to_relu).
	ConvertRelu6 bool
	// ConvertSilu replaces SiLU by HardSwish (convert_silu_to_hswish).
	ConvertSilu bool
	// Equalize equalizes convolutions in a row (include_cle).
	Equalize bool
	// Relu6 says what equalization does about ReLU6 that ConvertRelu6 left.
	// Zero means [Relu6Stops]. (vai_q_pytorch converts every ReLU6 whenever it
	// equalizes: set ConvertRelu6 for the same numbers.)
	Relu6 Relu6Way
	// Largest is for [Relu6Shared]: see [Equalizing.Largest].
	Largest map[string][]float32
	// DeviceArithmetic computes pooling and some activation functions with the
	// DPU's constants, as vai_q_pytorch does. Not exact.
	DeviceArithmetic bool
	// SpareNormalizations leaves those that are written out the network's own
	// means there.
	SpareNormalizations bool
	// EqualPads leaves a Pad of other widths on both sides, as vai_q_pytorch does.
	EqualPads bool
	// Values are constants that nodes make, as an engine computed them, see
	// [FoldConstants].
	Values map[string]*graph.Tensor
	// Functions equalize behind functions: see [EqualizeFunctions].
	Functions FunctionScales
	// Scales scale the channels of activations: see [MoveScales].
	Scales map[string][]int
	// Rounds is how often equalization goes through the network at most; 0 means
	// once.
	Rounds int
	// WeightsOnly leaves biases out of equalization, see [Equalizing].
	WeightsOnly bool
}

// Constants returns the rules that lead to the constants that nodes make: in
// [graph.Model.Unknown] of what comes out stand those that an engine must
// compute for [Options.Values].
func Constants() []Rule {
	return []Rule{RemoveIdentity(), RemoveDropout(), FoldConstants(nil)}
}

// Before returns the rules to apply before calibration, in their order. It is
// vai_q_pytorch's: activations are exchanged first, then BatchNormalization is
// folded, then weights are equalized. Pads are folded into convolutions only
// after that, since there a Pad ends a chain of convolutions.
func Before(o Options) []Rule {
	rules := []Rule{
		RemoveIdentity(),
		RemoveDropout(),
		FoldConstants(o.Values), // these three as in [Constants]
		RemoveNoopCast(),
		RemoveNoopPad(),
		RemoveNoopReshape(),
		FoldPadIntoPool(o.EqualPads),
	}
	if o.ConvertRelu6 {
		rules = append(rules, ConvertRelu6())
	}
	if o.ConvertSilu {
		rules = append(rules, ConvertSilu())
	}
	rules = append(rules, FoldBias(), FoldBatchNorm(), NormalizeBatchNorm())
	if o.Equalize {
		way := o.Relu6
		if way == 0 {
			way = Relu6Stops
		}
		rules = append(rules, Equalize(Equalizing{Relu6: way, Largest: o.Largest, Rounds: max(o.Rounds, 1), WeightsOnly: o.WeightsOnly}))
	}
	rules = append(rules, FoldPad(o.EqualPads))
	if len(o.Functions.Steps) > 0 {
		rules = append(rules, EqualizeFunctions(o.Functions))
	}
	if len(o.Scales) > 0 {
		rules = append(rules, MoveScales(o.Scales))
	}
	if o.DeviceArithmetic {
		rules = append(rules, DeviceArithmetic(o.SpareNormalizations))
	}
	return rules
}

// All returns every rule once, with the settings of vai_q_pytorch, for listings.
func All() []Rule {
	return Before(Options{ConvertRelu6: true, ConvertSilu: true, Equalize: true})
}
