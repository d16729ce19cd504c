package xmodel

import (
	"io"

	"narrow/calibrate"
	"narrow/diag"
	"narrow/internal/kernel"
	"narrow/plan"
)

// Options say how a network is written.
type Options struct {
	// Name is the network's class name, such as "ResNet": the graph's name, and
	// what every operator's name begins with.
	Name string
}

// File is a network as an .xmodel holds it.
type File struct {
	// Findings are warnings and notes of what the file holds otherwise.
	Findings diag.List
	// Graph is what is written.
	Graph *Graph
	// Inputs and Outputs tell which operator each input and output of the ONNX
	// network is, in its order.
	Inputs, Outputs []Place
	// Fixed tells which inputs had a dynamic batch, which became 1.
	Fixed []string

	plan   *plan.Plan
	values []dumped
}

// Place tells where a value of the ONNX network is in the file.
type Place struct {
	// Value is the value's name in the network, Op the operator's in the file.
	Value, Op string
	// Dims is its shape in the file. Order tells which axis of the network each
	// is; nil where they are the same.
	Dims  []int64
	Order []int
}

// dumped is an operator whose result a deploy-check dump holds.
type dumped struct {
	origin
	op, fix *Op
	f       *fix
}

// New turns a calibrated network into the operators of an .xmodel. What the file
// cannot hold is the error, all of it, as a [*diag.FindingsError]; other errors
// are for calibrations that are not whole.
func New(c *calibrate.Calibrated, o Options) (*File, error) {
	constants, err := c.QuantizedConstants((*kernel.Pool)(nil))
	if err != nil {
		return nil, diag.Errorf("writing an .xmodel: %w", err)
	}
	for _, t := range c.Plan.Tensors {
		if _, ok := c.Encodings[t]; !ok {
			return nil, diag.Errorf("writing an .xmodel: layer %s: %v %s has no encoding", t.Layer.Name, t.Kind, t.Name)
		}
	}
	b := lower(source{plan: c.Plan, name: o.Name, encodings: c.Encodings, constants: constants})
	if err := b.list.Err(); err != nil {
		return nil, err
	}
	f := b.file()
	f.Findings = b.list
	return f, nil
}

// file brings what was lowered into the file's order.
func (b *builder) file() *File {
	w := &network{nodes: b.nodes, outputs: b.outputs}
	w.layout()
	e := emit(w, b.name)
	f := &File{Graph: e.g, plan: b.plan}
	for _, v := range b.m.Graph.Inputs {
		if b.ix.IsInput(v.Name) {
			f.Inputs = append(f.Inputs, e.place(v.Name, b.of[v.Name]))
			if v.Shape[0].Size < 0 {
				f.Fixed = append(f.Fixed, v.Name)
			}
		}
	}
	for i, v := range b.m.Graph.Outputs {
		f.Outputs = append(f.Outputs, e.place(v.Name, w.outputs[i]))
	}
	f.values = e.dumps()
	return f
}

func (e *emitter) place(value string, n *node) Place {
	o := e.made[n]
	return Place{Value: value, Op: o.Name, Dims: o.Dims, Order: n.order}
}

// WriteTo writes the file: see [Graph.WriteTo].
func (f *File) WriteTo(w io.Writer) (int64, error) { return f.Graph.WriteTo(w) }
