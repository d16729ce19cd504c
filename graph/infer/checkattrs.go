package infer

import (
	"slices"

	"narrow/diag"
	"narrow/graph"
)

// attrKinds are the attributes that have one kind in all standard operators
// that have them.
var attrKinds = map[string]graph.AttrKind{
	"axis": graph.AttrInt, "axes": graph.AttrInts, "kernel_shape": graph.AttrInts, "strides": graph.AttrInts, "pads": graph.AttrInts,
	"dilations": graph.AttrInts, "output_padding": graph.AttrInts, "output_shape": graph.AttrInts, "group": graph.AttrInt,
	"auto_pad": graph.AttrString, "ceil_mode": graph.AttrInt, "count_include_pad": graph.AttrInt, "epsilon": graph.AttrFloat,
	"momentum": graph.AttrFloat, "alpha": graph.AttrFloat, "beta": graph.AttrFloat, "gamma": graph.AttrFloat, "transA": graph.AttrInt,
	"transB": graph.AttrInt, "perm": graph.AttrInts, "keepdims": graph.AttrInt, "to": graph.AttrInt, "mode": graph.AttrString,
	"split": graph.AttrInts, "starts": graph.AttrInts, "ends": graph.AttrInts, "scales": graph.AttrFloats, "min": graph.AttrFloat,
	"max": graph.AttrFloat, "blocksize": graph.AttrInt, "allowzero": graph.AttrInt, "equation": graph.AttrString,
	"then_branch": graph.AttrGraph, "else_branch": graph.AttrGraph, "body": graph.AttrGraph,
}

var kindNames = map[graph.AttrKind]string{
	graph.AttrInt: "an integer", graph.AttrFloat: "a float", graph.AttrString: "a string", graph.AttrTensor: "a tensor",
	graph.AttrGraph: "a graph", graph.AttrInts: "a list of integers", graph.AttrFloats: "a list of floats", graph.AttrStrings: "a list of strings",
}

// choices are the words that an attribute takes.
var choices = map[[2]string][]string{
	{"Pad", "mode"}:    {"constant", "reflect", "edge", "wrap"},
	{"Resize", "mode"}: {"nearest", "linear", "cubic"},
}

// checkAttrs looks at what the attributes say by themselves.
func checkAttrs(n *graph.Node) error {
	for _, a := range n.Attrs {
		want, ok := attrKinds[a.Name]
		if ok && a.Kind != want && a.Kind != graph.AttrOther {
			return diag.Errorf("its attribute %s is %s, not %s", a.Name, kindNames[a.Kind], kindNames[want])
		}
		words := choices[[2]string{n.OpType, a.Name}]
		if words != nil && !slices.Contains(words, a.String) {
			return diag.Errorf("its attribute %s is %q: it must be one of %q", a.Name, a.String, words)
		}
	}
	if _, ok := windowed[n.OpType]; ok {
		return checkWindow(n)
	}
	if n.OpType == "Transpose" {
		return checkPerm(n.Ints("perm"))
	}
	switch n.OpType {
	case "If":
		return checkInner(n, 0, "then_branch", "else_branch")
	case "Loop":
		return checkInner(n, 1, "body") // a body puts out the condition too
	}
	return nil
}

// checkInner looks at whether n has the graphs of the given names, and whether
// they put out what n does, and more things first.
func checkInner(n *graph.Node, more int, names ...string) error {
	for _, name := range names {
		a := n.Attr(name)
		if a == nil || a.Graph == nil {
			return diag.Errorf("it has no graph %s", name)
		}
		if have, want := len(a.Graph.Outputs), len(n.Outputs)+more; have != want {
			return diag.Errorf("its graph %s has %s, and needs %d", name, plural(have, "output"), want)
		}
	}
	return nil
}

// checkPerm reports a list of axes that is no permutation.
func checkPerm(perm []int64) error {
	seen := make([]bool, len(perm))
	for _, p := range perm {
		axis, ok := axisOf(p, len(perm))
		if !ok || seen[axis] {
			return diag.Errorf("its attribute perm is %v, which is no order of %d axes", perm, len(perm))
		}
		seen[axis] = true
	}
	return nil
}

// operator is what ONNX says of an operator's inputs and outputs.
type operator struct {
	since    int64 // the operator set that it came with
	needs    int   // how many inputs may not be left out
	min, max int   // how many inputs there are; -1 for any number
	outputs  int   // how many outputs there are at most; -1 for any number
}

// beyond are operators that ONNX Runtime has among the standard ones, from the
// first set on, though ONNX does not, or did not then.
var beyond = []string{
	"Affine", "Crop", "DynamicSlice", "GivenTensorFill", "ImageScaler", "LayerNormalization", "ParametricSoftplus", "Scale", "ScaledTanh",
	"SimplifiedLayerNormalization", "ThresholdedRelu",
}

// checkCounts looks at whether there is such an operator in the operator set,
// and at how many inputs and outputs it has.
func (f *frame) checkCounts(n *graph.Node) error {
	op, ok := operators[n.OpType]
	switch {
	case slices.Contains(beyond, n.OpType):
		return nil
	case !ok && f.opset > newestKnown:
		return nil
	case !ok:
		return diag.Errorf("ONNX has no operator of that name: was its domain lost?")
	case op.since > f.opset:
		return diag.Errorf("it came with operator set %d, and the model is written for %d: export it again, or convert it with onnx.version_converter", op.since, f.opset)
	case len(n.Inputs) < op.min:
		return diag.Errorf("it has %s, and needs %d", plural(len(n.Inputs), "input"), op.min)
	case op.max >= 0 && len(n.Inputs) > op.max:
		return diag.Errorf("it has %s, and takes %d at most", plural(len(n.Inputs), "input"), op.max)
	case op.outputs >= 0 && len(n.Outputs) > op.outputs:
		return diag.Errorf("it has %s, and makes %d at most", plural(len(n.Outputs), "output"), op.outputs)
	}
	for i := range min(op.needs, len(n.Inputs)) {
		if n.Inputs[i] == "" {
			return diag.Errorf("its input %d is left out", i+1)
		}
	}
	return nil
}

// plural writes "1 input" and "2 inputs".
func plural(n int, what string) diag.Text {
	switch {
	case what == "input" && n == 1:
		return diag.Textf("1 input")
	case what == "input":
		return diag.Textf("%d inputs", n)
	case n == 1:
		return diag.Textf("1 output")
	}
	return diag.Textf("%d outputs", n)
}
