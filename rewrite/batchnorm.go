package rewrite

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"narrow/diag"
	"narrow/graph"
	"narrow/graph/op"
)

// FoldBatchNorm folds BatchNormalization into the layer in front of it.
func FoldBatchNorm() Rule {
	return Rule{
		Name: "fold-batchnorm", Exact: true,
		Doc: "Folds BatchNormalization with constant statistics into the Conv, ConvTranspose, Gemm or MatMul in front of it, " +
			"also through a constant Add, a Transpose, or a Concat of such layers.",
		find: func(w *work, n *graph.Node) *site {
			if !n.Is("BatchNormalization") {
				return nil
			}
			b, reason := w.readBatchNorm(n)
			if reason != "" {
				return refuse("%s", reason)
			}
			into, reason := w.sinkFor(n.Input(0), 1, n)
			if reason != "" {
				return refuse("%s", reason)
			}
			if into.channels != len(b.scale) {
				return refuse("it has %d channels and %s has %d", len(b.scale), into.what, into.channels)
			}
			return &site{apply: func() diag.Text {
				into.fold(b.scale, b.offset)
				w.takeOver(w.ix.Producer[n.Input(0)], n.Input(0), n)
				return diag.Textf("folded into %s", into.what)
			}}
		},
	}
}

// NormalizeBatchNorm writes what is left of BatchNormalization as a plain
// scale and offset, so that its two constants are what a quantizer should see.
func NormalizeBatchNorm() Rule {
	return Rule{
		Name: "normalize-batchnorm", Exact: true,
		Doc: "Writes BatchNormalization that could not be folded as scale and offset alone: mean 0, variance 1, epsilon 0.",
		find: func(w *work, n *graph.Node) *site {
			if !n.Is("BatchNormalization") {
				return nil
			}
			b, reason := w.readBatchNorm(n)
			if reason != "" {
				return refuse("%s", reason)
			}
			if b.plain {
				return nil
			}
			return &site{apply: func() diag.Text {
				c := len(b.scale)
				dims := []int64{int64(c)}
				ones := make([]float32, c)
				for i := range ones {
					ones[i] = 1
				}
				w.setFloats(n, 1, n.Label()+".scale", dims, b.scale)
				w.setFloats(n, 2, n.Label()+".offset", dims, b.offset)
				w.setFloats(n, 3, n.Label()+".mean", dims, make([]float32, c))
				w.setFloats(n, 4, n.Label()+".var", dims, ones)
				n.SetAttr(&graph.Attr{Name: "epsilon", Kind: graph.AttrFloat, Float: 0})
				return diag.Textf("statistics folded into scale and offset")
			}}
		},
	}
}

// batchNorm is y = scale*x + offset per channel.
type batchNorm struct {
	scale, offset []float32
	plain         bool // has mean 0, variance 1, epsilon 0 already
}

// readBatchNorm computes scale = gamma / sqrt(var + epsilon) and offset =
// beta - mean*scale in float32, in vai_q_pytorch's order of operations.
func (w *work) readBatchNorm(n *graph.Node) (b batchNorm, reason string) {
	if n.Int("training_mode", 0) != 0 {
		return b, "it is in training mode"
	}
	if w.opset() < 7 && n.Int("is_test", 0) == 0 {
		return b, "it is in training mode (is_test is 0)"
	}
	if w.opset() < 9 && n.Int("spatial", 1) == 0 {
		return b, "it normalizes every element by itself (spatial is 0)"
	}
	for _, o := range n.Outputs[1:] {
		if o != "" && w.read(o) {
			return b, fmt.Sprintf("its statistic %q is read", o)
		}
	}
	var p [4][]float32
	for i, what := range []string{"scale", "offset", "mean", "variance"} {
		x, _, ok := w.floats(n.Input(i + 1))
		if !ok {
			return b, fmt.Sprintf("its %s %q is not a float32 constant", what, n.Input(i+1))
		}
		if p[i] = x; len(x) != len(p[0]) {
			return b, fmt.Sprintf("its scale has %d elements and its %s %d", len(p[0]), what, len(x))
		}
	}
	eps := n.Float("epsilon", 1e-5)
	b.scale, b.offset = make([]float32, len(p[0])), make([]float32, len(p[0]))
	b.plain = eps == 0
	for c := range p[0] {
		root := float32(math.Sqrt(float64(p[3][c] + eps)))
		b.scale[c] = p[0][c] / root
		b.offset[c] = p[1][c] - float32(p[2][c]*b.scale[c])
		if !finite(b.scale[c]) || !finite(b.offset[c]) {
			return b, fmt.Sprintf("channel %d has variance %g", c, p[3][c])
		}
		b.plain = b.plain && p[2][c] == 0 && p[3][c] == 1
	}
	return b, ""
}

