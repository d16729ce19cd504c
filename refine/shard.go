package refine

import (
	"context"

	"narrow/calibrate"
	"narrow/calibrate/observe"
	"narrow/diag"
	"narrow/engine"
)

// Observe adds to the shard s what [Merge] needs of its samples. Network is the hash of
// task.Plan's network.
func Observe(ctx context.Context, task Task, network string, run engine.Runner, s *calibrate.Shard, in calibrate.ShardSamples, opts calibrate.Options) error {
	if !s.Keeps {
		return diag.Errorf("shards without samples are of use to the guide's way only")
	}
	found := newRanges(task.Plan, poolOf(opts), s.Kept())
	opts.Watch, opts.Elsewhere, opts.Keep = found.watch, found.pools, s.Kept()
	if err := s.Observe(ctx, []calibrate.ShardPlan{{Plan: task.Plan, Network: network}}, run, in, opts); err != nil {
		return err
	}
	s.Tallies, s.Largest = found.tallies(), found.largest
	return nil
}

// Merge returns what [Calibrate] returns for the samples of all shards that were merged
// in s, bit for bit.
func Merge(ctx context.Context, task Task, network string, run engine.Runner, s *calibrate.Shard, opts calibrate.Options, choice Options) (*calibrate.Calibrated, error) {
	switch {
	case !s.Keeps:
		return nil, diag.Errorf("the shards keep no samples to choose weights over: compute them with samples, or merge them for the guide's way")
	case choice.most() > calibrate.KeptSamples:
		return nil, diag.Errorf("shards keep no more than 256 samples to choose over")
	}
	found := newRanges(task.Plan, poolOf(opts), s.Kept())
	tallies := found.tallies()
	if len(tallies) != len(s.Tallies) {
		return nil, diag.Errorf("the shards do not fit the plan")
	}
	for i, t := range tallies {
		t.Merge(s.Tallies[i])
	}
	found.largest = s.Largest
	opts.Keep, opts.Elsewhere = s.Kept(), found.pools
	if choice.Batch == 0 {
		choice.Batch = 16 // the default of the command
	}
	c, err := s.Calibrate(ctx, 0, calibrate.ShardPlan{Plan: task.Plan, Network: network}, run, opts)
	if err != nil {
		return nil, err
	}
	return choose(ctx, task, run, c, nil, found, opts, choice)
}

// tallies are all that samples are added up in, in the plan's order.
func (r *ranges) tallies() (out []*observe.Tally) {
	for _, t := range r.plan.Activations() {
		s := r.of(t)
		if s == nil {
			continue
		}
		for i := range s.folds {
			out = append(out, &s.folds[i].values, &s.folds[i].peaks)
		}
		if s.all != nil {
			out = append(out, s.all)
		}
	}
	return out
}
