package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"narrow"
	"narrow/calibrate"
	"narrow/diag"
	"narrow/engine"
	"narrow/evaluate"
	"narrow/export"
	"narrow/inspect"
	"narrow/internal/atomicfile"
	"narrow/internal/machine"
	"narrow/samples"
)

// checkParts checks the flags about parts of the samples, and whether all that is
// needed is there.
func (f *testFlags) checkParts(c *cobra.Command, args []string) error {
	gates := []string{"min-top1", "max-drop", "min-agreement", "min-sqnr", "junit"}
	merging := []string{"labels", "subset-len", "shuffle", "seed", "batch-size", "max-memory", "save-output"}
	if err := f.parts.check(c, args, append(gates, "save-output"), merging); err != nil {
		return err
	}
	needs := []string{"model", "data"}
	if len(f.parts.from) > 0 {
		needs = needs[:1]
	}
	return f.required(c, needs...)
}

// testPart tests on a part of the samples and writes what it finds.
func (a *app) testPart(ctx context.Context, f *testFlags, c *narrow.Calibrated, set *samples.Set, how tested) error {
	size := set.BatchSize(f.batch)
	first, n, err := f.parts.part(set, size)
	if err != nil {
		return err
	}
	runner, err := f.engine(a)
	if err != nil {
		return err
	}
	of, err := f.partOf(how)
	if err != nil {
		return err
	}
	of.Engine, of.BatchSize, of.Samples, of.SamplesHead, of.Labels = "ONNX Runtime "+runner.Version(), size, set.Len(), set.HashHead(), hashLabels(set.Labels())
	p := &evaluate.Part{PartOf: of, Machine: machine.Name(), First: first}
	bar, progress := a.bar(diag.Textf("testing"), n)
	defer bar.Done()
	start := time.Now()
	watch := c.Result.WatchInputs()
	opts := narrow.TestOptions{
		Threads: f.cores(), Exported: how.model, Labels: set.Labels(), Progress: progress,
		Part: p, First: set.BatchesOf(ctx, size, 0, min(size, set.Len())),
	}
	if how.asExported {
		opts.AsExported = &narrow.ExportOptions{}
	}
	_, err = c.Test(ctx, runner, watch.Batches(set.BatchesOf(ctx, size, first, first+n)), opts)
	var unfit *evaluate.LabelsError
	if errors.As(err, &unfit) {
		return &exitError{code: exitUsage, err: diag.Errorf("%s: %w", f.labels, unfit)}
	}
	if err != nil {
		return err
	}
	if p.Extra, err = json.Marshal(watch.Counts()); err != nil {
		return diag.Errorf("writing a part of a test: %w", err)
	}
	data, err := p.Bytes()
	if err != nil {
		return err
	}
	if err := a.commit(ctx, func() error {
		file := f.parts.save
		return f.parts.saveError(atomicfile.Write(filepath.Dir(file), atomicfile.Bytes(filepath.Base(file), data)))
	}); err != nil {
		return err
	}
	sum := shardSummary{Shard: f.parts.shard, First: first, Samples: n, Of: set.Len(), Bytes: len(data), Seconds: time.Since(start).Seconds(), File: f.parts.save}
	bar.Done()
	if f.asJSON {
		return a.printJSON(sum)
	}
	return a.say(diag.Textf("tested on samples %d to %d of %d (%.1f s)", first, first+n-1, sum.Of, sum.Seconds),
		diag.Textf("wrote %s (%d bytes)", f.parts.save, sum.Bytes))
}

// partOf says what a part of a test is of, as far as the output folder tells it.
func (f *testFlags) partOf(how tested) (evaluate.PartOf, error) {
	of := evaluate.PartOf{Version: narrow.Version(), How: "simulated"}
	switch {
	case how.asExported:
		of.How = "as exported"
	case how.model != nil:
		of.How = "exported model " + how.model.SHA256
	}
	h := sha256.New()
	for _, name := range []string{export.QuantInfoFile, export.BiasCorrFile} {
		data, err := os.ReadFile(filepath.Join(f.out, name))
		if err != nil {
			return of, diag.Errorf("reading the calibration: %w", err)
		}
		sum := sha256.Sum256(data)
		h.Write(sum[:])
	}
	of.Calibration = hex.EncodeToString(h.Sum(nil))
	return of, nil
}

// hashLabels returns a hash of labels, "" of none.
func hashLabels(l engine.Labels) string {
	if l.Classes == nil {
		return ""
	}
	h := sha256.New()
	b := fmt.Appendf(nil, "%v %v\n", l.Shape, l.Implied)
	for _, c := range l.Classes {
		b = binary.AppendVarint(b, int64(c))
	}
	h.Write(b)
	return hex.EncodeToString(h.Sum(nil))
}

// fromResults makes a result of the files of all parts.
func (a *app) fromResults(f *testFlags, c *narrow.Calibrated, how tested) (*evaluate.Result, error) {
	var parts []*evaluate.Part
	for _, file := range f.parts.from {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, diag.Errorf("reading a part of a test: %w", err)
		}
		p, err := evaluate.ReadPart(data)
		if err != nil {
			return nil, diag.Errorf("%s: %w", file, err)
		}
		p.File = file
		parts = append(parts, p)
	}
	parts, err := evaluate.Whole(parts)
	if err != nil {
		return nil, err
	}
	own, err := f.partOf(how)
	if err != nil {
		return nil, err
	}
	if p := parts[0]; own.Calibration != p.Calibration || own.How != p.How || own.Version != p.Version {
		return nil, diag.Errorf("%s is of another calibration than that in %s, or was tested otherwise: name its folder with -o, and give --as-exported or --exported as it was given there", p.File, f.out)
	}
	res, err := evaluate.Merge(parts)
	if err != nil {
		return nil, err
	}
	watch := c.Result.WatchInputs()
	for _, p := range parts {
		var counts []calibrate.InputCounts
		if err := json.Unmarshal(p.Extra, &counts); err != nil {
			return nil, diag.Errorf("%s is damaged: save it again", p.File)
		}
		watch.Add(counts)
	}
	a.printResultFindings(&f.inputFlags, append(res.Findings(), inspect.OutputRanges(c, res)...))
	a.printFindings(a.stderr, watch.Findings(), nil)
	return res, nil
}
