package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"narrow"
	"narrow/export"
	"narrow/graph/onnx"
	"narrow/internal/atomicfile"
)

// exportFlags are the flags about exports.
type exportFlags struct {
	format        string
	exactRounding bool
	keepBias      bool
	opset         int64
}

func (f *exportFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.format, "format", "qdq", "what to write: qdq (ONNX with QuantizeLinear and DequantizeLinear)")
	c.Flags().BoolVar(&f.exactRounding, "exact-rounding", false, "write round modes other than half_even in standard operators, bit for bit")
	c.Flags().BoolVar(&f.keepBias, "keep-bias", false, "store biases as they were calibrated, not as int32 for integer kernels")
	c.Flags().Int64Var(&f.opset, "opset", 0, "operator set to write (default: the strategy's onnx_opset_version, else the smallest that holds the result)")
}

func (f *exportFlags) check() error {
	if f.format != "qdq" {
		return usagef("--format is %q: it must be qdq", f.format)
	}
	return nil
}

func newExportCommand(a *app) *cobra.Command {
	var in inputFlags
	var f exportFlags
	var config string
	var asJSON bool
	c := &cobra.Command{
		Use:   "export --model M [-o quantize_result] --format qdq",
		Short: "Write the quantized model for other runtimes",
		Long: `export takes the calibration from the output folder and writes the quantized
model into it, as <model>.qdq.onnx.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := in.required(c, "model"); err != nil {
				return err
			}
			if err := errors.Join(f.check(), in.checkOut()); err != nil {
				return err
			}
			_, cal, err := a.loadCalibration(&in, config)
			if err != nil {
				return err
			}
			sum, err := a.export(c.Context(), cal, &f, in.out)
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
	f.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

// exportSummary is the JSON document of export.
type exportSummary struct {
	File  string `json:"file"`
	Bytes int64  `json:"bytes"`
	Opset int64  `json:"opset"`
}

// exportName returns the file that a model is exported to.
func exportName(dir, model string) string {
	base := filepath.Base(model)
	return filepath.Join(dir, strings.TrimSuffix(base, filepath.Ext(base))+".qdq.onnx")
}

// export writes the quantized model into dir.
func (a *app) export(ctx context.Context, c *narrow.Calibrated, f *exportFlags, dir string) (exportSummary, error) {
	m, list, err := c.Export(export.Options{Strict: a.strict, ExactRounding: f.exactRounding, KeepBias: f.keepBias, Opset: f.opset})
	if err != nil {
		return exportSummary{}, err
	}
	a.printFindings(a.stderr, list, nil)
	if err := a.verdict(list); err != nil {
		return exportSummary{}, err
	}
	file := exportName(dir, c.Model.Path)
	err = a.commit(ctx, func() error {
		if err := atomicfile.MakeDir(dir); err != nil {
			return err
		}
		return onnx.Save(m, file)
	})
	if err != nil {
		return exportSummary{}, err
	}
	st, err := os.Stat(file)
	if err != nil {
		return exportSummary{}, fmt.Errorf("after writing %s: %w", file, err)
	}
	return exportSummary{File: file, Bytes: st.Size(), Opset: m.Opsets[""]}, nil
}

func (a *app) printExport(s exportSummary) error {
	_, err := fmt.Fprintf(a.stdout, "wrote %s (%.1f KB, opset %d)\n", s.File, float64(s.Bytes)/1000, s.Opset)
	return err
}
