package infer

import (
	"slices"

	"narrow/diag"
	"narrow/graph"
	"narrow/graph/op"
)

// asked is a node whose inputs are looked at.
type asked struct {
	f *frame
	n *graph.Node
}

// shape is that of input i, nil where nothing is known.
func (a asked) shape(i int) []graph.Dim { return a.f.shapeOf(a.n.Input(i)) }

// input tells of an input and its shape.
func (a asked) input(i int) diag.Text { return diag.Textf("%q of shape %v", a.n.Input(i), a.shape(i)) }

// differ reports whether two dimensions are known and not the same.
func differ(a, b graph.Dim) bool { return a.Size >= 0 && b.Size >= 0 && a.Size != b.Size }

func size(n int64) graph.Dim { return graph.Dim{Size: n} }

// checkShapes looks at whether the shapes of n's inputs go together, and with
// its attributes.
func (f *frame) checkShapes(n *graph.Node) error {
	a := asked{f, n}
	if err := a.types(); err != nil {
		return err
	}
	if slices.Contains(elementwise, n.OpType) {
		return a.elementwise()
	}
	switch n.OpType {
	case "If":
		return a.single(0, graph.Bool, "condition")
	case "Loop":
		if err := a.single(0, graph.Int64, "count"); err != nil {
			return err
		}
		return a.single(1, graph.Bool, "condition")
	case "Conv":
		return a.conv()
	case "ConvTranspose":
		return a.convTranspose()
	case "MaxPool", "AveragePool", "LpPool":
		return a.window(n.Ints("kernel_shape"))
	case "BatchNormalization":
		return a.batchNorm()
	case "Gemm":
		return a.gemm()
	case "MatMul":
		return a.matMul()
	case "Concat":
		return a.concat()
	case "Split":
		return a.split()
	case "Gather":
		return a.gather()
	case "Softmax", "LogSoftmax", "Hardmax", "Flatten", "ArgMax", "ArgMin":
		return a.axis(n.OpType == "Flatten" || f.opset < 13)
	case "Transpose":
		if x, perm := a.shape(0), n.Ints("perm"); x != nil && perm != nil && len(perm) != len(x) {
			return diag.Errorf("its attribute perm is %v, and %s has rank %d", perm, a.input(0), len(x))
		}
	case "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "Squeeze":
		return a.axes()
	case "Reshape":
		return a.reshape()
	case "Expand":
		return a.expand()
	case "ConstantOfShape":
		if want, ok := f.ints(n, 0); ok && slices.ContainsFunc(want, negative) {
			return diag.Errorf("it is asked for the shape %v, in which a dimension is negative", want)
		}
	case "Tile":
		if want, ok := f.ints(n, 1); ok && (slices.ContainsFunc(want, negative) || a.shape(0) != nil && len(want) != len(a.shape(0))) {
			return diag.Errorf("%s cannot be repeated %v times", a.input(0), want)
		}
	case "Resize":
		return a.resize()
	case "Pad":
		return a.pad()
	case "Slice":
		return a.slice()
	case "LSTM", "GRU", "RNN":
		return a.recurrent()
	case "STFT":
		return a.stft()
	case "Upsample":
		return a.upsample()
	case "AffineGrid":
		return a.affineGrid()
	case "GatherND":
		return a.gatherND()
	case "OneHot":
		return a.oneHot()
	case "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike":
		return random(n)
	}
	return nil
}

func negative(v int64) bool { return v < 0 }

// single looks at an input that must be one element of a data type.
func (a asked) single(i int, t graph.DataType, what string) error {
	if have := a.f.typeOf(a.n.Input(i)); have != graph.Undefined && have != t {
		return diag.Errorf("its %s %q holds %v, not %v", what, a.n.Input(i), have, t)
	}
	if n, ok := Elements(a.shape(i)); ok && n != 1 {
		return diag.Errorf("its %s %s must be one element", what, a.input(i))
	}
	return nil
}

// oneType are operators whose inputs must all be of one data type.
var oneType = []string{"Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean", "PRelu", "Concat"}

// types: inputs of one data type.
func (a asked) types() error {
	if !slices.Contains(oneType, a.n.OpType) {
		return nil
	}
	first := a.f.typeOf(a.n.Input(0))
	for i := 1; i < len(a.n.Inputs); i++ {
		if t := a.f.typeOf(a.n.Input(i)); first != graph.Undefined && t != graph.Undefined && t != first {
			return diag.Errorf("%q holds %v and %q %v, which must be the same", a.n.Input(0), first, a.n.Input(i), t)
		}
	}
	return nil
}