func finite(x float32) bool { return !math.IsNaN(float64(x)) && !math.IsInf(float64(x), 0) }

// sink is a layer that can take a scale and an offset per channel into its
// constants.
type sink struct {
	what     diag.Text
	channels int
	fold     func(scale, offset []float32)
}

// sinkFor finds the layer behind value v, which reader alone must read, that
// can scale v along axis; or says why there is none.
func (w *work) sinkFor(v string, axis int, reader *graph.Node) (sink, string) {
	p := w.ix.Producer[v]
	if p == nil {
		return sink{}, fmt.Sprintf("no layer is in front of it: %q comes from outside", v)
	}
	if !w.only(v, reader) {
		return sink{}, w.others(v, reader)
	}
	switch {
	case p.Is("Conv", "ConvTranspose"):
		return w.convSink(p, axis)
	case p.Is("Gemm"):
		return w.gemmSink(p, axis)
	case p.Is("MatMul"):
		return w.matMulSink(p, axis)
	case p.Is("Add") && len(p.Inputs) == 2:
		return w.addSink(p, axis)
	case p.Is("Transpose"):
		perm := p.Ints("perm")
		if axis < 0 || axis >= len(perm) {
			return sink{}, fmt.Sprintf("%q has no perm for axis %d", p.Label(), axis)
		}
		return w.sinkFor(p.Input(0), int(perm[axis]), p)
	case p.Is("Concat"):
		return w.concatSink(p, axis)
	}
	return sink{}, fmt.Sprintf("in front of it is %s %q", p.OpType, p.Label())
}

// bias returns the constant in input i of n, spread over the channels; zeros
// where there is none.
func (w *work) bias(n *graph.Node, i, channels int) ([]float32, string) {
	v := n.Input(i)
	if v == "" {
		return make([]float32, channels), ""
	}
	b, dims, ok := w.floats(v)
	if !ok {
		return nil, fmt.Sprintf("the bias %q of %q is not a float32 constant", v, n.Label())
	}
	b, ok = spread(b, dims, channels)
	if !ok {
		return nil, fmt.Sprintf("the bias %q of %q has shape %v", v, n.Label(), dims)
	}
	return b, ""
}

// spread returns b as a vector over the last axis of size channels.
func spread(b []float32, dims []int64, channels int) ([]float32, bool) {
	switch {
	case len(b) == channels && (channels == 1 || len(dims) > 0 && dims[len(dims)-1] == int64(channels)):
		return b, true
	case len(b) == 1:
		return slices.Repeat(b, channels), true
	}
	return nil, false
}

// setBias gives a Conv, ConvTranspose or Gemm its bias; one of zeros is left
// out where there was none.
func (w *work) setBias(p *graph.Node, name string, bias []float32) {
	if p.Input(2) == "" && !slices.ContainsFunc(bias, func(x float32) bool { return x != 0 }) {
		return
	}
	w.setFloats(p, 2, name, []int64{int64(len(bias))}, bias)
}

// biasName derives the name of a bias that a layer did not have from that of
// its weights.
func biasName(weights string) string {
	if s, ok := strings.CutSuffix(weights, "weight"); ok {
		return s + "bias"
	}
	return weights + "_bias"
}

// scaled returns offset + scale*b, in vai_q_pytorch's order.
func scaled(b, scale, offset []float32) []float32 {
	out := make([]float32, len(b))
	for c := range b {
		out[c] = float32(b[c]*scale[c]) + offset[c]
	}
	return out
}

func (w *work) convSink(p *graph.Node, axis int) (sink, string) {
	if axis != 1 {
		return sink{}, fmt.Sprintf("%q has its channels on axis 1, not %d", p.Label(), axis)
	}
	weights, dims, ok := w.floats(p.Input(1))
	if !ok || len(dims) < 3 {
		return sink{}, fmt.Sprintf("the weights %q of %q are not a float32 constant", p.Input(1), p.Label())
	}
	l, ok := op.ProductOf(p, 1, dims)
	if !ok || !l.Valid() {
		return sink{}, fmt.Sprintf("the weights of %q have shape %v for %d groups", p.Label(), dims, l.Groups)
	}
	b, reason := w.bias(p, 2, l.Out)
	if reason != "" {
		return sink{}, reason
	}
	return sink{what: diag.Verbatim(p.Label()), channels: l.Out, fold: func(scale, offset []float32) {
		for i := 0; i < len(weights); i += l.Kernel {
			for k, s := i, scale[l.OutOf(i)]; k < i+l.Kernel; k++ {
				weights[k] *= s
			}
		}
		name := biasName(p.Input(1))
		w.setFloats(p, 1, p.Label()+".weight", dims, weights)
		w.setBias(p, name, scaled(b, scale, offset))
	}}, ""
}

