package inspect

import (
	"context"
	"maps"
	"runtime"
	"slices"

	"narrow"
	"narrow/calibrate/observe"
	"narrow/diag"
	"narrow/engine"
	"narrow/graph"
	"narrow/internal/kernel"
	"narrow/plan"
	"narrow/scheme"
)

// Options say how to measure.
type Options struct {
	// Threads is how many threads share the work; 0 means one per core.
	Threads int
	// Progress, when set, is called with the number of samples done.
	Progress func(samples int)
}

func cores(threads int) int {
	if threads > 0 {
		return threads
	}
	return runtime.GOMAXPROCS(0)
}

// Measure runs the float and the quantized network side by side over the
// samples, each sample once through each, and compares every quantized tensor
// and every layer's output. It holds the float values of at most eight samples
// at a time, and of fewer where these take more than 512 MB. The error names the
// model.
func Measure(ctx context.Context, c *narrow.Calibrated, run engine.Runner, in engine.Batches, opts Options) (*Result, error) {
	m, err := newMeasurement(c, kernel.NewPool(cores(opts.Threads)))
	if err == nil {
		err = m.run(ctx, run, in, opts)
	}
	if err != nil {
		return nil, diag.Errorf("measuring %s: %w", c.Model.Path, err)
	}
	return m.result(), nil
}

// measurement is the state of one run of Measure.
type measurement struct {
	c         *narrow.Calibrated
	pool      *kernel.Pool
	reference Reference
	// places are the values that the float network gives, by name.
	places map[string]*place
	// float and quantized are the two networks with a tap at each value that is
	// looked at; tests is what the taps of the second do.
	float, quantized *plan.Simulation
	tests            []*test
	// tensors are the statistics of the plan's tensors, layers the errors of its
	// layers' outputs.
	tensors []tensorStats
	layers  []pairs
	samples int
	// look sees single values too; nil where only errors are asked for.
	look *look
}

// tensorStats is what is known of one tensor.
type tensorStats struct {
	stats
	accumulated pairs
	channels    []Channel
}

// place is one value of the float network.
type place struct {
	// values are those of the batch that runs, of samples only.
	values []float32
	block  int
	// tensors are the plan's activations there, by index.
	tensors []int
}

// test is what a tap of the quantized network compares.
type test struct {
	tensor int    // of the plan, or -1
	layer  int    // whose output it is, or -1
	place  *place // nil where the float network has none
}

func newMeasurement(c *narrow.Calibrated, pool *kernel.Pool) (*measurement, error) {
	reference, exact, err := c.FloatReference()
	if err != nil {
		return nil, err
	}
	m := &measurement{
		c: c, pool: pool, reference: Rewritten, places: map[string]*place{},
		tensors: make([]tensorStats, len(c.Plan.Tensors)), layers: make([]pairs, len(c.Plan.Layers)),
	}
	if exact {
		m.reference = Exact
	}
	constants, err := c.Result.QuantizedConstants(pool)
	if err != nil {
		return nil, err
	}
	if err := m.constants(constants); err != nil {
		return nil, err
	}
	watched, tests := m.watch(reference)
	q := *c.Plan
	q.Tensors = watched
	if m.quantized, err = q.Simulation(plan.SimulationOptions{Replace: constants}); err != nil {
		return nil, diag.Errorf("building the quantized network: %w", err)
	}
	for _, t := range m.quantized.Taps {
		m.tests = append(m.tests, tests[t.Tensor])
	}
	f := plan.Plan{Model: reference}
	seen := map[string]bool{}
	for _, t := range watched {
		if m.places[t.Name] != nil && !seen[t.Name] {
			seen[t.Name] = true
			f.Tensors = append(f.Tensors, watcher(t.Name, t.Layer))
		}
	}
	if m.float, err = f.Simulation(plan.SimulationOptions{}); err != nil {
		return nil, diag.Errorf("building the float network: %w", err)
	}
	return m, nil
}

// watcher is a tensor that stands for a value to look at.
func watcher(name string, l *plan.Layer) *plan.Tensor {
	return &plan.Tensor{Name: name, Kind: scheme.Activation, Layer: l, Axis: -1}
}

// watch returns the plan's tensors with one more for each layer's output that
// has no quantizer, and what to compare at each.
func (m *measurement) watch(reference *graph.Model) ([]*plan.Tensor, map[*plan.Tensor]*test) {
	ix := graph.NewIndex(reference.Graph)
	at := func(name string) *place {
		if m.places[name] == nil && (ix.Producer[name] != nil || ix.IsInput(name)) {
			m.places[name] = &place{}
		}
		return m.places[name]
	}
	var all []*plan.Tensor
	tests := map[*plan.Tensor]*test{}
	behind := map[string]*test{} // everyone reads the value behind these
	for i, t := range m.c.Plan.Tensors {
		all = append(all, t)
		if t.Constant != nil {
			continue
		}
		p := at(t.Name)
		if p != nil {
			p.tensors = append(p.tensors, i)
		}
		tests[t] = &test{tensor: i, layer: -1, place: p}
		if t.Uses == nil {
			behind[t.Name] = tests[t]
		}
	}
	for i, l := range m.c.Plan.Layers {
		if t := behind[l.Output]; t != nil {
			t.layer = i
		} else if p := at(l.Output); p != nil {
			w := watcher(l.Output, l)
			all = append(all, w)
			tests[w] = &test{tensor: -1, layer: i, place: p}
			behind[l.Output] = tests[w]
		}
	}
	return all, tests
}

