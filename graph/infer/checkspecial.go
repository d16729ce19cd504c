package infer

import (
	"fmt"
	"math"
	"slices"

	"narrow/diag"
	"narrow/graph"
)

// variadic are the operators whose last input stands for any number of inputs,
// and the first of them. None of these may be left out: ONNX Runtime reads what
// is not there.
var variadic = map[string]int{
	"Concat": 0, "Einsum": 0, "Loop": 2, "Max": 0, "Mean": 0, "Min": 0, "Scan": 0, "SequenceConstruct": 0, "Sum": 0,
}

// checkVariadic looks at inputs that are left out where none can be.
func checkVariadic(n *graph.Node) error {
	first, ok := variadic[n.OpType]
	if !ok || n.OpType == "Scan" && len(n.Inputs) > 0 && n.Inputs[0] == "" { // its first version has an optional one
		return nil
	}
	for i := first; i < len(n.Inputs); i++ {
		if n.Inputs[i] == "" {
			return diag.Errorf("its input %d is left out, which no input of it may be", i+1)
		}
	}
	return nil
}

// rank looks at an input's rank.
func (a asked) rank(i int, what string, want ...int) error {
	if s := a.shape(i); s != nil && !slices.Contains(want, len(s)) {
		return diag.Errorf("its %s %s must have rank %s", what, a.input(i), alternatives(want))
	}
	return nil
}

func alternatives(n []int) diag.Text {
	if len(n) == 1 {
		return diag.Verbatim(fmt.Sprint(n[0]))
	}
	return diag.Textf("%d or %d", n[0], n[1])
}

// one looks at an input of one element, a scalar or a list of one.
func (a asked) one(i int, what string) error {
	s := a.shape(i)
	if n, ok := Elements(s); len(s) > 1 || ok && n != 1 {
		return diag.Errorf("its %s %s must be one element", what, a.input(i))
	}
	return nil
}

// recurrent: x of length,batch,size; weights and recurrence for each direction.
func (a asked) recurrent() error {
	gates := map[string]int64{"LSTM": 4, "GRU": 3, "RNN": 1}[a.n.OpType]
	for i, what := range []string{"input", "weights", "recurrence weights"} {
		if err := a.rank(i, what, 3); err != nil {
			return err
		}
		if slices.Contains(a.shape(i), size(0)) {
			return diag.Errorf("its %s %s has no elements", what, a.input(i))
		}
	}
	x, w, r := a.shape(0), a.shape(1), a.shape(2)
	hidden := open
	if h := a.n.Attr("hidden_size"); h != nil {
		if h.Int < 1 || h.Int > maxDim {
			return diag.Errorf("its attribute hidden_size is %d", h.Int)
		}
		hidden = size(h.Int)
	} else if r != nil {
		hidden = r[2]
	}
	directions := size(1)
	if a.n.Str("direction", "forward") == "bidirectional" {
		directions = size(2)
	}
	rows := times(hidden, size(gates))
	switch {
	case w != nil && (differ(w[0], directions) || differ(w[1], rows)):
		return diag.Errorf("its weights %s must be of %v directions and %v rows, %d for each of the %v hidden values", a.input(1), directions, rows, gates, hidden)
	case r != nil && (differ(r[0], directions) || differ(r[1], rows) || differ(r[2], hidden)):
		return diag.Errorf("its recurrence weights %s must be of shape [%v %v %v]", a.input(2), directions, rows, hidden)
	case x != nil && w != nil && differ(x[2], w[2]):
		return diag.Errorf("%s has %v values a step, and the weights %s are for %v", a.input(0), x[2], a.input(1), w[2])
	}
	if b := a.shape(3); b != nil && (len(b) != 2 || differ(b[0], directions) || differ(b[1], times(rows, size(2)))) {
		return diag.Errorf("its bias %s must be of shape [%v %v]", a.input(3), directions, times(rows, size(2)))
	}
	return nil
}

// stft: a signal of batch,length,1 or 2, and frames of at least one element.
func (a asked) stft() error {
	if s := a.shape(0); s != nil && len(s) != 3 {
		return diag.Errorf("its signal %s must have rank 3: batch, length, and 1 or 2 for real or complex values", a.input(0))
	}
	for _, p := range []struct {
		i    int
		what string
	}{{1, "frame_step"}, {3, "frame_length"}} {
		if err := a.one(p.i, p.what); err != nil {
			return err
		}
		if v, ok := a.f.ints(a.n, p.i); ok && len(v) == 1 && v[0] < 1 {
			return diag.Errorf("its %s %q is %d: it must be 1 or more", p.what, a.n.Input(p.i), v[0])
		}
	}
	return a.rank(2, "window", 1)
}

// upsample: a scale for each dimension.
func (a asked) upsample() error {
	if err := a.rank(1, "scales", 1); err != nil {
		return err
	}
	x, s := a.shape(0), a.shape(1)
	if x != nil && len(s) == 1 && differ(s[0], size(int64(len(x)))) {
		return diag.Errorf("%s takes %d scales, and %q holds %v", a.input(0), len(x), a.n.Input(1), s[0])
	}
	scales, _ := a.f.valueOf(a.n.Input(1))
	for _, s := range scales {
		if s.known && (!(s.v >= 1) || math.IsInf(s.v, 0)) {
			return diag.Errorf("its scales %q hold %v: each must be a number of 1 or more", a.n.Input(1), s.v)
		}
	}
	return nil
}

