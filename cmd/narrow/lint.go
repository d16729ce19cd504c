package main

import (
	"github.com/spf13/cobra"

	"narrow/diag"
)

func newLintCommand(a *app) *cobra.Command {
	var file, model string
	var asJSON bool
	var accuracy accuracyFlag
	c := &cobra.Command{
		Use:   "lint [--config-file F | F] [--model M]",
		Short: "Report every mistake of a strategy file",
		Long: `lint reports all mistakes of a strategy file at once, each with its place, what
is wrong and the shortest fix. With a model, it also reports rules that match no
layer or too many.`,
		Example: `  narrow lint strategy.json
  narrow lint strategy.json --model resnet18.onnx --json`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) > 1:
				return usagef("lint takes one strategy file, not %d", len(args))
			case len(args) == 1 && file != "":
				return usagef("lint takes one strategy file: %s and %s are two", file, args[0])
			case len(args) == 1:
				file = args[0]
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			if file == "" && model == "" {
				return usagef("narrow lint needs a strategy file, - for standard input (with --model alone it checks the defaults)")
			}
			if err := accuracy.read(); err != nil {
				return err
			}
			s, list, err := a.readConfig(file)
			if err != nil {
				return err
			}
			if model != "" {
				more, err := lintModel(c.Context(), model, s, accuracy.chosen, list)
				if err != nil {
					return err
				}
				list = append(list, more...)
				list.Sort()
			}
			if !list.HasErrors() {
				list = append(list, s.Advice()...)
				list.Sort()
			}
			if asJSON {
				if err := a.printJSON(newLintReport(s.File, list)); err != nil {
					return err
				}
				return a.verdict(list)
			}
			a.printFindings(a.stdout, list, s.Source)
			name := diag.Verbatim(s.File)
			if s.File == "" {
				name = diag.Textf("the defaults for the DPU")
			}
			if err := a.say(diag.Textf("%s: %s", name, summary(list))); err != nil {
				return err
			}
			return a.verdict(list)
		},
	}
	configFlag(c, &file)
	c.Flags().StringVar(&model, "model", "", "the ONNX model that the rules are for")
	_ = c.MarkFlagFilename("model", "onnx")
	accuracy.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

// lintReport is the JSON document of lint.
type lintReport struct {
	File     string    `json:"file"`
	Errors   int       `json:"errors"`
	Warnings int       `json:"warnings"`
	Notes    int       `json:"notes"`
	Findings diag.List `json:"findings"`
}

func newLintReport(file string, list diag.List) lintReport {
	if list == nil {
		list = diag.List{}
	}
	return lintReport{
		File: file, Errors: list.Count(diag.Error), Warnings: list.Count(diag.Warning), Notes: list.Count(diag.Note),
		Findings: list,
	}
}
