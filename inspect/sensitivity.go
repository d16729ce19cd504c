package inspect

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"

	"narrow"
	"narrow/calibrate/observe"
	"narrow/diag"
	"narrow/engine"
	"narrow/evaluate"
	"narrow/graph"
	"narrow/graph/infer"
	"narrow/internal/kernel"
	"narrow/metric"
	"narrow/plan"
)

// SensitivityOptions say how to rank layers.
type SensitivityOptions struct {
	// Threads is how many threads share the work; 0 means one per core.
	Threads int
	// Labels are the samples' classes.
	Labels engine.Labels
	// Most, when set, ranks only so many layers where there are many: the costliest,
	// found by halves in a bounded number of runs.
	Most int
	// Metric, when set, tells a figure of each network besides, by which the layers
	// are ranked then.
	Metric metric.Metric
	// Progress, when set, is called with the number of networks that have run
	// over the samples, and how many there are.
	Progress func(done, all int)
}

// Sensitivity quantizes each layer of c alone, with the encodings and constants
// that calibration found, leaves everything else in float, and ranks the layers
// by what that does to the network's output over the samples.
//
// The network runs once for every layer with something quantized, and a few
// times besides; the samples and two networks' outputs are held in memory. The
// error names the model.
func Sensitivity(ctx context.Context, c *narrow.Calibrated, run engine.Runner, in engine.Batches, opts SensitivityOptions) (*Ranking, error) {
	r, err := newRanker(ctx, c, run, in, opts)
	if err == nil {
		err = r.rank()
	}
	if err != nil {
		return nil, diag.Errorf("ranking the layers of %s: %w", c.Model.Path, err)
	}
	return &r.out, nil
}

// ranker is the state of one run of Sensitivity.
type ranker struct {
	ctx     context.Context
	c       *narrow.Calibrated
	engine  engine.Runner
	opts    SensitivityOptions
	pool    *kernel.Pool
	batches []*engine.Batch
	// axes are those of the outputs that count samples.
	axes map[string]int
	// constants are the quantized constants, tensors the plan's by layer.
	constants map[*plan.Tensor]*graph.Tensor
	tensors   map[*plan.Layer][]*plan.Tensor
	done, all int
	out       Ranking
}

func newRanker(ctx context.Context, c *narrow.Calibrated, run engine.Runner, in engine.Batches, opts SensitivityOptions) (*ranker, error) {
	r := &ranker{ctx: ctx, c: c, engine: run, opts: opts, pool: kernel.NewPool(cores(opts.Threads)), tensors: byLayer(c.Plan), axes: infer.Batches(c.Plan.Model).Outputs}
	var err error
	if r.constants, err = c.Result.QuantizedConstants(r.pool); err != nil {
		return nil, err
	}
	for b, err := range engine.Fit(in, c.Plan.Model, chunk) {
		if err != nil {
			return nil, err
		}
		kept := *b // a batch is valid until the next one
		kept.Names, kept.Inputs = slices.Clone(b.Names), maps.Clone(b.Inputs)
		for name, t := range kept.Inputs {
			t.Shape, t.Floats, t.Raw, t.Strings = slices.Clone(t.Shape), slices.Clone(t.Floats), slices.Clone(t.Raw), slices.Clone(t.Strings)
			kept.Inputs[name] = t
		}
		r.batches = append(r.batches, &kept)
		r.out.Samples += b.Count
	}
	if r.out.Samples == 0 {
		return nil, diag.Errorf("there are no samples to run")
	}
	return r, nil
}

