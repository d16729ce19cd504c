package infer

import (
	"fmt"
	"math"
	"slices"

	"narrow/graph"
)

// asked is a node whose inputs are looked at.
type asked struct {
	f *frame
	n *graph.Node
}

// shape is that of input i, nil where nothing is known.
func (a asked) shape(i int) []graph.Dim { return a.f.shapeOf(a.n.Input(i)) }

// input tells of an input and its shape.
func (a asked) input(i int) string { return fmt.Sprintf("%q of shape %v", a.n.Input(i), a.shape(i)) }

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
			return fmt.Errorf("its attribute perm is %v, and %s has rank %d", perm, a.input(0), len(x))
		}
	case "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "Squeeze":
		return a.axes()
	case "Reshape":
		return a.reshape()
	case "Expand":
		return a.expand()
	case "ConstantOfShape":
		if want, ok := f.ints(n, 0); ok && slices.ContainsFunc(want, negative) {
			return fmt.Errorf("it is asked for the shape %v, in which a dimension is negative", want)
		}
	case "Tile":
		if want, ok := f.ints(n, 1); ok && (slices.ContainsFunc(want, negative) || a.shape(0) != nil && len(want) != len(a.shape(0))) {
			return fmt.Errorf("%s cannot be repeated %v times", a.input(0), want)
		}
	case "Resize":
		return a.resize()
	case "Pad":
		return a.pad()
	case "Slice":
		return a.slice()
	}
	return nil
}

func negative(v int64) bool { return v < 0 }

// oneType are operators whose inputs must all be of one data type.
var oneType = []string{"Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean", "PRelu", "Concat"}

func (a asked) types() error {
	if !slices.Contains(oneType, a.n.OpType) {
		return nil
	}
	first := a.f.typeOf(a.n.Input(0))
	for i := 1; i < len(a.n.Inputs); i++ {
		if t := a.f.typeOf(a.n.Input(i)); first != graph.Undefined && t != graph.Undefined && t != first {
			return fmt.Errorf("%q holds %v and %q %v, which must be the same", a.n.Input(0), first, a.n.Input(i), t)
		}
	}
	return nil
}

// conv: x of N,C,..., weights of M,C/group,kernel, a bias of M.
func (a asked) conv() error {
	x, w, bias := a.shape(0), a.shape(1), a.shape(2)
	group := a.n.Int("group", 1)
	switch {
	case w != nil && len(w) < 3:
		return fmt.Errorf("its weights %s have rank %d, and need 3 or more", a.input(1), len(w))
	case w == nil:
		return a.window(a.n.Ints("kernel_shape"))
	case x != nil && len(x) != len(w):
		return fmt.Errorf("%s and the weights %s must have the same rank", a.input(0), a.input(1))
	case x != nil && differ(x[1], times(w[1], size(group))):
		return fmt.Errorf("%s has %v channels, and the weights %s in %s are for %v", a.input(0), x[1], a.input(1), groups(group), times(w[1], size(group)))
	case slices.Contains(w, size(0)):
		return fmt.Errorf("its weights %s have no elements", a.input(1))
	case w[0].Size >= 0 && w[0].Size%group != 0:
		return fmt.Errorf("its weights %s make %v channels, which cannot be divided into %s", a.input(1), w[0], groups(group))
	case bias != nil && (len(bias) != 1 || differ(bias[0], w[0])):
		return fmt.Errorf("its bias %s must have one element for each of the %v channels", a.input(2), w[0])
	}
	return a.kernel(w[2:])
}

// convTranspose: x of N,C,..., weights of C,M/group,kernel, a bias of M.
func (a asked) convTranspose() error {
	x, w, bias := a.shape(0), a.shape(1), a.shape(2)
	group := a.n.Int("group", 1)
	switch {
	case w != nil && len(w) < 3:
		return fmt.Errorf("its weights %s have rank %d, and need 3 or more", a.input(1), len(w))
	case w == nil:
		return nil
	case x != nil && len(x) != len(w):
		return fmt.Errorf("%s and the weights %s must have the same rank", a.input(0), a.input(1))
	case x != nil && differ(x[1], w[0]):
		return fmt.Errorf("%s has %v channels, and the weights %s are for %v", a.input(0), x[1], a.input(1), w[0])
	case slices.Contains(w, size(0)):
		return fmt.Errorf("its weights %s have no elements", a.input(1))
	case w[0].Size >= 0 && w[0].Size%group != 0:
		return fmt.Errorf("its weights %s are for %v channels, which cannot be divided into %s", a.input(1), w[0], groups(group))
	case bias != nil && (len(bias) != 1 || differ(bias[0], times(w[1], size(group)))):
		return fmt.Errorf("its bias %s must have one element for each of the %v channels", a.input(2), times(w[1], size(group)))
	}
	return a.kernel(w[2:])
}

