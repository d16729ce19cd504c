package rewrite

import (
	"fmt"
	"math"
	"slices"

	"narrow/diag"
	"narrow/graph"
	"narrow/graph/op"
)

// Relu6Way says what [Equalize] does with a ReLU6 between two convolutions.
type Relu6Way int

// The ways. The zero value is invalid.
const (
	// Relu6Stops leaves a pair with a ReLU6 between alone.
	Relu6Stops Relu6Way = iota + 1
	// Relu6Bounds equalizes through it and scales its upper bound per channel:
	// the Clip becomes Relu and a Min with a constant of one bound a channel.
	Relu6Bounds
	// Relu6Shared equalizes through it and leaves it its one bound: see
	// [Equalizing.Largest].
	Relu6Shared
)

// Equalizing says how far [Equalize] goes.
type Equalizing struct {
	// Relu6 says what to do with a ReLU6 on the way.
	Relu6 Relu6Way
	// Largest holds, for [Relu6Shared], the largest value of every channel behind a
	// ReLU6 over the samples, by the value's name. A channel that reaches the bound
	// keeps its scale; another may grow up to it, at most 16 times. A ReLU6 that is
	// missing here stops equalization.
	Largest map[string][]float32
	// Rounds is how often all pairs are gone through at most, at least 1.
	// vai_q_pytorch goes once.
	Rounds int
	// WeightsOnly takes the ranges of the weights alone, as Nagel et al. do: the
	// bias takes no part, no channel is left alone, and a pair whose scales all
	// are within 1 % of 1 counts as done. With many rounds every pair gets there.
	WeightsOnly bool
}

// Equalize scales, over each pair of convolutions in a row, the output
// channels of the first against the input channels of the second, so that both
// use the range of one scale for the whole tensor better (cross-layer
// equalization, Nagel et al. 2019, arXiv:1906.04721, in vai_q_pytorch's form:
// the bias takes part in the range of the first one, and channels with small
// weights on both sides are left alone).
//
// A pair is two Conv or ConvTranspose of two or three dimensions with nothing
// between them but Relu, MaxPool, AveragePool and GlobalAveragePool, each value
// on the way with a single reader. Depthwise ones count like any other, so
// that a chain is gone through pair by pair from the front.
func Equalize(e Equalizing) Rule {
	// What is largest grows with its channel's scale, pair by pair.
	largest := map[string][]float32{}
	for v, x := range e.Largest {
		largest[v] = slices.Clone(x)
	}
	return Rule{
		Name: "equalize", Exact: true, passes: max(e.Rounds, 1),
		Doc: "Equalizes the weights of convolutions in a row channel by channel (cross-layer equalization).",
		find: func(w *work, n *graph.Node) *site {
			if !n.Is("Conv", "ConvTranspose") || w.rank(n.Input(1)) < 4 {
				return nil
			}
			second, clips := w.nextConv(n)
			if second == nil {
				return nil
			}
			if len(clips) > 0 && e.Relu6 != Relu6Bounds && !(e.Relu6 == Relu6Shared && known(largest, clips)) {
				return refuse("ReLU6 %q is between it and %q, whose channels all have the bound 6", clips[0].Label(), second.Label())
			}
			return w.equalizePair(n, second, clips, e, largest)
		},
	}
}

// nextConv follows the only readers from n through functions that scale with
// their input to the next convolution, or returns nil. clips are the ReLU6 and
// bounded nodes on the way.
func (w *work) nextConv(n *graph.Node) (second *graph.Node, clips []*graph.Node) {
	for v := n.Outputs[0]; ; {
		users := w.ix.Consumers[v]
		if len(users) != 1 || w.ix.IsOutput(v) || w.inner(v) {
			return nil, nil
		}
		u := users[0]
		if len(u.Outputs) == 0 {
			return nil, nil
		}
		switch {
		case u.Is("Conv", "ConvTranspose"):
			if u.Input(0) != v || !w.only(v, u) || w.rank(u.Input(1)) < 4 {
				return nil, nil
			}
			return u, clips
		case u.Is("Relu", "MaxPool", "AveragePool", "GlobalAveragePool"):
			if len(u.Outputs) > 1 && u.Outputs[1] != "" && w.read(u.Outputs[1]) {
				return nil, nil
			}
		case w.isRelu6Clip(u), w.isChannelBound(u, v):
			clips = append(clips, u)
		default:
			return nil, nil
		}
		v = u.Outputs[0]
	}
}

