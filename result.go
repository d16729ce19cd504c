package narrow

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"narrow/calibrate"
	"narrow/diag"
	"narrow/engine"
	"narrow/evaluate"
	"narrow/export"
	"narrow/graph"
	"narrow/graph/onnx"
	"narrow/internal/atomicfile"
	"narrow/scheme"
	"narrow/strategy"
)

// Encoding returns how a tensor of the plan is quantized.
func (c *Calibrated) Encoding(name string, kind scheme.Kind) (scheme.Encoding, bool) {
	for _, t := range c.Plan.Tensors {
		if t.Name == name && t.Kind == kind {
			return c.Result.Encodings[t], true
		}
	}
	return scheme.Encoding{}, false
}

// TestOptions say how to test.
type TestOptions struct {
	// Threads is how many threads share the work; 0 means one per core.
	Threads int
	// Labels are the samples' classes.
	Labels engine.Labels
	// QuantizedOnly runs the quantized network alone: the result holds only what
	// that tells.
	QuantizedOnly bool
	// AsExported, when set, computes with biases as an export with these options
	// stores them, and not as they were calibrated.
	AsExported *ExportOptions
	// Exported, when set, is run as any program would run it in the place of the
	// quantized network, of which nothing is simulated then. It must be what
	// [Calibrated.Export] made of this calibration.
	Exported *Model
	// Output, when set, is called with the quantized network's outputs of every
	// batch: see [evaluate.Options].
	Output func(first int, outputs []engine.Tensor) error
	// Each, when set, is called with every batch and the float and the quantized
	// network's outputs for it, float being nil where QuantizedOnly is set: see
	// [evaluate.Options].
	Each func(b *engine.Batch, float []engine.Tensor, tested [][]engine.Tensor) error
	// Progress, when set, is called after every batch with the number of
	// samples done.
	Progress func(samples int)
	// Part, when set, gets what [evaluate.Merge] needs of these samples, a part of
	// them all. First yields the first batch of all.
	Part  *evaluate.Part
	First engine.Batches
}

// Test compares the quantized with the float network, the model as it was read,
// over the batches. A [*MismatchError] says that opts.Exported is of another
// calibration.
func (c *Calibrated) Test(ctx context.Context, run engine.Runner, in engine.Batches, opts TestOptions) (*evaluate.Result, error) {
	path := c.Model.Path
	if x := opts.Exported; x != nil {
		path = x.Path
		if err := c.exported(x); err != nil {
			return nil, err
		}
	}
	tested, err := c.tested(opts)
	if err != nil {
		return nil, diag.Errorf("testing %s: %w", path, err)
	}
	float := c.Model.Graph
	if opts.QuantizedOnly {
		float = nil
	}
	o := evaluate.Options{Threads: opts.Threads, Labels: opts.Labels, Output: opts.Output, Each: opts.Each, Progress: opts.Progress}
	if p := opts.Part; p != nil {
		part, res, err := evaluate.RunPart(ctx, run, float, tested, in, opts.First, o)
		if err != nil {
			return nil, diag.Errorf("testing %s: %w", path, err)
		}
		p.Score, p.Count, p.Canary = part.Score, part.Count, part.Canary
		return res, nil
	}
	res, err := evaluate.Run(ctx, run, float, []engine.Network{tested}, in, o)
	if err != nil {
		return nil, diag.Errorf("testing %s: %w", path, err)
	}
	return res[0], nil
}

// tested returns the network to test.
func (c *Calibrated) tested(opts TestOptions) (engine.Network, error) {
	if opts.Exported != nil {
		return engine.Network{Model: opts.Exported.Graph}, nil
	}
	if opts.AsExported == nil {
		return c.Result.Network(opts.Threads, nil)
	}
	stored, err := export.StoredBiases(c.Result, *opts.AsExported)
	if err != nil {
		return engine.Network{}, err
	}
	return c.Result.Network(opts.Threads, stored)
}

// exported says whether x was exported from c.
func (c *Calibrated) exported(x *Model) error {
	for _, want := range []struct {
		key, of string
		message diag.Text
		sha     string
	}{
		{export.MetaModel, "model", diag.Textf("%s: was exported from another model (its hash begins with %.12s, not %.12s): export anew", x.Path, x.Graph.Metadata[export.MetaModel], c.Model.SHA256), c.Model.SHA256},
		{export.MetaStrategy, "strategy", diag.Textf("%s: was exported by another strategy (its hash begins with %.12s, not %.12s): export anew", x.Path, x.Graph.Metadata[export.MetaStrategy], c.Plan.Strategy.SHA256()), c.Plan.Strategy.SHA256()},
	} {
		switch got := x.Graph.Metadata[want.key]; got {
		case want.sha:
		case "":
			return diag.Errorf("%s: is no model that narrow exported: it has no %s", x.Path, want.key)
		default:
			return &MismatchError{Of: want.of, Message: want.message}
		}
	}
	return nil
}

