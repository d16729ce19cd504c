package rewrite

import (
	"math"
	"slices"

	"narrow/graph"
	"narrow/graph/infer"
	"narrow/graph/op"
)

// Layout says where the channels of a value lie: Axes in ascending order, and in IDs
// one channel for every place along them, the last axis fastest.
type Layout struct {
	Axes []int
	IDs  []int
}

// Scaled is a constant that changes with the scales of channels.
type Scaled struct {
	Node  *graph.Node // of [Channels.Model]
	Input int
	// Product tells, for the weights of a layer, how it multiplies them; Node is nil
	// in it for other constants.
	Product op.Product
	// In are the channels that the layer reads, which its weights are divided by, Out
	// those that it puts out. In is nil for a constant that is added.
	In, Out []int
	// of tells which of Out an element of the constant belongs to, where it is no
	// layer's weights; by says that the constant is a divisor.
	of []int
	by bool
}

// Channels tells which channels of a network can be scaled against each other
// without changing what it puts out: if the weights that make a channel are
// multiplied by a factor, and those that read it divided. Channels that must keep the
// same scale, such as both operands of an Add, are one class; the channels that a
// product of two values sums over, such as those of the queries and keys of an
// attention, have inverse scales.
type Channels struct {
	Model   *graph.Model
	Layouts map[string]Layout
	// Layers are the weights that read and make channels, Others what is added or
	// multiplied beside.
	Layers, Others []Scaled
	// Products are products of two values that sum over channels.
	Products []*graph.Node
	// Bounded are the values behind a ReLU6: a channel there must stay below its bound.
	Bounded []string

	w       *work
	shapes  map[string][]int64 // with open dimensions of some size
	values  map[string][]float64
	parent  []int
	flipped []bool // against its parent
	pinned  []bool // of roots
	origin  []origin
	shared  map[string]Scaled // by the name of the constant
	zeros   map[string]bool   // values that are 0
}

// origin is where a channel comes from.
type origin struct {
	value string
	at    int
}

// mostChannels is how many channels a value may have.
const mostChannels = 1 << 16

// FindChannels looks at m, which stays as it is.
func FindChannels(m *graph.Model) (*Channels, error) {
	w, err := newWork(m)
	if err != nil {
		return nil, err
	}
	return w.channels(), nil
}

func (w *work) channels() *Channels {
	c := &Channels{Model: w.m, Layouts: map[string]Layout{}, w: w, shared: map[string]Scaled{}, zeros: map[string]bool{}}
	known := infer.Infer(w.m, sizes(w.m))
	c.values = known.Values
	c.shapes = map[string][]int64{}
	for v, dims := range known.Shapes {
		shape := make([]int64, len(dims))
		for i, d := range dims {
			if shape[i] = d.Size; d.Size <= 0 {
				shape = nil
				break
			}
		}
		if shape != nil {
			c.shapes[v] = shape
		}
	}
	for _, n := range w.g.Nodes {
		c.visit(n)
	}
	for v := range c.Layouts {
		if w.ix.IsOutput(v) || w.inner(v) {
			c.pin(v)
		}
	}
	c.settleConstants()
	return c
}

// sizes gives every open dimension of m's inputs a size of its own, by its name, so
// that what a Reshape does to channels can be told.
func sizes(m *graph.Model) map[string][]graph.Dim {
	out := map[string][]graph.Dim{}
	named := map[string]int64{}
	next := int64(7)
	for _, v := range m.Graph.Inputs {
		shape := slices.Clone(v.Shape)
		for i, d := range shape {
			if d.Size >= 0 {
				continue
			}
			size := named[d.Param]
			if size == 0 || d.Param == "" {
				size = next
				if next += 6; i > 1 && len(shape) == 4 {
					size = 224 // of space
				}
				named[d.Param] = size
			}
			shape[i] = graph.Dim{Size: size}
		}
		out[v.Name] = shape
	}
	return out
}

