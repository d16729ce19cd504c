package refine

import (
	"context"
	"math"

	"narrow/calibrate"
	"narrow/diag"
	"narrow/engine"
	"narrow/graph"
	"narrow/internal/kernel"
	"narrow/plan"
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

// Few returns the samples for [Functions] and [Scales].
func Few(in engine.Batches) ([]*engine.Batch, error) {
	keep := &calibrate.Keeper{Most: functionSamples}
	for _, err := range keep.Watch(in) {
		if err != nil {
			return nil, err
		}
	}
	return unitsOf(keep.Kept(functionSamples, keptBytes)), nil
}

// Functions decides, over samples of [Few], whether the functions behind
// weighted operators of task.Plan are better quantized as another plan has it:
// with makes that plan of the largest magnitudes of each channel that functions
// put out, by value, or returns nil. The other plan is taken where the network's
// worst output gains more than least dB and is below enough dB without; the result
// is nil where it is not.
//
// The result does not depend on threads or batch size, nor on the order of the
// samples.
func Functions(ctx context.Context, task Task, least, enough float64, run engine.Runner, some []*engine.Batch, opts calibrate.Options, with func(peaks map[string][]float32) (*plan.Plan, error)) (other *plan.Plan, gain float64, err error) {
	values := task.Plan.JoinedFunctions()
	if len(values) == 0 {
		return nil, 0, nil
	}
	if len(some) == 0 {
		return nil, 0, nil
	}
	peaks, err := peaks(ctx, task.Plan.Model, values, run, batches(some), opts.Threads)
	if err != nil {
		return nil, 0, err
	}
	if other, err = with(peaks); err != nil || other == nil {
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
		c, err := calibrate.Calibrate(ctx, p, run, batches(some), calibrate.Options{Propagate: calibrate.Float, Threads: opts.Threads, SkipInvalid: opts.SkipInvalid, Accuracy: opts.Accuracy, Keep: &calibrate.Keeper{}})
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

// peaks returns the largest magnitude of each channel (axis 1) of values.
func peaks(ctx context.Context, m *graph.Model, values []string, run engine.Runner, in engine.Batches, threads int) (map[string][]float32, error) {
	s, err := run.Load(ctx, m, engine.LoadOptions{Threads: threads, Outputs: values})
	if err != nil {
		return nil, diag.Errorf("building the float network: %w", err)
	}
	defer s.Close()
	outputs := make([]*graph.Value, len(values))
	for i, v := range values {
		outputs[i] = &graph.Value{Name: v}
	}
	out := map[string][]float32{}
	for b, err := range engine.Fit(in, m, batch) {
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
			c := int(x.Shape[1])
			p := out[values[i]]
			if p == nil {
				p = make([]float32, c)
				out[values[i]] = p
			}
			if len(p) != c {
				continue
			}
			inner := 1
			for _, d := range x.Shape[2:] {
				inner *= int(d)
			}
			for at := 0; at+inner <= len(x.Floats); at += inner {
				k := at / inner % c
				for _, v := range x.Floats[at : at+inner] {
					if a := float32(math.Abs(float64(v))); a > p[k] && !math.IsInf(float64(a), 0) {
						p[k] = a
					}
				}
			}
		}
	}
	return out, nil
}