// ExportOptions say how to export.
type ExportOptions = export.Options

// Exported is a quantized model in a form that other runtimes load.
type Exported struct {
	Graph *graph.Model
	// Findings say what the form could not hold: warnings and notes.
	Findings diag.List
}

// Export returns the quantized network with QuantizeLinear and DequantizeLinear
// around what the plan quantizes. What the form cannot hold at all is the error,
// as a [*diag.FindingsError].
func (c *Calibrated) Export(opts ExportOptions) (*Exported, error) {
	m, list, err := export.QDQ(c.Result, opts)
	if err == nil {
		err = list.Err()
	}
	if err != nil {
		return nil, diag.Errorf("exporting %s: %w", c.Model.Path, err)
	}
	return &Exported{Graph: m, Findings: list}, nil
}

// Save writes the model to a file, whole or not at all; what is too large for
// one goes into others beside it.
func (x *Exported) Save(path string) error { return onnx.Save(x.Graph, path) }

// Bytes returns the model as the bytes of an .onnx file.
func (x *Exported) Bytes() ([]byte, error) { return onnx.Encode(x.Graph) }

// Save writes the calibration into the folder dir, all of its files or none of
// them: quant_info.json, bias_corr.json, ties.json and the listing <Model>.py.
// Another process that writes into dir is an error, and kept out meanwhile.
func (c *Calibrated) Save(dir string) error {
	files, err := export.Files(c.Result)
	if err != nil {
		return err
	}
	f, err := atomicfile.Hold(dir)
	if err != nil {
		return err
	}
	var list []atomicfile.File
	for _, name := range slices.Sorted(maps.Keys(files)) {
		list = append(list, atomicfile.Bytes(name, files[name]))
	}
	return errors.Join(f.Write(list...), f.Release())
}

// MismatchError says that what was kept is of something else than what it is to
// serve: Of is "model", "strategy", "samples", "network" or "calibration".
type MismatchError = calibrate.MismatchError

// Load reads a calibration of m that [Calibrated.Save] wrote into dir. With s
// set, the calibration must be by that strategy. The error is [fs.ErrNotExist]
// where there is none, and a [*MismatchError] where it is of another model or
// strategy.
func Load(dir string, m *Model, s *strategy.Strategy) (*Calibrated, error) {
	file := filepath.Join(dir, export.QuantInfoFile)
	files, err := atomicfile.Read(dir, export.QuantInfoFile, export.BiasCorrFile, export.TiesFile)
	if err != nil {
		return nil, diag.Errorf("reading the calibration: %w", err)
	}
	if files[export.QuantInfoFile] == nil {
		return nil, diag.Errorf("there is no calibration in %s (%s: %w): calibrate first, or name the folder that holds it", dir, filepath.Base(file), fs.ErrNotExist)
	}
	q, err := export.ReadQuantInfo(file, files[export.QuantInfoFile])
	if err != nil {
		return nil, err
	}
	if q.Model.SHA256 != m.SHA256 {
		return nil, &MismatchError{Of: "model", Message: diag.Textf("%s is a calibration of another model: of %s, whose SHA-256 begins with %.12s, not of %s (%.12s)",
			file, q.Model.Path, q.Model.SHA256, m.Path, m.SHA256)}
	}
	if s != nil && s.SHA256() != q.StrategySHA256 {
		name := diag.Verbatim(s.File)
		if s.File == "" {
			name = diag.Textf("the default strategy")
		}
		return nil, &MismatchError{Of: "strategy", Message: diag.Textf("%s was calibrated by another strategy than %s", file, name)}
	}
	saved, _, err := q.ReadStrategy(file)
	if err != nil {
		return nil, err
	}
	saved.Findings = nil // they were told when it calibrated
	accuracy, err := q.Way()
	if err != nil {
		return nil, diag.Errorf("%s: %w", file, err)
	}
	if accuracy == High && saved.IncludeCLE && q.Equalization == nil {
		return nil, diag.Errorf("%s does not say how the network was equalized, which an earlier version did otherwise: calibrate again", file)
	}
	p, err := m.plan(saved, accuracy, decided{q.Equalization, q.Functions})
	if err != nil {
		return nil, err
	}
	src := calibrate.Source{ModelPath: m.Path, ModelSHA256: m.SHA256, Version: Version()}
	res, err := q.Restore(p.Plan, src, dir, files)
	if err != nil {
		return nil, err
	}
	return &Calibrated{Planned: p, Result: res}, nil
}