// rank runs all networks.
func (r *ranker) rank() error {
	p := r.c.Plan
	r.all = 5
	for _, l := range p.Layers {
		if len(r.tensors[l]) > 0 {
			r.all++
		}
	}
	own := newAlone(r.c, r.pool, r.constants)
	if err := own.run(r.ctx, r.engine, r.batches, r.opts.Threads); err != nil {
		return err
	}
	r.step()
	read, err := r.plain(r.c.Model.Graph)
	if err != nil {
		return err
	}
	float, err := r.plain(p.Model)
	if err != nil {
		return err
	}
	res, err := r.score(read, float)
	if err != nil {
		return err
	}
	if r.opts.Metric != nil {
		f, err := metric.Over(r.ctx, r.opts.Metric, r.set(), true, r.batches, nil, read)
		if err != nil {
			return err
		}
		r.out.MetricName, r.out.LowerIsBetter, r.out.FloatMetric = f.Name, r.opts.Metric.LowerIsBetter(), f.Value
	}
	if r.out.Rewrites, err = r.cost(res, read, float); err != nil {
		return err
	}
	r.out.Format, r.out.Float, r.out.Invalid = RankingFormat, res.Float, res.Invalid
	all, err := r.quantized(p.Tensors)
	if err != nil {
		return err
	}
	if res, err = r.score(read, all); err != nil {
		return err
	}
	r.out.Classes, r.out.Findings = res.Classes(), res.Findings()
	if r.out.All, err = r.cost(res, read, all); err != nil {
		return err
	}

	chosen, err := r.costliest(float)
	if err != nil {
		return err
	}
	light, err := r.lightLayers()
	if err != nil {
		return err
	}
	if light != nil {
		defer light.session.Close()
	}
	r.step()
	r.out.Layers = []LayerCost{}
	for i, l := range p.Layers {
		ts := r.tensors[l]
		if len(ts) == 0 || chosen != nil && !chosen[i] {
			continue
		}
		var outs [][]engine.Tensor
		if slices.ContainsFunc(ts, isConstant) {
			outs, err = r.quantized(ts)
		} else {
			outs, err = r.only(light, l)
		}
		if err != nil {
			return diag.Errorf("layer %s alone: %w", l.Name, err)
		}
		if res, err = r.score(float, outs); err != nil {
			return err
		}
		cost, err := r.cost(res, float, outs)
		if err != nil {
			return err
		}
		d := describe(p, l)
		r.out.Layers = append(r.out.Layers, LayerCost{
			Name: l.Name, Index: i, Op: l.Op, Module: d.module, Weights: d.weights, Activation: d.activation,
			Cost: cost, Own: own.errors[i].error(),
		})
	}
	slices.SortStableFunc(r.out.Layers, func(a, b LayerCost) int {
		if a.Metric != nil && *a.Metric != *b.Metric {
			if r.out.LowerIsBetter {
				a, b = b, a
			}
			return cmp.Compare(*a.Metric, *b.Metric)
		}
		return cmp.Compare(a.SQNR, b.SQNR)
	})
	return nil
}

// set is what a metric is told of the samples.
func (r *ranker) set() metric.Set { return metric.Set{Samples: r.out.Samples, Labels: r.opts.Labels} }

// cost is what res tells of a network, and the metric of its outputs.
func (r *ranker) cost(res *evaluate.Result, reference, outs [][]engine.Tensor) (Cost, error) {
	c := costOf(res)
	if r.opts.Metric == nil {
		return c, nil
	}
	f, err := metric.Over(r.ctx, r.opts.Metric, r.set(), false, r.batches, reference, outs)
	if err != nil {
		return c, err
	}
	if f.Value == nil {
		return c, diag.Errorf("the metric tells no value of %q", f.Name)
	}
	c.Metric = f.Value
	return c, nil
}

// ByTop1 puts the layers into the order of the accuracy that they cost, most
// first, and equal ones into that of SQNR. Without labels nothing changes.
func (r *Ranking) ByTop1() {
	slices.SortStableFunc(r.Layers, func(a, b LayerCost) int {
		if a.Drop == nil || b.Drop == nil {
			return 0
		}
		return cmp.Compare(*b.Drop, *a.Drop)
	})
}

func isConstant(t *plan.Tensor) bool { return t.Constant != nil }

// step tells that one more network has run.
func (r *ranker) step() {
	r.done++
	if r.opts.Progress != nil {
		r.opts.Progress(r.done, r.all)
	}
}

// outputs runs a network over the batches and returns its outputs, by batch.
func (r *ranker) outputs(s engine.Session, hook engine.Hook) ([][]engine.Tensor, error) {
	var outs [][]engine.Tensor
	for _, b := range r.batches {
		out, err := engine.Outputs(r.ctx, s, b, hook, r.c.Plan.Model.Graph.Outputs, r.axes)
		if err != nil {
			return nil, err
		}
		outs = append(outs, out)
	}
	r.step()
	return outs, nil
}

