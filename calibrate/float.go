package calibrate

import (
	"errors"

	"narrow/calibrate/observe"
	"narrow/diag"
	"narrow/engine"
	"narrow/graph"
	"narrow/internal/kernel"
	"narrow/plan"
)

// floatRun is what float propagation does at the taps. They stand at the same
// places whatever the strategy ([plan.Plan.Watch]), so that the engine computes
// the same network for every strategy, and statistics that are kept serve all.
type floatRun struct {
	c       *calibration
	watched *plan.Plan
	tensors map[string][]*plan.Tensor // the plan's, by value
	nodes   map[*graph.Node]int       // of the model, to their index
	means   map[int]*inputMeans       // by index of their node
	entered map[string][]*inputMeans  // by value, those to gather
	stats   *statsWriter              // nil where they are not kept
}

func newFloatRun(c *calibration) *floatRun {
	f := &floatRun{
		c: c, watched: c.plan.Watch(), tensors: map[string][]*plan.Tensor{}, nodes: map[*graph.Node]int{},
		means: means(c.plan.Model), entered: map[string][]*inputMeans{},
	}
	for i, n := range c.plan.Model.Graph.Nodes {
		f.nodes[n] = i
	}
	there := map[string]bool{}
	for _, t := range f.watched.Tensors {
		there[t.Name] = true
	}
	for _, t := range c.plan.Activations() {
		if !there[t.Name] {
			there[t.Name] = true
			f.watched.Tensors = append(f.watched.Tensors, &plan.Tensor{Name: t.Name, Kind: t.Kind, Layer: t.Layer, Axis: -1, Where: t.Where})
		}
		f.tensors[t.Name] = append(f.tensors[t.Name], t)
	}
	for i := range c.plan.Model.Graph.Nodes {
		if p := f.means[i]; p != nil && !there[p.value] {
			delete(f.means, i) // what enters it is not watched
		}
	}
	return f
}

// gather asks for the input means to be gathered.
func (f *floatRun) gather(p *inputMeans) { f.entered[p.value] = append(f.entered[p.value], p) }

// gatherAll asks for all input means, for strategies to come.
func (f *floatRun) gatherAll() {
	clear(f.entered)
	for i := range f.c.plan.Model.Graph.Nodes {
		if p := f.means[i]; p != nil {
			f.gather(p)
		}
	}
}

// entry is what one sample of one value gave: a record, or why there is none.
type entry struct {
	record *observe.Record
	// bad is the NaN or Inf that it holds.
	bad float32
}

// tap takes one watched value of one batch; values go on as they are.
func (f *floatRun) tap(w *plan.Tensor, b *engine.Batch, dst, src []float32, shape []int64) error {
	if !engine.SameMemory(dst, src) {
		copy(dst, src)
	}
	if len(src) == 0 {
		for _, t := range f.tensors[w.Name] {
			f.c.empty[t] = true
		}
		if f.stats != nil {
			return f.stats.records(w, b.First, nil)
		}
		return nil
	}
	x, shape, n := b.Samples(src, shape)
	if f.c.opts.Watch != nil {
		f.c.opts.Watch(w.Name, b, x, shape, n)
	}
	if f.stats != nil {
		es := f.records(w.Name, x, shape, n)
		if err := f.stats.records(w, b.First, es); err != nil {
			return err
		}
		for _, t := range f.tensors[w.Name] {
			for i, e := range es {
				if err := f.c.feed(t, e, b.Name(i), &f.c.out.Invalid); err != nil {
					return err
				}
			}
		}
	} else {
		for _, t := range f.tensors[w.Name] {
			if err := f.c.observeFloat(t, b, x, shape, n); err != nil {
				return err
			}
		}
	}
	for _, p := range f.entered[w.Name] {
		p.add(f.c.pool, x, shape, n)
	}
	return nil
}

// one returns the shape of one of n samples.
func one(shape []int64, n int) []int64 {
	if n <= 1 {
		return shape
	}
	return append([]int64{shape[0] / int64(n)}, shape[1:]...)
}

// records makes the records of n samples.
func (f *floatRun) records(name string, x []float32, shape []int64, n int) []entry {
	es := make([]entry, n)
	per, shape := len(x)/n, one(shape, n)
	var pool *kernel.Pool
	if n == 1 {
		pool = f.c.pool
	}
	f.c.pool.Run(n, func(i int) {
		r, err := observe.NewRecord(pool, name, x[i*per:(i+1)*per], shape)
		es[i].record = r
		var bad *observe.InvalidError
		if errors.As(err, &bad) {
			es[i] = entry{bad: bad.Value}
		}
	})
	return es
}

// feed gives a tensor of the plan what one sample gave; invalid counts those
// that are skipped.
func (c *calibration) feed(t *plan.Tensor, e entry, sample string, invalid *int) error {
	o := c.obs[t]
	switch {
	case e.record == nil && !c.opts.SkipInvalid:
		return invalidIn(t, e.bad, sample)
	case e.record == nil:
		*invalid++
	case o != nil:
		if err := o.ObserveRecord(e.record); err != nil {
			return diag.Errorf("layer %s, sample %s: %w", t.Layer.Name, sample, err)
		}
	}
	return nil
}

// observeFloat gives a tensor of the plan the values of some samples. Where
// invalid ones are skipped, that is sample by sample.
func (c *calibration) observeFloat(t *plan.Tensor, b *engine.Batch, x []float32, shape []int64, n int) error {
	o, per := c.obs[t], len(x)/n
	observed := func(x []float32, shape []int64, n int) error {
		switch {
		case o != nil && n > 1:
			return o.ObserveSamples(x, shape, n)
		case o != nil:
			return o.Observe(x, shape)
		case !c.pool.MinMax(x).Finite:
			i := kernel.FirstNonFinite(x)
			return &observe.InvalidError{Tensor: t.Name, Index: i, Value: x[i]}
		}
		return nil
	}
	err := observed(x, shape, n)
	var bad *observe.InvalidError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &bad):
		return diag.Errorf("layer %s, batch from sample %s: %w", t.Layer.Name, b.Name(0), err)
	case !c.opts.SkipInvalid:
		return invalidIn(t, bad.Value, b.Name(bad.Index/per))
	}
	for i := range n {
		err := observed(x[i*per:(i+1)*per], one(shape, n), 1)
		switch {
		case errors.As(err, &bad):
			c.out.Invalid++
		case err != nil:
			return diag.Errorf("layer %s, sample %s: %w", t.Layer.Name, b.Name(i), err)
		}
	}
	return nil
}

func invalidIn(t *plan.Tensor, v float32, sample string) error {
	return &NotFiniteError{Layer: t.Layer.Name, Tensor: t.Name, Sample: sample, Value: v}
}
