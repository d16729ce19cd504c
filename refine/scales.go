package refine

import (
	"context"
	"math"
	"runtime"

	"narrow/calibrate"
	"narrow/diag"
	"narrow/engine"
	"narrow/internal/footprint"
	"narrow/internal/kernel"
	"narrow/plan"
	"narrow/rewrite"
	"narrow/scheme"
)

const (
	// scaleSteps is how many steps a channel is scaled by, at most, and scaleRounds
	// how often all are gone through.
	scaleSteps  = 4 * rewrite.ScaleOctave
	scaleRounds = 5
	// scaleGain is to what part the estimated noise has to fall for scales to be tried,
	// scaleLoss how many dB the worst output may lose by them before ranges and weights
	// are chosen: these gain more where all channels use the range of their scale.
	scaleGain = 0.93
	scaleLoss = 1
	// scaleJudges is how many samples tell that.
	scaleJudges = 16
	// room is how much of a ReLU6's range a channel may grow to.
	room = 0.9
)

// Scales decides, over samples of [Few], by how many steps the channels of
// task.Plan's network are scaled, for [rewrite.MoveScales]: with makes the plan of
// steps. They are chosen by an estimate of what rounding activations and weights
// adds to what each layer puts out, and taken unless the network's worst output
// clearly loses by it; the result is nil where nothing is to be gained, or the samples
// are too few.
//
// The result does not depend on threads or batch size, nor on the order of the
// samples.
func Scales(ctx context.Context, task Task, run engine.Runner, some []*engine.Batch, opts calibrate.Options, with func(steps map[string][]int) (*plan.Plan, error)) (map[string][]int, error) {
	found, err := rewrite.FindChannels(task.Plan.Model)
	if err != nil {
		return nil, err
	}
	b := newBalance(task.Plan, found)
	if !b.movable() {
		return nil, nil
	}
	if count(some) < fewest {
		return nil, nil
	}
	threads := opts.Threads
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	if err := b.watch(ctx, run, batches(some), threads); err != nil {
		return nil, err
	}
	steps := b.choose()
	if len(steps) == 0 {
		return nil, nil
	}
	other, err := with(steps)
	if err != nil {
		return nil, err
	}
	some = firstOf(some, scaleJudges)
	j := &jury{run: run, pool: kernel.NewPool(threads), float: task.Float, in: some, batch: batch, anyOrder: b.largest >= blocksFrom}
	defer j.close() //nolint:errcheck // nothing of it is needed any more
	var scores [2]float64
	for i, p := range []*plan.Plan{task.Plan, other} {
		c, err := calibrate.Calibrate(ctx, p, run, batches(some), calibrate.Options{Propagate: calibrate.Float, Threads: opts.Threads, SkipInvalid: opts.SkipInvalid, Keep: &calibrate.Keeper{}})
		if err != nil {
			return nil, err
		}
		if scores[i], err = j.score(ctx, c); err != nil {
			return nil, err
		}
	}
	if !(scores[1]-scores[0] > -scaleLoss) {
		return nil, nil
	}
	return steps, nil
}

// balance weighs what rounding activations costs against what rounding weights
// does, both as parts of the signal that each layer puts out.
type balance struct {
	plan  *plan.Plan
	found *rewrite.Channels
	steps []int        // by class
	most  []int        // how many steps a class may take up, by class
	fixed []bool       // by class: it keeps its scale
	noise [2][]float64 // what noise on a channel of a class counts, and on one of inverse scale
	stats map[string]*spread
	// largest is the most elements that one sample has at one place.
	largest int
	acts    []*rangeTerm
	rows    []*weightTerm
	// of lists the terms that a class is in.
	actsOf [][]*rangeTerm
	rowsOf [][]cell
}

// spread is what the samples tell of a value, by channel.
type spread struct {
	of            rewrite.Layout
	lo, hi, power []float64
	count         float64 // of elements of each channel
}

// entry is one channel of a term.
type entry struct {
	class   int
	inverse bool
	lo, hi  float64
}

// rangeTerm is the noise of a quantized activation.
type rangeTerm struct {
	t       *plan.Tensor
	entries []entry
}

// cell is a column of a layer.
type cell struct {
	term   *weightTerm
	column int
}

// weightTerm is the noise of a layer's weights.
type weightTerm struct {
	layer   rewrite.Scaled
	t       *plan.Tensor
	cols    []entry   // by input channel; lo holds the mean square of what enters
	rows    []entry   // by output channel
	width   int       // columns of a row
	most    []float32 // the largest weight by row and column of its group
	largest []float64 // by row, of most divided by the column's scale
	at      []int32   // where that is
	second  []float64
	signal  float64
	sum     []float64 // by group: the power of all columns, scaled
}