// plain runs a float network.
func (r *ranker) plain(m *graph.Model) ([][]engine.Tensor, error) {
	s, err := r.engine.Load(r.ctx, m, engine.LoadOptions{Threads: r.opts.Threads})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return r.outputs(s, nil)
}

// simulation loads the network with some of the plan's tensors quantized.
func (r *ranker) simulation(ts []*plan.Tensor) (engine.Session, *plan.Simulation, error) {
	p := *r.c.Plan
	p.Tensors = ts
	sim, err := p.Simulation(plan.SimulationOptions{Replace: r.constants})
	if err != nil {
		return nil, nil, diag.Errorf("building the network: %w", err)
	}
	s, err := r.engine.Load(r.ctx, sim.Model, engine.LoadOptions{Threads: r.opts.Threads, AnyOrder: func(int) bool { return true }})
	return s, sim, err
}

// quantized runs the network with some of the plan's tensors quantized.
func (r *ranker) quantized(ts []*plan.Tensor) ([][]engine.Tensor, error) {
	s, sim, err := r.simulation(ts)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return r.outputs(s, func(tap int, dst, src []float32, shape []int64) error {
		return r.quantize(sim.Taps[tap].Tensor, dst, src, shape)
	})
}

func (r *ranker) quantize(t *plan.Tensor, dst, src []float32, shape []int64) error {
	if err := observe.Apply(r.pool, dst, src, t.Settings.Settings, r.c.Result.Encodings[t], shape); err != nil {
		return diag.Errorf("layer %s: %v %q: %w", t.Layer.Name, t.Kind, t.Name, err)
	}
	return nil
}

// lightLayers is one network for all layers without quantized constants, each
// tensor of which has a tap: it need not be loaded for each.
type lightLayers struct {
	session engine.Session
	sim     *plan.Simulation
}

func (r *ranker) lightLayers() (*lightLayers, error) {
	var ts []*plan.Tensor
	for _, l := range r.c.Plan.Layers {
		if own := r.tensors[l]; !slices.ContainsFunc(own, isConstant) {
			ts = append(ts, own...)
		}
	}
	if len(ts) == 0 {
		return nil, nil
	}
	s, sim, err := r.simulation(ts)
	if err != nil {
		return nil, err
	}
	return &lightLayers{s, sim}, nil
}

// only runs light with the tensors of l quantized.
func (r *ranker) only(light *lightLayers, l *plan.Layer) ([][]engine.Tensor, error) {
	return r.outputs(light.session, func(tap int, dst, src []float32, shape []int64) error {
		if t := light.sim.Taps[tap].Tensor; t.Layer == l {
			return r.quantize(t, dst, src, shape)
		}
		if !engine.SameMemory(dst, src) {
			copy(dst, src)
		}
		return nil
	})
}

// score compares outputs with a reference's.
func (r *ranker) score(reference, tested [][]engine.Tensor) (*evaluate.Result, error) {
	s := evaluate.NewScore(r.c.Plan.Model.Graph.Outputs, r.opts.Labels)
	for i, b := range r.batches {
		if err := s.Add(b.First, b.Count, reference[i], tested[i]); err != nil {
			return nil, err
		}
	}
	return s.Result(), nil
}

// costOf is what a result says of the tested network.
func costOf(r *evaluate.Result) Cost {
	c := Cost{SQNR: r.SQNR, Exact: r.Exact, Agreement: r.Agreement}
	if w := r.Worst(); w != nil && len(r.Outputs) > 1 {
		c.Output = w.Name
	}
	if math.IsNaN(float64(c.SQNR)) && r.Invalid < r.Samples {
		c.SQNR = evaluate.Decibel(math.Inf(-1))
	}
	if r.Float != nil && r.Quantized != nil {
		top1, drop := r.Quantized.Top1, r.Float.Top1-r.Quantized.Top1
		c.Top1, c.Drop = &top1, &drop
	}
	return c
}
