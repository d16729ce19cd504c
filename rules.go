package narrow

import (
	"narrow/rewrite"
	"narrow/strategy"
)

// equalizeRounds is how often equalization goes through the network for [High].
// More changes little.
const equalizeRounds = 20

// rewrites says what to rewrite before calibration. As in vai_q_pytorch,
// equalization turns every ReLU6 into ReLU; for High it goes through ReLU6 and
// scales its bounds instead, unless the strategy asks for ReLU.
func (m *Model) rewrites(s *strategy.Strategy, a Accuracy) rewrite.Options {
	o := rewrite.Options{
		ConvertRelu6: s.ConvertReLU6 || s.IncludeCLE,
		ConvertSilu:  s.ConvertSiLU,
		Equalize:     s.IncludeCLE,

		DeviceArithmetic: true,
		EqualPads:        a != High,

		Values: m.values,
	}
	if a == High {
		o.ConvertRelu6 = s.ConvertReLU6
		o.Relu6 = rewrite.Relu6Bounds
		o.Rounds = equalizeRounds
	}
	return o
}
