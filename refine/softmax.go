package refine

import (
	"math"
	"slices"

	"narrow/calibrate"
	"narrow/calibrate/observe"
	"narrow/engine"
	"narrow/graph"
	"narrow/scheme"
)

// Behind a Softmax the errors of most samples are next to nothing, and those of the few
// that the network is unsure of are all: that many samples tell little. What goes into
// the Softmax is as wrong for the one as for the other, so the error of each sample there
// is put on every other sample too, and taken through the Softmax again.

// logits are what goes into the Softmax of an output, sample by sample: what the float
// network has, and by how much the quantized one's is another.
type logits struct {
	classes     int
	float, away []float32
}

// softmaxInput returns a value whose Softmax, over the second of two axes, is the
// output of m with that name, or "". A Softmax may be written out as exp(x) / sum(exp(x)):
// what is taken off all of x before changes nothing.
func softmaxInput(m *graph.Model, output string) string {
	ix := graph.NewIndex(m.Graph)
	for v := output; ; {
		n := ix.Producer[v]
		switch {
		case n == nil || n.Domain != "" && n.Domain != graph.TapDomain:
			return ""
		case n.OpType == graph.TapOp && n.Domain == graph.TapDomain:
			v = n.Inputs[0]
		case n.Is("Softmax"):
			if axis := n.Int("axis", 1); axis != 1 && axis != -1 {
				return ""
			}
			return n.Inputs[0]
		case n.Is("Div"):
			return exponent(ix, n.Inputs[0], n.Inputs[1], false)
		case n.Is("Mul"):
			if x := exponent(ix, n.Inputs[0], n.Inputs[1], true); x != "" {
				return x
			}
			return exponent(ix, n.Inputs[1], n.Inputs[0], true)
		default:
			return ""
		}
	}
}

// exponent returns the x of a value exp(x) whose sum the other value is made of, inverted or
// not; "" where they are not that.
func exponent(ix *graph.Index, value, sum string, inverted bool) string {
	exp := ix.Producer[value]
	if exp == nil || !exp.Is("Exp") {
		return ""
	}
	made := func(v string) bool { return ix.Producer[v] != nil }
	for n := ix.Producer[sum]; n != nil; {
		switch {
		case n.Is("ReduceSum") && n.Inputs[0] == value && !inverted:
			return exp.Inputs[0]
		case n.Is("Reciprocal") && inverted:
			inverted = false
		case !n.Is("Reshape", "Expand", "Unsqueeze", "Identity", "Max", "Clip", "Add"):
			return ""
		}
		i := slices.IndexFunc(n.Inputs, made)
		if i < 0 {
			return ""
		}
		n = ix.Producer[n.Inputs[i]]
	}
	return ""
}

// is reports whether y is the Softmax of l's float network.
func (l *logits) is(y []float32) bool {
	if l == nil || len(y) != len(l.float) {
		return false
	}
	p := make([]float32, l.classes)
	for at := 0; at < len(y); at += l.classes {
		softmax(p, l.float[at:at+l.classes], nil)
		for i, v := range p {
			if d := v - y[at+i]; !(d < 1e-3 && d > -1e-3) {
				return false
			}
		}
	}
	return true
}

// logitsOf returns those of some samples; nil where they are not of two axes.
func logitsOf(want, got engine.Tensor, count int) *logits {
	if want.Type != graph.Float32 || len(want.Shape) != 2 || int(want.Shape[0]) != count || len(want.Floats) != len(got.Floats) {
		return nil
	}
	l := &logits{classes: int(want.Shape[1]), float: want.Floats, away: make([]float32, len(want.Floats))}
	for i, v := range got.Floats {
		l.away[i] = v - want.Floats[i]
	}
	return l
}

// with returns l with more samples behind; nil where either is, or they do not fit.
func (l *logits) with(more *logits) *logits {
	if l == nil || more == nil || len(l.float) > 0 && l.classes != more.classes {
		return nil
	}
	return &logits{more.classes, append(l.float, more.float...), append(l.away, more.away...)}
}

// pairs are the squares of the errors that samples have with the errors of others.
type pairs struct {
	signal []float64 // of each sample
	noise  []float64 // of each, with all errors that are put on it
	caused []float64 // by the error of each, on all samples
	both   []float64 // of each with its own
}

// pairWork is how many elements are computed for one comparison, at most, but that
// pairsLeast errors are put on every sample.
const (
	pairWork   = 1 << 20
	pairsLeast = 8
)

// pairs puts the errors of samples on others. The Softmax is followed by quantize, if not nil.
func (l *logits) pairs(quantize func([]float32) error) (*pairs, error) {
	n := len(l.float) / max(l.classes, 1)
	if n == 0 {
		return nil, nil
	}
	p := &pairs{make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)}
	each := min(n, max(pairsLeast, pairWork/len(l.float)))
	want, got := make([]float32, l.classes), make([]float32, l.classes)
	for i := range n {
		z := l.float[i*l.classes:][:l.classes]
		softmax(want, z, nil)
		for _, v := range want {
			p.signal[i] += float64(float64(v) * float64(v))
		}
		for k := range each {
			o := (i + k) % n
			softmax(got, z, l.away[o*l.classes:][:l.classes])
			if quantize != nil {
				if err := quantize(got); err != nil {
					return nil, err
				}
			}
			sum := 0.0
			for c, v := range want {
				d := float64(v) - float64(got[c])
				sum += float64(d * d)
			}
			p.noise[i] += sum
			p.caused[o] += sum
			if o == i {
				p.both[i] = sum
			}
		}
	}
	for i := range p.signal {
		p.signal[i] *= float64(each)
	}
	return p, nil
}

// without returns the sums over all pairs, or over those without one sample.
func (p *pairs) without(sample int) (all squares) {
	for i, s := range p.signal {
		if i != sample {
			all.signal += s
			all.noise += p.noise[i]
		}
	}
	if sample >= 0 && sample < len(p.signal) {
		all.noise += p.both[sample] - p.caused[sample]
		all.signal *= float64(len(p.signal)-1) / float64(len(p.signal))
	}
	return all
}

// softmax writes that of z, with away added where that is not nil, to dst.
func softmax(dst, z, away []float32) {
	most := math.Inf(-1)
	for i, v := range z {
		if away != nil {
			v += away[i]
		}
		dst[i] = v
		most = max(most, float64(v))
	}
	sum := 0.0
	for i, v := range dst {
		e := math.Exp(float64(v) - most)
		sum += e
		dst[i] = float32(e)
	}
	for i, v := range dst {
		dst[i] = float32(float64(v) / sum)
	}
}

// quantizerOf returns what quantizes an output of c's network in place, or nil.
func quantizerOf(c *calibrate.Calibrated, output string) func([]float32) error {
	for _, t := range c.Plan.Activations() {
		if s := t.Settings.Settings; t.Name == output && s.Datatype != scheme.Float32 {
			e := c.Encodings[t]
			return func(x []float32) error { return observe.Apply(nil, x, x, s, e, []int64{1, int64(len(x))}) }
		}
	}
	return nil
}
