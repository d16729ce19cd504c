package main

import (
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"narrow/diag"
	"narrow/export"
	"narrow/samples"
	"narrow/scheme"
)

// newCompletionCommand replaces cobra's own, whose mistakes have other exit codes.
func newCompletionCommand(a *app) *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print the completion script of a shell",
		Long: `completion prints a script by which a shell completes narrow's commands, flags
and values. make install, and the folder completions of a release, put it where
the shell looks for it.`,
		Example: `  source <(narrow completion bash)
  source <(narrow completion zsh)
  narrow completion fish | source
  narrow completion powershell | Out-String | Invoke-Expression`,
		ValidArgsFunction: cobra.FixedCompletions(shells, cobra.ShellCompDirectiveNoFileComp),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || !slices.Contains(shells, args[0]) {
				return usagef("completion takes one of %s", diag.Commas(shells))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			root := c.Root()
			var err error
			switch args[0] {
			case "bash":
				err = root.GenBashCompletionV2(a.stdout, true)
			case "zsh":
				err = root.GenZshCompletion(a.stdout)
			case "fish":
				err = root.GenFishCompletion(a.stdout, true)
			case "powershell":
				err = root.GenPowerShellCompletionWithDesc(a.stdout)
			}
			if err != nil {
				return diag.Errorf("writing the script: %w", err)
			}
			return nil
		},
	}
}

// choices are the values of flags that take one of a few, for the shells.
func choices() map[string][]string {
	return map[string][]string{
		"accuracy":   {"high", "guide"},
		"color":      {string(colorAuto), string(colorAlways), string(colorNever)},
		"by":         {"sqnr", "top-1"},
		"datatype":   scheme.DatatypeNames(),
		"for":        export.Forms(),
		"format":     {formatQDQ, formatXModel, formatVAI},
		"preprocess": {string(samples.Imagenet), string(samples.PM1), string(samples.Unit), string(samples.None)},
		"propagate":  {"progressive", "float"},
		"target":     scheme.TargetNames(),
	}
}

// freeText are the flags whose values are neither files nor foreseeable.
func freeText() []string {
	return []string{"budget", "checkpoint-every", "crop", "layer", "max-memory", "mean", "resize", "std"}
}

// addCompletions tells the shells what the flags and arguments of all commands
// take.
func addCompletions(c *cobra.Command) {
	values := choices()
	for _, name := range freeText() {
		values[name] = nil
	}
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if fixed, ok := values[f.Name]; ok {
			complete := cobra.FixedCompletions(fixed, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveKeepOrder)
			_ = c.RegisterFlagCompletionFunc(f.Name, complete) // fails only where the command did so itself
		}
	})
	if c.ValidArgsFunction == nil && c.HasParent() && !c.HasSubCommands() {
		c.ValidArgsFunction = cobra.NoFileCompletions
		if slices.Contains([]string{"lint", "fmt", "compare"}, c.Name()) {
			c.ValidArgsFunction = strategyFiles
		}
	}
	for _, sub := range c.Commands() {
		addCompletions(sub)
	}
}

// strategyFiles offers the files that may be strategies.
func strategyFiles(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return []cobra.Completion{"json", "jsonc"}, cobra.ShellCompDirectiveFilterFileExt
}
