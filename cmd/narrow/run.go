package main

import (
	"errors"

	"github.com/spf13/cobra"

	"narrow/calibrate"
)

// runSummary is the JSON document of run.
type runSummary struct {
	Calib  calibSummary      `json:"calib"`
	Test   *calibrate.Result `json:"test"`
	Export exportSummary     `json:"export"`
}

func newRunCommand(a *app) *cobra.Command {
	var f calibFlags
	var e exportFlags
	var t testSetFlags
	c := &cobra.Command{
		Use:   "run --model M --data D [--labels L] [--config-file F]",
		Short: "calib, test and export in one",
		Long: `run calibrates on the samples, tests on them (or on --test-data), and exports.
With --subset-len it calibrates on that many samples and tests on all; with
--test-skip of the same number it tests on the others only.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := e.check(); err != nil {
				return err
			}
			job, err := a.prepare(c, &f)
			if err != nil {
				return err
			}
			testSet, testing, err := a.openTestSet(f.inputFlags, &t, job.model)
			if err != nil {
				return err
			}
			done, err := job.calibrate(c.Context())
			if err != nil {
				return err
			}
			sum := runSummary{Calib: job.summary(done)}
			if sum.Test, err = a.test(c.Context(), testing, done, testSet, "", tested{}); err != nil {
				return err
			}
			// Nothing is written before the end, and then all of it at once: what
			// the folder holds belongs together, whatever happens meanwhile.
			files, err := done.Files()
			if err != nil {
				return err
			}
			if sum.Export, err = a.export(c.Context(), done, &e, files); err != nil {
				return err
			}
			if f.asJSON {
				return a.printJSON(sum)
			}
			return errors.Join(job.print(sum.Calib), a.printResult(sum.Test), a.printExport(sum.Export))
		},
	}
	f.add(c)
	e.add(c)
	t.add(c)
	return c
}