func (w *work) gemmSink(p *graph.Node, axis int) (sink, string) {
	if axis != 1 {
		return sink{}, fmt.Sprintf("%q has its channels on axis 1, not %d", p.Label(), axis)
	}
	weights, dims, ok := w.floats(p.Input(1))
	if !ok || len(dims) != 2 {
		return sink{}, fmt.Sprintf("the weights %q of %q are not a float32 constant", p.Input(1), p.Label())
	}
	l, _ := op.ProductOf(p, 1, dims)
	b, reason := w.bias(p, 2, l.Out)
	if reason != "" {
		return sink{}, reason
	}
	beta := p.Float("beta", 1)
	return sink{what: diag.Verbatim(p.Label()), channels: l.Out, fold: func(scale, offset []float32) {
		for i := range weights {
			weights[i] *= scale[l.OutOf(i)]
		}
		full := make([]float32, l.Out)
		for c := range full {
			full[c] = beta * b[c]
		}
		name := biasName(p.Input(1))
		w.setFloats(p, 1, p.Label()+".weight", dims, weights)
		w.setBias(p, name, scaled(full, scale, offset))
		if beta != 1 {
			p.SetAttr(&graph.Attr{Name: "beta", Kind: graph.AttrFloat, Float: 1})
		}
	}}, ""
}

// matMulSink takes the scale into the constant right operand of a MatMul and
// the offset into an Add that it puts behind.
func (w *work) matMulSink(p *graph.Node, axis int) (sink, string) {
	weights, dims, reason := w.matMulWeights(p, axis)
	if reason != "" {
		return sink{}, reason
	}
	out := int(dims[op.WeightAxis(p, 1, len(dims))])
	return sink{what: diag.Verbatim(p.Label()), channels: out, fold: func(scale, offset []float32) {
		for i := range weights {
			weights[i] *= scale[i%out]
		}
		w.setFloats(p, 1, p.Label()+".weight", dims, weights)
		y := p.Outputs[0]
		reader := w.ix.Consumers[y][0]
		sum := w.fresh(y + "_bias")
		b := w.fresh(biasName(p.Input(1)))
		w.setInitializer(graph.NewFloats(b, []int64{int64(out)}, offset))
		for i, in := range reader.Inputs {
			if in == y {
				w.setInput(reader, i, sum)
			}
		}
		w.add(reader, &graph.Node{
			Name: w.fresh(p.Label() + "/Add"), OpType: "Add", Inputs: []string{y, b}, Outputs: []string{sum}, Metadata: p.Metadata,
		})
	}}, ""
}

func (w *work) matMulWeights(p *graph.Node, axis int) ([]float32, []int64, string) {
	weights, dims, ok := w.floats(p.Input(1))
	if !ok || len(dims) < 2 {
		return nil, nil, fmt.Sprintf("the right operand %q of %q is not a float32 constant matrix", p.Input(1), p.Label())
	}
	switch r := w.rank(p.Outputs[0]); {
	case r < 0:
		return nil, nil, fmt.Sprintf("the rank of %q is not known", p.Outputs[0])
	case axis != r-1:
		return nil, nil, fmt.Sprintf("%q has its channels on axis %d, not %d", p.Label(), r-1, axis)
	}
	return weights, dims, ""
}