func groups(n int64) string {
	if n == 1 {
		return "1 group"
	}
	return fmt.Sprintf("%d groups", n)
}

// kernel holds the attribute against the weights' dimensions of space.
func (a asked) kernel(space []graph.Dim) error {
	own := a.n.Ints("kernel_shape")
	if own != nil && !slices.EqualFunc(own, space, func(k int64, d graph.Dim) bool { return !differ(size(k), d) }) {
		return fmt.Errorf("its attribute kernel_shape is %v, and its weights are %s", own, a.input(1))
	}
	var k []int64
	for _, d := range space {
		k = append(k, d.Size)
	}
	return a.window(k)
}

// window looks at a window of the given size (-1 where it is not known) over
// what lies behind the first two dimensions of the first input.
func (a asked) window(kernel []int64) error {
	x := a.shape(0)
	if x != nil && kernel != nil && len(kernel) != len(x)-2 {
		return fmt.Errorf("its kernel %v is of rank %d, and does not go over %s", kernel, len(kernel), a.input(0))
	}
	space := len(kernel)
	if kernel == nil {
		return nil
	}
	auto := a.n.Str("auto_pad", "NOTSET")
	for _, name := range []string{"strides", "dilations", "pads"} {
		want := space
		if name == "pads" {
			want = 2 * space
		}
		v := a.n.Ints(name)
		if name == "pads" && auto != "NOTSET" && auto != "" {
			continue // it does not count
		}
		if len(v) > 0 && len(v) != want {
			return fmt.Errorf("its attribute %s is %v: it must have %d numbers", name, v, want)
		}
	}
	if x == nil || a.n.OpType == "ConvTranspose" || auto == "SAME_UPPER" || auto == "SAME_LOWER" || a.n.Int("ceil_mode", 0) != 0 {
		return nil
	}
	for i, w := range windows(a.n, kernel) {
		if auto == "VALID" {
			w.padBegin, w.padEnd = 0, 0
		}
		if d := x[2+i]; w.sane() && d.Size >= 0 && d.Size+w.padBegin+w.padEnd < w.extent() {
			return fmt.Errorf("its kernel reaches over %d elements, and dimension %d of %s has %d, padding included", w.extent(), 2+i, a.input(0), d.Size+w.padBegin+w.padEnd)
		}
	}
	return nil
}

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
			return fmt.Errorf("its %s %s must have one element for each channel of %s", what, a.input(1+i), a.input(0))
		}
	}
	return nil
}

// gemm: A of M,K times B of K,N plus C, which stretches to M,N.
func (a asked) gemm() error {
	x, w, c := a.shape(0), a.shape(1), a.shape(2)
	for i, s := range [][]graph.Dim{x, w} {
		if s != nil && len(s) != 2 {
			return fmt.Errorf("its input %s must have rank 2", a.input(i))
		}
	}
	out := []graph.Dim{open, open}
	ta, tb := a.n.Int("transA", 0)&1, a.n.Int("transB", 0)&1
	if x != nil {
		out[0] = x[ta]
	}
	if w != nil {
		out[1] = w[1-tb]
	}
	if x != nil && w != nil && differ(x[1-ta], w[tb]) {
		return fmt.Errorf("%s and %s cannot be multiplied: %v columns meet %v rows", a.input(0), a.input(1), x[1-ta], w[tb])
	}
	if len(c) > 2 {
		return fmt.Errorf("its bias %s must have rank 2 at most", a.input(2))
	}
	for i, d := range c {
		if o := out[2-len(c)+i]; d.Size != 1 && differ(d, o) {
			return fmt.Errorf("its bias %s cannot be added to a result of shape %v", a.input(2), out)
		}
	}
	return nil
}

