package xmodel

import (
	"math"
	"slices"

	"narrow/diag"
	"narrow/graph"
	"narrow/graph/infer"
	"narrow/plan"
	"narrow/scheme"
)

// source is what the operators are made of: a plan, and what calibration found.
type source struct {
	plan *plan.Plan
	// name is the network's class name.
	name string
	// encodings are nil where nothing is calibrated yet: then fixes stand at the
	// position 0, which only tells where they are.
	encodings map[*plan.Tensor]scheme.Encoding
	// constants are the values to compute with of the plan's constants.
	constants map[*plan.Tensor]*graph.Tensor
}

// builder makes operators of the plan's operations.
type builder struct {
	source
	m      *graph.Model
	ix     *graph.Index
	shapes map[string][]graph.Dim
	types  map[string]graph.DataType
	values map[string][]float64
	list   diag.List

	nodes []*node
	of    map[string]*node // what puts out a value of ONNX
	fixAt map[string]*plan.Tensor
	own   map[plan.Use]*plan.Tensor // a layer's own input quantizers
	bound map[plan.Use]*plan.Tensor // quantized constants
	made  map[constKey]*node
	// needed are the values that lead to an output.
	needed map[string]bool
	// becomes lists what each operation turned into.
	becomes map[*plan.Operation][]*node
	op      *plan.Operation // the operation that is being turned
	skip    map[*graph.Node]bool
	// unshuffles are the pixel shuffles that ONNX spells as a transpose between
	// reshapes, by their last node.
	unshuffles map[*graph.Node]*shuffle
	outputs    []*node
	// reasons say why an operation cannot be written.
	reasons map[*plan.Operation]reason
}

// reason is why something is refused, and the way out.
type reason struct{ why, fix diag.Text }

// constKey tells constants of the file apart: shared weights are one.
type constKey struct {
	value string
	t     *plan.Tensor
	form  string
}

// lower turns the plan's network into operators, with the axes of ONNX and every
// finding. After an error the operators are of no use.
func lower(s source) *builder {
	b := &builder{
		source: s, m: s.plan.Model, ix: graph.NewIndex(s.plan.Model.Graph),
		of: map[string]*node{}, fixAt: map[string]*plan.Tensor{}, own: map[plan.Use]*plan.Tensor{}, bound: map[plan.Use]*plan.Tensor{},
		made: map[constKey]*node{}, becomes: map[*plan.Operation][]*node{}, skip: map[*graph.Node]bool{}, reasons: map[*plan.Operation]reason{},
	}
	for _, t := range s.plan.Tensors {
		switch {
		case t.Constant != nil:
			for _, u := range t.Uses {
				b.bound[u] = t
			}
		case t.Uses != nil:
			for _, u := range t.Uses {
				b.own[u] = t
			}
		default:
			b.fixAt[t.Name] = t
		}
	}
	b.settings()
	b.reach()
	if !b.sizes() {
		b.unknowns()
		return b
	}
	b.inputs()
	b.unshuffles = b.findShuffles()
	for _, op := range s.plan.Operations {
		if !slices.ContainsFunc(op.Nodes[len(op.Nodes)-1].Outputs, func(o string) bool { return b.needed[o] }) {
			continue
		}
		b.op = op
		before := len(b.nodes)
		b.operation(op)
		b.becomes[op] = b.nodes[before:len(b.nodes):len(b.nodes)]
	}
	b.op = nil
	b.ends()
	return b
}

// refuse notes why the operation being turned cannot be written.
func (b *builder) refuse(why, fix diag.Text) *node {
	b.reasons[b.op] = reason{why, fix}
	b.refuseAt(b.op.Node.Label(), why, fix)
	return nil
}

// Codes of findings: what an .xmodel cannot hold of a network, what it cannot hold
// of a strategy, and what the compiler may leave to the CPU.
const (
	CodeRefused  = "xmodel-refused"
	CodeStrategy = "xmodel-strategy"
	CodeCPU      = "xmodel-cpu"
)

func (b *builder) refuseAt(label string, why, fix diag.Text) {
	b.find(CodeRefused, label, why, fix)
}

