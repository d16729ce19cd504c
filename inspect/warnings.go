package inspect

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"narrow"
	"narrow/diag"
	"narrow/engine"
	"narrow/graph"
	"narrow/graph/op"
	"narrow/internal/kernel"
	"narrow/plan"
	"narrow/scheme"
)

// WarningSamples are enough for [Warnings].
const WarningSamples = 16

// Warnings runs both networks over the samples, of which [WarningSamples] are
// enough and which it may go through twice, and tells which values quantization destroys, with the tensor, what
// happens to it, and the rule that helps: operands of a join that lie within one
// step of its scale, ranges that a constant makes by itself, layers and outputs
// most of whose elements become one value, tensors with more than 1 % of their
// values beyond the range, and functions that the strategy's rewrites made others
// of. The error names the model.
func Warnings(ctx context.Context, c *narrow.Calibrated, run engine.Runner, in engine.Batches, opts Options) (diag.List, error) {
	m, err := newMeasurement(c, kernel.NewPool(cores(opts.Threads)))
	if err == nil {
		m.look = &look{values: map[string]*seen{}}
		err = m.run(ctx, run, in, opts)
	}
	var list diag.List
	if err == nil {
		list, err = m.replaced(ctx, run, in, opts)
	}
	if err != nil {
		return nil, diag.Errorf("looking at %s: %w", c.Model.Path, err)
	}
	return append(m.warnings(), list...), nil
}

func (m *measurement) warnings() diag.List {
	w := warner{m: m, ix: graph.NewIndex(m.c.Plan.Model.Graph), told: map[string]bool{}}
	for _, o := range m.c.Plan.Operations {
		w.join(o)
	}
	for i, t := range m.c.Plan.Tensors {
		w.mask(i, t)
	}
	for i, l := range m.c.Plan.Layers {
		w.dead(i, l)
	}
	w.clipped()
	return w.list
}

// warner gathers warnings.
type warner struct {
	m    *measurement
	ix   *graph.Index
	list diag.List
	told map[string]bool // the values that a warning is about
	more int
}

// mostWarnings is how many warnings of one kind are told one by one.
const mostWarnings = 4

func (w *warner) warn(code string, message, fix diag.Text) {
	n := 0
	for _, f := range w.list {
		if f.Code == code {
			n++
		}
	}
	if n < mostWarnings {
		w.list = append(w.list, diag.Finding{Severity: diag.Warning, Code: code, Message: message, Fix: fix})
		return
	}
	if n == mostWarnings {
		w.more = 0
		w.list = append(w.list, diag.Finding{Severity: diag.Warning, Code: code})
	}
	w.more++
	last := &w.list[len(w.list)-1]
	last.Message = diag.Textf("%d more of that kind (%s)", w.more, code)
}

// spare is the fix that leaves the activations of a layer in float.
func (w *warner) spare(l *plan.Layer) diag.Text {
	return diag.Textf("leave it in float, by layer_quantize_config: %s", Rule(l.Name, scheme.Activation))
}

// steps is what an integer tensor with one scale stores.
type steps struct {
	scale    float64
	low, hig float64
}

func (w *warner) stepsOf(t *plan.Tensor) (steps, bool) {
	if t == nil || t.Constant != nil {
		return steps{}, false
	}
	g := quantizer{t.Settings.Settings, w.m.c.Result.Encodings[t]}.grids()
	if len(g) != 1 || g[0].Step <= 0 {
		return steps{}, false
	}
	return steps{g[0].Step, g[0].Low, g[0].High}, true
}

// few is how many different values are no more than flags: nothing is lost
// where they stay apart.
const few = 3

// join warns of operands that the scale of what joins them is too coarse for.
func (w *warner) join(o *plan.Operation) {
	if !o.Node.Is("Concat", "Where", "ScatterND", "ScatterElements") || len(o.In) == 0 {
		return
	}
	s, ok := w.stepsOf(o.Output)
	if !ok {
		return
	}
	for _, in := range o.In {
		v := w.m.look.values[in]
		if v == nil || len(v.ref.of) <= few || w.told[in] {
			continue
		}
		lo, hi := math.Round(float64(v.min)/s.scale), math.Round(float64(v.max)/s.scale)
		if hi-lo+1 > few || math.Max(-float64(v.min), float64(v.max)) >= 2*s.scale {
			continue
		}
		w.told[in] = true
		var become []string
		for k := lo; k <= hi; k++ {
			become = append(become, fmt.Sprintf("%.3g", k*s.scale+0))
		}
		w.warn("join-step",
			diag.Textf("the values of %q that enter the %s %q (%.3g to %.3g) lie within about one step of its scale (%.3g): they become %s",
				in, o.Op, o.Node.Label(), v.min, v.max, s.scale, diag.Or(become)),
			w.spare(w.layerOf(o.Node)))
	}
}

