package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"narrow"
	"narrow/diag"
	"narrow/export"
	"narrow/internal/atomicfile"
	"narrow/scheme"
)

// exportFlags are the flags about exports.
type exportFlags struct {
	format        string
	exactRounding bool
	keepBias      bool
	runtime       string
	plain         bool
	opset         int64
	className     string
	deployCheck   bool
}

func (f *exportFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.format, "format", "qdq", "what to write: qdq (ONNX with QuantizeLinear and DequantizeLinear), xmodel (what a DPU's compiler takes) or vai (quant_info.json in vai_q_pytorch's form)")
	c.Flags().StringVar(&f.runtime, "for", "ort", "the runtime to write for")
	c.Flags().BoolVar(&f.exactRounding, "exact-rounding", false, "write round modes other than half_even in standard operators, bit for bit (ort)")
	c.Flags().BoolVar(&f.keepBias, "keep-bias", false, "store biases as they were calibrated, not as int32 for integer kernels (ort)")
	c.Flags().BoolVar(&f.plain, "plain", false, "former name of --for openvino")
	_ = c.Flags().MarkHidden("plain") // fails for flags that do not exist only
	c.Flags().StringVar(&f.className, "class-name", "", "with --format xmodel or vai: the module's class name, with which names begin (default: the one in the model, else its file's name)")
	c.Flags().BoolVar(&f.deployCheck, "deploy-check", false, "with --format xmodel: write what every layer gives for the first sample, to compare a board's results with")
	c.Flags().Int64Var(&f.opset, "opset", 0, "ONNX operator set to write (default: the strategy's onnx_opset_version, else the smallest that can hold the result)")
}

func (f *exportFlags) check() error {
	switch f.format {
	case formatQDQ, formatVAI, formatXModel:
	default:
		return usagef("--format is %q: it must be qdq, xmodel or vai", f.format)
	}
	switch {
	case f.deployCheck && f.format != formatXModel:
		return usagef("--deploy-check is of --format xmodel only")
	case f.className != "" && f.format == formatQDQ:
		return usagef("--class-name is of --format xmodel and vai only")
	}
	if f.className != "" && !isName(f.className) {
		return usagef("--class-name is %q: give letters, digits and underscores, such as ResNet", f.className)
	}
	form, err := f.form()
	if err != nil {
		return err
	}
	switch {
	case form != export.ORT && f.format != formatQDQ:
		return usagef("--for %v is of --format qdq only", form)
	case form != export.ORT && f.exactRounding:
		return usagef("--exact-rounding is of --for ort only, not of %v", form)
	case form != export.ORT && f.keepBias:
		return usagef("--keep-bias is of --for ort only, not of %v", form)
	}
	return nil
}

// form returns the runtime that is written for.
func (f *exportFlags) form() (export.Form, error) {
	if f.plain {
		return export.OpenVINO, nil
	}
	form, err := export.ParseForm(f.runtime)
	if err != nil {
		return 0, usagef("--for is %q: it must be one of %s", f.runtime, diag.Commas(export.Forms()))
	}
	return form, nil
}

// The values of --format.
const (
	formatQDQ    = "qdq"
	formatVAI    = "vai"
	formatXModel = "xmodel"
)