// isRelu6Clip reports whether u alone is a ReLU6.
func (w *work) isRelu6Clip(u *graph.Node) bool {
	r, ok := w.relu6At(u)
	return ok && len(r.inner) == 0
}

// isChannelBound reports whether u is the Min that Relu6Bounds made of a ReLU6.
func (w *work) isChannelBound(u *graph.Node, v string) bool {
	if !u.Is("Min") || u.Rule != "equalize" || len(u.Inputs) != 2 || u.Inputs[0] != v {
		return false
	}
	_, _, ok := w.floats(u.Inputs[1])
	return ok
}

func known(largest map[string][]float32, clips []*graph.Node) bool {
	return !slices.ContainsFunc(clips, func(u *graph.Node) bool { return largest[u.Outputs[0]] == nil })
}

// Relu6Values returns the values behind the ReLU6 of m that equalization could go
// through, for [Equalizing.Largest].
func Relu6Values(m *graph.Model) ([]string, error) {
	w, err := newWork(m)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, n := range m.Graph.Nodes {
		if !n.Is("Conv", "ConvTranspose") || w.rank(n.Input(1)) < 4 {
			continue
		}
		if second, clips := w.nextConv(n); second != nil {
			for _, u := range clips {
				out = append(out, u.Outputs[0])
			}
		}
	}
	return out, nil
}

// growth is how much a channel in front of a bound grows at most.
const growth = 16

// hold keeps the scales such that channels stay below the bound of a ReLU6, as far as
// the samples tell.
func hold(scale, largest []float32) {
	for c := range scale {
		switch {
		case c >= len(largest) || largest[c] >= 6:
			scale[c] = 1
		default:
			scale[c] = max(scale[c], largest[c]/6, 1./growth)
		}
	}
}

func (w *work) equalizePair(first, second *graph.Node, clips []*graph.Node, e Equalizing, largest map[string][]float32) *site {
	a, reason := w.convWeights(first)
	if reason != "" {
		return refuse("%s", reason)
	}
	b, reason := w.convWeights(second)
	if reason != "" {
		return refuse("%s", reason)
	}
	if a.Out != b.In {
		return refuse("it has %d output channels and %q reads %d", a.Out, second.Label(), b.In)
	}
	for _, x := range [][]float32{a.w, b.w} {
		if slices.ContainsFunc(x, func(x float32) bool { return !finite(x) }) {
			return refuse("its weights or those of %q are not all finite", second.Label())
		}
	}
	var bias []float32
	if first.Input(2) != "" {
		var dims []int64
		var ok bool
		if bias, dims, ok = w.floats(first.Input(2)); !ok || len(bias) != a.Out || len(dims) != 1 {
			return refuse("its bias %q is not a float32 constant of %d elements", first.Input(2), a.Out)
		}
		if slices.ContainsFunc(bias, func(x float32) bool { return !finite(x) }) {
			return refuse("its bias %q is not all finite", first.Input(2))
		}
	}
	shared := e.Relu6 == Relu6Shared
	if len(clips) > 0 && !shared && w.opset() < 8 {
		return refuse("Min does not broadcast in opset %d, so that ReLU6 cannot have a bound per channel", w.opset())
	}
	rule := scaling{least: 0.5, bias: bias}
	if e.WeightsOnly {
		rule = scaling{near: 0.01}
	}
	scale := rule.scales(rows(a), columns(b))
	for _, u := range clips {
		if shared {
			hold(scale, largest[u.Outputs[0]])
		}
	}
	for c, s := range scale {
		if !finite(s) || s <= 0 {
			return refuse("channel %d would be scaled by %g", c, s)
		}
	}
	if !slices.ContainsFunc(scale, func(s float32) bool { return abs(s-1) > rule.near }) {
		return nil
	}
	return &site{apply: func() diag.Text {
		a.Each(len(a.w), func(from, _, out int) {
			s, kernel := scale[out], a.w[from:from+a.Kernel]
			for k := range kernel {
				kernel[k] /= s
			}
		})
		b.Each(len(b.w), func(from, in, _ int) {
			s, kernel := scale[in], b.w[from:from+b.Kernel]
			for k := range kernel {
				kernel[k] *= s
			}
		})
		w.setFloats(first, 1, first.Label()+".weight", a.Dims, a.w)
		w.setFloats(second, 1, second.Label()+".weight", b.Dims, b.w)
		if bias != nil {
			for c := range bias {
				bias[c] /= scale[c]
			}
			w.setFloats(first, 2, "", []int64{int64(len(bias))}, bias)
		}
		for _, u := range clips {
			if !shared {
				w.boundChannels(u, scale, len(a.Dims))
				continue
			}
			for c := range min(len(scale), len(largest[u.Outputs[0]])) {
				largest[u.Outputs[0]][c] /= scale[c]
			}
		}
		return diag.Textf("scaled against %s by 1/%.3g to 1/%.3g", second.Label(), slices.Max(scale), slices.Min(scale))
	}}
}