// fresh returns n new channels that value puts out.
func (c *Channels) fresh(value string, axes []int, n int) Layout {
	l := Layout{Axes: axes, IDs: make([]int, n)}
	for i := range l.IDs {
		l.IDs[i] = len(c.parent)
		c.parent = append(c.parent, len(c.parent))
		c.flipped, c.pinned, c.origin = append(c.flipped, false), append(c.pinned, false), append(c.origin, origin{value, i})
	}
	return l
}

// Class returns the class of a channel, whether its scale is the inverse of that
// class's, and whether the class keeps its scale.
func (c *Channels) Class(id int) (class int, inverse, fixed bool) {
	for c.parent[id] != id {
		inverse = inverse != c.flipped[id]
		id = c.parent[id]
	}
	return id, inverse, c.pinned[id]
}

// Classes is how many channels there are; classes are among them.
func (c *Channels) Classes() int { return len(c.parent) }

// join makes two channels one class.
func (c *Channels) join(a, b int, inverse bool) {
	x, fx, px := c.Class(a)
	y, fy, py := c.Class(b)
	flip := (fx != fy) != inverse
	if x == y {
		if flip {
			c.pinned[x] = true // its own inverse
		}
		return
	}
	c.parent[y], c.flipped[y] = x, flip
	c.pinned[x] = px || py
}

func (c *Channels) joinAll(a, b []int, inverse bool) {
	for i := range a {
		c.join(a[i], b[i], inverse)
	}
}

// pin keeps the scales of a value's channels.
func (c *Channels) pin(values ...string) {
	for _, v := range values {
		for _, id := range c.Layouts[v].IDs {
			root, _, _ := c.Class(id)
			c.pinned[root] = true
		}
	}
}

func (c *Channels) pinIDs(ids []int) {
	for _, id := range ids {
		root, _, _ := c.Class(id)
		c.pinned[root] = true
	}
}

// count returns how many channels lie along axes of a value.
func (c *Channels) count(v string, axes []int) int {
	shape, n := c.shapes[v], 1
	for _, a := range axes {
		if a < 0 || a >= len(shape) {
			return 0
		}
		n *= int(shape[a])
	}
	if n > mostChannels {
		return 0
	}
	return n
}

// give gives n's first result a layout, if its shape allows it.
func (c *Channels) give(n *graph.Node, l Layout) {
	out := n.Outputs[0]
	if len(l.IDs) == 0 || c.count(out, l.Axes) != len(l.IDs) {
		c.pinIDs(l.IDs)
		return
	}
	c.Layouts[out] = l
}

// visit gives the results of n their layouts, and keeps the scales of what it
// reads where it does not scale with it.
func (c *Channels) visit(n *graph.Node) {
	if len(n.Outputs) == 0 || n.Outputs[0] == "" {
		return
	}
	if n.Domain == "" && c.take(n) {
		for _, extra := range n.Inputs[1:] {
			// What a node reads beside its data, such as a shape, has no channels of
			// its own to scale; where it has, they stay.
			if !c.reads(n, extra) {
				c.pin(extra)
			}
		}
		return
	}
	c.pin(graph.Reads(n)...)
}

// reads reports whether v is data of n, not a parameter.
func (c *Channels) reads(n *graph.Node, v string) bool {
	return v == n.Input(0) || n.Is("Add", "Sub", "Sum", "Max", "Min", "Mean", "Mul", "Div", "Concat", "MatMul")
}

