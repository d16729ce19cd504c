package inspect

import (
	"math"

	"narrow/diag"
	"narrow/engine"
	"narrow/plan"
)

const (
	// rankedAll is up to how many layers all are ranked, one by one.
	rankedAll = 48
	// halvings is how many groups of layers are run in search of the costliest before
	// the search only goes down.
	halvings = 64
)

// together is a group of layers, and what quantizing these alone leaves.
type together struct {
	layers []int
	sqnr   float64
}

// costliest finds the layers that cost most, by index, as many as are asked for; nil
// stands for all. A group costs as a rule at least what the costliest of its layers
// does, so that halving the costliest group again and again leads to them, and past all others.
// Where noise is spread evenly, which takes many runs, the rest of the way goes down
// into the costliest half only.
func (r *ranker) costliest(float [][]engine.Tensor) (map[int]bool, error) {
	var all []int
	for i, l := range r.c.Plan.Layers {
		if len(r.tensors[l]) > 0 {
			all = append(all, i)
		}
	}
	if r.opts.Most == 0 || len(all) <= max(r.opts.Most, rankedAll) {
		return nil, nil
	}
	r.all = r.done + halvings + r.opts.Most
	groups := []together{{all, math.Inf(-1)}}
	found := map[int]bool{}
	for runs := 0; len(found) < r.opts.Most && len(groups) > 0; {
		at := 0
		for i, g := range groups {
			if g.sqnr < groups[at].sqnr {
				at = i
			}
		}
		g := groups[at]
		groups = append(groups[:at], groups[at+1:]...)
		for len(g.layers) > 1 {
			a, b := together{layers: g.layers[:len(g.layers)/2]}, together{layers: g.layers[len(g.layers)/2:]}
			for _, half := range []*together{&a, &b} {
				if err := r.measure(half, float); err != nil {
					return nil, err
				}
				runs++
			}
			if runs < halvings {
				groups, g = append(groups, a, b), together{}
				break
			}
			if b.sqnr < a.sqnr {
				a, b = b, a
			}
			g, groups = a, append(groups, b)
		}
		if len(g.layers) == 1 {
			found[g.layers[0]] = true
		}
	}
	r.all = r.done + r.opts.Most
	return found, nil
}

// measure runs the network with a group of layers quantized.
func (r *ranker) measure(g *together, float [][]engine.Tensor) error {
	var ts []*plan.Tensor
	for _, i := range g.layers {
		ts = append(ts, r.tensors[r.c.Plan.Layers[i]]...)
	}
	outs, err := r.quantized(ts)
	if err != nil {
		return diag.Errorf("%d layers together: %w", len(g.layers), err)
	}
	res, err := r.score(float, outs)
	if err != nil {
		return err
	}
	c := costOf(res)
	switch g.sqnr = float64(c.SQNR); {
	case c.Exact:
		g.sqnr = math.Inf(1)
	case math.IsNaN(g.sqnr):
		g.sqnr = math.Inf(-1)
	}
	return nil
}