func newBalance(p *plan.Plan, found *rewrite.Channels) *balance {
	n := found.Classes()
	b := &balance{
		plan: p, found: found, steps: make([]int, n), most: make([]int, n), fixed: make([]bool, n), stats: map[string]*spread{},
		actsOf: make([][]*rangeTerm, n), rowsOf: make([][]cell, n),
	}
	for i := range b.noise {
		b.noise[i] = make([]float64, n)
	}
	for i := range b.most {
		b.most[i] = scaleSteps
		_, _, b.fixed[i] = found.Class(i)
	}
	return b
}

// movable reports whether any quantized activation has channels to scale.
func (b *balance) movable() bool {
	for _, t := range b.plan.Activations() {
		if b.moves(b.found.Layouts[t.Name]) {
			return true
		}
	}
	return false
}

func (b *balance) moves(l rewrite.Layout) bool {
	for _, id := range l.IDs {
		if _, _, fixed := b.found.Class(id); !fixed {
			return true
		}
	}
	return false
}

func (b *balance) entry(id int) entry {
	class, inverse, _ := b.found.Class(id)
	return entry{class: class, inverse: inverse}
}

// factor is what a channel is multiplied by once its class takes that many steps.
func (e entry) factor(steps int) float64 {
	if e.inverse {
		steps = -steps
	}
	return factorOf[steps+2*scaleSteps]
}

// factorOf holds the factors of steps from -2*scaleSteps on.
var factorOf = func() (f [4*scaleSteps + 1]float64) {
	for i := range f {
		f[i] = rewrite.StepFactor(i - 2*scaleSteps)
	}
	return f
}()