// affineGrid: matrices for two or three dimensions, and the size of what they
// are for.
func (a asked) affineGrid() error {
	if err := a.rank(0, "theta", 3); err != nil {
		return err
	}
	if err := a.rank(1, "size", 1); err != nil {
		return err
	}
	theta, s := a.shape(0), a.shape(1)
	if s == nil || s[0].Size < 0 {
		return nil
	}
	if s[0].Size != 4 && s[0].Size != 5 {
		return diag.Errorf("its size %s must hold 4 or 5 numbers", a.input(1))
	}
	if theta != nil && (differ(theta[1], size(s[0].Size-2)) || differ(theta[2], size(s[0].Size-1))) {
		return diag.Errorf("its theta %s must be of shape [N %d %d]", a.input(0), s[0].Size-2, s[0].Size-1)
	}
	if v, ok := a.f.ints(a.n, 1); ok && slices.ContainsFunc(v, func(v int64) bool { return v < 1 }) {
		return diag.Errorf("its size %q is %v: each must be 1 or more", a.n.Input(1), v)
	}
	return nil
}

// gatherND: indices into the dimensions behind those of the batch.
func (a asked) gatherND() error {
	x, at := a.shape(0), a.shape(1)
	batch := a.n.Int("batch_dims", 0)
	least := int64(maxRank)
	for _, s := range [][]graph.Dim{x, at} {
		if s != nil {
			least = min(least, int64(len(s)))
		}
	}
	if batch < 0 || batch >= least {
		if least == 0 {
			return diag.Errorf("%s and %s must have a dimension at least", a.input(0), a.input(1))
		}
		return diag.Errorf("its attribute batch_dims is %d, and its inputs %s and %s allow for 0 to %d", batch, a.input(0), a.input(1), least-1)
	}
	if x == nil || at == nil {
		return nil
	}
	if last := at[len(at)-1].Size; last > int64(len(x))-batch || last == 0 {
		return diag.Errorf("its indices %s have %d numbers each, and %s behind %d dimensions of the batch takes 1 to %d", a.input(1), last, a.input(0), batch, int64(len(x))-batch)
	}
	for i := range batch {
		if differ(x[i], at[i]) {
			return diag.Errorf("%s and its indices %s differ in dimension %d, which is the batch's", a.input(0), a.input(1), i)
		}
	}
	return nil
}

// oneHot: one depth, and two values, off and on.
func (a asked) oneHot() error {
	if err := a.one(1, "depth"); err != nil {
		return err
	}
	if s := a.shape(2); s != nil && (len(s) != 1 || differ(s[0], size(2))) {
		return diag.Errorf("its values %s must be a list of two", a.input(2))
	}
	if d, ok := a.f.ints(a.n, 1); ok && len(d) == 1 && d[0] < 1 {
		return diag.Errorf("its depth %q is %d: it must be 1 or more", a.n.Input(1), d[0])
	}
	x := a.shape(0)
	if axis := a.n.Int("axis", -1); x != nil && (axis < -int64(len(x))-1 || axis > int64(len(x))) {
		return diag.Errorf("its attribute axis is %d, and the result has rank %d", axis, len(x)+1)
	}
	return nil
}

// random: a distribution that exists.
func random(n *graph.Node) error {
	number := func(name string, def float32) float32 {
		if a := n.Attr(name); a != nil && a.Kind == graph.AttrFloat {
			return a.Float
		}
		return def
	}
	switch n.OpType {
	case "RandomUniform", "RandomUniformLike":
		if low, high := number("low", 0), number("high", 1); !(low <= high) || math.IsInf(float64(high)-float64(low), 0) {
			return diag.Errorf("its attributes low and high are %v and %v: low must not lie above high", low, high)
		}
	case "RandomNormal", "RandomNormalLike":
		if scale := number("scale", 1); !(scale > 0) {
			return diag.Errorf("its attribute scale is %v: it must be above 0", scale)
		}
	}
	if n.OpType == "RandomUniform" || n.OpType == "RandomNormal" {
		if slices.ContainsFunc(n.Ints("shape"), negative) {
			return diag.Errorf("its attribute shape is %v, in which a dimension is negative", n.Ints("shape"))
		}
	}
	return nil
}

// parameters are the inputs of operators of ONNX Runtime's own (com.microsoft)
// that hold one scale or zero point for the whole tensor.
var parameters = map[string][]int{
	"QLinearAdd": {1, 2, 4, 5, 6, 7}, "QLinearMul": {1, 2, 4, 5, 6, 7}, "QLinearSigmoid": {1, 2, 3, 4}, "QLinearLeakyRelu": {1, 2, 3, 4},
	"QLinearSoftmax": {1, 2, 3, 4}, "QLinearAveragePool": {1, 2, 3, 4}, "QLinearGlobalAveragePool": {1, 2, 3, 4},
}

// checkContributed looks at operators of ONNX Runtime's own that it does not
// look at itself.
func (f *frame) checkContributed(n *graph.Node) error {
	a := asked{f, n}
	for _, i := range parameters[n.OpType] {
		if err := a.one(i, "scale or zero point"); err != nil {
			return err
		}
	}
	if n.OpType != "Attention" {
		return nil
	}
	for i, want := range []int{3, 2, 1} {
		if err := a.rank(i, []string{"input", "weights", "bias"}[i], want); err != nil {
			return err
		}
	}
	if n.Int("num_heads", 0) < 1 {
		return diag.Errorf("its attribute num_heads is %d", n.Int("num_heads", 0))
	}
	if sizes := n.Ints("qkv_hidden_sizes"); len(sizes) != 0 && len(sizes) != 3 {
		return diag.Errorf("its attribute qkv_hidden_sizes is %v: it must have 3 numbers", sizes)
	}
	return nil
}
