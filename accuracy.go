package narrow

import (
	"context"
	"errors"
	"fmt"

	"narrow/calibrate"
	"narrow/engine"
	"narrow/refine"
	"narrow/scheme"
)

// Accuracy says which of the two ways to quantize is taken: see [scheme.Accuracy].
type Accuracy = scheme.Accuracy

// The two ways.
const (
	Guide = scheme.Guide
	High  = scheme.High
)

// ParseAccuracy reads "guide" (also "") or "high".
func ParseAccuracy(s string) (Accuracy, error) { return scheme.ParseAccuracy(s) }

// refine does what [High] asks of a calibration, where r was resolved for it.
func (r *Resolved) refine(ctx context.Context, c *calibrate.Calibrated, run engine.Runner, in engine.Batches, opts calibrate.Options) error {
	if r.Accuracy != High {
		return nil
	}
	err := refine.Refine(ctx, c, run, in, refine.Options{Threads: opts.Threads, Samples: opts.RefineSamples, Progress: opts.RefineProgress})
	if err != nil {
		return fmt.Errorf("refining %s: %w", r.Model.Path, err)
	}
	return nil
}

// propagation is how r's samples are handed on unless told: [High] looks at
// float values.
func (r *Resolved) propagation(o calibrate.Options) (calibrate.Options, error) {
	if r.Accuracy != High {
		return o, nil
	}
	if o.Propagate == calibrate.Progressive {
		return o, errors.New("progressive propagation is a part of the guide's way: propagate float, or resolve for that")
	}
	o.Propagate = calibrate.Float
	return o, nil
}
