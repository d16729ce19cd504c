package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"narrow/diag"
)

func newFmtCommand(a *app) *cobra.Command {
	var file string
	var write, check bool
	c := &cobra.Command{
		Use:   "fmt [--config-file F | F] [--write | --check]",
		Short: "Write a strategy file in canonical form",
		Long: `fmt prints a strategy file in canonical form: keys in the documentation's order,
two blanks a level, and no setting that only restates what is inherited. The
result means the same. Comments are not kept.`,
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
			if write && file == "-" {
				return usagef("--write needs a file, not standard input")
			}
			return nil
		},
		RunE: func(*cobra.Command, []string) error {
			s, list, err := a.readConfig(file)
			if err != nil {
				return err
			}
			if list.HasErrors() {
				a.printFindings(a.stderr, list, s.Source)
				fmt.Fprintln(a.stderr, a.lang.Sprint(diag.Textf("%s: %s; not formatted", s.File, summary(list))))
				return a.verdict(list)
			}
			out := s.Format()
			switch {
			case check:
				if !bytes.Equal(out, s.Source) {
					return fmt.Errorf("%s is not in canonical form: run narrow fmt --write %s", file, file)
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
	c.MarkFlagsMutuallyExclusive("write", "check")
	return c
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
		return fmt.Errorf("writing %s: %w", file, err)
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
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}