// take handles the operators that scale with what they read, or make channels.
func (c *Channels) take(n *graph.Node) bool {
	x := n.Input(0)
	in, have := c.Layouts[x]
	switch {
	case n.Is("Conv", "ConvTranspose", "Gemm"):
		return c.layer(n, 1)
	case n.Is("MatMul"):
		if c.w.ix.Constant[n.Input(1)] != nil {
			return c.layer(n, -1)
		}
		return c.product(n)
	case n.Is("BatchNormalization"):
		return c.batchNorm(n)
	case n.Is("InstanceNormalization", "GroupNormalization"):
		c.pin(x)
		return c.normalization(n, 1, 1, 2)
	case n.Is("LayerNormalization", "RMSNormalization"):
		c.pin(x)
		return c.normalization(n, -1, 1, 2)
	case n.Is("Shape", "Size"):
		return true // reads no element
	case n.Is("ConstantOfShape"):
		c.zeros[n.Outputs[0]] = zeroFill(n)
		return true
	case n.Is("Expand"):
		return c.expand(n)
	case n.Is("Add", "Sub", "Sum", "Max", "Min", "Mean"):
		return c.sum(n)
	case n.Is("Mul", "Div") && len(n.Inputs) == 2:
		return c.times(n)
	case n.Is("Concat"):
		return c.concat(n)
	case !have:
		return false
	case n.Is("Relu", "LeakyRelu", "PRelu", "Identity", "Dropout", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Neg", "Abs",
		"Resize", "Upsample", "Pad", "Slice", "Clip"):
		if !c.homogeneous(n) {
			return false
		}
		switch {
		case n.Is("Slice"):
			return c.slice(n, in)
		case n.Is("Pad"):
			in = c.padded(n, in)
		}
		c.give(n, in)
		return true
	case n.Is("Transpose"):
		return c.transpose(n, in)
	case n.Is("Reshape", "Flatten", "Squeeze", "Unsqueeze"):
		c.reshape(n, in)
		return true
	case n.Is("ReduceMean", "ReduceSum", "ReduceMax"):
		return c.reduce(n, in)
	case n.Is("Gather"):
		return c.gather(n, in)
	case n.Is("Split"):
		return c.split(n, in)
	}
	return false
}

func zeroFill(n *graph.Node) bool {
	a := n.Attr("value")
	if a == nil || a.Tensor == nil {
		return true
	}
	x, err := a.Tensor.Floats()
	return err == nil && !slices.ContainsFunc(x, func(v float32) bool { return v != 0 })
}

// homogeneous reports whether n of channels times a factor is that factor times n.
func (c *Channels) homogeneous(n *graph.Node) bool {
	switch {
	case n.Is("MaxPool") && len(n.Outputs) > 1 && n.Outputs[1] != "":
		return false
	case n.Is("Pad"):
		if n.Str("mode", "constant") != "constant" {
			return true
		}
		if n.Float("value", 0) != 0 {
			return false
		}
		v := n.Input(2)
		if v == "" {
			return true
		}
		x, ok := c.w.scalar(v)
		return ok && x == 0
	case n.Is("Clip"):
		if lo, hi, ok := c.w.clipBounds(n); !ok || lo != 0 {
			return false
		} else if math.IsInf(hi, 1) || hi == math.MaxFloat32 {
			return true
		}
		if _, ok := c.w.relu6At(n); !ok {
			return false
		}
		c.Bounded = append(c.Bounded, n.Outputs[0])
	case n.Is("Resize"):
		return n.Input(1) == "" || n.Str("coordinate_transformation_mode", "") != "tf_crop_and_resize"
	}
	return true
}

