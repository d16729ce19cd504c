package export

import (
	"slices"

	"narrow/diag"
	"narrow/graph"
)

// MaxOpset is the latest standard operator set that [RaiseOpset] knows.
const MaxOpset = 22

// RaiseOpset raises the standard operator set of m to version to.
func RaiseOpset(m *graph.Model, to int64) diag.List {
	m.Opsets[""] = to
	return nil
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
		g.Inputs = slices.DeleteFunc(g.Inputs, func(v *graph.Value) bool { return g.Initializer(v.Name) != nil })
	}
	m.IRVersion = max(m.IRVersion, to)
}
