package narrow

import (
	"context"

	"narrow/calibrate"
	"narrow/diag"
	"narrow/engine"
	"narrow/refine"
)

// ShardOptions say what a shard is of.
type ShardOptions struct {
	CalibrateOptions
	calibrate.ShardSamples
	// All is how many samples all shards have together, Head how they are read: see
	// [samples.Set.HashHead].
	All  int
	Head string
	// Engine is the name and version of what runs networks, Machine where that is.
	Engine  string
	Machine string
	// NoKeep keeps no samples: a small shard, of which [High] can make nothing, and
	// which counts no ties.
	NoKeep bool
}

var errProgressiveShards = diag.Errorf("progressive propagation cannot be cut into shards, since every layer sees its inputs quantized by all samples before: propagate float")

// Shard observes a part of the samples in float propagation: what
// [CalibrateOptions.FromShards] makes a calibration of, once shards of all parts are
// merged. A part begins at a multiple of 8 samples. Shards of any machine merge whose
// engine computes the same bits.
func (p *Planned) Shard(ctx context.Context, run engine.Runner, opts ShardOptions) (*calibrate.Shard, error) {
	s, err := p.shard(ctx, run, opts)
	if err != nil {
		return nil, diag.Errorf("calibrating %s: %w", p.Model.Path, err)
	}
	return s, nil
}

func (p *Planned) shard(ctx context.Context, run engine.Runner, opts ShardOptions) (*calibrate.Shard, error) {
	switch {
	case opts.Propagate == calibrate.Progressive:
		return nil, errProgressiveShards
	case opts.Checkpoint != nil || opts.SaveStats != nil || opts.FromStats != nil || opts.FromShards != nil:
		return nil, diag.Errorf("a shard keeps neither a checkpoint nor statistics, and is made of samples alone")
	}
	opts.Propagate = calibrate.Float
	o, err := p.options(opts.CalibrateOptions)
	if err != nil {
		return nil, err
	}
	if err := p.complete(ctx, run); err != nil {
		return nil, err
	}
	of := p.shardOf()
	of.Engine, of.SkipInvalid, of.Samples, of.SamplesHead, of.Keeps = opts.Engine, opts.SkipInvalid, opts.All, opts.Head, !opts.NoKeep
	s, err := calibrate.NewShard(of, opts.Machine, opts.ShardSamples)
	if err != nil {
		return nil, err
	}
	if p.Accuracy == High {
		if opts.Some == nil {
			return nil, diag.Errorf("a shard for high accuracy needs the same samples in all shards to decide over")
		}
		d := keptDecided{}
		if p, d.Joined, err = p.decide(ctx, run, opts.Some, o, opts.KeepIntegers); err != nil {
			return nil, err
		}
		if s.Decided, err = d.of(p).text(); err != nil {
			return nil, err
		}
	}
	network, err := p.networkSHA256()
	if err != nil {
		return nil, err
	}
	if p.Accuracy == High {
		return s, refine.Observe(ctx, refine.Task{Plan: p.Plan, Float: p.Model.Graph}, network, run, s, opts.ShardSamples, o)
	}
	o.Keep = s.Kept()
	return s, s.Observe(ctx, []calibrate.ShardPlan{{Plan: p.Plan, Network: network}}, run, opts.ShardSamples, o)
}

// shardOf says what shards of p are of, but for the samples.
func (p *Planned) shardOf() calibrate.ShardOf {
	return calibrate.ShardOf{
		Version: Version(), ModelPath: p.Model.Path, ModelSHA256: p.Model.SHA256, StrategySHA256: p.Plan.Strategy.SHA256(), Accuracy: p.Accuracy.String(),
	}
}

// merged calibrates by what shards observed.
func (p *Planned) merged(ctx context.Context, run engine.Runner, s *calibrate.Shard, o calibrate.Options, opts CalibrateOptions) (*Calibrated, error) {
	if err := s.Serves(p.shardOf()); err != nil {
		return nil, err
	}
	if o.SkipInvalid = s.SkipInvalid; s.Keeps && run == nil {
		return nil, diag.Errorf("merging shards that keep samples takes an engine")
	}
	if p.Accuracy == High {
		return p.mergedHigh(ctx, run, s, o, opts)
	}
	network, err := p.networkSHA256()
	if err != nil {
		return nil, err
	}
	c, err := s.Calibrate(ctx, 0, calibrate.ShardPlan{Plan: p.Plan, Network: network}, run, o)
	if err != nil {
		return nil, err
	}
	return &Calibrated{Planned: p, Result: c}, nil
}

// mergedHigh is merged for [High].
func (p *Planned) mergedHigh(ctx context.Context, run engine.Runner, s *calibrate.Shard, o calibrate.Options, opts CalibrateOptions) (*Calibrated, error) {
	guide, err := p.Model.Plan(p.Plan.Strategy, PlanOptions{Accuracy: Guide})
	if err != nil {
		return nil, err
	}
	d, err := readDecided(s.Decided)
	if err != nil {
		return nil, diag.Errorf("%s does not tell what was decided of the network: compute it again", s.Name())
	}
	if p, err = p.as(d); err != nil {
		return nil, err
	}
	network, err := p.networkSHA256()
	if err != nil {
		return nil, err
	}
	c, err := refine.Merge(ctx, refine.Task{Plan: p.Plan, Guide: guide.Plan, Float: p.Model.Graph, Scaled: p.scaledChannels()}, network, run, s, o, refineOptions(opts))
	if err != nil {
		return nil, err
	}
	return p.chosen(c, guide, d.Joined), nil
}