// convWeights is a convolution with its weights.
type convWeights struct {
	op.Product
	w []float32
}

func (w *work) convWeights(n *graph.Node) (convWeights, string) {
	x, dims, ok := w.floats(n.Input(1))
	if !ok || len(dims) < 3 {
		return convWeights{}, fmt.Sprintf("the weights %q of %q are not a float32 constant", n.Input(1), n.Label())
	}
	l, ok := op.ProductOf(n, 1, dims)
	if !ok || !l.Valid() {
		return convWeights{}, fmt.Sprintf("the weights of %q have shape %v for %d groups", n.Label(), dims, l.Groups)
	}
	return convWeights{l, x}, ""
}

// rows gathers the weights by output channel.
func rows(c convWeights) [][]float32 {
	out := make([][]float32, c.Out)
	if c.Axis < c.InAxis { // they lie one after the other
		for o := range out {
			out[o] = c.w[o*len(c.w)/c.Out : (o+1)*len(c.w)/c.Out]
		}
		return out
	}
	for o := range out {
		out[o] = make([]float32, 0, len(c.w)/c.Out)
	}
	for i := 0; i < len(c.w); i += c.Kernel {
		o := c.OutOf(i)
		out[o] = append(out[o], c.w[i:i+c.Kernel]...)
	}
	return out
}

// columns returns the largest magnitude of the weights per input channel.
func columns(c convWeights) []float32 {
	out := make([]float32, c.In)
	c.Each(len(c.w), func(from, in, _ int) {
		for _, x := range c.w[from : from+c.Kernel] {
			out[in] = max(out[in], abs(x))
		}
	})
	return out
}

func abs(x float32) float32 { return float32(math.Abs(float64(x))) }

// scaling is how the scales between two layers come about.
type scaling struct {
	bias  []float32 // the first layer's, to take part in its ranges; or nil
	least float32   // channels whose two ranges sum up to less stay as they are
	near  float32   // scales that are so near to 1 are not worth applying
}

// scales returns, per channel between two layers, what the first one's weights
// and bias are divided and the second one's weights are multiplied by:
// r0/sqrt(r0*r1), where r0 is the first one's range (the bias, shrunk, counts
// as one weight more) and r1 the second one's. float32 throughout, as
// vai_q_pytorch computes it (nndct_shared/optimization/commander.py).
func (s scaling) scales(first [][]float32, second []float32) []float32 {
	r0 := make([]float32, len(first))
	for c, row := range first {
		for _, x := range row {
			r0[c] = max(r0[c], abs(x))
		}
	}
	if s.bias != nil {
		b, by := shrunkBias(first, s.bias)
		for c := range r0 {
			r0[c] = max(r0[c], abs(b[c]/by))
		}
	}
	scale := make([]float32, len(first))
	for c := range scale {
		scale[c] = 1
		if root := float32(math.Sqrt(float64(r0[c] * second[c]))); root != 0 && r0[c]+second[c] >= s.least {
			scale[c] = r0[c] / root
		}
	}
	return scale
}

