package narrow

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"

	"narrow/diag"
	"narrow/engine"
	"narrow/graph"
	"narrow/graph/infer"
	"narrow/graph/onnx"
	"narrow/rewrite"
	"narrow/samples"
)

// Model is a float network.
type Model struct {
	// Graph is the network as the file holds it.
	Graph *graph.Model
	// Path is the file's name as given, SHA256 the hash of its bytes in hex.
	Path, SHA256 string

	values map[string]*graph.Tensor // what [Model.Fold] computed
	wide   *graph.Model             // see [Model.base]; nil where nobody asked
	narrow int                      // how many nodes of Graph compute in float16
}

// base is the network that is rewritten and planned: Graph, in float32 where that
// computes in float16.
func (m *Model) base() *graph.Model {
	if m.wide == nil {
		m.wide, m.narrow = rewrite.Widen(m.Graph)
	}
	return m.wide
}

// Open reads an ONNX model, external data included. A network that cannot run
// is refused: one whose parts do not go together (see [infer.Check]), or that
// asks for more memory than machines have. The error names the file, the node
// or tensor, and what is wrong with it.
func Open(ctx context.Context, path string) (*Model, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m, err := onnx.Load(path)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, diag.Errorf("reading the model: %w", err)
	}
	defer f.Close()
	return opened(ctx, m, path, f)
}

// OpenBytes is [Open] for the bytes of an .onnx file without external data;
// name is what messages and results call it.
func OpenBytes(ctx context.Context, name string, data []byte) (*Model, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m, err := onnx.LoadBytes(name, data)
	if err != nil {
		return nil, err
	}
	return opened(ctx, m, name, bytes.NewReader(data))
}

// opened checks a network that was read, and hashes its file.
func opened(ctx context.Context, m *graph.Model, path string, file io.Reader) (*Model, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := infer.Check(m); err != nil {
		return nil, diag.Errorf("model %s: %w", path, err)
	}
	m, _ = rewrite.InlineBranches(m)
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return nil, diag.Errorf("reading the model %s: %w", path, err)
	}
	return &Model{Graph: m, Path: path, SHA256: hex.EncodeToString(h.Sum(nil))}, nil
}

// Inputs describes the network's inputs to package samples.
func (m *Model) Inputs() []samples.InputSpec {
	var specs []samples.InputSpec
	ix := graph.NewIndex(m.Graph.Graph)
	batch := infer.Batches(m.Graph)
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
		s.Axis, s.Batch = batch.Inputs[v.Name], batch.Size
		specs = append(specs, s)
	}
	return specs
}

// Fold computes the constants that nodes of the network make of others, such as
// weights behind a Cast or a weight norm. Plans are the same without, and can be
// looked at; calibrating, testing and exporting need the numbers. open is called
// only where there is something to compute. [Planned.Calibrate] does this by
// itself; do it before [Load].
//
// A network is folded before it is shared between goroutines.
func (m *Model) Fold(ctx context.Context, open func() (engine.Runner, error)) error {
	if m.values != nil {
		return nil
	}
	g, _, err := rewrite.Apply(m.base(), rewrite.Constants()...)
	if err != nil {
		return diag.Errorf("model %s: %w", m.Path, err)
	}
	if len(g.Unknown) == 0 {
		return nil
	}
	run, err := open()
	if err != nil {
		return diag.Errorf("model %s: nodes compute constants such as %q, which takes an engine: %w", m.Path, g.Unknown[0], err)
	}
	part, err := infer.ConstantPart(m.base(), g.Unknown)
	if err != nil {
		return diag.Errorf("model %s: %w", m.Path, err)
	}
	if m.values, err = engine.Constants(ctx, run, part); err != nil {
		return diag.Errorf("model %s: %w", m.Path, err)
	}
	return nil
}