func (w *warner) layerOf(n *graph.Node) *plan.Layer {
	for _, l := range w.m.c.Plan.Layers {
		if slices.Contains(l.Nodes, n) {
			return l
		}
	}
	return &plan.Layer{Name: n.Label()}
}

// leastMask is the least magnitude of a constant that stands for infinity.
const leastMask = 64

// mask warns of a range that a constant makes by itself: next to it all other
// values fall together.
func (w *warner) mask(i int, t *plan.Tensor) {
	s, ok := w.stepsOf(t)
	if !ok || t.Uses != nil {
		return
	}
	v := w.m.look.values[t.Name]
	if v == nil {
		return
	}
	reach := math.Max(-float64(v.min), float64(v.max))
	near, levels, distinct := 0, map[float64]int{}, 0
	for bits, n := range v.ref.of {
		x := float64(math.Float32frombits(bits))
		if math.Abs(x) > reach/16 || !(x-x == 0) {
			continue
		}
		near += n
		distinct++
		levels[math.Round(x/s.scale)] += n
	}
	if distinct < 8 || float64(near) < 0.1*float64(v.ref.n) {
		return
	}
	// The three most frequent levels hold all but a few of the near values.
	var sizes []int
	for _, n := range levels {
		sizes = append(sizes, n)
	}
	slices.SortFunc(sizes, func(a, b int) int { return cmp.Compare(b, a) })
	held := 0
	for _, n := range sizes[:min(few, len(sizes))] {
		held += n
	}
	if float64(held) < 0.99*float64(near) {
		return
	}
	name, value := w.constantOf(t.Name, math.Max(reach/4, leastMask), 8)
	if name == "" {
		return
	}
	w.told[t.Name] = true
	w.warn("mask-range",
		diag.Textf("the constant %q (%.3g) alone makes the range of %q, the result of layer %s: the other values (%.0f %%) lie within about one step (%.3g) and become one",
			name, value, t.Name, t.Layer.Name, 100*float64(near)/float64(v.ref.n), s.scale),
		w.spare(t.Layer))
}

// constantOf looks for a constant of a magnitude of at least reach that a value
// is computed from by sums, products, choices and moves alone.
func (w *warner) constantOf(value string, reach float64, depth int) (name string, most float64) {
	if c := w.ix.Constant[value]; c != nil {
		x, err := c.Floats()
		if err != nil {
			return "", 0
		}
		for _, v := range x {
			if math.Abs(float64(v)) > math.Abs(most) || math.IsInf(float64(v), 0) {
				most = float64(v)
			}
		}
		if math.Abs(most) >= reach {
			return value, most
		}
		return "", 0
	}
	n := w.ix.Producer[value]
	if n == nil || depth == 0 || !(n.Is("Add", "Sub", "Mul", "Where", "Min", "Max", "Cast", "Sum", "Clip", "Relu") || op.Moves(n)) {
		return "", 0
	}
	for i, in := range n.Inputs {
		if in == "" || i > 0 && op.Moves(n) {
			continue
		}
		if name, most = w.constantOf(in, reach, depth-1); name != "" {
			return name, most
		}
	}
	return "", 0
}

// When most of a layer's elements count as having become one value.
const (
	deadShare = 0.5
	deadSQNR  = 3 // dB: the error is as large as the signal
)

// dead warns of a layer whose result became one value for the most part, which
// it is not in the float network.
func (w *warner) dead(i int, l *plan.Layer) {
	v := w.m.look.values[l.Output]
	e := w.m.layers[i].error()
	if v == nil || e == nil || float64(e.SQNR) >= deadSQNR || v.n < 16 || len(v.ref.of) <= few {
		return
	}
	value, share := v.got.most()
	if _, before := v.ref.most(); share < deadShare || before > share/2 {
		return
	}
	if w.told[l.Output] || w.fed(l) {
		w.told[l.Output] = true
		return
	}
	w.told[l.Output] = true
	code, message := "dead-layer", diag.Textf("%.0f %% of the values of layer %s's result become %.3g: little of it is left (%.1f dB)", 100*share, l.Name, value, float64(e.SQNR))
	if w.ix.IsOutput(l.Output) {
		code, message = "dead-output", diag.Textf("%.0f %% of the values of output %q become %.3g: little of it is left (%.1f dB)", 100*share, l.Output, value, float64(e.SQNR))
	}
	w.warn(code, message, w.spare(l))
}

