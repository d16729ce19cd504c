package narrow

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"narrow/diag"
	"narrow/graph"
	"narrow/graph/infer"
	"narrow/graph/onnx"
	"narrow/plan"
	"narrow/rewrite"
	"narrow/samples"
	"narrow/strategy"
)

// Model is a float network read from a file.
type Model struct {
	// Graph is the network as the file holds it.
	Graph *graph.Model
	// Path is the file's name as given, SHA256 the hash of its bytes in hex.
	Path, SHA256 string

	values map[string]*graph.Tensor // what [Model.Fold] computed
}

// Open reads an ONNX model, external data included. A network that cannot run
// is refused: one whose parts do not go together (see [infer.Check]), or that
// asks for more memory than machines have. The error names the file, the node
// or tensor, and what is wrong with it.
func Open(path string) (*Model, error) {
	m, err := onnx.Load(path)
	if err != nil {
		return nil, err
	}
	if err := infer.Check(m); err != nil {
		return nil, fmt.Errorf("model %s: %w", path, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the model: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, fmt.Errorf("reading the model %s: %w", path, err)
	}
	return &Model{Graph: m, Path: path, SHA256: hex.EncodeToString(h.Sum(nil))}, nil
}

// Inputs describes the network's inputs to package samples.
func (m *Model) Inputs() []samples.InputSpec {
	var specs []samples.InputSpec
	ix := graph.NewIndex(m.Graph.Graph)
	for _, v := range m.Graph.Graph.Inputs {
		if !ix.IsInput(v.Name) {
			continue
		}
		s := samples.InputSpec{Name: v.Name, Type: graph.DataType(v.Type)}
		if v.Shape != nil { // a scalar has no dimensions, which is not the same as unknown ones
			s.Dims = make([]int64, 0, len(v.Shape))
		}
		for _, d := range v.Shape {
			s.Dims = append(s.Dims, d.Size)
		}
		specs = append(specs, s)
	}
	return specs
}

// Resolved is a model with a strategy laid over it: which tensors are
// quantized, how, and why.
type Resolved struct {
	Model *Model
	Plan  *plan.Plan
	// Rewrites tells which rules changed the network before calibration.
	Rewrites *rewrite.Report
	// Accuracy is what the model was resolved for.
	Accuracy Accuracy
}

// Resolve is [Model.ResolveFor] with [Guide].
func (m *Model) Resolve(s *strategy.Strategy) (*Resolved, diag.List, error) {
	return m.ResolveFor(s, Guide)
}

// ResolveFor rewrites the model as the strategy and a ask and plans its
// quantization.
// The findings are layer rules that match nothing or too much (errors) and
// settings that a tensor cannot hold (warnings); the error tells of a network
// that cannot be planned at all.
func (m *Model) ResolveFor(s *strategy.Strategy, a Accuracy) (*Resolved, diag.List, error) {
	g, report, err := rewrite.Apply(m.Graph, rewrite.Before(m.rewrites(s, a))...)
	if err != nil {
		return nil, nil, fmt.Errorf("model %s: %w", m.Path, err)
	}
	p, list, err := plan.BuildAfter(m.Graph, g, s)
	if err != nil {
		return nil, list, fmt.Errorf("model %s: %w", m.Path, err)
	}
	list = append(list, m.quantizedAlready()...)
	return &Resolved{Model: m, Plan: p, Rewrites: report, Accuracy: a}, list, nil
}

// ResolveFile is [Model.ResolveText] with what a strategy file holds; "" stands
// for the defaults ([strategy.Default]).
func (m *Model) ResolveFile(file string, a Accuracy) (*Resolved, diag.List, error) {
	if file == "" {
		return m.resolve(strategy.Default(), nil, a)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the strategy: %w", err)
	}
	return m.ResolveText(file, text, a)
}

// ResolveText lays the text of a strategy file over the model; name is what
// findings call the file. Mistakes, in the text or next to the model, are the
// error, all of them at once as a [*diag.FindingsError]; the list holds warnings
// and notes too.
func (m *Model) ResolveText(name string, text []byte, a Accuracy) (*Resolved, diag.List, error) {
	s, list := strategy.Parse(name, text)
	return m.resolve(s, list, a)
}

// resolve lays s over the model; list is what was found in its file.
func (m *Model) resolve(s *strategy.Strategy, list diag.List, a Accuracy) (*Resolved, diag.List, error) {
	if err := list.Err(); err != nil {
		return nil, list, err
	}
	r, more, err := m.ResolveFor(s, a)
	list = append(list, more...)
	if err == nil {
		err = list.Err()
	}
	if err != nil {
		return nil, list, err
	}
	return r, list, nil
}

// quantizedAlready warns of a network that is the result of a quantizer.
func (m *Model) quantizedAlready() diag.List {
	n, first := 0, ""
	for _, node := range m.Graph.Graph.Nodes {
		if node.Is("QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger") {
			if n++; n == 1 {
				first = node.Label()
			}
		}
	}
	if n == 0 {
		return nil
	}
	return diag.List{{
		Severity: diag.Warning, Code: "quantized-already", Range: diag.Range{File: m.Path},
		Message: diag.Textf("the network is quantized already: it holds %d nodes such as %q", n, first),
		Fix:     diag.Textf("give the float network that it was made from"),
	}}
}
