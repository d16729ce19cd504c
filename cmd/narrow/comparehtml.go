package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"narrow/compare"
	"narrow/diag"
	"narrow/internal/atomicfile"
	"narrow/report"
)

// checkHTML makes sure, before the work, that --html can be written.
func checkHTML(file string) error {
	if file == "" {
		return nil
	}
	if st, err := os.Stat(file); err == nil && st.IsDir() {
		return diag.Errorf("--html %s: is a folder: name a file in it", file)
	}
	return htmlError(file, atomicfile.CheckDir(filepath.Dir(file)))
}

// htmlError tells an error about the folder of --html as such.
func htmlError(file string, err error) error {
	var dir *atomicfile.DirError
	if errors.As(err, &dir) {
		return diag.Errorf("--html %s: cannot be written: %s: %w: name another file", file, dir.Dir, dir.Err)
	}
	return err
}

// writeHTML writes a comparison as a page of package report.
func (a *app) writeHTML(c *cobra.Command, file string, files []string, entries []compare.Entry, engine string, res *compare.Comparison) error {
	args := commandLine(c)
	at := strings.Count(c.CommandPath(), " ") + 1 // behind "narrow compare"
	d := comparisonPage(res)
	for i := range d.Compare.Rows {
		d.Compare.Rows[i].Source = string(entries[i].Planned.Plan.Strategy.Source)
	}
	d.Reproduce = &report.Reproduce{
		Commands: [][]string{slices.Concat(args[:at], files, args[at:])},
		Facts: []report.Fact{
			{Name: report.FactVersion, Value: res.Version}, {Name: report.FactEngine, Value: engine}, {Name: report.FactModel, Value: res.Model.SHA256},
			{Name: report.FactCount, Value: fmt.Sprint(res.Calibrated)}, {Name: report.FactPropagate, Value: res.Propagate}, {Name: report.FactAccuracy, Value: res.Accuracy},
		},
	}
	return a.writePage(c.Context(), file, d)
}

// writePage writes a document for --html.
func (a *app) writePage(ctx context.Context, file string, d *report.Document) error {
	words := []string{d.Model.Path}
	if d.Reproduce != nil {
		words = append(words, slices.Concat(d.Reproduce.Commands...)...)
	}
	d.Shorten(shortPaths(words))
	page := atomicfile.File{Name: filepath.Base(file), Write: func(w io.Writer) error { return report.Write(w, d) }}
	return a.commit(ctx, func() error { return htmlError(file, atomicfile.Write(filepath.Dir(file), page)) })
}

// comparisonPage returns the page's document.
func comparisonPage(c *compare.Comparison) *report.Document {
	page := &report.Compare{Samples: c.Tested, Float: c.Float.Accuracy, FloatBytes: c.Float.Bytes}
	for _, n := range c.Notes() {
		page.Notes = append(page.Notes, report.Text{Text: n})
	}
	for _, s := range c.Strategies {
		page.Rows = append(page.Rows, comparisonRow(&s, c))
	}
	return &report.Document{
		Format:  report.Format,
		Model:   report.Model{Name: filepath.Base(c.Model.Path), Path: c.Model.Path, SHA256: c.Model.SHA256},
		Compare: page,
	}
}

func comparisonRow(s *compare.Row, c *compare.Comparison) report.CompareRow {
	row := report.CompareRow{
		Name: s.Name, Quantized: s.Accuracy, Agreement: s.Agreement, SQNR: &s.SQNR, Exact: s.Exact, Bytes: s.Bytes, Cost: &s.RelativeCost, Seconds: &s.Seconds, Metric: report.MetricOf(s.Metric),
	}
	if nothingCompared(s.SQNR, c.Invalid, c.Tested) {
		row.Agreement, row.SQNR = nil, nil
	}
	if s.Differences != nil {
		row.Words = append(row.Words, report.Text{Text: diag.Textf("next to %s:", c.Strategies[0].Name)})
		for _, w := range s.Differences.Words {
			row.Words = append(row.Words, report.Text{Text: w})
		}
	}
	for _, f := range s.Findings {
		if f.Severity == diag.Error {
			row.Error = report.Text{Text: f.Message}
			break
		}
	}
	for _, p := range s.Cost.Pairs {
		row.MACs = append(row.MACs, report.MACs{Bits: fmt.Sprintf("%v × %v", p.Weights, p.Activations), Count: p.MACs})
	}
	return row
}