// fed reports whether a warning is about what l reads.
func (w *warner) fed(l *plan.Layer) bool {
	for _, n := range l.Nodes {
		for _, in := range n.Inputs {
			if w.told[in] {
				return true
			}
		}
	}
	return false
}

// clippedShare is the share of clipped values that is told, where they reach
// farther beyond the range than clippedReach of it.
const (
	clippedShare = 0.01
	clippedReach = 0.05
)

// clipped warns of tensors whose range leaves out more values than a method does
// by design.
func (w *warner) clipped() {
	type clip struct {
		t         *plan.Tensor
		share     float64
		s         *stats
		low, high float64
	}
	var clips []clip
	for i, t := range w.m.c.Plan.Tensors {
		s := &w.m.tensors[i].stats
		st := t.Settings.Settings
		limit := clippedShare
		if st.Method == scheme.Percentile {
			limit = max(limit, 2*(1-st.Percentage/100))
		}
		if s.elements == 0 || w.told[t.Name] || w.m.c.Result.Weights[t] != nil { // what was chosen over samples clips where that is better
			continue
		}
		share := float64(s.clipped) / float64(s.elements)
		if share <= limit || w.masked(t) {
			continue
		}
		c := clip{t: t, share: share, s: s}
		for _, g := range (quantizer{st, w.m.c.Result.Encodings[t]}).grids() {
			c.low, c.high = min(c.low, g.Low), max(c.high, g.High)
		}
		reach := [2]float64{float64(s.min), float64(s.max)}
		if t.Bounded() { // what lies beyond does not count
			reach = [2]float64{math.Max(reach[0], float64(t.Low)), math.Min(reach[1], float64(t.High))}
		}
		if math.Max(reach[1]-c.high, c.low-reach[0]) > clippedReach*math.Max(-c.low, c.high) {
			clips = append(clips, c)
		}
	}
	slices.SortStableFunc(clips, func(a, b clip) int { return cmp.Compare(b.share, a.share) })
	for _, c := range clips {
		fix := unclip(c.t.Settings.Settings, MayGain(w.m.c))
		if w.m.c.Accuracy == narrow.High && c.t.Constant == nil {
			fix = diag.Textf("the range was chosen over the calibration samples: more of them, samples that reach as far, or more bits")
		}
		w.warn("clipped",
			diag.Textf("%.1f %% of the values of the %v %q of layer %s (%.3g to %.3g) are clipped to its range (%.3g to %.3g)",
				100*c.share, c.t.Kind, c.t.Name, c.t.Layer.Name, c.s.min, c.s.max, c.low, c.high),
			fix)
	}
}

// masked reports whether what a tensor clips lies so far beyond its range that it
// stands for minus infinity: a mask, which the range leaves out on purpose.
func (w *warner) masked(t *plan.Tensor) bool {
	s, ok := w.stepsOf(t)
	v := w.m.look.values[t.Name]
	if !ok || v == nil {
		return false
	}
	bound := math.Max(-s.low, s.hig)
	for bits := range v.ref.of {
		x := math.Abs(float64(math.Float32frombits(bits)))
		if x > bound+s.scale && x < 16*bound {
			return false
		}
	}
	return true
}

// unclip says what keeps a tensor of the settings s from being clipped. With maxmin
// no batch's own range clips it: what the batches are joined by does.
func unclip(s scheme.Settings, high bool) diag.Text {
	switch {
	case s.Method != scheme.MaxMin:
		return diag.Textf("take the method maxmin there, more bits, or samples that reach as far")
	case !s.Symmetry && !high:
		return diag.Textf("the guide takes the scale of one batch and the commonest zero point of all: symmetry true there")
	case !s.Symmetry:
		return diag.Textf("the guide takes the scale of one batch and the commonest zero point of all: symmetry true there, or accuracy high, whose range covers all samples")
	}
	return diag.Textf("the method maxmin is taken there already: samples that reach as far, or more bits")
}