// shrunkBias returns the biases that take part in the ranges, and what they
// are divided by: the larger they are against the weights, the more.
func shrunkBias(first [][]float32, bias []float32) ([]float32, float32) {
	const tiny = float32(1e-7) // stands in for weights that are 0
	b := slices.Clone(bias)
	zeros := false
	for _, row := range first {
		zeros = zeros || slices.Contains(row, 0)
	}
	var factors []float32
	var largest float32 // weight, zeros replaced
	for c, row := range first {
		least := float32(math.Inf(1)) // among those that are not 0
		for _, x := range row {
			if x != 0 {
				least = min(least, abs(x))
			}
		}
		if zeros && math.IsInf(float64(least), 1) {
			b[c], least = 0, tiny
		}
		for _, x := range row {
			if x == 0 {
				x = least
			}
			x = abs(x)
			if x < tiny {
				x = tiny
			}
			largest = max(largest, x)
			factors = append(factors, abs(b[c])/x)
		}
	}
	if len(factors) == 0 {
		return b, 5
	}
	var top float32
	for _, x := range bias {
		top = max(top, abs(x))
	}
	mean := meanOf(factors)
	median := medianOf(factors)
	if top < 10 && top/largest < 20 {
		if median > 100 || mean > 1000 {
			return b, 5
		}
		return b, 2
	}
	switch {
	case median > 30 || mean > 500:
		return b, 20
	case median > 15 || mean > 100:
		return b, 10
	}
	return b, 5
}

func meanOf(xs []float32) float64 {
	var sum float64
	for _, x := range xs {
		sum += float64(x)
	}
	return sum / float64(len(xs))
}

// medianOf returns the middle of xs, or the mean of the two middle ones. It
// moves the elements of xs, none of which is NaN.
func medianOf(xs []float32) float32 {
	m := len(xs) / 2
	upper := nth(xs, m)
	if len(xs)%2 == 1 {
		return upper
	}
	return (slices.Max(xs[:m]) + upper) / 2
}

// nth moves the n-th smallest element of xs to place n, smaller ones in front
// of it (Hoare's selection), and returns it.
func nth(xs []float32, n int) float32 {
	for lo, hi := 0, len(xs)-1; lo < hi; {
		pivot := xs[lo+(hi-lo)/2]
		i, j := lo, hi
		for i <= j {
			for xs[i] < pivot {
				i++
			}
			for xs[j] > pivot {
				j--
			}
			if i <= j {
				xs[i], xs[j] = xs[j], xs[i]
				i++
				j--
			}
		}
		switch {
		case n <= j:
			hi = j
		case n >= i:
			lo = i
		default:
			return xs[n]
		}
	}
	return xs[n]
}

// boundChannels divides the upper bound of a ReLU6 by scale, per channel of a
// value of rank r.
func (w *work) boundChannels(u *graph.Node, scale []float32, r int) {
	dims := slices.Repeat([]int64{1}, r)
	dims[1] = int64(len(scale))
	bound := make([]float32, len(scale))
	if u.Is("Min") {
		old, _, _ := w.floats(u.Inputs[1])
		old, _ = spread(old, []int64{int64(len(old))}, len(scale))
		for c := range bound {
			bound[c] = old[c] / scale[c]
		}
		w.setFloats(u, 1, u.Label()+".bound", dims, bound)
		return
	}
	for c := range bound {
		bound[c] = 6 / scale[c]
	}
	out := u.Outputs[0]
	relu := w.fresh(out + "_relu")
	whole := &graph.Whole{OpType: "Clip"}
	w.add(u, &graph.Node{
		Name: w.fresh(u.Label() + "/Relu"), OpType: "Relu", Inputs: []string{u.Input(0)}, Outputs: []string{relu}, Metadata: u.Metadata,
		Whole: whole,
	})
	name := w.fresh(out + "_bound")
	w.setInitializer(graph.NewFloats(name, dims, bound))
	w.replace(u, &graph.Node{
		Name: u.Name, OpType: "Min", Inputs: []string{relu, name}, Outputs: u.Outputs, Metadata: u.Metadata,
		Whole: whole,
	})
}