func (a asked) matMul() error {
	x, w := a.shape(0), a.shape(1)
	if x == nil || w == nil {
		return nil
	}
	if len(x) == 0 || len(w) == 0 {
		return fmt.Errorf("%s and %s cannot be multiplied: a scalar is no matrix", a.input(0), a.input(1))
	}
	rows := w[max(len(w)-2, 0)]
	if columns := x[len(x)-1]; differ(columns, rows) {
		return fmt.Errorf("%s and %s cannot be multiplied: %v columns meet %v rows", a.input(0), a.input(1), columns, rows)
	}
	if len(x) > 2 && len(w) > 2 && clash(x[:len(x)-2], w[:len(w)-2]) {
		return fmt.Errorf("%s and %s cannot be multiplied: their outer dimensions do not go together", a.input(0), a.input(1))
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

func (a asked) elementwise() error {
	if a.n.OpType == "PRelu" {
		return nil // old files give one slope per channel
	}
	for i := range a.n.Inputs {
		for j := range i {
			if x, y := a.shape(j), a.shape(i); x != nil && y != nil && clash(x, y) {
				return fmt.Errorf("%s and %s do not go together", a.input(j), a.input(i))
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
		return fmt.Errorf("its attribute axis is %d, and %s has rank %d", v, a.input(0), len(x))
	}
	return nil
}

func (a asked) axes() error {
	x := a.shape(0)
	axes, given, ok := a.f.attrOrInput(a.n, "axes", 1)
	if !given || !ok || x == nil {
		return nil
	}
	for _, v := range axes {
		k, ok := axisOf(v, len(x))
		if !ok && len(x) > 0 {
			return fmt.Errorf("it is asked for the axes %v, and %s has rank %d", axes, a.input(0), len(x))
		}
		if ok && a.n.OpType == "Squeeze" && x[k].Size >= 0 && x[k].Size != 1 {
			return fmt.Errorf("it is to drop dimension %d of %s, which is not 1", k, a.input(0))
		}
	}
	return nil
}

func (a asked) concat() error {
	first := a.shape(0)
	if err := a.axis(false); err != nil || first == nil {
		return err
	}
	axis, ok := axisOf(a.n.Int("axis", 1), len(first))
	for i := 1; i < len(a.n.Inputs); i++ {
		s := a.shape(i)
		if s == nil {
			continue
		}
		if len(s) != len(first) {
			return fmt.Errorf("%s and %s must have the same rank", a.input(0), a.input(i))
		}
		for k := range s {
			if ok && k != axis && differ(s[k], first[k]) {
				return fmt.Errorf("%s and %s differ in dimension %d, and are joined along dimension %d", a.input(0), a.input(i), k, axis)
			}
		}
	}
	return nil
}

func (a asked) split() error {
	x := a.shape(0)
	if err := a.axis(false); err != nil || x == nil {
		return err
	}
	sizes, given, ok := a.f.attrOrInput(a.n, "split", 1)
	axis, found := axisOf(a.n.Int("axis", 0), len(x))
	if !given || !ok || !found || x[axis].Size < 0 {
		return nil
	}
	sum := int64(0)
	for _, v := range sizes {
		if v < 0 || v > math.MaxInt64-sum {
			sum = -1
			break
		}
		sum += v
	}
	if sum != x[axis].Size || len(sizes) != len(a.n.Outputs) {
		return fmt.Errorf("it is to split dimension %d of %s into %d parts of %v", axis, a.input(0), len(a.n.Outputs), sizes)
	}
	return nil
}

func (a asked) gather() error {
	x := a.shape(0)
	if err := a.axis(false); err != nil || len(x) == 0 {
		return err
	}
	at, ok := a.f.ints(a.n, 1)
	axis, found := axisOf(a.n.Int("axis", 0), len(x))
	if !ok || !found || x[axis].Size < 0 {
		return nil
	}
	for _, v := range at {
		if v < -x[axis].Size || v >= x[axis].Size {
			return fmt.Errorf("it is to pick element %d of dimension %d of %s", v, axis, a.input(0))
		}
	}
	return nil
}

func (a asked) reshape() error {
	x := a.shape(0)
	want, ok := a.f.ints(a.n, 1)
	if !ok {
		return nil
	}
	wrong := fmt.Errorf("it cannot make the shape %v of %s", want, a.input(0))
	rest, known, zero := 0, int64(1), false
	for i, v := range want {
		switch {
		case v == -1:
			rest++
			continue
		case v < -1:
			return wrong
		case v == 0 && a.n.Int("allowzero", 0) == 0:
			if x == nil {
				known = -1
				continue
			}
			if i >= len(x) {
				return wrong
			}
			v = x[i].Size
		}
		zero = zero || v == 0
		switch {
		case v < 0 || known < 0:
			known = -1
		case v > 0 && known > math.MaxInt64/v:
			return wrong
		default:
			known *= v
		}
	}
	if rest > 1 {
		return fmt.Errorf("it is asked for the shape %v, of which only one dimension may be -1", want)
	}
	have, all := total(x)
	if !all || known < 0 {
		return nil
	}
	if rest == 0 && have != known || rest == 1 && !zero && have%known != 0 {
		return wrong
	}
	return nil
}

func (a asked) expand() error {
	want, ok := a.f.ints(a.n, 1)
	if !ok {
		return nil
	}
	if slices.ContainsFunc(want, negative) {
		return fmt.Errorf("it is asked for the shape %v, in which a dimension is negative", want)
	}
	if x := a.shape(0); x != nil && clash(x, fixed(want)) {
		return fmt.Errorf("%s cannot be stretched to the shape %v", a.input(0), want)
	}
	return nil
}

func (a asked) resize() error {
	x, at := a.shape(0), 2
	if a.f.opset == 10 {
		at = 1
	}
	scales, ok := a.f.valueOf(a.n.Input(at))
	if !ok || len(scales) == 0 {
		return nil
	}
	want := len(x)
	if axes := a.n.Ints("axes"); axes != nil {
		want = len(axes)
	}
	if x != nil && len(scales) != want {
		return fmt.Errorf("it has %d scales %q, and %s takes %d", len(scales), a.n.Input(at), a.input(0), want)
	}
	for _, s := range scales {
		if s.known && (!(s.v > 0) || math.IsInf(s.v, 0)) {
			return fmt.Errorf("its scales %q hold %v: each must be a number above 0", a.n.Input(at), s.v)
		}
	}
	return nil
}

func (a asked) pad() error {
	x := a.shape(0)
	pads, given, ok := a.f.attrOrInput(a.n, "pads", 1)
	if !given || !ok || x == nil {
		return nil
	}
	if a.n.Input(3) == "" && len(pads) != 2*len(x) {
		return fmt.Errorf("it has %d pads, and %s takes %d", len(pads), a.input(0), 2*len(x))
	}
	for i, d := range x {
		if a.n.Input(3) != "" || d.Size < 0 {
			continue
		}
		if begin, end := pads[i], pads[len(x)+i]; max(begin, end) < maxDim && min(begin, end) > -maxDim && d.Size+begin+end < 0 {
			return fmt.Errorf("its pads %v take more away from dimension %d of %s than there is", pads, i, a.input(0))
		}
	}
	return nil
}

func (a asked) slice() error {
	x := a.shape(0)
	starts, givenStarts, okStarts := a.f.attrOrInput(a.n, "starts", 1)
	ends, givenEnds, okEnds := a.f.attrOrInput(a.n, "ends", 2)
	axes, givenAxes, okAxes := a.f.attrOrInput(a.n, "axes", 3)
	switch {
	case !givenStarts || !givenEnds:
		return fmt.Errorf("it is not told where to start or to end")
	case okStarts && okEnds && len(starts) != len(ends):
		return fmt.Errorf("it has %d starts and %d ends", len(starts), len(ends))
	case givenAxes && okAxes && okStarts && len(axes) != len(starts):
		return fmt.Errorf("it has %d starts and %d axes", len(starts), len(axes))
	case !givenAxes || !okAxes || len(x) == 0:
		return nil
	}
	for _, v := range axes {
		if _, ok := axisOf(v, len(x)); !ok {
			return fmt.Errorf("it is asked for the axes %v, and %s has rank %d", axes, a.input(0), len(x))
		}
	}
	return nil
}