// run runs both networks over the samples.
func (m *measurement) run(ctx context.Context, run engine.Runner, in engine.Batches, opts Options) error {
	float, floatBlock, err := load(ctx, run, m.float, opts.Threads)
	if err != nil {
		return err
	}
	defer float.Close()
	quantized, block, err := load(ctx, run, m.quantized, opts.Threads)
	if err != nil {
		return err
	}
	defer quantized.Close()
	first, in, err := peek(in)
	if err != nil {
		return err
	}
	size := chunk
	if first != nil {
		size = chunkOf(m.c.Plan.Model, slices.Collect(maps.Keys(m.places)), first)
	}
	for b, err := range engine.Fit(in, m.c.Plan.Model, size) {
		if err != nil {
			return err
		}
		if _, err := float.Run(ctx, b.Inputs, func(tap int, dst, src []float32, shape []int64) error {
			return m.seeFloat(m.float.Taps[tap].Tensor.Name, floatBlock(tap), b, dst, src, shape)
		}); err != nil {
			return err
		}
		if _, err := quantized.Run(ctx, b.Inputs, func(tap int, dst, src []float32, shape []int64) error {
			return m.seeQuantized(m.tests[tap], block(tap), b, dst, src, shape)
		}); err != nil {
			return err
		}
		m.samples += b.Count
		if opts.Progress != nil {
			opts.Progress(m.samples)
		}
	}
	if m.samples == 0 {
		return diag.Errorf("there are no samples to measure with")
	}
	return nil
}

// load readies a network whose hook may take channels in blocks, and returns
// how many lie together at a tap.
func load(ctx context.Context, run engine.Runner, sim *plan.Simulation, threads int) (engine.Session, func(tap int) int, error) {
	s, err := run.Load(ctx, sim.Model, engine.LoadOptions{Threads: threads, Outputs: []string{}, InBlocks: func(int) bool { return true }})
	if err != nil {
		return nil, nil, err
	}
	if b, ok := s.(engine.Blocked); ok {
		return s, b.Block, nil
	}
	return s, func(int) int { return 1 }, nil
}

// seeFloat keeps a batch's values at one place, and takes the statistics of the
// tensors there.
func (m *measurement) seeFloat(name string, block int, b *engine.Batch, dst, src []float32, shape []int64) error {
	if !engine.SameMemory(dst, src) {
		copy(dst, src)
	}
	p := m.places[name]
	x, _, _ := b.Samples(src, shape)
	p.values, p.block = append(p.values[:0], x...), block
	for _, i := range p.tensors {
		if err := m.tensors[i].take(m.pool, m.quantizer(i), x); err != nil {
			return m.named(i, err)
		}
	}
	return nil
}

// take takes the statistics of an activation's float values.
func (s *tensorStats) take(pool *kernel.Pool, q quantizer, x []float32) error {
	var grid *Grid
	if g := q.grids(); g != nil {
		grid = &g[0]
	}
	return s.add(pool, x, grid, func(_ int, dst, x []float32) error { return q.apply(dst, x) })
}

// seeQuantized quantizes where a tensor is, and compares.
func (m *measurement) seeQuantized(t *test, block int, b *engine.Batch, dst, src []float32, shape []int64) error {
	if t.tensor >= 0 {
		q := m.quantizer(t.tensor)
		if t.place == nil {
			x, _, _ := b.Samples(src, shape)
			if err := m.tensors[t.tensor].take(m.pool, q, x); err != nil {
				return m.named(t.tensor, err)
			}
		}
		if err := observe.Apply(m.pool, dst, src, q.s, q.e, shape); err != nil {
			return m.named(t.tensor, err)
		}
	} else if !engine.SameMemory(dst, src) {
		copy(dst, src)
	}
	if t.place == nil {
		return nil
	}
	got, own, _ := b.Samples(dst, shape)
	ref := t.place.values
	if len(ref) != len(got) {
		name := ""
		if t.layer >= 0 {
			name = m.c.Plan.Layers[t.layer].Name
		} else {
			name = m.c.Plan.Tensors[t.tensor].Layer.Name
		}
		return diag.Errorf("layer %s: the float network has %d values where the quantized one has %d", name, len(ref), len(got))
	}
	if t.place.block != block {
		// The two networks differ near here, and so does the engine's choice.
		ref, got = unblock(ref, own, t.place.block), unblock(got, own, block)
	}
	m.look.add(m.valueOf(t), ref, got)
	var p pairs
	p.add(m.pool, ref, got)
	if t.tensor >= 0 {
		m.tensors[t.tensor].accumulated.join(p)
	}
	if t.layer >= 0 {
		m.layers[t.layer].join(p)
	}
	return nil
}

// valueOf returns the name of the value at t.
func (m *measurement) valueOf(t *test) string {
	if t.layer >= 0 {
		return m.c.Plan.Layers[t.layer].Output
	}
	return m.c.Plan.Tensors[t.tensor].Name
}

// quantizer returns how a tensor of the plan is stored.
func (m *measurement) quantizer(i int) quantizer {
	t := m.c.Plan.Tensors[i]
	return quantizer{t.Settings.Settings, m.c.Result.Encodings[t]}
}

// named says which tensor an error is about.
func (m *measurement) named(i int, err error) error {
	t := m.c.Plan.Tensors[i]
	return diag.Errorf("layer %s: %v %q: %w", t.Layer.Name, t.Kind, t.Name, err)
}

// unblock returns x, of samples of that shape, in C order, where channels (axis
// 1) lie together in blocks of b.
func unblock(x []float32, shape []int64, b int) []float32 {
	if b <= 1 || len(shape) < 2 {
		return x
	}
	n, c := int(shape[0]), int(shape[1])
	inner := len(x) / max(n*c, 1)
	out := make([]float32, len(x))
	for i := range n * c {
		s, ch := i/c, i%c
		from := (s*c + ch/b*b) * inner
		for k := range inner {
			out[i*inner+k] = x[from+k*b+ch%b]
		}
	}
	return out
}