// batchNorm: one element of each parameter for each channel.
func (a asked) batchNorm() error {
	x := a.shape(0)
	if a.n.Int("spatial", 1) == 0 { // opset 7 and 8: parameters for every place
		return nil
	}
	for i, what := range []string{"scale", "bias", "mean", "variance"} {
		p := a.shape(1 + i)
		if p == nil {
			continue
		}
		if len(p) != 1 || len(x) > 1 && differ(p[0], x[1]) {
			return diag.Errorf("its %s %s must have one element for each channel of %s", what, a.input(1+i), a.input(0))
		}
	}
	return nil
}

// gemm: A of M,K times B of K,N plus C, which stretches to M,N.
func (a asked) gemm() error {
	x, w, c := a.shape(0), a.shape(1), a.shape(2)
	for i, s := range [][]graph.Dim{x, w} {
		if s != nil && len(s) != 2 {
			return diag.Errorf("its input %s must have rank 2", a.input(i))
		}
	}
	out := []graph.Dim{open, open}
	ta, tb := op.Trans(a.n)
	if x != nil {
		out[0] = x[ta]
	}
	if w != nil {
		out[1] = w[1-tb]
	}
	if x != nil && w != nil && differ(x[1-ta], w[tb]) {
		return diag.Errorf("%s and %s cannot be multiplied: %v columns meet %v rows", a.input(0), a.input(1), x[1-ta], w[tb])
	}
	if len(c) > 2 {
		return diag.Errorf("its bias %s must have rank 2 at most", a.input(2))
	}
	for i, d := range c {
		if o := out[2-len(c)+i]; d.Size != 1 && differ(d, o) {
			return diag.Errorf("its bias %s cannot be added to a result of shape %v", a.input(2), out)
		}
	}
	return nil
}

// matMul: as many columns as rows, and outer dimensions that stretch to one another.
func (a asked) matMul() error {
	x, w := a.shape(0), a.shape(1)
	if x == nil || w == nil {
		return nil
	}
	if len(x) == 0 || len(w) == 0 {
		return diag.Errorf("%s and %s cannot be multiplied: a scalar is no matrix", a.input(0), a.input(1))
	}
	rows := w[max(len(w)-2, 0)]
	if columns := x[len(x)-1]; differ(columns, rows) {
		return diag.Errorf("%s and %s cannot be multiplied: %v columns meet %v rows", a.input(0), a.input(1), columns, rows)
	}
	if len(x) > 2 && len(w) > 2 && clash(x[:len(x)-2], w[:len(w)-2]) {
		return diag.Errorf("%s and %s cannot be multiplied: their outer dimensions do not go together", a.input(0), a.input(1))
	}
	return nil
}

// clash reports whether two shapes cannot be stretched to one another.
func clash(a, b []graph.Dim) bool {
	for i := 1; i <= min(len(a), len(b)); i++ {
		d, e := a[len(a)-i], b[len(b)-i]
		if d.Size != 1 && e.Size != 1 && differ(d, e) {
			return true
		}
	}
	return false
}

// elementwise: inputs that stretch to one another.
func (a asked) elementwise() error {
	if a.n.OpType == "PRelu" {
		return nil // old files give one slope per channel
	}
	for i := range a.n.Inputs {
		for j := range i {
			if x, y := a.shape(j), a.shape(i); x != nil && y != nil && clash(x, y) {
				return diag.Errorf("%s and %s do not go together", a.input(j), a.input(i))
			}
			if j > 8 {
				break // what matters is seen by then, and files may list many
			}
		}
	}
	return nil
}

// axis looks at the attribute axis; end tells whether it may be the rank.
func (a asked) axis(end bool) error {
	x, at := a.shape(0), a.n.Attr("axis")
	if len(x) == 0 || at == nil {
		return nil
	}
	if v := at.Int; v < -int64(len(x)) || v > int64(len(x)) || v == int64(len(x)) && !end {
		return diag.Errorf("its attribute axis is %d, and %s has rank %d", v, a.input(0), len(x))
	}
	return nil
}

// axes looks at the axes that an attribute or the second input lists.
func (a asked) axes() error {
	x := a.shape(0)
	axes, given, ok := a.f.attrOrInput(a.n, "axes", 1)
	if !given || !ok || x == nil {
		return nil
	}
	for _, v := range axes {
		k, ok := axisOf(v, len(x))
		if !ok && len(x) > 0 {
			return diag.Errorf("it is asked for the axes %v, and %s has rank %d", axes, a.input(0), len(x))
		}
		if ok && a.n.OpType == "Squeeze" && x[k].Size >= 0 && x[k].Size != 1 {
			return diag.Errorf("it is to drop dimension %d of %s, which is not 1", k, a.input(0))
		}
	}
	return nil
}
