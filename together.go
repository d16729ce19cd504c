package narrow

import (
	"context"
	"errors"
	"fmt"

	"narrow/calibrate"
	"narrow/engine"
	"narrow/plan"
)

// CalibrateTogether is [Resolved.Calibrate] in float propagation for several
// strategies at once, with the same results: the network runs once for all that
// rewrite it as the first one does. What cannot take part is nil in the result:
// strategies of another network, and those that [calibrate.CalibrateTogether]
// leaves out. All must be of one model.
func CalibrateTogether(ctx context.Context, run engine.Runner, rs []*Resolved, in engine.Batches, opts calibrate.Options) ([]*Calibrated, error) {
	if len(rs) == 0 {
		return nil, errors.New("there is no strategy to calibrate by")
	}
	var alike []int
	var plans []*plan.Plan
	network := ""
	for i, r := range rs {
		if r.Model != rs[0].Model {
			return nil, fmt.Errorf("models %s and %s cannot be calibrated together: give strategies of one model", rs[0].Model.Path, r.Model.Path)
		}
		if err := r.complete(ctx, run); err != nil {
			return nil, err
		}
		sum, err := r.networkSHA256()
		if err != nil {
			return nil, err
		}
		if i == 0 {
			network = sum
		}
		if sum == network {
			alike, plans = append(alike, i), append(plans, r.Plan)
		}
	}
	done, err := calibrate.CalibrateTogether(ctx, plans, run, in, rs[0].sourced(opts))
	if err != nil {
		return nil, fmt.Errorf("calibrating %s: %w", rs[0].Model.Path, err)
	}
	out := make([]*Calibrated, len(rs))
	for k, i := range alike {
		if done[k] != nil {
			if err := rs[i].refine(ctx, done[k], run, in, opts); err != nil {
				return nil, err
			}
			out[i] = &Calibrated{Resolved: rs[i], Result: done[k]}
		}
	}
	return out, nil
}
