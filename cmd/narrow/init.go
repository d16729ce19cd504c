package main

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"narrow/diag"
	"narrow/scheme"
	"narrow/strategy"
)

func newInitCommand(a *app) *cobra.Command {
	var target, datatype, out string
	var force bool
	c := &cobra.Command{
		Use:     "init [--target T] [--datatype T] [-o F]",
		Short:   "Write a commented strategy file to start from",
		Example: `  narrow init --target CPU -o strategy.json`,
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			var t scheme.Target
			if err := t.UnmarshalText([]byte(strings.ToUpper(target))); err != nil {
				return usagef("--target takes one of %s, not %q", diag.Commas(scheme.TargetNames()), target)
			}
			var d scheme.Datatype
			if err := d.UnmarshalText([]byte(strings.ToLower(datatype))); err != nil {
				return usagef("--datatype takes one of %s, not %q%s", diag.Commas(scheme.DatatypeNames()), datatype,
					didYouMean("", strategy.Nearest(datatype, scheme.DatatypeNames())))
			}
			text := strategy.Template(t, d)
			if out == "" || out == "-" {
				_, err := a.stdout.Write(text)
				return err
			}
			if _, err := os.Stat(out); err == nil && !force {
				return diag.Errorf("%s exists already: name another file, or add --force to overwrite it", out)
			} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return diag.Errorf("writing %s: %w", out, err)
			}
			return replaceFile(out, text)
		},
	}
	c.Flags().StringVar(&target, "target", "DPU", "device that the network is for")
	c.Flags().StringVar(&datatype, "datatype", "int", "datatype of all tensors")
	c.Flags().StringVarP(&out, "output", "o", "", "file to write (default: standard output)")
	c.Flags().BoolVar(&force, "force", false, "overwrite the file if it exists")
	return c
}