// watch runs the float network over the samples.
func (b *balance) watch(ctx context.Context, run engine.Runner, in engine.Batches, threads int) error {
	watched := *b.plan
	watched.Tensors = nil
	want := func(v string) {
		if v == "" || b.stats[v] != nil {
			return
		}
		s := &spread{of: b.found.Layouts[v]}
		n := max(len(s.of.IDs), 1)
		s.lo, s.hi, s.power = make([]float64, n), make([]float64, n), make([]float64, n)
		b.stats[v] = s
		watched.Tensors = append(watched.Tensors, &plan.Tensor{Name: v, Kind: scheme.Activation, Layer: &plan.Layer{Name: v}, Axis: -1})
	}
	for _, t := range b.plan.Activations() {
		if b.moves(b.found.Layouts[t.Name]) {
			want(t.Name)
		}
	}
	for _, l := range b.found.Layers {
		want(l.Node.Input(0))
		want(l.Node.Outputs[0])
	}
	for _, s := range b.found.Others {
		if s.In != nil {
			want(s.Node.Outputs[0])
		}
	}
	for _, n := range b.found.Products {
		want(n.Input(0))
		want(n.Input(1))
		want(n.Outputs[0])
	}
	for _, v := range b.found.Bounded {
		want(v)
	}
	sim, err := watched.Simulation(plan.SimulationOptions{})
	if err != nil {
		return diag.Errorf("building the network to equalize: %w", err)
	}
	s, err := run.Load(ctx, sim.Model, engine.LoadOptions{Threads: footprint.Threads(b.plan.Model, threads), Outputs: []string{}, Unoptimized: footprint.Unoptimized(b.plan.Model)})
	if err != nil {
		return err
	}
	defer s.Close()
	for some, err := range engine.Fit(in, b.plan.Model, batch) {
		if err != nil {
			return err
		}
		if _, err := engine.Run(ctx, s, some.Inputs, func(tap int, dst, src []float32, shape []int64) error {
			if !engine.SameMemory(dst, src) {
				copy(dst, src)
			}
			if x, shape, _ := some.Samples(src, shape); len(x) > 0 {
				b.largest = max(b.largest, len(x)/some.Count)
				b.stats[sim.Taps[tap].Tensor.Name].add(x, shape)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// add takes values of that shape.
func (s *spread) add(x []float32, shape []int64) {
	n := len(s.lo)
	inner, fits := 1, n > 1
	first, last := 0, -1
	if len(s.of.Axes) > 0 {
		first, last = s.of.Axes[0], s.of.Axes[len(s.of.Axes)-1]
	}
	whole := int64(1)
	for i, d := range shape {
		if i > last {
			inner *= int(d)
		} else if i >= first {
			whole *= d
		}
	}
	fits = fits && last < len(shape) && whole == int64(n) && last-first == len(s.of.Axes)-1
	if n > 1 && !fits {
		s.scattered(x, shape)
		return
	}
	if n == 1 {
		inner = len(x)
	}
	s.count += float64(len(x)) / float64(n)
	if inner == 1 {
		for i, v := range x {
			s.one(i%n, float64(v))
		}
		return
	}
	for i := 0; i+inner <= len(x); i += inner {
		c := i / inner % n
		plane := x[i : i+inner]
		e := kernel.MinMax(plane)
		if !e.Finite {
			continue
		}
		sum := 0.0
		for _, v := range plane {
			sum += float64(v) * float64(v)
		}
		s.lo[c], s.hi[c] = min(s.lo[c], float64(e.Min)), max(s.hi[c], float64(e.Max))
		s.power[c] += sum
	}
}

func (s *spread) one(c int, v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return
	}
	s.lo[c], s.hi[c] = min(s.lo[c], v), max(s.hi[c], v)
	s.power[c] += v * v
}

// scattered takes values whose channels lie along axes with others between.
func (s *spread) scattered(x []float32, shape []int64) {
	n := 1
	stride := make([]int, len(s.of.Axes))
	size := make([]int, len(s.of.Axes))
	for i, a := range s.of.Axes {
		if a >= len(shape) {
			return
		}
		size[i], stride[i] = int(shape[a]), 1
		n *= size[i]
		for _, d := range shape[a+1:] {
			stride[i] *= int(d)
		}
	}
	if n != len(s.lo) {
		return
	}
	s.count += float64(len(x)) / float64(n)
	for i, v := range x {
		c := 0
		for k := range size {
			c = c*size[k] + i/stride[k]%size[k]
		}
		s.one(c, float64(v))
	}
}

// mean is the mean square of a channel.
func (s *spread) mean(c int) float64 {
	if s == nil || s.count == 0 {
		return 0
	}
	return s.power[c] / s.count
}

// total is the sum of the channels' mean squares.
func (s *spread) total() float64 {
	sum := 0.0
	for c := range s.power {
		sum += s.mean(c)
	}
	return sum
}

// choose returns the steps that make the estimated noise least, or nil where that
// is hardly less than without.
func (b *balance) choose() map[string][]int {
	b.bounds()
	b.terms()
	var classes []int
	for i, f := range b.fixed {
		root, _, _ := b.found.Class(i)
		if root == i && !f && b.noise[0][i]+b.noise[1][i] > 0 && len(b.actsOf[i]) > 0 {
			classes = append(classes, i)
		}
	}
	before := b.total()
	last := before
	for range scaleRounds {
		for _, c := range classes {
			b.improve(c)
		}
		now := b.total()
		if !(now < 0.995*last) {
			break
		}
		last = now
	}
	if !(b.total() < scaleGain*before) {
		return nil
	}
	return b.found.Steps(b.steps)
}

// bounds keeps channels below the bound of a ReLU6, as far as the samples tell.
func (b *balance) bounds() {
	for _, v := range b.found.Bounded {
		s := b.stats[v]
		for c, id := range b.found.Layouts[v].IDs {
			class, inverse, _ := b.found.Class(id)
			if s == nil || inverse || s.count == 0 || s.hi[c] >= 6*room {
				b.fixed[class] = true
				continue
			}
			b.most[class] = min(b.most[class], int(math.Floor(rewrite.ScaleOctave*math.Log2(6*room/max(s.hi[c], 0.01)))))
		}
	}
}

// terms sets up what is summed.
func (b *balance) terms() {
	weights := map[string]*plan.Tensor{} // by the value that the layer puts out
	for _, t := range b.plan.Tensors {
		if t.Kind == scheme.Weights && t.Settings.Settings.Datatype == scheme.Int {
			for _, u := range t.Uses {
				weights[u.Node.Outputs[0]] = t
			}
		}
	}
	largest := map[string][]float32{}
	for _, l := range b.found.Layers {
		t := weights[l.Node.Outputs[0]]
		w := b.weightTerm(l, t, largest)
		if w == nil {
			continue
		}
		if t != nil {
			b.rows = append(b.rows, w)
			for c, e := range w.cols {
				if l.In != nil && !b.fixed[e.class] {
					b.rowsOf[e.class] = append(b.rowsOf[e.class], cell{w, c})
				}
			}
		}
	}
	for _, s := range b.found.Others {
		// A scale per channel, as of a normalization, reads and makes channels one by one.
		out := b.stats[s.Node.Outputs[0]]
		if s.In == nil || out == nil || len(out.power) != len(s.Out) {
			continue
		}
		in := b.stats[s.Node.Input(0)]
		if in == nil || len(in.power) != len(s.In) {
			continue
		}
		total := out.total()
		for c, id := range s.In {
			// The gain of the channel, as the samples show it.
			if p := in.mean(c); p > 0 && total > 0 {
				b.hear(id, out.mean(c)/p/total)
			}
		}
	}
	for _, n := range b.found.Products {
		out := b.stats[n.Outputs[0]]
		if out == nil || out.total() == 0 {
			continue
		}
		for i, v := range n.Inputs[:2] {
			other := b.stats[n.Inputs[1-i]]
			for c, id := range b.found.Layouts[v].IDs {
				if other != nil && c < len(other.power) {
					b.hear(id, other.mean(c)/out.total()*float64(len(out.power)))
				}
			}
		}
	}
	for _, t := range b.plan.Activations() {
		s := b.stats[t.Name]
		l := b.found.Layouts[t.Name]
		if s == nil || !b.moves(l) || s.count == 0 || t.Settings.Settings.Datatype != scheme.Int || t.Settings.Settings.BitWidth > searchBits {
			continue
		}
		r := &rangeTerm{t: t}
		seen := map[entry]int{}
		for c, id := range l.IDs {
			e := b.entry(id)
			at, ok := seen[e]
			if !ok {
				at = len(r.entries)
				seen[e] = at
				r.entries = append(r.entries, e)
				if !b.fixed[e.class] {
					b.actsOf[e.class] = append(b.actsOf[e.class], r)
				}
			}
			r.entries[at].lo, r.entries[at].hi = min(r.entries[at].lo, s.lo[c]), max(r.entries[at].hi, s.hi[c])
		}
		b.acts = append(b.acts, r)
	}
}

// hear counts noise on a channel.
func (b *balance) hear(id int, gain float64) {
	e := b.entry(id)
	way := 0
	if e.inverse {
		way = 1
	}
	b.noise[way][e.class] += gain
}

// weightTerm reads the weights of a layer, and counts what noise in front of it
// comes to behind it.
func (b *balance) weightTerm(l rewrite.Scaled, t *plan.Tensor, seen map[string][]float32) *weightTerm {
	p := l.Product
	in, out := b.stats[l.Node.Input(0)], b.stats[l.Node.Outputs[0]]
	x, err := b.found.Floats(l)
	if err != nil || in == nil || out == nil || out.total() == 0 {
		return nil
	}
	w := &weightTerm{layer: l, t: t, width: p.In / p.Groups, signal: out.total()}
	if len(out.power) == 1 {
		w.signal *= float64(p.Out)
	}
	per, rows := p.In/p.Groups, p.Out/p.Groups
	name := l.Node.Input(1)
	squares := make([]float64, p.In)
	most := seen[name]
	fill := most == nil
	if fill {
		most = make([]float32, p.Out*per)
		seen[name] = most
	}
	for i, v := range x {
		c, o := p.InOf(i), p.OutOf(i)
		squares[c] += float64(v) * float64(v)
		if a := float32(math.Abs(float64(v))); fill && a > most[o*per+c%per] {
			most[o*per+c%per] = a
		}
	}
	w.most = most
	for c := range p.In {
		e := entry{class: -1}
		if l.In != nil {
			e = b.entry(l.In[c])
			b.hear(l.In[c], squares[c]/w.signal)
		}
		if len(in.power) == p.In {
			e.lo = in.mean(c) * float64(p.Kernel)
		} else {
			e.lo = in.total() / float64(len(in.power)) * float64(p.Kernel)
		}
		w.cols = append(w.cols, e)
	}
	w.sum = make([]float64, p.Groups)
	for c, e := range w.cols {
		w.sum[c/per] += e.lo
	}
	w.largest, w.second, w.at = make([]float64, p.Out), make([]float64, p.Out), make([]int32, p.Out)
	for o := range p.Out {
		w.rows = append(w.rows, b.entry(l.Out[o]))
		w.scan(b, o, o/rows)
	}
	if l.In == nil {
		for i := range w.cols {
			w.cols[i].class = -1
		}
	}
	return w
}

// scale is what a channel is multiplied by now.
func (b *balance) scale(e entry) float64 {
	if e.class < 0 {
		return 1
	}
	return e.factor(b.steps[e.class])
}

// scan finds the largest two weights of a row.
func (w *weightTerm) scan(b *balance, o, group int) {
	w.largest[o], w.second[o], w.at[o] = 0, 0, 0
	for k, a := range w.most[o*w.width : (o+1)*w.width] {
		v := float64(a) / b.scale(w.cols[group*w.width+k])
		switch {
		case v > w.largest[o]:
			w.largest[o], w.second[o], w.at[o] = v, w.largest[o], int32(k)
		case v > w.second[o]:
			w.second[o] = v
		}
	}
}

// step is the step of a scale for a range of that width.
func step(t *plan.Tensor, wide float64) float64 {
	return wide / (math.Exp2(float64(t.Settings.Settings.BitWidth)) - 1)
}

// cost is the noise of the activation, were class to take other steps.
func (r *rangeTerm) cost(b *balance, class, steps int) float64 {
	var lo, hi, sum float64
	for _, e := range r.entries {
		k := b.steps[e.class]
		if e.class == class {
			k = steps
		}
		f := e.factor(k)
		lo, hi = min(lo, e.lo*f), max(hi, e.hi*f)
		way := 0
		if e.inverse {
			way = 1
		}
		sum += b.noise[way][e.class] / (f * f)
	}
	wide := hi - lo
	if r.t.Settings.Settings.Symmetry {
		wide = 2 * max(hi, -lo)
	}
	q := step(r.t, wide)
	return q * q / 12 * sum
}

// cost is the noise of the weights, were the column's scale another factor.
func (w *weightTerm) cost(b *balance, column int, f float64) float64 {
	per := w.width
	group := 0
	was := 1.0
	if column >= 0 {
		group = column / per
		was = b.scale(w.cols[column])
	}
	rows := len(w.rows) / len(w.sum)
	total := 0.0
	whole := 0.0 // the largest of all, for one scale
	one := w.t.Axis < 0
	for g, sum := range w.sum {
		if column >= 0 && g != group && !one {
			continue // the same as before, whatever that is
		}
		if column >= 0 && g == group {
			sum += w.cols[column].lo * (f*f - was*was)
		}
		var squares float64
		for o := g * rows; o < (g+1)*rows; o++ {
			m := w.largest[o]
			if column >= 0 && g == group {
				k := column % per
				if int(w.at[o]) == k {
					m = w.second[o]
				}
				m = max(m, float64(w.most[o*per+k])/f)
			}
			s := 1.0
			if one {
				s = b.scale(w.rows[o])
				whole = max(whole, m*s)
			}
			if one {
				squares += 1 / (s * s)
			} else {
				q := step(w.t, 2*m)
				squares += q * q
			}
		}
		total += squares * sum
	}
	if one {
		q := step(w.t, 2*whole)
		total *= q * q
	}
	return total / 12 / w.signal
}

// set tells the layer that a column's scale has become another one.
func (w *weightTerm) set(b *balance, column int, was, f float64) {
	per, group := w.width, column/w.width
	rows := len(w.rows) / len(w.sum)
	w.sum[group] += w.cols[column].lo * (f*f - was*was)
	k := column % per
	for o := group * rows; o < (group+1)*rows; o++ {
		v := float64(w.most[o*per+k]) / f
		if int(w.at[o]) == k || v > w.second[o] || float64(w.most[o*per+k])/was >= w.second[o] {
			w.scan(b, o, group)
		}
	}
}

// total is the noise of everything.
func (b *balance) total() float64 {
	sum := 0.0
	for _, r := range b.acts {
		sum += r.cost(b, -1, 0)
	}
	for _, w := range b.rows {
		sum += w.cost(b, -1, 1)
	}
	return sum
}

// improve gives a class the steps that cost least.
func (b *balance) improve(class int) {
	cost := func(steps int) float64 {
		sum := 0.0
		for _, r := range b.actsOf[class] {
			sum += r.cost(b, class, steps)
		}
		for _, c := range b.rowsOf[class] {
			sum += c.term.cost(b, c.column, c.term.cols[c.column].factor(steps))
		}
		return sum
	}
	was := b.steps[class]
	best, least := was, cost(was)
	for _, d := range [...]int{-8, -4, -2, -1, 1, 2, 4, 8} {
		k := was + d
		if k < -scaleSteps || k > min(b.most[class], scaleSteps) {
			continue
		}
		if v := cost(k); v < least*(1-1e-9) {
			best, least = k, v
		}
	}
	if best == was {
		return
	}
	b.steps[class] = best
	for _, c := range b.rowsOf[class] {
		e := c.term.cols[c.column]
		c.term.set(b, c.column, e.factor(was), e.factor(best))
	}
}