// layer handles the products with constant weights; the channels of what is read
// lie on that axis.
func (c *Channels) layer(n *graph.Node, axis int) bool {
	x := n.Input(0)
	t := c.w.ix.Constant[n.Input(1)]
	shape := c.shapes[n.Outputs[0]]
	if t == nil || t.Type != graph.Float32 || shape == nil {
		return false
	}
	p, ok := op.ProductOf(n, 1, t.Dims)
	if a, _ := op.Trans(n); !ok || !p.Valid() || a != 0 || p.Convolution() && len(t.Dims) != len(shape) {
		return false
	}
	if axis < 0 {
		axis += len(c.shapes[x])
	}
	out := axis
	if n.Is("MatMul") {
		out = len(shape) - 1
	}
	s := Scaled{Node: n, Input: 1, Product: p}
	if in, ok := c.Layouts[x]; ok && len(in.IDs) == p.In && slices.Equal(in.Axes, []int{axis}) {
		s.In = in.IDs
	} else {
		c.pin(x)
	}
	l := c.fresh(n.Outputs[0], []int{out}, p.Out)
	c.give(n, l)
	s.Out = l.IDs
	if b := n.Input(2); b != "" && !n.Is("MatMul") {
		if !c.constant(n, 2, l.IDs, nil, false) {
			c.pinIDs(l.IDs)
		}
	}
	c.add(s)
	return true
}

// constant takes a constant that is multiplied with channels, one element each.
func (c *Channels) constant(n *graph.Node, input int, out, in []int, by bool) bool {
	t := c.w.ix.Constant[n.Input(input)]
	if t == nil || t.Type != graph.Float32 || t.Len() != len(out) {
		return false
	}
	of := make([]int, len(out))
	for i := range of {
		of[i] = i
	}
	c.add(Scaled{Node: n, Input: input, In: in, Out: out, of: of, by: by})
	return true
}

// add takes a constant in. One that several nodes read changes once: their channels
// are the same classes.
func (c *Channels) add(s Scaled) {
	name := s.Node.Input(s.Input)
	if was, ok := c.shared[name]; ok {
		if was.Product.Axis == s.Product.Axis && was.Product.Groups == s.Product.Groups && len(was.In) == len(s.In) && len(was.Out) == len(s.Out) && was.by == s.by && slices.Equal(was.of, s.of) {
			c.joinAll(was.In, s.In, false)
			c.joinAll(was.Out, s.Out, false)
		} else {
			for _, o := range [][]int{was.In, was.Out, s.In, s.Out} {
				c.pinIDs(o)
			}
		}
	}
	c.shared[name] = s
	if s.Product.Node != nil {
		c.Layers = append(c.Layers, s)
	} else {
		c.Others = append(c.Others, s)
	}
}

// settleConstants keeps the scales around constants that someone else reads too.
func (c *Channels) settleConstants() {
	readers := map[string]int{}
	all := slices.Concat(c.Layers, c.Others)
	for _, s := range all {
		readers[s.Node.Input(s.Input)]++
	}
	for _, s := range all {
		name, times := s.Node.Input(s.Input), 0
		for _, u := range c.w.ix.Consumers[name] {
			for _, in := range u.Inputs {
				if in == name {
					times++
				}
			}
		}
		if times != readers[name] || c.w.ix.IsOutput(name) || c.w.inner(name) {
			c.pinIDs(s.In)
			c.pinIDs(s.Out)
		}
	}
}

// batchNorm handles a scale and an offset per channel.
func (c *Channels) batchNorm(n *graph.Node) bool {
	mean, _, ok := c.w.floats(n.Input(3))
	if !ok || slices.ContainsFunc(mean, func(v float32) bool { return v != 0 }) || len(n.Outputs) > 1 {
		return false
	}
	l := c.fresh(n.Outputs[0], []int{1}, len(mean))
	var read []int
	if in, ok := c.Layouts[n.Input(0)]; ok && slices.Equal(in.Axes, []int{1}) && len(in.IDs) == len(mean) {
		read = in.IDs
	} else {
		c.pin(n.Input(0))
	}
	if !c.constant(n, 1, l.IDs, read, false) || !c.constant(n, 2, l.IDs, nil, false) {
		c.pinIDs(l.IDs)
		c.pinIDs(read)
	}
	c.give(n, l)
	return true
}

