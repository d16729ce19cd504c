package main

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
	"narrow/engine"
	"narrow/export/xmodel"
	"narrow/internal/atomicfile"
)

// xmodelSummary tells of an .xmodel in the JSON document of export.
type xmodelSummary struct {
	// Operators is how many the graph has, constants included.
	Operators int `json:"operators"`
	// Inputs and Outputs tell which operator each of the model's is.
	Inputs  []xmodelPlace `json:"inputs"`
	Outputs []xmodelPlace `json:"outputs"`
	// DeployCheck is the folder of the dump, "" where none was asked for.
	DeployCheck string `json:"deploy_check,omitempty"`
	// batch are the inputs whose dynamic batch became 1.
	batch []string
}

// xmodelPlace is where a value of the model is in the file.
type xmodelPlace struct {
	Value    string  `json:"value"`
	Operator string  `json:"operator"`
	Shape    []int64 `json:"shape"`
}

func xmodelPlaces(list []xmodel.Place) []xmodelPlace {
	out := make([]xmodelPlace, len(list))
	for i, p := range list {
		out[i] = xmodelPlace{p.Value, p.Op, p.Dims}
	}
	return out
}

// isName reports whether s can name a graph: letters, digits and underscores.
func isName(s string) bool {
	return strings.Trim(s, "_") != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

// exportXModel writes <Model>_int.xmodel into the output folder, which is held,
// and the deploy-check dump beside it.
func (a *app) exportXModel(ctx context.Context, in *inputFlags, c *narrow.Calibrated, f *exportFlags, more func() (results, error)) (exportSummary, error) {
	name := a.className(c, f.className)
	file, err := xmodel.New(c.Result, xmodel.Options{Name: name})
	if list, ok := diag.AsFindings(err); ok {
		a.printFindings(a.stderr, list, nil)
		return exportSummary{}, &exitError{code: xmodelCode(list)}
	}
	if err != nil {
		return exportSummary{}, diag.Errorf("exporting %s: %w", c.Model.Path, err)
	}
	a.printFindings(a.stderr, file.Findings, nil)
	if err := a.verdict(file.Findings); err != nil {
		return exportSummary{}, err
	}
	var run engine.Runner
	var sample map[string]engine.Tensor
	if f.deployCheck {
		if run, sample, err = a.firstSample(ctx, in, c.Model); err != nil {
			return exportSummary{}, err
		}
	}
	r, err := more()
	if err != nil {
		return exportSummary{}, err
	}
	name = file.Graph.Name + "_int.xmodel"
	sum := exportSummary{File: filepath.Join(a.folder.Dir(), name), Bytes: file.Graph.Size()}
	write := func(w io.Writer) error {
		_, err := file.WriteTo(w)
		return err
	}
	r.large = []atomicfile.File{{Name: name, Write: write}}
	if err := a.write(ctx, r); err != nil {
		return exportSummary{}, err
	}
	sum.XModel = &xmodelSummary{Operators: len(file.Graph.Ops), Inputs: xmodelPlaces(file.Inputs), Outputs: xmodelPlaces(file.Outputs), batch: file.Fixed}
	if f.deployCheck {
		dir := filepath.Join(a.folder.Dir(), xmodel.DumpFolder, file.Graph.Name)
		if err := a.dump(ctx, dir, func(write func(string, []byte) error) error {
			return file.Dump(ctx, run, c.Result, sample, write)
		}); err != nil {
			return exportSummary{}, diag.Errorf("writing the deploy check: %w", err)
		}
		sum.XModel.DeployCheck = dir
	}
	return sum, nil
}

// dump writes the files of a deploy check into dir, all of them or none; those of a
// former one go.
func (a *app) dump(ctx context.Context, dir string, fill func(write func(name string, data []byte) error) error) error {
	var folder *atomicfile.Folder
	err := a.commit(ctx, func() (err error) {
		folder, err = atomicfile.Hold(dir)
		return err
	})
	if err != nil {
		return err
	}
	err = a.commit(ctx, func() error {
		return folder.Replace(func(stage string) error {
			return fill(func(name string, data []byte) error {
				return atomicfile.WriteNew(filepath.Join(stage, name), atomicfile.Bytes(name, data).Write)
			})
		}, func(name string) bool { return strings.HasSuffix(name, ".bin") })
	})
	return errors.Join(err, folder.Release())
}

// firstSample reads the first sample of --data and opens the engine.
func (a *app) firstSample(ctx context.Context, in *inputFlags, m *narrow.Model) (engine.Runner, map[string]engine.Tensor, error) {
	set, err := a.openSamples(in, m)
	if err != nil {
		return nil, nil, err
	}
	for b, err := range set.Batches(ctx, 1) {
		if err != nil {
			return nil, nil, err
		}
		one := map[string]engine.Tensor{}
		for name, t := range b.Inputs {
			t = t.Clone()
			if rows := int64(b.Rows()); len(t.Shape) > 0 && !b.Shared[name] && t.Shape[0] == rows && rows > 1 {
				n := int64(len(t.Floats)) / rows
				t.Floats, t.Shape[0] = t.Floats[:n], 1
			}
			one[name] = t
		}
		run, err := in.engine(a)
		return run, one, err
	}
	return nil, nil, diag.Errorf("%s holds no sample", in.data)
}

// printXModel tells what was written, and under which names a board has the
// model's outputs.
func (a *app) printXModel(s exportSummary) error {
	err := a.say(diag.Textf("wrote %s (%.1f KB, %d operators)", s.File, float64(s.Bytes)/1000, s.XModel.Operators))
	for _, name := range s.XModel.batch {
		err = errors.Join(err, a.say(diag.Textf("input %s: its dynamic batch became 1", name)))
	}
	for _, p := range s.XModel.Outputs {
		err = errors.Join(err, a.say(diag.Textf("output %s is operator %s, shape %v", p.Value, p.Operator, p.Shape)))
	}
	if s.XModel.DeployCheck != "" {
		err = errors.Join(err, a.say(diag.Textf("wrote what every layer gives for the first sample into %s", s.XModel.DeployCheck)))
	}
	return err
}

// dumpOf returns the folder with a dump's files: dir, or the only one of a
// graph below it.
func dumpOf(dir string) (string, error) {
	for range 3 {
		if _, err := os.Stat(filepath.Join(dir, xmodel.ShapeFile)); err == nil {
			return dir, nil
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			return "", diag.Errorf("reading the dump: %w", err)
		}
		entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool { return !e.IsDir() })
		if i := slices.IndexFunc(entries, func(e os.DirEntry) bool { return e.Name() == xmodel.DumpFolder }); i >= 0 {
			entries = entries[i : i+1]
		}
		if len(entries) != 1 {
			return "", diag.Errorf("%s is no dump: it has no %s: narrow export --format xmodel --deploy-check writes one", dir, xmodel.ShapeFile)
		}
		dir = filepath.Join(dir, entries[0].Name())
	}
	return "", diag.Errorf("%s is no dump: it has no %s: narrow export --format xmodel --deploy-check writes one", dir, xmodel.ShapeFile)
}
