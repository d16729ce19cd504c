package calibrate

import (
	"fmt"
	"slices"

	"narrow/plan"
	"narrow/scheme"
)

// align makes scales agree where the hardware needs it, as vai_q_pytorch does
// when calibration ends (fix_pos_adjust.py and the quantizers' alignment of
// Pad, Resize, Concat and pooling).
func (c *Calibrated) align() {
	s := c.Plan.Strategy
	if s.Target == scheme.DPU {
		for _, op := range slices.Backward(c.Plan.Operations) {
			if op.Quantizable {
				c.alignInputs(op)
			}
		}
	}
	for _, op := range c.Plan.Operations {
		c.alignOutput(op)
		if s.Target != scheme.DPU {
			c.alignInputs(op)
			continue
		}
		switch op.Op {
		case "HardSigmoid":
			c.atLeast(op.Output, 7, "HardSigmoid on the DPU outputs at least 7 fractional bits")
			c.inputsAtLeast(op, 0)
		case "HardSwish":
			c.inputsAtLeast(op, 0)
			if in := c.FixPosition(op.Input(0)); in != nil {
				c.atMost(op.Output, *in+7, "HardSwish on the DPU: at most 7 fractional bits more than its input")
			}
		case "Conv", "ConvTranspose", "Gemm", "Linear":
			c.alignShift(op)
		case "LayerNormalization":
			for _, t := range []*plan.Tensor{op.Weights, op.Bias} {
				c.atLeast(t, 0, "LayerNorm on the DPU takes no negative fix position")
				c.atMost(t, 15, "LayerNorm on the DPU takes no fix position above 15")
			}
		}
	}
}

// alignInputs gives the inputs of Concat and pooling the scale of its output,
// where the strategy asks for it.
func (c *Calibrated) alignInputs(op *plan.Operation) {
	s := c.Plan.Strategy
	switch op.Op {
	case "Concat":
		if !s.ChangeConcatInputFix {
			return
		}
	case "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool":
		if !s.ChangePoolInputFix {
			return
		}
	default:
		return
	}
	for _, in := range op.Inputs {
		c.copyScale(in, op.Output, fmt.Sprintf("takes the scale of %s's output by option", op.Op))
	}
}

// alignOutput gives Pad and nearest Resize the scale of what they move, and with
// [scheme.High] pools that select some of their values too: nothing is then rounded again,
// and runtimes compute them in integers.
func (c *Calibrated) alignOutput(op *plan.Operation) {
	switch op.Op {
	case "MaxPool", "GlobalMaxPool":
		in := op.Input(0)
		if c.Plan.Options.Accuracy != scheme.High || !op.Ends || in == nil {
			return
		}
		if a, b := op.Output.Settings.Settings, in.Settings.Settings; a.Symmetry == b.Symmetry && a.ScaleType == b.ScaleType {
			c.copyScale(op.Output, in, op.Op+" keeps the scale of its input")
		}
	case "Pad":
		c.copyScale(op.Output, op.Input(0), "Pad keeps the scale of its input")
	case "Resize", "Upsample":
		if op.Node.Str("mode", "nearest") == "nearest" && !op.FeedsConcat {
			c.copyScale(op.Output, op.Input(0), "nearest Resize keeps the scale of its input")
		}
	}
}

// copyScale gives to the scale of from, where both are integers of one range.
func (c *Calibrated) copyScale(to, from *plan.Tensor, why string) {
	if to == nil || from == nil || to == from {
		return
	}
	a, b := c.Encodings[to], c.Encodings[from]
	if len(a.Scale) != 1 || len(b.Scale) != 1 || a.Min != b.Min || a.Max != b.Max || (a.FixPosition == nil) != (b.FixPosition == nil) {
		return
	}
	if a.Scale[0] == b.Scale[0] && a.ZeroPoint[0] == b.ZeroPoint[0] {
		return
	}
	a.Scale, a.ZeroPoint, a.FixPosition = b.Scale, b.ZeroPoint, b.FixPosition
	c.Encodings[to] = a
	c.Aligned[to] = why
}

// fix returns the fix position of t, or nil where it has none of its own.
// FixPosition returns the fix position of t where it has one for the whole tensor.
func (c *Calibrated) FixPosition(t *plan.Tensor) *int {
	if t == nil {
		return nil
	}
	if e := c.Encodings[t]; len(e.FixPosition) == 1 {
		p := e.FixPosition[0]
		return &p
	}
	return nil
}

func (c *Calibrated) setFix(t *plan.Tensor, p int, why string) {
	e := c.Encodings[t]
	e.FixPosition = []int{p}
	e.Scale = []float32{scheme.FixScale(p)}
	c.Encodings[t] = e
	c.Aligned[t] = why
}

func (c *Calibrated) atLeast(t *plan.Tensor, least int, why string) {
	if p := c.FixPosition(t); p != nil && *p < least {
		c.setFix(t, least, why)
	}
}

func (c *Calibrated) atMost(t *plan.Tensor, most int, why string) {
	if p := c.FixPosition(t); p != nil && *p > most {
		c.setFix(t, most, why)
	}
}

func (c *Calibrated) inputsAtLeast(op *plan.Operation, least int) {
	for _, in := range op.Inputs {
		c.atLeast(in, least, fmt.Sprintf("%s on the DPU takes no negative fix position", op.Op))
	}
}

// The DPU shifts the sum of a convolution right by 0 to 16 bits to get its
// output, and its bias left by at most 16 and right as far as the accumulator
// allows.
const (
	// ShiftMax is how far the DPU shifts at most, right for an output and left
	// for a bias.
	ShiftMax      = 16
	accumulatorHi = 24 - 8
)

// alignShift keeps the shifts of a weighted operator in the DPU's range.
func (c *Calibrated) alignShift(op *plan.Operation) {
	in, out, w := c.FixPosition(op.Input(0)), c.FixPosition(op.Output), c.FixPosition(op.Weights)
	if in == nil || out == nil || w == nil {
		return
	}
	cut := *w + *in - *out
	switch {
	case cut < 0:
		c.setFix(op.Output, *w+*in, "the DPU shifts no sum left: output fix position lowered")
	case cut > ShiftMax:
		*w += ShiftMax - cut
		c.setFix(op.Weights, *w, "the DPU shifts a sum right by at most 16: weights fix position lowered")
	}
	b := c.FixPosition(op.Bias)
	if b == nil {
		return
	}
	shift := *w + *in - *b
	least := min(0, cut-accumulatorHi)
	switch {
	case shift < least:
		c.setFix(op.Bias, *b+shift-least, "the DPU's accumulator holds no finer bias: bias fix position lowered")
	case shift > ShiftMax:
		c.setFix(op.Weights, *w-shift+ShiftMax, "the DPU shifts a bias left by at most 16: weights fix position lowered")
	}
}

// Align makes scales agree anew where the hardware needs it, after some have
// been chosen otherwise.
func (c *Calibrated) Align() {
	clear(c.Aligned)
	c.align()
}
