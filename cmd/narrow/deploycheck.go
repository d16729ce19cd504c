package main

import (
	"strings"

	"github.com/spf13/cobra"

	"narrow/diag"
	"narrow/export/xmodel"
)

// deployCheckReport is the JSON document of deploy-check.
type deployCheckReport struct {
	*xmodel.Comparison
	// Equal says that no layer differs.
	Equal bool `json:"equal"`
	// First names the first layer that differs, "" where none does.
	First string `json:"first,omitempty"`
}

func newDeployCheckCommand(a *app) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "deploy-check DIR BOARD_DIR",
		Short: "Find the first layer in which a board differs",
		Long: `deploy-check compares the results of every layer on a board, in BOARD_DIR, with
those that narrow export --format xmodel --deploy-check wrote, in DIR (the output
folder or the dump in it), and names the first layer that differs. BOARD_DIR
holds <operator>_fix.bin with integers, or <operator>.bin with float32, of the
layers that were dumped there. The exit code is 1 where a layer differs.`,
		Example: `  narrow deploy-check quantize_result board_dump`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usagef("%s needs two folders: DIR and BOARD_DIR", c.CommandPath())
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := dumpOf(args[0])
			if err != nil {
				return err
			}
			cmp, err := xmodel.CompareDumps(dir, args[1])
			if err != nil {
				return err
			}
			first := cmp.First()
			if asJSON {
				r := deployCheckReport{Comparison: cmp, Equal: first == nil}
				if first != nil {
					r.First = first.Name
				}
				err = a.printJSON(r)
			} else {
				err = a.printDeployCheck(cmp)
			}
			if err == nil && first != nil {
				err = &exitError{code: exitOther}
			}
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

// printDeployCheck tells which layers are equal, and the first that is not.
func (a *app) printDeployCheck(c *xmodel.Comparison) error {
	equal := 0
	for _, l := range c.Layers {
		if l.Differing == 0 {
			equal++
		}
	}
	if err := a.say(diag.Textf("%d of %d layers are equal; %d are not in the board's dump", equal, len(c.Layers), len(c.Missing))); err != nil {
		return err
	}
	l := c.First()
	if l == nil {
		return nil
	}
	unit := diag.Textf("by up to %g", l.Largest)
	if strings.HasSuffix(l.Name, "_fix") {
		unit = diag.Textf("by up to %g steps", l.Largest)
	}
	return a.say(diag.Textf("first layer that differs: %s, %d of %d elements, %s; first at %v: %g, on the board %g",
		l.Name, l.Differing, l.Elements, unit, l.First, l.Expected, l.Got))
}
