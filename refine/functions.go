package refine

import (
	"context"
	"slices"

	"narrow/calibrate"
	"narrow/diag"
	"narrow/engine"
	"narrow/graph"
	"narrow/internal/kernel"
	"narrow/plan"
	"narrow/rewrite"
)

const (
	// functionSamples is how many samples decide about functions, at most.
	functionSamples = 32
	// JoinGain is by how many dB the worst output has to gain where a join costs
	// integer arithmetic, JoinBelow how near to the float network it may be
	// without: a network that is near enough keeps its integers.
	JoinGain  = 3
	JoinBelow = 25
)

// Few returns the samples for [Functions] and [Scales]: a quarter of them at most, but
// 16, of those that do not judge what [Calibrate] chooses. Where too few are given for
// any to judge that, all of them up to 16.
func Few(in engine.Batches) ([]*engine.Batch, error) {
	keep := &calibrate.Keeper{Most: 2 * functionSamples}
	samples := 0
	for b, err := range keep.Watch(in) {
		if err != nil {
			return nil, err
		}
		samples += b.Count
	}
	kept := keep.Kept(2*functionSamples, keptBytes)
	if samples >= fewest {
		kept = slices.DeleteFunc(kept, isJudge)
	}
	return unitsOf(kept[:min(len(kept), max(samples/4, functionSamples/2), functionSamples)]), nil
}

// Functions decides, over samples of [Few], whether the functions behind
// weighted operators of task.Plan are better quantized as another plan has it:
// with makes that plan of what samples tell of the values that functions put out,
// or returns nil. The other plan is taken where the network's
// worst output gains more than least dB and is below enough dB without; the result
// is nil where it is not.
//
// The result does not depend on threads or batch size, nor on the order of the
// samples.
func Functions(ctx context.Context, task Task, least, enough float64, run engine.Runner, some []*engine.Batch, opts calibrate.Options, with func(ranges map[string]rewrite.ChannelRange) (*plan.Plan, error)) (other *plan.Plan, gain float64, err error) {
	values := task.Plan.JoinedFunctions()
	if len(values) == 0 {
		return nil, 0, nil
	}
	if len(some) == 0 {
		return nil, 0, nil
	}
	ranges, err := channelRanges(ctx, task.Plan, values, run, batches(some), opts.Threads)
	if err != nil {
		return nil, 0, err
	}
	if other, err = with(ranges); err != nil || other == nil {
		return nil, 0, err
	}
	pool := kernel.NewPool(max(opts.Threads, 1))
	j := &jury{run: run, pool: pool, float: task.Float, in: some, batch: batch, anyOrder: true}
	defer j.close() //nolint:errcheck // nothing of it is needed any more
	var scores [2]float64
	for i, p := range []*plan.Plan{task.Plan, other} {
		if i > 0 && scores[0] >= enough {
			return nil, 0, nil
		}
		c, err := calibrate.Calibrate(ctx, p, run, batches(some), calibrate.Options{Propagate: calibrate.Float, Threads: opts.Threads, SkipInvalid: opts.SkipInvalid, Keep: &calibrate.Keeper{}})
		if err != nil {
			return nil, 0, err
		}
		if scores[i], err = j.score(ctx, c); err != nil {
			return nil, 0, err
		}
	}
	if gain = scores[1] - scores[0]; !(gain > least) {
		return nil, gain, nil
	}
	return other, gain, nil
}

// channelRanges returns what samples tell of values, by channel (axis 1).
func channelRanges(ctx context.Context, p *plan.Plan, values []string, run engine.Runner, in engine.Batches, threads int) (map[string]rewrite.ChannelRange, error) {
	s, err := run.Load(ctx, p.Model, engine.LoadOptions{Threads: threads, Outputs: values})
	if err != nil {
		return nil, diag.Errorf("building the float network: %w", err)
	}
	defer s.Close()
	outputs := make([]*graph.Value, len(values))
	for i, v := range values {
		outputs[i] = &graph.Value{Name: v}
	}
	found := map[string]*spread{}
	for b, err := range engine.Fit(in, p.Model, batch) {
		if err != nil {
			return nil, err
		}
		got, err := engine.Outputs(ctx, s, b, nil, outputs, nil)
		if err != nil {
			return nil, err
		}
		for i, x := range got {
			if len(x.Shape) < 3 || len(x.Floats) == 0 {
				continue
			}
			s := found[values[i]]
			if s == nil {
				n := int(x.Shape[1])
				s = &spread{of: rewrite.Layout{Axes: []int{1}}, lo: make([]float64, n), hi: make([]float64, n), power: make([]float64, n)}
				found[values[i]] = s
			}
			if len(s.lo) == int(x.Shape[1]) {
				s.add(x.Floats, x.Shape)
			}
		}
	}
	symmetric := map[string]bool{}
	for _, t := range p.Activations() {
		symmetric[t.Name] = t.Settings.Settings.Symmetry
	}
	out := map[string]rewrite.ChannelRange{}
	for v, s := range found {
		r := rewrite.ChannelRange{Low: s.lo, High: s.hi, Symmetric: symmetric[v]}
		for c := range s.power {
			r.Power = append(r.Power, s.mean(c))
		}
		out[v] = r
	}
	return out, nil
}
