package compare

import (
	"context"
	"strings"
	"time"

	"narrow"
	"narrow/calibrate"
	"narrow/diag"
	"narrow/engine"
)

// comparer calibrates the entries.
type comparer struct {
	engine  engine.Runner
	entries []Entry
	samples engine.Batches
	opts    Options
}

// calibrated is one entry's calibration.
type calibrated struct {
	*narrow.Calibrated
	run     int // see [Row.Run]
	seconds float64
}

// calibrate calibrates all entries in as few runs as there can be. In
// progressive propagation every layer sees what its own strategy made of the
// layers before, so that each entry has a run of its own.
func (c *comparer) calibrate(ctx context.Context) ([]calibrated, error) {
	done := make([]calibrated, len(c.entries))
	var left []int
	for i := range c.entries {
		left = append(left, i)
	}
	for run := 1; len(left) > 0; run++ {
		start := time.Now()
		results, err := c.run(ctx, left)
		if err != nil {
			return nil, err
		}
		took := seconds(start)
		var later []int
		for k, i := range left {
			if k >= len(results) || results[k] == nil {
				later = append(later, i)
				continue
			}
			done[i] = calibrated{results[k], run, took}
		}
		left = later
	}
	return done, nil
}

// run calibrates the first of the entries, and whatever others can be with it;
// those that are missing in the result could not.
func (c *comparer) run(ctx context.Context, entries []int) ([]*narrow.Calibrated, error) {
	first := c.entries[entries[0]]
	if c.opts.Propagate == calibrate.Progressive {
		done, err := first.Planned.Calibrate(ctx, c.engine, c.samples, c.calibrateOptions(first.Name))
		if err != nil {
			return nil, diag.Errorf("%s: %w", first.Name, err)
		}
		return []*narrow.Calibrated{done}, nil
	}
	var ps []*narrow.Planned
	var names []string
	for _, i := range entries {
		ps = append(ps, c.entries[i].Planned)
		names = append(names, c.entries[i].Name)
	}
	done, err := narrow.CalibrateTogether(ctx, c.engine, ps, c.samples, c.calibrateOptions(strings.Join(names, ", ")))
	if err != nil {
		return nil, diag.Errorf("%s: %w", strings.Join(names, ", "), err)
	}
	return done, nil
}

func (c *comparer) calibrateOptions(strategy string) narrow.CalibrateOptions {
	return narrow.CalibrateOptions{
		Propagate: c.opts.Propagate, Threads: c.opts.Threads, SkipInvalid: c.opts.SkipInvalid,
		Progress:      func(n int) { c.opts.Progress(Step{Stage: Calibrating, Strategy: strategy, Done: n}) },
		RefineSamples: c.opts.RefineSamples, KeepIntegers: c.opts.KeepIntegers,
		RefineProgress: func(n, all int) {
			c.opts.Progress(Step{Stage: Refining, Strategy: strategy, Done: n, All: all})
		},
	}
}
