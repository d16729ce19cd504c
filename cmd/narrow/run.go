package main

import (
	"errors"
	"path/filepath"

	"github.com/spf13/cobra"

	"narrow/diag"
	"narrow/evaluate"
	"narrow/export"
)

// runSummary is the JSON document of run.
type runSummary struct {
	Calib  calibSummary     `json:"calib"`
	Test   *evaluate.Result `json:"test"`
	Export exportSummary    `json:"export"`
	// Report is the page's file, "" with --no-report.
	Report string `json:"report,omitempty"`
}

func newRunCommand(a *app) *cobra.Command {
	var f calibFlags
	var e exportFlags
	var t testSetFlags
	var m measureFlags
	var g gateFlags
	var mf metricFlags
	var noReport bool
	c := &cobra.Command{
		Use:   "run --model M --data D [--labels L] [--config-file F]",
		Short: "calib, test, export and report in one",
		Long: `run calibrates on the samples, tests on them (or on --test-data), exports the
quantized model, and writes report.html, which shows it all.

--subset-len bounds the samples of both, as in vai_q_pytorch. With --test-skip of
the same number it tests on all the others, with --test-len on at most that many.`,
		Example: `  narrow run --model resnet18.onnx --data val/ --preprocess imagenet \
    --resize 256 --crop 224 --subset-len 200 --test-skip 200`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := errors.Join(e.check(), m.check(), t.check(), mf.check(c), g.check(&mf)); err != nil {
				return err
			}
			f.memory.report = !noReport
			job, err := a.prepare(c, &f)
			if err != nil {
				return err
			}
			t.bounded(f.inputFlags)
			testSet, testing, err := a.openTestSet(f.inputFlags, &t, job.model)
			if err != nil {
				return err
			}
			done, err := job.calibrate(c.Context())
			if err != nil {
				return err
			}
			sum := runSummary{Calib: job.summary(done)}
			if sum.Test, err = a.test(c.Context(), testing, done, testSet, "", tested{metric: &mf}); err != nil {
				return err
			}
			if err := a.lookForLosses(c.Context(), &f.inputFlags, done); err != nil {
				return err
			}
			if err := a.adviseOn(c.Context(), testing, done, sum.Test); err != nil {
				return err
			}
			var page *reportPage
			if !noReport {
				if page, err = a.pageOfRun(c, testing, &m, done, sum.Test); err != nil {
					return err
				}
			}
			// Nothing is written before the end, and then all of it at once: what
			// the folder holds belongs together, whatever happens meanwhile.
			more := func() (r results, err error) {
				r.files, err = export.Files(done.Result)
				if page != nil {
					sum.Report = filepath.Join(f.out, reportFile)
					r.page = func(stage string) ([]byte, error) { return a.render(page, stage) }
				}
				return r, err
			}
			if sum.Export, err = a.export(c.Context(), &f.inputFlags, done, &e, more); err != nil {
				return err
			}
			f.checkpoint.remove()
			missed := func() error { return g.verdict(a, c, f.model, sum.Test) }
			if f.asJSON {
				return errors.Join(a.printJSON(sum), missed())
			}
			err = errors.Join(job.print(sum.Calib), a.printResult(sum.Test), a.printExport(sum.Export))
			if page != nil {
				err = errors.Join(err, a.say(diag.Textf("wrote %s", sum.Report)))
			}
			return errors.Join(err, missed())
		},
	}
	f.add(c)
	c.Flags().Lookup("subset-len").Usage = "calibrate on at most this many samples, and test on as many unless --test-data, --test-skip or --test-len says otherwise (default: all)"
	e.add(c)
	t.add(c)
	m.add(c)
	mf.add(c)
	g.add(c)
	c.Flags().IntVar(&t.count, "test-len", 0, "test on at most this many samples (default: as --subset-len, or all with --test-data or --test-skip)")
	c.Flags().BoolVar(&noReport, "no-report", false, "write no report.html")
	return c
}