func newExportCommand(a *app) *cobra.Command {
	var in inputFlags
	var f exportFlags
	var config string
	var asJSON bool
	c := &cobra.Command{
		Use:   "export --model M [-o quantize_result] [--for ort]",
		Short: "Write the quantized model for other runtimes",
		Long: `export takes the calibration from the output folder and writes the quantized
model into it: as <model>.qdq.onnx for ONNX Runtime; with --for, as
<model>.openvino.onnx, <model>.tensorrt.onnx or <model>.vitisai.onnx; with
--format xmodel, as <Model>_int.xmodel for a DPU's compiler; with --format vai,
as quant_info.json in vai_q_pytorch's form, in the folder vai there.

--deploy-check needs --data, and takes the first sample of it.`,
		Example: `  narrow export --model resnet18.onnx --for tensorrt
  narrow export --model resnet18.onnx --format xmodel`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := in.required(c, "model"); err != nil {
				return err
			}
			if err := errors.Join(f.check(), in.checkOut()); err != nil {
				return err
			}
			if f.deployCheck {
				if err := in.required(c, "data"); err != nil {
					return err
				}
				if err := in.checkNumbers(); err != nil {
					return err
				}
			}
			_, cal, err := a.loadCalibration(c.Context(), &in, config)
			if err != nil {
				return err
			}
			if err := a.hold(c.Context(), in.out); err != nil {
				return err
			}
			sum, err := a.export(c.Context(), &in, cal, &f, nil)
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(sum)
			}
			return a.printExport(sum)
		},
	}
	in.addModel(c)
	configFlag(c, &config)
	in.addOut(c)
	in.addEngine(c)
	f.add(c)
	in.addSamples(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

// exportSummary is the JSON document of export.
type exportSummary struct {
	File string `json:"file"`
	// Bytes is the size of the file, and of external data beside it.
	Bytes int64 `json:"bytes"`
	// Opset is that of a model, 0 of another file.
	Opset int64 `json:"opset,omitempty"`
	// Execution says how ONNX Runtime computes it; nil where that was not asked.
	Execution *executionSummary `json:"execution,omitempty"`
	// XModel tells of an .xmodel, nil of another file.
	XModel *xmodelSummary `json:"xmodel,omitempty"`
}

// export writes the quantized model, or what else f asks for, into the output
// folder, which is held, together with what belongs to it: what more returns,
// which is asked when all findings are known, and may be nil.
func (a *app) export(ctx context.Context, in *inputFlags, c *narrow.Calibrated, f *exportFlags, more func() (results, error)) (exportSummary, error) {
	dir := a.folder.Dir()
	if more == nil {
		more = func() (results, error) { return results{}, nil }
	}
	if f.format == formatVAI {
		r, err := more()
		if err != nil {
			return exportSummary{}, err
		}
		if len(r.files) > 0 {
			if err := a.write(ctx, r); err != nil {
				return exportSummary{}, err
			}
		}
		return a.exportVAI(ctx, c, a.className(c, f.className), filepath.Join(dir, formatVAI))
	}
	if f.format == formatXModel {
		return a.exportXModel(ctx, in, c, f, more)
	}
	form, err := f.form()
	if err != nil {
		return exportSummary{}, err
	}
	x, err := c.Export(narrow.ExportOptions{For: form, Strict: a.strict, ExactRounding: f.exactRounding, KeepBias: f.keepBias, Opset: f.opset})
	list, ok := diag.AsFindings(err)
	switch {
	case err == nil:
		list = x.Findings
	case !ok:
		return exportSummary{}, err
	}
	a.printFindings(a.stderr, list, nil)
	if err := a.verdict(list); err != nil {
		return exportSummary{}, err
	}
	r, err := more()
	if err != nil {
		return exportSummary{}, err
	}
	name := form.FileName(c.Model.Path)
	r.model, r.modelFile = x.Graph, name
	if err := a.write(ctx, r); err != nil {
		return exportSummary{}, err
	}
	file := filepath.Join(dir, name)
	size, err := sizeWithData(file)
	if err != nil {
		return exportSummary{}, diag.Errorf("after writing %s: %w", file, err)
	}
	if form == export.ORT {
		a.printFindings(a.stderr, otherForms(c.Plan.Strategy.Target), nil)
	}
	sum := exportSummary{File: file, Bytes: size, Opset: x.Graph.Opsets[""]}
	if sum.Execution, err = a.executions(ctx, in, form, sum); sum.Execution != nil {
		sum.Execution.joined = c.Plan.Options.Functions.Join
	}
	return sum, err
}

// sizeWithData returns the bytes of a model's file and of the external data
// beside it, if there is any.
func sizeWithData(file string) (int64, error) {
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil {
		return 0, err
	}
	size, name := int64(0), filepath.Base(file)
	for _, e := range entries {
		if n := e.Name(); n == name || strings.HasPrefix(n, name+".") && strings.HasSuffix(n, ".data") {
			st, err := e.Info()
			if err != nil {
				return 0, err
			}
			size += st.Size()
		}
	}
	return size, nil
}

// exportVAI writes vai_q_pytorch's own quant_info.json into dir.
func (a *app) exportVAI(ctx context.Context, c *narrow.Calibrated, name, dir string) (exportSummary, error) {
	data, err := export.VAI(c.Result, name)
	if err != nil {
		return exportSummary{}, diag.Errorf("exporting %s: %w", c.Model.Path, err)
	}
	err = a.commit(ctx, func() error { return atomicfile.Write(dir, atomicfile.Bytes(export.QuantInfoFile, data)) })
	return exportSummary{File: filepath.Join(dir, export.QuantInfoFile), Bytes: int64(len(data))}, err
}

// otherForms names the forms for what a strategy's target usually is, where that
// is not ONNX Runtime's CPU.
func otherForms(target scheme.Target) diag.List {
	note := func(message diag.Text) diag.List {
		return diag.List{{Severity: diag.Note, Code: "other-forms", Message: message}}
	}
	switch target {
	case scheme.DPU:
		return note(diag.Textf("this file is for ONNX Runtime; a DPU's compiler takes --format xmodel, AMD's NPU flow --for vitisai"))
	case scheme.GPU:
		return note(diag.Textf("this file is for ONNX Runtime; for others there are --for tensorrt and --for openvino"))
	}
	return nil
}

// className returns the class name to export by: the one that was asked for, the
// one that the model tells, or, with a note, one made of its file's name.
func (a *app) className(c *narrow.Calibrated, asked string) string {
	if asked != "" {
		return asked
	}
	name := export.ModelName(c.Model.Graph, c.Model.Path)
	if _, told := export.ClassName(c.Model.Graph); !told {
		a.printFindings(a.stderr, diag.List{{Severity: diag.Note, Code: "class-name", Message: diag.Textf("the model does not tell its class; names begin with %s, after its file", diag.Verbatim(name)),
			Fix: diag.Textf("--class-name with the name of the torch module's class, which vai_q_pytorch looks for")}}, nil)
	}
	return name
}

func (a *app) printExport(s exportSummary) error {
	if s.XModel != nil {
		return a.printXModel(s)
	}
	if s.Opset == 0 {
		return a.say(diag.Textf("wrote %s (%.1f KB)", s.File, float64(s.Bytes)/1000))
	}
	return a.say(append([]diag.Text{diag.Textf("wrote %s (%.1f KB, opset %d)", s.File, float64(s.Bytes)/1000, s.Opset)}, s.Execution.lines()...)...)
}