// normalization handles what normalizes over channels, and then multiplies each
// with a constant.
func (c *Channels) normalization(n *graph.Node, axis int, inputs ...int) bool {
	r := len(c.shapes[n.Outputs[0]])
	if r == 0 {
		return false
	}
	if axis < 0 {
		if a := int(n.Int("axis", -1)); a != -1 && a != r-1 {
			return false
		}
		axis += r
	}
	l := c.fresh(n.Outputs[0], []int{axis}, c.count(n.Outputs[0], []int{axis}))
	for k, i := range inputs {
		if n.Input(i) == "" && k > 0 {
			continue // no offset
		}
		if !c.constant(n, i, l.IDs, nil, false) {
			c.pinIDs(l.IDs)
		}
	}
	for _, o := range n.Outputs[1:] {
		if o != "" && c.w.read(o) {
			c.pinIDs(l.IDs)
		}
	}
	c.give(n, l)
	return true
}

// along finds a constant operand with one element for each channel of n's result:
// of says which channel each element is of.
func (c *Channels) along(n *graph.Node, v string, axes []int) (of []int, ok bool) {
	t, shape := c.w.ix.Constant[v], c.shapes[n.Outputs[0]]
	if t == nil || t.Type != graph.Float32 || shape == nil || len(t.Dims) > len(shape) || t.Len() > 1<<24 {
		return nil, false
	}
	skip := len(shape) - len(t.Dims)
	of = make([]int, t.Len())
	for _, a := range axes {
		if a < skip || t.Dims[a-skip] != shape[a] {
			return nil, false
		}
	}
	for i := range of {
		rest, at, times := i, 0, 1
		for d := len(t.Dims) - 1; d >= 0; d-- {
			k := rest % int(t.Dims[d])
			rest /= int(t.Dims[d])
			if slices.Contains(axes, d+skip) {
				at += k * times
				times *= int(t.Dims[d])
			}
		}
		of[i] = at
	}
	return of, true
}

// longAxis returns the only axis of n's result along which the constant v varies.
func (c *Channels) longAxis(n *graph.Node, v string) []int {
	t, shape := c.w.ix.Constant[v], c.shapes[n.Outputs[0]]
	if t == nil || shape == nil || len(t.Dims) > len(shape) {
		return nil
	}
	var axes []int
	for i, d := range t.Dims {
		if d > 1 {
			axes = append(axes, len(shape)-len(t.Dims)+i)
		}
	}
	if len(axes) != 1 {
		return nil
	}
	return axes
}

// isZero reports whether a value is 0 all over.
func (c *Channels) isZero(v string) bool {
	if c.zeros[v] {
		return true
	}
	x, _, ok := c.w.floats(v)
	return ok && !slices.ContainsFunc(x, func(v float32) bool { return v != 0 })
}

// sum handles what adds and compares values of the same scale.
func (c *Channels) sum(n *graph.Node) bool {
	var l Layout
	zero := ""
	for _, v := range n.Inputs {
		if in, ok := c.Layouts[v]; ok && l.IDs == nil && c.count(n.Outputs[0], in.Axes) == len(in.IDs) && len(c.shapes[v]) == len(c.shapes[n.Outputs[0]]) {
			l = in
		}
		if c.zeros[v] {
			zero = v
		}
	}
	if l.IDs == nil {
		if zero == "" || !n.Is("Add") {
			return false
		}
		// A constant that is added to nothing makes channels.
		for _, v := range n.Inputs {
			if axes := c.longAxis(n, v); axes != nil {
				l = c.fresh(n.Outputs[0], axes, c.count(n.Outputs[0], axes))
			}
		}
		if l.IDs == nil {
			return false
		}
	}
	for i, v := range n.Inputs {
		in, ok := c.Layouts[v]
		switch {
		case c.isZero(v):
			continue
		case ok && slices.Equal(in.Axes, l.Axes) && len(in.IDs) == len(l.IDs) && len(c.shapes[v]) == len(c.shapes[n.Outputs[0]]):
			c.joinAll(l.IDs, in.IDs, false)
			continue
		}
		if of, ok := c.along(n, v, l.Axes); ok {
			c.add(Scaled{Node: n, Input: i, Out: l.IDs, of: of})
			continue
		}
		c.pin(v)
		c.pinIDs(l.IDs)
	}
	c.give(n, l)
	return true
}

