package main

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/spf13/cobra"

	"narrow"
	"narrow/diag"
	"narrow/graph"
	"narrow/graph/infer"
	"narrow/graph/names"
)

// layersReport is the JSON document of layers.
type layersReport struct {
	Model  string      `json:"model"`
	Inputs []tensorOut `json:"inputs"`
	Layers []layerOut  `json:"layers"`
}

// layerOut is one layer with the names that a rule can use for it.
type layerOut struct {
	Node string `json:"node"`
	// ModulePath and VaiName are null where the file does not tell.
	ModulePath *string `json:"module_path"`
	VaiName    *string `json:"vai_name"`
	// LayerType is the torch class, or the ONNX operator where none fits.
	LayerType string      `json:"layer_type"`
	Op        string      `json:"op_type"`
	Outputs   []tensorOut `json:"tensors"`
}

// tensorOut is a tensor with its shape, null where the rank is unknown.
type tensorOut struct {
	Name  string `json:"name"`
	Shape []dim  `json:"shape"`
}

// dim is a dimension: a number, a name, or null.
type dim graph.Dim

func (d dim) MarshalJSON() ([]byte, error) {
	switch {
	case d.Size >= 0:
		return json.Marshal(d.Size)
	case d.Param != "":
		return json.Marshal(d.Param)
	}
	return []byte("null"), nil
}

func newLayersCommand(a *app) *cobra.Command {
	var model string
	var asJSON bool
	c := &cobra.Command{
		Use:   "layers --model M",
		Short: "List the names and types of layers that a rule can use",
		Long: `layers lists the layers of a model with the names that layer_name takes (node,
module path and, where the exporter wrote class names down, the name in
vai_q_pytorch's listings) and the types that layer_type takes (torch class and
ONNX operator).`,
		Example: `  narrow layers --model resnet18.onnx`,
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			m, err := openModel(c.Context(), model)
			if err != nil {
				return err
			}
			r := newLayersReport(m)
			if asJSON {
				return a.printJSON(r)
			}
			return a.printLayers(r)
		},
	}
	modelFlag(c, &model)
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

// modelFlag adds --model to a command.
func modelFlag(c *cobra.Command, model *string) {
	c.Flags().StringVar(model, "model", "", "the ONNX model")
	_ = c.MarkFlagFilename("model", "onnx")
}

// openModel reads the model of a command that needs one.
func openModel(ctx context.Context, path string) (*narrow.Model, error) {
	if path == "" {
		return nil, usagef("--model is missing: name the ONNX model")
	}
	return narrow.Open(ctx, path)
}

func newLayersReport(m *narrow.Model) layersReport {
	g := m.Graph.Graph
	inferred := infer.Infer(m.Graph, nil)
	tensor := func(name string) tensorOut {
		t := tensorOut{Name: name}
		if shape, ok := inferred.Shapes[name]; ok {
			t.Shape = make([]dim, len(shape))
			for i, d := range shape {
				t.Shape[i] = dim(d)
			}
		}
		return t
	}
	r := layersReport{Model: m.Path, Inputs: []tensorOut{}, Layers: []layerOut{}}
	ix := graph.NewIndex(g)
	for _, v := range g.Inputs {
		if ix.IsInput(v.Name) {
			r.Inputs = append(r.Inputs, tensor(v.Name))
		}
	}
	for _, e := range names.New(m.Graph).Entries {
		if len(e.Node.Outputs) == 0 || ix.Constant[e.Node.Outputs[0]] != nil || !float(inferred, e.Node) {
			continue // shapes and indices are not quantized
		}
		l := layerOut{Node: e.Name, LayerType: e.Class, Op: e.Node.OpType, Outputs: []tensorOut{}}
		if l.LayerType == "" {
			l.LayerType = l.Op
		}
		if e.Scoped {
			l.ModulePath = &e.Module
		}
		if e.Vai != "" {
			l.VaiName = &e.Vai
		}
		for _, o := range e.Node.Outputs {
			if o != "" {
				l.Outputs = append(l.Outputs, tensor(o))
			}
		}
		r.Layers = append(r.Layers, l)
	}
	return r
}

// float reports whether a node may put out float values.
func float(r *infer.Result, n *graph.Node) bool {
	for _, o := range n.Outputs {
		switch r.Types[o] {
		case graph.Float32, graph.Float16, graph.BFloat16, graph.Undefined:
			return true
		}
	}
	return false
}

func (a *app) printLayers(r layersReport) error {
	rows := [][]string{a.heads(diag.Textf("NODE"), diag.Textf("MODULE PATH"), diag.Textf("TYPE"), diag.Textf("OPERATOR"), diag.Textf("OUTPUT"))}
	for _, in := range r.Inputs {
		rows = append(rows, []string{in.Name, "-", a.lang.Sprint(diag.Textf("input")), "-", shapeText(in.Shape)})
	}
	vai := false
	for _, l := range r.Layers {
		module := "-"
		if l.ModulePath != nil && *l.ModulePath != "" {
			module = *l.ModulePath
		}
		var outs []string
		for _, o := range l.Outputs {
			outs = append(outs, shapeText(o.Shape))
		}
		row := []string{l.Node, module, l.LayerType, l.Op, strings.Join(outs, " ")}
		if l.VaiName != nil {
			vai = true
			row = append(row, *l.VaiName)
		}
		rows = append(rows, row)
	}
	if vai {
		rows[0] = append(rows[0], a.heads(diag.Textf("VAI NAME"))...)
	}
	return table{rows: rows}.write(a.stdout, columns(a.stdout))
}

func shapeText(shape []dim) string {
	if shape == nil {
		return "?"
	}
	parts := make([]string, len(shape))
	for i, d := range shape {
		parts[i] = graph.Dim(d).String()
	}
	return "[" + strings.Join(parts, ",") + "]"
}