func (b *builder) find(code, label string, why, fix diag.Text) {
	b.list = append(b.list, diag.Finding{
		Severity: diag.Error, Code: code, Message: diag.Textf("%s: %s", label, why), Fix: fix,
	})
}

func (b *builder) warn(label string, why, fix diag.Text) {
	b.list = append(b.list, diag.Finding{
		Severity: diag.Warning, Code: CodeCPU, Message: diag.Textf("%s: %s", label, why), Fix: fix,
	})
}

// sizes fixes the batch at 1 and finds every shape.
func (b *builder) sizes() bool {
	fixed := map[string][]graph.Dim{}
	ok := true
	batch := ""
	for _, v := range b.m.Graph.Inputs {
		if !b.ix.IsInput(v.Name) {
			continue
		}
		if len(v.Shape) == 0 {
			b.refuseAt(v.Name, diag.Textf("the input has no batch axis"), diag.Textf("export the model with the shape of its inputs"))
			ok = false
			continue
		}
		shape := slices.Clone(v.Shape)
		if shape[0].Size < 0 && shape[0].Param != "" {
			batch = shape[0].Param
		}
		if shape[0].Size > 1 {
			b.refuseAt(v.Name, diag.Textf("the input's batch is fixed at %d, and an .xmodel is for one image", shape[0].Size),
				diag.Textf("export the model with a batch of 1, or with a dynamic batch"))
			ok = false
		}
		shape[0] = graph.Dim{Size: 1}
		fixed[v.Name] = shape
	}
	for name, shape := range fixed {
		fixed[name] = infer.Fixed(shape, batch, 1)
		if batch == "" {
			fixed[name] = shape
		}
	}
	for _, v := range b.m.Graph.Inputs {
		for i, d := range fixed[v.Name] {
			if d.Size < 0 {
				b.refuseAt(v.Name, diag.Textf("axis %d of the input is dynamic (%s)", i, d), diag.Textf("export the model with a fixed size there"))
				ok = false
				break
			}
		}
	}
	if !ok {
		return false
	}
	r := infer.Infer(b.m, fixed)
	b.shapes, b.types, b.values = r.Shapes, r.Types, r.Values
	return true
}

// unknowns refuses the operators that XIR has none for, whatever the sizes are.
func (b *builder) unknowns() {
	for _, o := range b.plan.Operations {
		n := o.Nodes[len(o.Nodes)-1]
		if _, ok := writers[o.Op]; !ok && o.Nodes[0].Whole == nil && slices.ContainsFunc(n.Outputs, func(v string) bool { return b.needed[v] }) {
			b.op = o
			b.unknown(o)
		}
	}
}

// reach finds the values that lead to an output.
func (b *builder) reach() {
	b.needed = map[string]bool{}
	for _, v := range b.m.Graph.Outputs {
		b.needed[v.Name] = true
	}
	for i := len(b.m.Graph.Nodes) - 1; i >= 0; i-- {
		n := b.m.Graph.Nodes[i]
		if slices.ContainsFunc(n.Outputs, func(o string) bool { return b.needed[o] }) {
			for _, in := range graph.Reads(n) {
				b.needed[in] = true
			}
		}
	}
}

// shape returns the shape of a value, nil where it is not known in full.
func (b *builder) shape(value string) []int64 {
	s, ok := b.shapes[value]
	if !ok {
		return nil
	}
	out := make([]int64, len(s))
	for i, d := range s {
		if d.Size < 0 {
			return nil
		}
		out[i] = d.Size
	}
	return out
}

// ints returns the elements of a small integer value.
func (b *builder) ints(value string) ([]int64, bool) {
	v, ok := b.values[value]
	if !ok {
		t := b.ix.Constant[value]
		if t == nil {
			return nil, false
		}
		ints, err := t.Int64s()
		return ints, err == nil
	}
	out := make([]int64, len(v))
	for i, x := range v {
		switch {
		case x >= math.MaxInt64:
			out[i] = math.MaxInt64
		case x <= math.MinInt64:
			out[i] = math.MinInt64
		default:
			out[i] = int64(x)
		}
	}
	return out, true
}