// times handles products and quotients element by element.
func (c *Channels) times(n *graph.Node) bool {
	for i, v := range n.Inputs {
		if c.w.ix.Constant[v] == nil || n.Is("Div") && i == 0 {
			continue
		}
		x := n.Inputs[1-i]
		in, have := c.Layouts[x]
		axes := in.Axes
		if !have {
			axes = c.longAxis(n, v)
		}
		if of, ok := c.along(n, v, axes); ok && len(axes) > 0 && len(c.shapes[x]) == len(c.shapes[n.Outputs[0]]) {
			l := c.fresh(n.Outputs[0], axes, c.count(n.Outputs[0], axes))
			if len(l.IDs) > 0 && (!have || len(l.IDs) == len(in.IDs)) {
				c.add(Scaled{Node: n, Input: i, In: in.IDs, Out: l.IDs, of: of, by: n.Is("Div")})
				c.give(n, l)
				return true
			}
		}
		if !have || len(c.shapes[x]) != len(c.shapes[n.Outputs[0]]) {
			return false
		}
		c.give(n, in) // the same factor for all channels
		return true
	}
	// Of two values one scales the result, the other stays.
	for i, v := range n.Inputs {
		if in, ok := c.Layouts[v]; ok && (i == 0 || n.Is("Mul")) && v != n.Inputs[1-i] && len(c.shapes[v]) == len(c.shapes[n.Outputs[0]]) {
			c.pin(n.Inputs[1-i])
			c.give(n, in)
			return true
		}
	}
	return false
}

// product handles the product of two values: what it sums over has inverse
// scales, and the columns of the second one stay columns.
func (c *Channels) product(n *graph.Node) bool {
	a, b := n.Input(0), n.Input(1)
	r := len(c.shapes[n.Outputs[0]])
	if r < 2 || len(c.shapes[a]) != r || len(c.shapes[b]) != r {
		return false
	}
	x, haveX := c.Layouts[a]
	y, haveY := c.Layouts[b]
	switch {
	case haveY && slices.Contains(y.Axes, r-1) && !slices.Contains(y.Axes, r-2):
		c.pin(a)
		c.give(n, y)
		return true
	case haveX && haveY && len(x.IDs) == len(y.IDs) && slices.Contains(x.Axes, r-1) && !slices.Contains(x.Axes, r-2) &&
		slices.Contains(y.Axes, r-2) && slices.Equal(x.Axes[:len(x.Axes)-1], y.Axes[:len(y.Axes)-1]):
		c.joinAll(x.IDs, y.IDs, true)
		c.Products = append(c.Products, n)
		return true
	}
	return false
}

// expand handles a constant that is copied along other axes.
func (c *Channels) expand(n *graph.Node) bool {
	x := n.Input(0)
	if in, ok := c.Layouts[x]; ok {
		if len(c.shapes[x]) != len(c.shapes[n.Outputs[0]]) {
			return false
		}
		c.give(n, in)
		return true
	}
	axes := c.longAxis(n, x)
	if axes == nil {
		return false
	}
	of, ok := c.along(n, x, axes)
	if !ok {
		return false
	}
	l := c.fresh(n.Outputs[0], axes, c.count(n.Outputs[0], axes))
	c.add(Scaled{Node: n, Input: 0, Out: l.IDs, of: of})
	c.give(n, l)
	return true
}

