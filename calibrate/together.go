package calibrate

import (
	"context"
	"slices"

	"narrow/diag"
	"narrow/engine"
	"narrow/plan"
)

// CalibrateTogether is [Calibrate] for several plans of one network, in float
// propagation: the network runs once, and at every tap all plans observe. The
// results are those that each plan has alone. It is nil for a plan that cannot
// take part, since it watches other values than the first plan: a rule of its
// strategy lists the kind input for a function inside a layer, or a layer whose
// bias is to be corrected is of a kind that has to run twice.
//
// The plans' networks must be the same, node by node and weight by weight.
func CalibrateTogether(ctx context.Context, plans []*plan.Plan, r engine.Runner, in engine.Batches, opts Options) ([]*Calibrated, error) {
	if opts.Propagate != Float || opts.SaveStats != nil {
		return nil, diag.Errorf("several plans are calibrated together in float propagation only, and without keeping statistics")
	}
	var first *calibration
	out := make([]*Calibrated, len(plans))
	for i, p := range plans {
		c, err := newCalibration(p, opts)
		if err != nil {
			return nil, err
		}
		switch {
		case i == 0:
			first = c
		case first.joins(c):
			first.join(c)
		default:
			continue
		}
		out[i] = c.out
	}
	if first == nil {
		return nil, diag.Errorf("there is no plan to calibrate")
	}
	if err := first.run(ctx, r, in); err != nil {
		return nil, err
	}
	for _, c := range append([]*calibration{first}, first.joined...) {
		c.out.Samples, c.out.Batches = first.out.Samples, first.out.Batches
		if err := c.finish(); err != nil {
			return nil, err
		}
	}
	return out, first.ties(ctx, r)
}

// joins reports whether o sees the same at the taps of c's network as at those
// of its own.
func (c *calibration) joins(o *calibration) bool {
	return len(c.bias.active()) == 0 && len(o.bias.active()) == 0 &&
		slices.EqualFunc(c.float.watched.Tensors, o.float.watched.Tensors, func(a, b *plan.Tensor) bool { return a.Name == b.Name })
}

// join lets o observe what passes c's taps.
func (c *calibration) join(o *calibration) {
	c.joined = append(c.joined, o)
	c.sharePatches(o)
}

// sharePatches lets o's bias correction read what c's input means gather: they see the
// same values.
func (c *calibration) sharePatches(o *calibration) {
	clear(o.float.entered)
	for i, p := range o.float.means {
		shared := c.float.means[i]
		if shared == nil {
			continue
		}
		for _, l := range o.bias.layers {
			if l.inputMeans != p {
				continue
			}
			l.inputMeans = shared
			if !slices.Contains(c.float.entered[shared.value], shared) {
				c.float.gather(shared)
			}
		}
	}
}