// addSink takes scale and offset into the constant operand of an Add, and the
// scale into what produces the other operand.
func (w *work) addSink(p *graph.Node, axis int) (sink, string) {
	for i, v := range p.Inputs {
		b, dims, ok := w.floats(v)
		if !ok {
			continue
		}
		into, reason := w.addBase(p, p.Inputs[1-i], axis)
		if reason != "" {
			return sink{}, reason
		}
		r := w.rank(p.Inputs[1-i])
		if r < 0 {
			return sink{}, fmt.Sprintf("the rank of %q is not known", p.Inputs[1-i])
		}
		if !alongAxis(dims, r, axis, into.channels) {
			return sink{}, fmt.Sprintf("the constant %q of %q has shape %v, not one value a channel", v, p.Label(), dims)
		}
		if len(b) == 1 && into.channels > 1 {
			b = slices.Repeat(b, into.channels)
			dims = make([]int64, r-axis)
			for k := range dims {
				dims[k] = 1
			}
			dims[0] = int64(into.channels)
		}
		return sink{what: into.what, channels: into.channels, fold: func(scale, offset []float32) {
			into.fold(scale, make([]float32, len(scale)))
			w.setFloats(p, i, p.Label()+".bias", dims, scaled(b, scale, offset))
		}}, ""
	}
	return sink{}, fmt.Sprintf("%q adds two values that are not constant", p.Label())
}

// addBase is the sink below an Add. A MatMul there needs no second Add: it
// takes the scale only.
func (w *work) addBase(add *graph.Node, v string, axis int) (sink, string) {
	p := w.ix.Producer[v]
	if p == nil || !p.Is("MatMul") {
		return w.sinkFor(v, axis, add)
	}
	if !w.only(v, add) {
		return sink{}, w.others(v, add)
	}
	weights, dims, reason := w.matMulWeights(p, axis)
	if reason != "" {
		return sink{}, reason
	}
	out := int(dims[op.WeightAxis(p, 1, len(dims))])
	return sink{what: diag.Verbatim(p.Label()), channels: out, fold: func(scale, _ []float32) {
		for i := range weights {
			weights[i] *= scale[i%out]
		}
		w.setFloats(p, 1, p.Label()+".weight", dims, weights)
	}}, ""
}

// alongAxis reports whether a constant of shape dims, added to a value of rank
// r, gives one value per index of axis (of size c), or one for all.
func alongAxis(dims []int64, r, axis, c int) bool {
	if len(dims) > r {
		return false
	}
	for i, d := range dims {
		if d == 1 {
			continue
		}
		if r-len(dims)+i != axis || d != int64(c) {
			return false
		}
	}
	return true
}

func (w *work) concatSink(p *graph.Node, axis int) (sink, string) {
	at := p.Int("axis", 0)
	if at < 0 {
		r := w.rank(p.Outputs[0])
		if r < 0 {
			return sink{}, fmt.Sprintf("the rank of %q is not known", p.Outputs[0])
		}
		at += int64(r)
	}
	if at != int64(axis) {
		return sink{}, fmt.Sprintf("%q joins along axis %d, not the channels", p.Label(), at)
	}
	var parts []sink
	s := sink{what: diag.Textf("the layers in front of %s", p.Label())}
	for _, v := range p.Inputs {
		into, reason := w.sinkFor(v, axis, p)
		if reason != "" {
			return sink{}, fmt.Sprintf("%q joins %q: %s", p.Label(), v, reason)
		}
		parts = append(parts, into)
		s.channels += into.channels
	}
	s.fold = func(scale, offset []float32) {
		from := 0
		for _, into := range parts {
			to := from + into.channels
			into.fold(scale[from:to], offset[from:to])
			from = to
		}
	}
	return s, ""
}

// FoldBias folds a constant that is added per channel into the layer's bias.
func FoldBias() Rule {
	return Rule{
		Name: "fold-bias", Exact: true,
		Doc: "Folds Add of one constant a channel into the Conv, ConvTranspose or Gemm in front of it, where that has no bias.",
		find: func(w *work, n *graph.Node) *site {
			if !n.Is("Add") || len(n.Inputs) != 2 {
				return nil
			}
			for i, v := range n.Inputs {
				b, dims, ok := w.floats(v)
				y := n.Inputs[1-i]
				p := w.ix.Producer[y]
				if !ok || p == nil || !p.Is("Conv", "ConvTranspose", "Gemm") || p.Input(2) != "" || !w.only(y, n) {
					continue
				}
				into, reason := w.sinkFor(y, 1, n)
				if reason != "" {
					return refuse("%s", reason)
				}
				r := w.rank(y)
				if len(b) != into.channels || r < 0 || len(dims) > r || r-len(dims) > 1 || !alongAxis(dims, r, 1, into.channels) {
					return nil
				}
				return &site{apply: func() diag.Text {
					name := biasName(p.Input(1))
					w.setBias(p, name, b)
					w.takeOver(p, y, n)
					return diag.Textf("is the bias of %s", p.Label())
				}}
			}
			return nil
		},
	}
}