// concat handles values that are put side by side.
func (c *Channels) concat(n *graph.Node) bool {
	r := len(c.shapes[n.Outputs[0]])
	at := int(n.Int("axis", 0))
	if at < 0 {
		at += r
	}
	var axes []int
	for _, v := range n.Inputs {
		if l, ok := c.Layouts[v]; ok {
			axes = l.Axes
			break
		}
	}
	if r == 0 || axes == nil || slices.Contains(axes, at) && len(axes) > 1 {
		return false
	}
	var ids []int
	for i, v := range n.Inputs {
		l, ok := c.Layouts[v]
		if !ok || !slices.Equal(l.Axes, axes) {
			c.pin(v)
			l = c.fresh(n.Outputs[0], axes, c.count(v, axes))
			if len(l.IDs) == 0 {
				return false
			}
			if of, ok := c.along(n, v, axes); ok && c.w.ix.Constant[v] != nil && !slices.Contains(axes, at) {
				c.add(Scaled{Node: n, Input: i, Out: l.IDs, of: of})
			} else if !c.isZero(v) {
				c.pinIDs(l.IDs)
			}
		}
		switch {
		case slices.Contains(axes, at):
			ids = append(ids, l.IDs...)
		case ids == nil:
			ids = l.IDs
		case len(ids) == len(l.IDs):
			c.joinAll(ids, l.IDs, false)
		default:
			return false
		}
	}
	c.give(n, Layout{axes, ids})
	return true
}

// transpose handles channels that change places.
func (c *Channels) transpose(n *graph.Node, in Layout) bool {
	perm := n.Ints("perm")
	shape := c.shapes[n.Input(0)]
	if len(perm) != len(shape) || len(shape) == 0 {
		return false
	}
	// from are the channels' axes in the order that they have behind.
	var from, axes []int
	for to, a := range perm {
		if slices.Contains(in.Axes, int(a)) {
			from, axes = append(from, int(a)), append(axes, to)
		}
	}
	stride := map[int]int{}
	times := 1
	for _, a := range slices.Backward(in.Axes) {
		stride[a] = times
		times *= int(shape[a])
	}
	ids := make([]int, len(in.IDs))
	for i := range ids {
		rest, at := i, 0
		for _, a := range slices.Backward(from) {
			at += rest % int(shape[a]) * stride[a]
			rest /= int(shape[a])
		}
		ids[i] = in.IDs[at]
	}
	c.give(n, Layout{axes, ids})
	return true
}

// reshape handles channels whose axes are taken apart or put together.
func (c *Channels) reshape(n *graph.Node, in Layout) {
	from, to := c.shapes[n.Input(0)], c.shapes[n.Outputs[0]]
	first, last := in.Axes[0], in.Axes[len(in.Axes)-1]
	if from == nil || to == nil || last-first != len(in.Axes)-1 {
		c.pinIDs(in.IDs)
		return
	}
	size := func(d []int64) int64 {
		n := int64(1)
		for _, v := range d {
			n *= v
		}
		return n
	}
	outer, inner := size(from[:first]), size(from[last+1:])
	whole := int64(len(in.IDs))
	for p := range to {
		if size(to[:p]) != outer || to[p] == 1 && whole > 1 {
			continue
		}
		for q := p; q < len(to); q++ {
			behind := size(to[q+1:])
			have := size(to[p : q+1])
			if have < whole || have%whole != 0 || have/whole*behind != inner {
				continue
			}
			var axes []int
			for a := p; a <= q; a++ {
				axes = append(axes, a)
			}
			times := int(have / whole)
			if have > mostChannels {
				break
			}
			ids := make([]int, 0, have)
			for _, id := range in.IDs {
				for range times {
					ids = append(ids, id)
				}
			}
			c.give(n, Layout{axes, ids})
			return
		}
	}
	c.pinIDs(in.IDs)
}

// without returns where axes lie once others are gone.
func without(axes, gone []int) []int {
	out := make([]int, len(axes))
	for i, a := range axes {
		out[i] = a
		for _, g := range gone {
			if g < a {
				out[i]--
			}
		}
	}
	return out
}

