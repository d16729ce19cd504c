package narrow

import (
	"narrow/rewrite"
	"narrow/strategy"
)

// rules returns the rewrites that come before calibration, in order. As in
// vai_q_pytorch, equalization turns every ReLU6 into ReLU.
func rules(s *strategy.Strategy) []rewrite.Rule {
	return rewrite.Before(rewrite.Options{
		ConvertRelu6: s.ConvertReLU6 || s.IncludeCLE,
		ConvertSilu:  s.ConvertSiLU,
		Equalize:     s.IncludeCLE,

		DeviceArithmetic: true,
	})
}
