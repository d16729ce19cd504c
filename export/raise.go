package export

import (
	"fmt"
	"slices"

	"narrow/diag"
	"narrow/graph"
	"narrow/graph/infer"
)

// MaxOpset is the latest standard operator set that [RaiseOpset] knows.
const MaxOpset = 22

// RaiseOpset raises the standard operator set of m to version to, rewriting
// the operators whose meaning or form changed on the way, those inside control
// flow too. Findings of severity error name nodes that cannot be raised; m is
// then half changed and of no use. A version that m has already changes
// nothing.
//
// Source: the ONNX changelog of operators, versions 7 to 22.
func RaiseOpset(m *graph.Model, to int64) diag.List {
	return raiseOpset(m, to, infer.Shapes(m, nil))
}

// raiseOpset is RaiseOpset with the shapes of m's values.
func raiseOpset(m *graph.Model, to int64, shapes map[string][]graph.Dim) diag.List {
	from := standardOpset(m)
	if from >= to || from == 0 {
		if from == 0 {
			m.Opsets[""] = to
		}
		return nil
	}
	r := &raiser{fresh: graph.Fresh(m.Graph), from: from, to: to}
	r.graph(m.Graph, &scope{shapes: shapes})
	m.Opsets[""] = to
	return r.list
}

// raiser raises the nodes of one model.
type raiser struct {
	fresh    func(name string) string
	from, to int64
	list     diag.List
	// g is the graph at work, scope what it and those around it know.
	g     *graph.Graph
	scope *scope
	// out are the nodes to put in the place of the one at work, if any.
	out []*graph.Node
}

// scope holds what the graphs around a node tell of its values.
type scope struct {
	constants map[string]*graph.Tensor
	shapes    map[string][]graph.Dim
	outer     *scope
}

func (s *scope) constant(name string) *graph.Tensor {
	for ; s != nil; s = s.outer {
		if t := s.constants[name]; t != nil {
			return t
		}
	}
	return nil
}

// rank returns the rank of a value, or -1 where nobody tells.
func (s *scope) rank(name string) int {
	for ; s != nil; s = s.outer {
		if d := s.shapes[name]; d != nil {
			return len(d)
		}
		if t := s.constants[name]; t != nil {
			return len(t.Dims)
		}
	}
	return -1
}

func (r *raiser) graph(g *graph.Graph, outer *scope) {
	s := &scope{constants: graph.NewIndex(g).Constant, shapes: map[string][]graph.Dim{}, outer: outer}
	for _, v := range g.Values {
		s.shapes[v.Name] = v.Shape
	}
	for _, v := range slices.Concat(g.Inputs, g.Outputs) {
		s.shapes[v.Name] = v.Shape
	}
	var out []*graph.Node
	for _, n := range g.Nodes {
		for _, sub := range n.Subgraphs() {
			r.graph(sub, s)
		}
		r.g, r.scope, r.out = g, s, nil
		if n.Domain == "" {
			r.node(n)
		}
		out = append(out, r.out...)
		if !slices.Contains(r.out, n) {
			out = append(out, n)
		}
	}
	g.Nodes = out
}

// crosses reports whether version v lies between the two sets.
func (r *raiser) crosses(v int64) bool { return r.from < v && v <= r.to }

// fail says why n cannot be raised.
func (r *raiser) fail(n *graph.Node, format string, args ...any) {
	r.list = append(r.list, diag.Finding{
		Severity: diag.Error, Code: "opset",
		Message: diag.Textf("node %q (%s) cannot be raised from operator set %d to %d: %s", n.Label(), n.OpType, r.from, r.to, fmt.Sprintf(format, args...)),
		Fix:     diag.Textf("export the model from its framework with opset_version %d", r.to),
	})
}

// node raises n, step by step.
func (r *raiser) node(n *graph.Node) {
	for _, s := range steps() {
		if r.crosses(s.version) && slices.Contains(s.ops, n.OpType) {
			s.apply(r, n)
		}
	}
}

// step is a change of operators in a version.
type step struct {
	version int64
	ops     []string
	apply   func(r *raiser, n *graph.Node)
}

