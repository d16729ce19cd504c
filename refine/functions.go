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

// FunctionsPlan makes a plan by what samples tell of the values that functions put out. With
// join the functions join the operators before them, but those that put out apart. It
// returns nil where there is no such plan.
type FunctionsPlan func(ranges map[string]rewrite.ChannelRange, join bool, apart []string) (*plan.Plan, error)

// Joined tells what [Functions] decided.
type Joined struct {
	// Gain is by how many dB the network's worst output is nearer to the float network.
	Gain float64 `json:"gain,omitempty"`
	// Left is by how many dB more it would be if no function stayed apart.
	Left float64 `json:"left,omitempty"`
}

// Functions decides, over samples of [Few], whether the functions behind
// weighted operators of task.Plan are better quantized as another plan has it, which
// with makes. The other plan is taken where the network's
// worst output gains more than least dB and is below enough dB without; the result
// is nil where it is not. As many functions stay apart as cost next to nothing: see
// [jury.separate].
//
// The result does not depend on threads or batch size, nor on the order of the
// samples.
func Functions(ctx context.Context, task Task, least, enough float64, run engine.Runner, some []*engine.Batch, opts calibrate.Options, with FunctionsPlan) (other *plan.Plan, told Joined, err error) {
	values := task.Plan.JoinedFunctions()
	if len(values) == 0 || len(some) == 0 {
		return nil, told, nil
	}
	ranges, err := channelRanges(ctx, task.Plan, values, run, batches(some), opts.Threads)
	if err != nil {
		return nil, told, err
	}
	all, err := with(ranges, true, nil)
	if err != nil || all == nil {
		return nil, told, err
	}
	pool := kernel.NewPool(max(opts.Threads, 1))
	j := &jury{run: run, pool: pool, float: task.Float, in: some, batch: batch, anyOrder: true}
	defer j.close() //nolint:errcheck // nothing of it is needed any more
	calibrated := func(p *plan.Plan) (*calibrate.Calibrated, error) {
		return calibrate.Calibrate(ctx, p, run, batches(some), calibrate.Options{Propagate: calibrate.Float, Threads: opts.Threads, SkipInvalid: opts.SkipInvalid, Keep: &calibrate.Keeper{}})
	}
	scored := func(p *plan.Plan) (float64, error) {
		c, err := calibrated(p)
		if err != nil {
			return 0, err
		}
		return j.score(ctx, c)
	}
	before, err := scored(task.Plan)
	if err != nil || before >= enough {
		return nil, told, err
	}
	apart, joined, joints, err := separable(all, ranges, with)
	if err != nil {
		return nil, told, err
	}
	if apart == nil {
		after, err := scored(all)
		if err != nil || !(after-before > least) {
			return nil, told, err
		}
		return all, Joined{Gain: after - before}, nil
	}
	c, err := calibrated(apart)
	if err != nil {
		return nil, told, err
	}
	s, err := j.separate(ctx, c, joints, some, before+least)
	if err != nil || s == nil {
		return nil, told, err
	}
	told = Joined{Gain: s.score - before, Left: max(s.all-s.score, 0)}
	switch len(s.apart) {
	case 0:
		return joined, told, nil
	case len(joints):
		return apart, told, nil // what is left of the other plan are channels of one range
	}
	other, err = with(ranges, true, append(s.apart, joined.Options.Functions.Apart...))
	return other, told, err
}

// separable returns the plan in which all functions are apart, these, and the one in which
// they are joined, which differs from the first in that quantizers fall away: where joining
// a function asks for a further one, which is so before a Concat that leaves the network, it
// stays apart. Apart is nil where joining changes more, or no quantizer falls away.
func separable(all *plan.Plan, ranges map[string]rewrite.ChannelRange, with FunctionsPlan) (apart, joined *plan.Plan, joints []plan.Joint, err error) {
	if apart, err = with(ranges, false, nil); err != nil {
		return nil, nil, nil, err
	}
	more, _ := lacks(all, apart)
	var stay []string
	for _, x := range apart.Joints() {
		switch {
		case slices.ContainsFunc(more, func(t *plan.Tensor) bool { return t.Name == x.Function }):
			stay = append(stay, x.Function)
		case x.Entering != nil:
			joints = append(joints, x)
		}
	}
	joined = all
	if len(stay) > 0 {
		if joined, err = with(ranges, true, stay); err != nil {
			return nil, nil, nil, err
		}
	}
	missing, same := lacks(apart, joined)
	more, _ = lacks(joined, apart)
	if !same || len(more) > 0 || len(missing) == 0 || len(missing) != len(joints) ||
		slices.ContainsFunc(joints, func(x plan.Joint) bool { return !slices.Contains(missing, x.Entering) }) {
		return nil, nil, nil, nil
	}
	return apart, joined, joints, nil
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