// list returns integers that an attribute gives in old operator sets and an
// input in new ones; given is false where neither does.
func (b *builder) attrOrInput(n *graph.Node, attr string, input int) (list []int64, given, ok bool) {
	if a := n.Attr(attr); a != nil {
		if a.Kind == graph.AttrInt {
			return []int64{a.Int}, true, true
		}
		return a.Ints, true, true
	}
	if n.Input(input) == "" {
		return nil, false, true
	}
	list, ok = b.ints(n.Input(input))
	return list, true, ok
}

// inputs makes the data operators.
func (b *builder) inputs() {
	for _, v := range b.m.Graph.Inputs {
		if !b.ix.IsInput(v.Name) {
			continue
		}
		if v.Type != graph.Float32 {
			b.refuseAt(v.Name, diag.Textf("the input is of type %v, and an .xmodel takes float32", v.Type), diag.Text{})
			continue
		}
		n := &node{op: "data", label: v.Name, name: v.Name, shape: b.shape(v.Name), follows: true, value: v.Name, fix: b.fixOf(v.Name)}
		b.nodes = append(b.nodes, n)
		b.of[v.Name] = n
	}
}

// ends finds the outputs.
func (b *builder) ends() {
	for _, v := range b.m.Graph.Outputs {
		n := b.of[v.Name]
		switch {
		case n != nil:
			b.outputs = append(b.outputs, n)
		case b.list.HasErrors():
		case b.ix.Constant[v.Name] != nil || b.values[v.Name] != nil:
			b.refuseAt(v.Name, diag.Textf("the output does not depend on the network's inputs"), diag.Textf("cut it off the model"))
		default:
			b.refuseAt(v.Name, diag.Textf("the output is of type %v, and an .xmodel holds float32 values", b.types[v.Name]),
				diag.Textf("cut the model in front of it, and compute the rest on the CPU"))
		}
	}
}

// fixOf returns the quantizer that stands behind a value, or nil.
func (b *builder) fixOf(value string) *fix { return b.fixFor(b.fixAt[value]) }

// fixFor returns a tensor's quantizer, or nil. Whether a fix can hold it was
// checked by settings.
func (b *builder) fixFor(t *plan.Tensor) *fix {
	if t == nil {
		return nil
	}
	f := &fix{bits: int32(t.Settings.Settings.BitWidth), t: t}
	if e, ok := b.encodings[t]; ok && len(e.FixPosition) == 1 {
		f.point = int32(e.FixPosition[0])
	}
	return f
}

// at returns the operator whose result input i of n reads, and the quantizer
// that the input has for itself.
func (b *builder) at(n *graph.Node, i int) *node { return b.of[n.Input(i)] }

// add appends the operator that puts out value.
func (b *builder) add(n *node, value string) *node {
	n.label, n.value = b.op.Node.Label(), value
	if n.name == "" {
		n.name = n.label
	}
	if n.shape == nil {
		n.shape = b.shape(value)
	}
	n.fix = b.fixOf(value)
	b.nodes = append(b.nodes, n)
	b.of[value] = n
	return n
}

// step appends an operator whose result is none of the plan's values, but equal
// to value where that is given.
func (b *builder) step(n *node, value, suffix string) *node {
	n.label, n.value, n.inner = b.op.Node.Label(), value, true
	n.name = n.label + suffix
	b.nodes = append(b.nodes, n)
	return n
}

// own adds the quantizers that inputs have for this reader alone. inputs maps
// the operator's inputs to those of node g.
func (b *builder) ownInputs(n *node, g *graph.Node, inputs ...int) {
	for i, in := range inputs {
		if t := b.own[plan.Use{Node: g, Input: in}]; t != nil {
			if n.pre == nil {
				n.pre = map[int]*fix{}
			}
			n.pre[i] = b.fixFor(t)
		}
	}
}

