package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"narrow/diag"
	"narrow/internal/atomicfile"
	"narrow/internal/messages"
	"narrow/internal/supervise"
	"narrow/samples"
	"narrow/strategy"
)

// app is what every subcommand has at hand.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	// lang is the language of findings, summaries and usage errors.
	lang messages.Language
	// lean says that garbage is collected early: see [collectAt].
	lean bool
	// strict makes warnings count for the exit code.
	strict bool
	// color is --color.
	color colorMode
	// record is where the command notes what it is at, for the process that
	// watches over it; nil where none does.
	record *supervise.Record
	// folder is the output folder, where the command writes into one.
	folder *atomicfile.Folder
	// file is a file that the command alone writes, where it does not write into
	// a folder; nil where there is none.
	file *atomicfile.Held
	// opened are the samples that are open, until the command ends.
	opened []*samples.Set
	// writing is held while results replace former ones.
	writing sync.Mutex
	// later are findings about the samples, printed when all went well: beside
	// an error they would hide it.
	later diag.List
	// told are the findings that were printed so far, for the report.
	told diag.List
	// sampled are the samples whose findings are in later.
	sampled map[string]bool
}

// task are the commands of one task, as the help text groups them.
type task struct {
	name     string
	commands []func(*app) *cobra.Command
}

// tasks are the commands by task, in the order of the help text.
func tasks() []task {
	return []task{
		{"Quantize and deploy", []func(*app) *cobra.Command{
			newRunCommand, newCalibCommand, newTestCommand, newExportCommand, newDeployCheckCommand,
		}},
		{"Understand and improve the accuracy", []func(*app) *cobra.Command{
			newReportCommand, newSensitivityCommand, newCompareCommand, newSearchCommand,
		}},
		{"Write a strategy file", []func(*app) *cobra.Command{
			newInitCommand, newLintCommand, newExplainCommand, newLayersCommand, newFmtCommand, newSchemaCommand,
		}},
		{"About narrow", []func(*app) *cobra.Command{
			newHelpCommand, newVersionCommand, newCompletionCommand, newServeCommand, newManCommand,
		}},
	}
}

func newRootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "narrow",
		Short: "Quantize trained networks by a strategy file",
		Long: `narrow quantizes trained ONNX networks after training, by a strategy file in the
format of vai_q_pytorch 3.5.

Exit codes: 0 done; 2 a mistake in the strategy file or the command line; 1
anything else. Warnings count only under --strict.

Messages are in English, or in Chinese with NARROW_LANG=zh or a zh locale.`,
		Example: `  narrow run --model resnet18.onnx --data val/ --preprocess imagenet \
    --resize 256 --crop 224`,
		// The command prints its own errors, with its own exit codes.
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownCommand(c, args[0])
		},
		RunE:              func(c *cobra.Command, _ []string) error { return c.Help() },
		PersistentPreRunE: checkPaths,
	}
	root.SetGlobalNormalizationFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		// vai_q_pytorch's scripts write --config_file.
		return pflag.NormalizedName(strings.ReplaceAll(name, "_", "-"))
	})
	root.SetFlagErrorFunc(flagError)
	a.color = colorAuto
	root.PersistentFlags().Var(&a.color, "color", "colours for errors and warnings (default: where a terminal has them and NO_COLOR is not set)")
	root.PersistentFlags().BoolVar(&a.strict, "strict", false, "make warnings count for the exit code")
	for _, t := range tasks() {
		group := &cobra.Group{ID: t.name, Title: t.name}
		if a.lang == messages.Chinese {
			group.Title = chineseHelp(t.name)
		}
		root.AddGroup(group)
		for _, add := range t.commands {
			c := add(a)
			c.GroupID = t.name
			c.Annotations = map[string]string{orderKey: fmt.Sprintf("%02d", len(root.Commands()))}
			root.AddCommand(c)
			if c.Name() == "help" {
				root.SetHelpCommand(c)
			}
		}
	}
	addCompletions(root)
	root.PersistentFlags().BoolP("help", "h", false, "show this help")
	root.SetHelpFunc(func(c *cobra.Command, _ []string) { writeHelp(a.stdout, a.lang, c) })
	if a.lang == messages.Chinese {
		translateHelp(root, chineseHelp)
	}
	return root
}

// unknownCommand says which subcommand may be meant.
func unknownCommand(c *cobra.Command, name string) error {
	var names []string
	for _, sub := range c.Root().Commands() {
		if !sub.Hidden {
			names = append(names, sub.Name())
		}
	}
	return usagef("there is no command %q%s", name, didYouMean("", strategy.Nearest(name, names)))
}

// flagError makes a mistake in the flags a usage error with a way out.
func flagError(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var value *pflag.InvalidValueError
	if errors.As(err, &value) {
		f := value.GetFlag()
		want := map[string]diag.Text{
			"int": diag.Textf("a whole number"), "int64": diag.Textf("a whole number"), "uint64": diag.Textf("a whole number of 0 or more"),
			"float64": diag.Textf("a number"), "bool": diag.Textf("true or false"), "duration": diag.Textf("a time such as 10m"),
			"color": diag.Textf("auto, always or never"),
		}[f.Value.Type()]
		if want.IsZero() {
			return &exitError{code: exitUsage, err: err}
		}
		return usagef("--%s is %q: give %s", f.Name, value.GetValue(), want)
	}
	var lacks *pflag.ValueRequiredError
	if errors.As(err, &lacks) {
		return usagef("--%s needs a value", lacks.GetFlag().Name)
	}
	var odd *pflag.InvalidSyntaxError
	if errors.As(err, &odd) {
		return usagef("%q is no flag: write --name or --name=value", odd.GetSpecifiedFlag())
	}
	if !errors.As(err, &unknown) {
		return &exitError{code: exitUsage, err: err}
	}
	if !c.HasParent() && c.Flags().NArg() > 0 { // narrow calibrate --model M
		return unknownCommand(c, c.Flags().Arg(0))
	}
	name := unknown.GetSpecifiedName()
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	if short := unknown.GetSpecifiedShortnames(); short != "" {
		// -model is read as -m -o -d...: most likely a dash is missing.
		word, _, _ := strings.Cut(short, "=")
		if len(word) == 1 {
			names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, word) })
			return usagef("there is no flag -%s%s", word, didYouMean("--", names))
		}
		return usagef("there is no flag -%s%s", word, didYouMean("--", strategy.Nearest(word, names)))
	}
	return usagef("there is no flag --%s%s", name, didYouMean("--", strategy.Nearest(name, names)))
}

// didYouMean writes suggestions behind a message.
func didYouMean(prefix string, names []string) diag.Text {
	if len(names) == 0 {
		return diag.Text{}
	}
	for i, n := range names {
		names[i] = prefix + n
	}
	return diag.Textf(": did you mean %s?", diag.Or(names))
}

// noArgs refuses arguments with a usage error.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	flag := ""
	switch strings.ToLower(filepath.Ext(args[0])) {
	case ".onnx":
		flag = "model"
	case ".json", ".jsonc":
		flag = "config-file"
	case ".npy", ".npz", ".gz":
		flag = "data"
	}
	var hint diag.Text
	if flag != "" && c.Flags().Lookup(flag) != nil {
		hint = diag.Textf(": did you mean --%s %s?", flag, args[0])
	}
	return usagef("%s takes no argument %q%s", c.CommandPath(), args[0], hint)
}
