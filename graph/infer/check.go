package infer

import (
	"slices"

	"narrow/diag"
	"narrow/graph"
	"narrow/internal/printable"
)

// What no network needs.
const (
	// maxElements is how many elements a value of one sample may have: 256 GiB
	// of float32.
	maxElements = 1 << 36
	// Values that do not depend on an input are stored, once computed. They may
	// take constantFactor times what the file stores, and maxConstants bytes more.
	constantFactor = 16
	maxConstants   = 1 << 30
)

// Check returns an error where an operator of m, or of a graph inside of it,
// cannot do what it is asked to: an attribute that it does not have in that
// form, shapes that do not go together, sizes that no machine holds. The error
// names the first such node, in the order of the graph.
//
// Every rule is one of the operator's definition, from opset 7 on. What is not
// known (open dimensions, the values of inputs, operators of other domains) is
// taken for right, and what the file says about values between nodes is not
// believed: runtimes do not believe it either.
func Check(m *graph.Model) error {
	f := newFrame(m.Graph, nil, m.Opsets[""])
	f.distrust = true
	f.found = &finding{constant: map[string]bool{}}
	for _, v := range m.Graph.Inputs {
		if v.Type != graph.Undefined && !v.Type.Known() {
			return diag.Errorf("input %q is of data type %d, which is none of ONNX's", v.Name, int32(v.Type))
		}
		f.declare(v, true)
		if shape := f.shapes[v.Name]; slices.ContainsFunc(shape, absurd) || leastElements(shape) > maxElements {
			return diag.Errorf("input %q is of shape %v: no machine holds that many elements", v.Name, shape)
		}
	}
	f.found.room = maxConstants
	for _, t := range m.Graph.Initializers {
		if !t.Type.Known() {
			return diag.Errorf("tensor %q is of data type %d, which is none of ONNX's", t.Name, int32(t.Type))
		}
		f.found.constant[t.Name] = true
		f.found.room += constantFactor * int64(len(t.Raw))
	}
	f.run()
	if f.found.err != nil {
		return f.found.err
	}
	for _, v := range m.Graph.Outputs {
		if t := f.typeOf(v.Name); v.Type != graph.Undefined && t != graph.Undefined && t != v.Type {
			return diag.Errorf("the graph's output %q is said to hold %v, but holds %v", v.Name, v.Type, t)
		}
	}
	return nil
}

// finding is the first mistake, and what is known of constants.
type finding struct {
	err      error
	constant map[string]bool // values that depend on no input
	room     int64           // bytes that values may take which depend on no input
}

// report notes a mistake of n, unless there was one before it.
func (f *frame) report(n *graph.Node, err error) {
	if f.found != nil && f.found.err == nil && err != nil {
		f.found.err = diag.Errorf("node %q (%s): %w", n.Label(), printable.Name(n.OpType), err)
	}
}

// within goes through a graph inside of n with a frame of its own; its mistakes
// tell where they lie.
func (f *frame) within(n *graph.Node, g *graph.Graph, inner *frame) {
	clean := f.found != nil && f.found.err == nil
	inner.run()
	if !clean || f.found.err == nil {
		return
	}
	err := f.found.err
	f.found.err = nil
	i := slices.IndexFunc(n.Attrs, func(a *graph.Attr) bool { return a.Graph == g })
	f.report(n, diag.Errorf("graph %q: %w", n.Attrs[i].Name, err))
}

// tooLarge reports an output of n that has an impossible dimension.
func (f *frame) tooLarge(n *graph.Node, i int, shape []graph.Dim) {
	if slices.ContainsFunc(shape, func(d graph.Dim) bool { return d.Size > maxDim }) {
		f.report(n, tooMany(n.Outputs[i], shape))
	}
}

// check looks at n once its outputs are known.
func (f *frame) check(n *graph.Node) {
	if f.found == nil || f.found.err != nil {
		return
	}
	if n.Domain == "" {
		err := checkAttrs(n)
		if err == nil {
			err = f.checkCounts(n)
		}
		if err == nil {
			err = checkVariadic(n)
		}
		// A loop may hand other shapes into an inner graph each time.
		if err == nil && f.outer == nil {
			err = f.checkShapes(n)
		}
		f.report(n, err)
	}
	if n.Domain == "com.microsoft" && f.outer == nil {
		f.report(n, f.checkContributed(n))
	}
	for _, o := range n.Outputs {
		if shape := f.shapes[o]; leastElements(shape) > maxElements {
			f.report(n, tooMany(o, shape))
		}
	}
	f.checkConstant(n)
}

func tooMany(name string, shape []graph.Dim) error {
	return diag.Errorf("it would output %q of shape %v: no machine holds that many elements", name, shape)
}

// checkConstant adds up what n puts out where it depends on no input: narrow
// and ONNX Runtime compute that once and keep it.
func (f *frame) checkConstant(n *graph.Node) {
	if f.outer != nil || n.Domain != "" || len(n.Subgraphs()) > 0 || len(n.Inputs) == 0 && !n.Is("Constant") {
		return
	}
	for _, in := range n.Inputs {
		if in != "" && !f.found.constant[in] {
			return
		}
	}
	for _, o := range n.Outputs {
		f.found.constant[o] = true
		size, err := f.types[o].ByteSize(int(leastElements(f.shapes[o])))
		if err != nil || n.Is("Constant") {
			continue
		}
		if f.found.room -= int64(size); f.found.room < 0 {
			f.report(n, diag.Errorf("it would output %q of shape %v: what does not depend on the network's inputs would take far more memory than the file", o, f.shapes[o]))
		}
	}
}

// leastElements returns how many elements a shape has at least, an open dimension
// counted as 1; more than maxElements where that is so. An unknown shape has 0.
func leastElements(shape []graph.Dim) int64 {
	if shape == nil {
		return 0
	}
	if slices.ContainsFunc(shape, func(d graph.Dim) bool { return d.Size == 0 }) {
		return 0
	}
	n := int64(1)
	for _, d := range shape {
		switch {
		case d.Size < 0:
		case n > maxElements/d.Size:
			return maxElements + 1
		default:
			n *= d.Size
		}
	}
	return n
}
