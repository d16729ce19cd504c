package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"narrow"
	"narrow/diag"
	"narrow/strategy"
)

func newFmtCommand(a *app) *cobra.Command {
	var file, model string
	var write, check, expand bool
	var accuracy accuracyFlag
	c := &cobra.Command{
		Use:   "fmt [--config-file F | F] [--write | --check] [--expand --model M]",
		Short: "Write a strategy file in canonical form",
		Long: `fmt prints a strategy file in canonical form: keys in the documentation's order,
two blanks a level, and no setting that only restates what is inherited. The
result means the same. Comments are not kept.

With --expand, rules whose layer_name is a pattern, a list or a module that is
used several times become rules for single layers, by the names that narrow's
listing gives them. vai_q_pytorch takes no others; the last part of its names
(input.2, ret.3) is its own, so copy names from its own listing for it.`,
		Example: `  narrow fmt --write strategy.json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 && file != "" {
				return usagef("fmt takes one strategy file")
			}
			if len(args) == 1 {
				file = args[0]
			}
			if file == "" {
				return usagef("fmt needs a strategy file, - for standard input")
			}
			if write && check {
				return usagef("--write and --check do not go together")
			}
			if write && file == "-" {
				return usagef("--write needs a file, not standard input")
			}
			if expand != (model != "") {
				return usagef("--expand and --model go together: the model tells which layers a rule means")
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			if err := accuracy.read(); err != nil {
				return err
			}
			s, list, err := a.readConfig(file)
			if err != nil {
				return err
			}
			if list.HasErrors() {
				a.printFindings(a.stderr, list, s.Source)
				fmt.Fprintln(a.stderr, a.lang.Sprint(diag.Textf("%s: %s; not formatted", s.File, summary(list))))
				return a.verdict(list)
			}
			if expand {
				if s, err = a.expand(c.Context(), s, model, accuracy.chosen); err != nil {
					return err
				}
			}
			out := s.Format()
			switch {
			case check:
				if !bytes.Equal(out, s.Source) {
					return diag.Errorf("%s is not in canonical form: run narrow fmt --write %s", file, file)
				}
				return nil
			case !write:
				_, err := a.stdout.Write(out)
				return err
			case bytes.Equal(out, s.Source):
				return nil
			}
			return replaceFile(file, out)
		},
	}
	configFlag(c, &file)
	c.Flags().BoolVarP(&write, "write", "w", false, "write the result into the file")
	c.Flags().BoolVar(&check, "check", false, "print nothing; fail if the file is not in canonical form")
	c.Flags().BoolVar(&expand, "expand", false, "write rules for many layers as rules for single layers of --model")
	c.Flags().StringVar(&model, "model", "", "the ONNX model that the rules are for")
	_ = c.MarkFlagFilename("model", "onnx")
	accuracy.add(c)
	return c
}

// expand writes the rules for many layers of a model as rules for single ones.
func (a *app) expand(ctx context.Context, s *strategy.Strategy, model string, how narrow.Accuracy) (*strategy.Strategy, error) {
	m, err := narrow.Open(ctx, model)
	if err != nil {
		return nil, err
	}
	p, list, err := m.Draft(s, narrow.PlanOptions{Accuracy: how})
	if err != nil {
		return nil, err
	}
	if list.HasErrors() {
		a.printFindings(a.stderr, list, s.Source)
		fmt.Fprintln(a.stderr, a.lang.Sprint(diag.Textf("%s: %s; not formatted", s.File, summary(list))))
		return nil, a.verdict(list)
	}
	return s.Expand(p.Singles()), nil
}

// replaceFile puts data into a file in one step: whoever reads it meanwhile
// sees the old or the new content, and a failure leaves the old.
func replaceFile(file string, data []byte) (err error) {
	mode := fs.FileMode(0o644)
	if st, err := os.Stat(file); err == nil {
		mode = st.Mode().Perm()
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return diag.Errorf("writing %s: %w", file, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name())
		}
	}()
	_, err = tmp.Write(data)
	if err2 := tmp.Chmod(mode); err == nil {
		err = err2
	}
	if err2 := tmp.Close(); err == nil {
		err = err2
	}
	if err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		return diag.Errorf("writing %s: %w", file, err)
	}
	return nil
}
