package serve

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"narrow"
	"narrow/diag"
	"narrow/export"
	"narrow/export/xmodel"
	"narrow/graph"
	"narrow/internal/atomicfile"
)

// exportTo writes a calibration in a form that other programs read.
func exportTo(ctx context.Context, c *call) (any, []Array, error) {
	var p struct {
		Calibration int `json:"calibration"`
		// Format is "qdq", "xmodel" or "vai".
		Format string `json:"format"`
		// File is the file to write.
		File string `json:"file"`
		// Opset is the operator set of a model, 0 for the smallest that does.
		Opset int64 `json:"opset"`
		// For is the runtime to write for; "" is ort. See the command's --for.
		For           string `json:"for"`
		ExactRounding bool   `json:"exact_rounding"`
		KeepBias      bool   `json:"keep_bias"`
		// Batch is how many samples the model is to take at once; 0 leaves it open.
		Batch int64 `json:"batch"`
		// Class is the network's class name in an .xmodel and in vai's form.
		Class string `json:"class"`
		// DeployCheck is the folder to write into what every layer of an .xmodel
		// gives for the arrays, a batch of one sample; "" writes none.
		DeployCheck string `json:"deploy_check"`
	}
	if err := c.parse(&p); err != nil {
		return nil, nil, err
	}
	cal, err := get[*calibration](c.s, p.Calibration, "calibration")
	if err != nil {
		return nil, nil, err
	}
	if p.File == "" {
		return nil, nil, usagef("export needs the name of a file")
	}
	dir, name := filepath.Dir(p.File), filepath.Base(p.File)
	if err := atomicfile.MakeDir(dir); err != nil {
		return nil, nil, err
	}
	var list diag.List
	opset := int64(0)
	switch p.Format {
	case "", "qdq":
		form, err := export.ParseForm(p.For)
		if err != nil {
			return nil, nil, usagef("%v", err)
		}
		x, err := cal.Export(narrow.ExportOptions{For: form, ExactRounding: p.ExactRounding, KeepBias: p.KeepBias, Opset: p.Opset})
		if err != nil {
			return nil, nil, err
		}
		list, opset = x.Findings, x.Graph.Opsets[""]
		fixBatch(x.Graph, p.Batch)
		if err := x.Save(p.File); err != nil {
			return nil, nil, err
		}
	case "vai":
		data, err := export.VAI(cal.Result, p.Class)
		if err != nil {
			return nil, nil, err
		}
		if err := atomicfile.Write(dir, atomicfile.Bytes(name, data)); err != nil {
			return nil, nil, err
		}
	case "xmodel":
		if list, err = c.exportXModel(ctx, cal, p.File, p.Class, p.DeployCheck); err != nil {
			return nil, nil, err
		}
	default:
		return nil, nil, usagef("format is %q: it must be qdq, xmodel or vai", p.Format)
	}
	st, err := os.Stat(p.File)
	if err != nil {
		return nil, nil, diag.Errorf("after writing %s: %w", p.File, err)
	}
	return struct {
		File  string `json:"file"`
		Bytes int64  `json:"bytes"`
		Opset int64  `json:"opset,omitempty"`
		found
	}{p.File, st.Size(), opset, c.s.found(list, nil)}, nil, nil
}

// batchDim is what exporters of the Python package call the dimension that counts
// samples.
const batchDim = "batch"

// fixBatch makes a network take n samples at once, where it takes any number.
func fixBatch(m *graph.Model, n int64) {
	if n < 1 {
		return
	}
	fixed := func(v *graph.Value) *graph.Value {
		if len(v.Shape) == 0 || v.Shape[0].Param != batchDim {
			return v
		}
		own := *v
		own.Shape = slices.Clone(v.Shape)
		own.Shape[0] = graph.Dim{Size: n}
		return &own
	}
	for _, list := range [][]*graph.Value{m.Graph.Inputs, m.Graph.Outputs} {
		for i, v := range list {
			list[i] = fixed(v)
		}
	}
	for name, v := range m.Graph.Values {
		m.Graph.Values[name] = fixed(v)
	}
}

// exportXModel writes an .xmodel, and where dump names a folder, what its layers
// give for the request's arrays.
func (c *call) exportXModel(ctx context.Context, cal *calibration, file, class, dump string) (diag.List, error) {
	if class == "" {
		class = export.ModelName(cal.Plan.Model, cal.Model.Path)
	}
	x, err := xmodel.New(cal.Result, xmodel.Options{Name: class})
	if list, ok := diag.AsFindings(err); ok {
		return nil, &Error{Kind: KindExport, Message: c.s.text(list, nil), Findings: list}
	}
	if err != nil {
		return nil, diag.Errorf("exporting %s: %w", cal.Model.Path, err)
	}
	write := func(w io.Writer) error {
		_, err := x.WriteTo(w)
		return err
	}
	if err := atomicfile.Write(filepath.Dir(file), atomicfile.File{Name: filepath.Base(file), Write: write}); err != nil {
		return nil, err
	}
	if dump == "" {
		return x.Findings, nil
	}
	b, err := batchOf(c.arrays, cal.Model.Inputs(), 1, nil)
	if err != nil {
		return nil, err
	}
	run, err := c.s.runner()
	if err != nil {
		return nil, err
	}
	folder, err := atomicfile.Hold(dump)
	if err != nil {
		return nil, err
	}
	err = folder.Replace(func(stage string) error {
		return x.Dump(ctx, run, cal.Result, b.Inputs, func(name string, data []byte) error {
			return atomicfile.WriteNew(filepath.Join(stage, name), atomicfile.Bytes(name, data).Write)
		})
	}, func(name string) bool { return strings.HasSuffix(name, ".bin") })
	return x.Findings, errors.Join(err, folder.Release())
}
