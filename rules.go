package narrow

import (
	"narrow/rewrite"
	"narrow/strategy"
)

// rules returns the rewrites that come before calibration, in order: what is
// exact first, then what the strategy asks for.
func rules(s *strategy.Strategy) []rewrite.Rule {
	rs := []rewrite.Rule{
		rewrite.RemoveIdentity(), rewrite.RemoveDropout(), rewrite.RemoveNoopCast(), rewrite.RemoveNoopPad(), rewrite.RemoveNoopReshape(),
		rewrite.FoldBatchNorm(),
	}
	if s.ConvertReLU6 || s.IncludeCLE {
		rs = append(rs, rewrite.ConvertRelu6())
	}
	if s.ConvertSiLU {
		rs = append(rs, rewrite.ConvertSilu())
	}
	return rs
}
