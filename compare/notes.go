package compare

import (
	"fmt"
	"slices"

	"narrow"
	"narrow/calibrate"
	"narrow/cost"
	"narrow/diag"
)

// Pairs returns the pairs of formats that any strategy multiplies, integers
// before floats and narrow before wide; their MACs are 0.
func (c *Comparison) Pairs() []cost.Pair {
	var all []cost.Pair
	for _, s := range c.Strategies {
		for _, p := range s.Cost.Pairs {
			p.MACs = 0
			if !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
	}
	slices.SortFunc(all, cost.Pair.Compare)
	return all
}

// MACs returns the strategy's multiply-adds of a pair's formats.
func (r *Row) MACs(p cost.Pair) int64 {
	for _, q := range r.Cost.Pairs {
		if q.Compare(p) == 0 {
			return q.MACs
		}
	}
	return 0
}

// Notes say what holds for several strategies: what ran once for all, and what
// is not in the numbers.
func (c *Comparison) Notes() []diag.Text {
	notes := []diag.Text{diag.Textf("Tested on %d samples; the float network ran once for all.", c.Tested)}
	switch {
	case c.Accuracy == narrow.High.String():
		notes = append(notes, diag.Textf("Each strategy was calibrated on %d samples by a run of its own: high accuracy chooses for each.", c.Calibrated))
	case c.Propagate == calibrate.Progressive.String():
		notes = append(notes, diag.Textf("Each strategy was calibrated on %d samples by a run of its own: in progressive propagation nothing can be shared.", c.Calibrated))
	default:
		notes = append(notes, diag.Textf("Calibrated on %d samples in float propagation.", c.Calibrated))
		notes = append(notes, c.sharing()...)
	}
	seen := map[cost.Uncounted]bool{}
	var uncounted []string
	for _, s := range c.Strategies {
		for _, u := range s.Cost.Uncounted {
			if !seen[u] {
				seen[u] = true
				uncounted = append(uncounted, fmt.Sprintf("%s (%s: %s)", u.Name, u.Op, u.Why))
			}
		}
	}
	if len(uncounted) > 0 {
		notes = append(notes, diag.Textf("Not among the multiply-adds: %s.", some(uncounted)))
	}
	return notes
}

// sharing says who was calibrated together.
func (c *Comparison) sharing() []diag.Text {
	var alone []string
	var notes []diag.Text
	for run := 1; ; run++ {
		var names []string
		for _, s := range c.Strategies {
			if s.Run == run {
				names = append(names, s.Name)
			}
		}
		switch len(names) {
		case 0:
			if len(alone) > 0 {
				notes = append(notes, diag.Textf("By a run of its own: %s, since no other strategy rewrites the network in the same way and watches the same values.", diag.And(alone)))
			}
			return notes
		case 1:
			alone = append(alone, names[0])
		default:
			notes = append(notes, diag.Textf("In one run of the network: %s.", diag.And(names)))
		}
	}
}