// reduce handles means and sums over other axes than the channels'.
func (c *Channels) reduce(n *graph.Node, in Layout) bool {
	r := len(c.shapes[n.Input(0)])
	axes := n.Ints("axes")
	if axes == nil {
		axes, _ = c.w.ints(n.Input(1))
	}
	var gone []int
	for _, a := range axes {
		if a < 0 {
			a += int64(r)
		}
		if slices.Contains(in.Axes, int(a)) {
			return false
		}
		gone = append(gone, int(a))
	}
	if len(gone) == 0 {
		return false
	}
	l := in
	if n.Int("keepdims", 1) == 0 {
		l.Axes = without(in.Axes, gone)
	}
	c.give(n, l)
	return true
}

// gather handles what takes places out of other axes than the channels'.
func (c *Channels) gather(n *graph.Node, in Layout) bool {
	from, to := c.shapes[n.Input(0)], c.shapes[n.Outputs[0]]
	a := int(n.Int("axis", 0))
	if a < 0 {
		a += len(from)
	}
	if from == nil || to == nil || slices.Contains(in.Axes, a) {
		return false
	}
	l := Layout{slices.Clone(in.Axes), in.IDs}
	for i, x := range l.Axes {
		if x > a {
			l.Axes[i] += len(to) - len(from)
		}
	}
	c.give(n, l)
	return true
}

// slice handles a part of the channels, or of other axes.
func (c *Channels) slice(n *graph.Node, in Layout) bool {
	from := c.shapes[n.Input(0)]
	starts, axes, steps := c.values[n.Input(1)], c.values[n.Input(3)], c.values[n.Input(4)]
	if len(in.Axes) != 1 || starts == nil || n.Input(3) != "" && axes == nil || n.Input(4) != "" && steps == nil {
		return false
	}
	l := in
	for i, s := range starts {
		a := i
		if axes != nil {
			a = int(axes[i])
		}
		if a < 0 {
			a += len(from)
		}
		if a != in.Axes[0] {
			continue
		}
		if steps != nil && steps[i] != 1 {
			return false
		}
		at, count := int(s), c.count(n.Outputs[0], in.Axes)
		if at < 0 {
			at += len(in.IDs)
		}
		if at < 0 || at+count > len(in.IDs) {
			return false
		}
		l.IDs = in.IDs[at : at+count]
	}
	c.give(n, l)
	return true
}

// padded returns the channels behind a Pad, which may add some: these are 0.
func (c *Channels) padded(n *graph.Node, in Layout) Layout {
	after := c.count(n.Outputs[0], in.Axes)
	pads := c.values[n.Input(1)]
	if n.Attr("pads") != nil {
		for _, v := range n.Ints("pads") {
			pads = append(pads, float64(v))
		}
	}
	rank := len(c.shapes[n.Outputs[0]])
	if after == len(in.IDs) || len(in.Axes) != 1 || len(pads) != 2*rank || n.Str("mode", "constant") != "constant" {
		return in
	}
	before := int(pads[in.Axes[0]])
	if before < 0 || after < before+len(in.IDs) {
		return in
	}
	l := c.fresh(n.Outputs[0], in.Axes, after)
	copy(l.IDs[before:], in.IDs)
	return l
}

// split handles several parts.
func (c *Channels) split(n *graph.Node, in Layout) bool {
	if len(in.Axes) != 1 {
		return false
	}
	a := int(n.Int("axis", 0))
	if a < 0 {
		a += len(c.shapes[n.Input(0)])
	}
	at := 0
	for _, out := range n.Outputs {
		l := in
		if a == in.Axes[0] {
			count := c.count(out, in.Axes)
			if count == 0 || at+count > len(in.IDs) {
				return false
			}
			l.IDs = in.IDs[at : at+count]
			at += count
		}
		if c.count(out, l.Axes) != len(l.IDs) {
			return false
		}
		c.Layouts[out] = l
	}
	return true
}
