package main

import (
	"github.com/spf13/cobra"

	"narrow/strategy"
)

func newSchemaCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print a JSON Schema of strategy files",
		Long: `schema prints a JSON Schema (2020-12) of strategy files, with descriptions.
Editors complete keys and values by it.`,
		Example: `  narrow schema > strategy.schema.json`,
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := a.stdout.Write(strategy.Schema())
			return err
		},
	}
}