// steps are the changes in order of version. Versions that only allow more
// (types, broadcasting, negative axes, new optional parts) are not among them.
func steps() []step {
	return []step{
		{9, []string{"BatchNormalization"}, (*raiser).batchNorm9},
		{9, []string{"Upsample"}, (*raiser).upsample9},
		{9, []string{"Scan"}, func(r *raiser, n *graph.Node) { r.fail(n, "Scan lost its batch axis in version 9") }},
		{10, []string{"Slice"}, (*raiser).slice10},
		{10, []string{"TopK"}, func(r *raiser, n *graph.Node) { r.intsToInput(n, 1, n.Attr("k"), "k") }},
		{10, []string{"Upsample"}, func(r *raiser, n *graph.Node) { n.OpType = "Resize" }},
		{10, []string{"Dropout"}, func(r *raiser, n *graph.Node) { r.unusedOutputs(n, "the mask changed its type in version 10") }},
		{11, []string{"Clip"}, (*raiser).clip11},
		{11, []string{"Pad"}, (*raiser).pad11},
		{11, []string{"Resize"}, (*raiser).resize11},
		{11, []string{"Scatter"}, func(r *raiser, n *graph.Node) { n.OpType = "ScatterElements" }},
		{12, []string{"Dropout"}, func(r *raiser, n *graph.Node) { dropAttr(n, "ratio") }},
		{13, []string{"Softmax", "LogSoftmax", "Hardmax"}, (*raiser).softmax13},
		{13, []string{"Squeeze", "Unsqueeze", "ReduceSum"}, func(r *raiser, n *graph.Node) { r.intsToInput(n, 1, n.Attr("axes"), "axes") }},
		{13, []string{"Split"}, func(r *raiser, n *graph.Node) { r.intsToInput(n, 1, n.Attr("split"), "split") }},
		{14, []string{"BatchNormalization"}, func(r *raiser, n *graph.Node) {
			r.unusedOutputs(n, "it outputs training statistics, whose order changed in version 14")
		}},
		{16, []string{"RoiAlign"}, func(r *raiser, n *graph.Node) {
			if n.Attr("coordinate_transformation_mode") == nil {
				n.SetAttr(&graph.Attr{Name: "coordinate_transformation_mode", Kind: graph.AttrString, String: "output_half_pixel"})
			}
		}},
		{18, []string{"ReduceMax", "ReduceMin", "ReduceMean", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"},
			func(r *raiser, n *graph.Node) { r.intsToInput(n, 1, n.Attr("axes"), "axes") }},
		{18, []string{"Split"}, func(r *raiser, n *graph.Node) {
			if n.Input(1) == "" {
				n.SetAttr(intAttr("num_outputs", int64(len(n.Outputs))))
			}
		}},
		{20, []string{"GridSample"}, func(r *raiser, n *graph.Node) {
			if to := map[string]string{"bilinear": "linear", "bicubic": "cubic"}[n.Str("mode", "bilinear")]; to != "" {
				n.SetAttr(&graph.Attr{Name: "mode", Kind: graph.AttrString, String: to})
			}
		}},
		{20, []string{"DFT"}, func(r *raiser, n *graph.Node) {
			axis := n.Int("axis", 1)
			dropAttr(n, "axis")
			r.setInput(n, 2, r.store(graph.NewInts(n.Label()+"_axis", nil, []int64{axis})))
		}},
		{21, []string{"GroupNormalization"}, (*raiser).groupNorm21},
	}
}

// store adds an initializer to the graph at work and returns its name.
func (r *raiser) store(t *graph.Tensor) string {
	t.Name = r.fresh(t.Name)
	r.g.Initializers = append(r.g.Initializers, t)
	return t.Name
}

// setInput sets input i of n, leaving out those between.
func (r *raiser) setInput(n *graph.Node, i int, name string) {
	for len(n.Inputs) <= i {
		n.Inputs = append(n.Inputs, "")
	}
	n.Inputs[i] = name
}

func dropAttr(n *graph.Node, names ...string) {
	n.Attrs = slices.DeleteFunc(slices.Clone(n.Attrs), func(a *graph.Attr) bool { return slices.Contains(names, a.Name) })
}

// intsToInput turns an attribute into input i.
func (r *raiser) intsToInput(n *graph.Node, i int, a *graph.Attr, what string) {
	if a == nil {
		return
	}
	values := a.Ints
	if a.Kind == graph.AttrInt {
		values = []int64{a.Int}
	}
	dropAttr(n, a.Name)
	r.setInput(n, i, r.store(graph.NewInts(n.Label()+"_"+what, []int64{int64(len(values))}, values)))
}

// unusedOutputs drops the outputs of n behind the first, which nobody may read.
func (r *raiser) unusedOutputs(n *graph.Node, why string) {
	read := map[string]bool{}
	for _, v := range r.g.Outputs {
		read[v.Name] = true
	}
	for _, x := range r.g.Nodes {
		for _, in := range graph.Reads(x) {
			read[in] = true
		}
	}
	for _, o := range n.Outputs[1:] {
		if o != "" && read[o] {
			r.fail(n, "%s", why)
			return
		}
	}
	n.Outputs = n.Outputs[:1]
}

func (r *raiser) batchNorm9(n *graph.Node) {
	if n.Int("spatial", 1) == 0 {
		r.fail(n, "statistics per element (spatial = 0) are no more since version 9")
		return
	}
	dropAttr(n, "spatial")
}

func (r *raiser) upsample9(n *graph.Node) {
	a := n.Attr("scales")
	if a == nil {
		r.fail(n, "it has no scales")
		return
	}
	dropAttr(n, "scales")
	r.setInput(n, 1, r.store(graph.NewFloats(n.Label()+"_scales", []int64{int64(len(a.Floats))}, a.Floats)))
}

func (r *raiser) slice10(n *graph.Node) {
	for i, what := range []string{"starts", "ends", "axes"} {
		r.intsToInput(n, i+1, n.Attr(what), what)
	}
}

func (r *raiser) clip11(n *graph.Node) {
	for i, what := range []string{"min", "max"} {
		if a := n.Attr(what); a != nil {
			dropAttr(n, what)
			r.setInput(n, i+1, r.store(graph.NewFloats(n.Label()+"_"+what, nil, []float32{a.Float})))
		}
	}
}

func (r *raiser) pad11(n *graph.Node) {
	r.intsToInput(n, 1, n.Attr("pads"), "pads")
	if a := n.Attr("value"); a != nil {
		dropAttr(n, "value")
		if a.Float != 0 {
			r.setInput(n, 2, r.store(graph.NewFloats(n.Label()+"_value", nil, []float32{a.Float})))
		}
	}
}

// resize11 spells out what Resize did in version 10: the first pixels of input
// and output lie upon each other, and the nearest one is that before.
func (r *raiser) resize11(n *graph.Node) {
	scales := n.Input(1)
	n.Inputs = n.Inputs[:1]
	r.setInput(n, 1, r.store(graph.NewFloats(n.Label()+"_roi", []int64{0}, nil)))
	r.setInput(n, 2, scales)
	n.SetAttr(&graph.Attr{Name: "coordinate_transformation_mode", Kind: graph.AttrString, String: "asymmetric"})
	if n.Str("mode", "nearest") == "nearest" {
		n.SetAttr(&graph.Attr{Name: "nearest_mode", Kind: graph.AttrString, String: "floor"})
	}
}

// softmax13 keeps the sum over all axes from the given one on, which until
// version 13 was the meaning: over the last axis it is the same, else the value
// is made a matrix and back.
func (r *raiser) softmax13(n *graph.Node) {
	axis, rank := n.Int("axis", 1), int64(r.scope.rank(n.Input(0)))
	if axis < 0 && rank > 0 {
		axis += rank
	}
	if axis == -1 || rank > 0 && axis == rank-1 {
		n.SetAttr(intAttr("axis", -1))
		return
	}
	step := func(op, what string, inputs []string, attrs ...*graph.Attr) *graph.Node {
		name := r.fresh(n.Label() + "/" + what)
		return &graph.Node{Name: name, OpType: op, Inputs: inputs, Outputs: []string{r.fresh(name + "_output")}, Attrs: attrs, Rule: ruleOpset}
	}
	shape := step("Shape", "Shape", []string{n.Input(0)})
	flat := step("Flatten", "Flatten", []string{n.Input(0)}, intAttr("axis", axis))
	back := step("Reshape", "Reshape", nil)
	back.Outputs = n.Outputs
	n.Inputs, n.Outputs = []string{flat.Outputs[0]}, []string{r.fresh(n.Label() + "_matrix")}
	n.SetAttr(intAttr("axis", -1))
	back.Inputs = []string{n.Outputs[0], shape.Outputs[0]}
	r.out = []*graph.Node{shape, flat, n, back}
}

// groupNorm21 turns scales and biases per group into ones per channel.
func (r *raiser) groupNorm21(n *graph.Node) {
	var channels int64
	for s := r.scope; s != nil && channels == 0; s = s.outer {
		if d := s.shapes[n.Input(0)]; len(d) > 1 {
			channels = d[1].Size
		}
	}
	groups := n.Int("num_groups", 0)
	for i := 1; i <= 2; i++ {
		t := r.scope.constant(n.Input(i))
		if t == nil || channels <= 0 || groups <= 0 || channels%groups != 0 || int64(t.Len()) != groups {
			r.fail(n, "its scale and bias are per group, per channel since version 21, and they are no constants or the channels are unknown")
			return
		}
		size := len(t.Raw) / t.Len()
		var raw []byte
		for g := range int(groups) {
			for range channels / groups {
				raw = append(raw, t.Raw[g*size:(g+1)*size]...)
			}
		}
		n.Inputs[i] = r.store(&graph.Tensor{Name: n.Input(i) + "_per_channel", Type: t.Type, Dims: []int64{channels}, Raw: raw})
	}
}

// irVersion returns the first version of the ONNX file format whose runtimes
// know a standard operator set.
func irVersion(opset int64) int64 {
	switch {
	case opset < 9:
		return 3
	case opset < 10:
		return 4
	case opset < 11:
		return 5
	case opset < 12:
		return 6
	case opset < 15:
		return 7
	case opset < 19:
		return 8
	case opset < 21:
		return 9
	}
	return 10
}

// raiseIR raises the version of the file format. Before version 4 stored
// constants had to be listed among the inputs as well; from then on that means
// that a caller may set them, so that runtimes do not fold them.
func raiseIR(m *graph.Model, to int64) {
	if m.IRVersion < 4 && to >= 4 {
		g := m.Graph
		stored := map[string]bool{}
		for _, t := range g.Initializers {
			stored[t.Name] = true
		}
		g.Inputs = slices.DeleteFunc(g.Inputs, func(v *graph.Value) bool { return stored[v.Name] })
	}
	m.IRVersion = max(m.IRVersion, to)
}