// floats returns the values to compute with that input i of n reads, where they
// are constant: quantized where the plan quantizes them.
func (b *builder) floats(n *graph.Node, i int) (data []float32, dims []int64, t *plan.Tensor, ok bool) {
	u := plan.Use{Node: n, Input: i}
	t = b.bound[u]
	c := b.ix.Constant[n.Input(i)]
	if t != nil {
		c = t.Constant
		if q := b.constants[t]; q != nil {
			c = q
		}
	}
	if c == nil {
		if v, known := b.values[n.Input(i)]; known && b.types[n.Input(i)] == graph.Float32 {
			data = make([]float32, len(v))
			for k := range v {
				data[k] = float32(v[k])
			}
			return data, b.shape(n.Input(i)), nil, true
		}
		return b.evaluated(n.Input(i))
	}
	data, err := c.Floats()
	if err != nil {
		return nil, nil, nil, false
	}
	return data, c.Dims, t, true
}

// evaluated returns the elements of a value that nodes make of constants and of
// sizes, which a batch of 1 fixes: a class token that is repeated for every image,
// for one.
func (b *builder) evaluated(value string) (data []float32, dims []int64, t *plan.Tensor, ok bool) {
	n := b.ix.Producer[value]
	dims = b.shape(value)
	const most = 1 << 24
	if n == nil || n.Domain != "" || dims == nil || count(dims) > most || b.types[value] != graph.Float32 {
		return nil, nil, nil, false
	}
	switch n.OpType {
	case "ConstantOfShape":
		data = make([]float32, count(dims))
		if a := n.Attr("value"); a != nil && a.Tensor != nil {
			fill, err := a.Tensor.Floats()
			if err != nil || len(fill) != 1 {
				return nil, nil, nil, false
			}
			for i := range data {
				data[i] = fill[0]
			}
		}
		return data, dims, nil, true
	case "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand":
		data, from, _, ok := b.floats(n, 0)
		switch {
		case !ok:
			return nil, nil, nil, false
		case n.OpType == "Expand":
			data = stretched(data, from, dims)
		}
		return data, dims, nil, true
	case "Add", "Sub", "Mul", "Div":
		x, xd, _, xok := b.floats(n, 0)
		y, yd, _, yok := b.floats(n, 1)
		if !xok || !yok {
			return nil, nil, nil, false
		}
		x, y = slices.Clone(stretched(x, xd, dims)), stretched(y, yd, dims)
		for i := range x {
			switch n.OpType {
			case "Add":
				x[i] += y[i]
			case "Sub":
				x[i] -= y[i]
			case "Mul":
				x[i] *= y[i]
			case "Div":
				x[i] /= y[i]
			}
		}
		return x, dims, nil, true
	}
	return nil, nil, nil, false
}

// constant makes the constant that input i of n reads, in the form that make
// brings it into. Constants that are read in one form by several nodes are one.
func (b *builder) constant(n *graph.Node, i int, form string, make func(data []float32, dims []int64) ([]float32, []int64)) *node {
	data, dims, t, ok := b.floats(n, i)
	if !ok {
		return nil
	}
	key := constKey{n.Input(i), t, form}
	if c := b.made[key]; c != nil {
		return c
	}
	data, dims = make(data, dims)
	if len(dims) == 0 {
		dims = []int64{1}
	}
	c := &node{op: "const", label: n.Label(), name: n.Input(i), shape: dims, stored: dims, data: data, fix: b.fixFor(t), value: ""}
	b.made[key] = c
	return c
}

// scalar makes a constant of one element.
func (b *builder) scalar(v float32, suffix string) *node {
	return &node{op: "const", label: b.op.Node.Label(), name: b.op.Node.Label() + suffix, shape: []int64{1}, stored: []int64{1}, data: []float32{v}, inner: true}
}

// operand returns what input i of a binary operator reads: an operator, or a
// constant that is stretched to shape.
func (b *builder) operand(n *graph.Node, i int, shape []int64) *node {
	if p := b.of[n.Input(i)]; p != nil {
		return p
	}
	data, dims, t, ok := b.floats(n, i)
	if !ok {
		return nil
	}
	c := &node{op: "const", label: n.Label(), name: n.Input(i), shape: shape, stored: dims, data: data, fix: b.fixFor(t)}
	return c
}
