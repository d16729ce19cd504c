package compare

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"narrow"
	"narrow/calibrate"
)

// comparer calibrates the entries.
type comparer struct {
	engine  calibrate.Runner
	entries []Entry
	samples calibrate.Batches
	opts    Options
}

// calibrated is one entry's calibration.
type calibrated struct {
	*narrow.Calibrated
	seconds      float64
	statisticsOf string // see [Row.StatisticsOf]
	missing      string // see [Row.Missing]
}

// calibrate calibrates all entries, in order but for those that share
// statistics: they come right behind the first of them.
func (c *comparer) calibrate(ctx context.Context) ([]calibrated, error) {
	done := make([]calibrated, len(c.entries))
	groups, err := c.groups()
	if err != nil {
		return nil, err
	}
	for _, group := range groups {
		if err := c.group(ctx, group, done); err != nil {
			return nil, err
		}
	}
	return done, nil
}

// groups returns the indices of the entries that can share statistics: those
// whose strategies rewrite the network alike, in float propagation. In
// progressive propagation every layer sees what its own strategy made of the
// layers before, so that nothing can be shared.
func (c *comparer) groups() ([][]int, error) {
	var groups [][]int
	at := map[string]int{}
	for i, e := range c.entries {
		if c.opts.Propagate != calibrate.Float {
			groups = append(groups, []int{i})
			continue
		}
		info, err := e.Resolved.StatsInfo("")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name, err)
		}
		if g, ok := at[info.NetworkSHA256]; ok {
			groups[g] = append(groups[g], i)
			continue
		}
		at[info.NetworkSHA256] = len(groups)
		groups = append(groups, []int{i})
	}
	return groups, nil
}

// group calibrates the entries of one group. The first one runs the network;
// where others follow, it keeps statistics for them.
func (c *comparer) group(ctx context.Context, group []int, done []calibrated) error {
	var stats *calibrate.Stats
	for k, i := range group {
		e := c.entries[i]
		var err error
		start := time.Now()
		if k == 0 {
			done[i].Calibrated, stats, err = c.run(ctx, e, len(group) > 1)
		} else {
			done[i].Calibrated, err = e.Resolved.CalibrateStats(stats, "", c.calibrateOptions(e))
			done[i].statisticsOf = c.entries[group[0]].Name
			var missing *calibrate.Missing
			if errors.As(err, &missing) {
				// A quantizer inside a layer, which nobody watches for others.
				done[i].statisticsOf, done[i].missing = "", missing.Error()
				done[i].Calibrated, _, err = c.run(ctx, e, false)
			}
		}
		if err == nil {
			err = c.refine(ctx, e, done[i].Calibrated)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", e.Name, err)
		}
		done[i].seconds = seconds(start)
	}
	return nil
}

func (c *comparer) calibrateOptions(e Entry) calibrate.Options {
	return calibrate.Options{
		Propagate: c.opts.Propagate, Threads: c.opts.Threads, SkipInvalid: c.opts.SkipInvalid,
		Progress: func(n int) { c.opts.Progress(Step{Stage: Calibrating, Strategy: e.Name, Done: n}) },
	}
}

// run calibrates an entry by running the network over the samples, and returns
// its statistics too where they are to be kept.
func (c *comparer) run(ctx context.Context, e Entry, keep bool) (*narrow.Calibrated, *calibrate.Stats, error) {
	opts := c.calibrateOptions(e)
	var kept bytes.Buffer
	if keep {
		info, err := e.Resolved.StatsInfo("")
		if err != nil {
			return nil, nil, err
		}
		opts.SaveStats = &calibrate.SaveStats{W: &kept, Info: info}
	}
	done, err := e.Resolved.Calibrate(ctx, c.engine, c.samples, opts)
	if err != nil || !keep {
		return done, nil, err
	}
	stats, err := calibrate.ReadStats(kept.Bytes())
	return done, stats, err
}

// refine chooses the weights of an entry that asks for it.
func (c *comparer) refine(ctx context.Context, e Entry, done *narrow.Calibrated) error {
	if e.Resolved.Accuracy != narrow.High {
		return nil
	}
	return done.Refine(ctx, c.engine, c.samples, calibrate.RefineOptions{
		Threads: c.opts.Threads, Samples: c.opts.RefineSamples,
		Progress: func(n, all int) {
			c.opts.Progress(Step{Stage: Refining, Strategy: e.Name, Done: n, All: all})
		},
	})
}
