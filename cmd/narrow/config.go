package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"narrow/diag"
	"narrow/strategy"
)

// configFlag adds --config-file to a command.
func configFlag(c *cobra.Command, file *string) {
	c.Flags().StringVar(file, "config-file", "", "strategy file, - for standard input (default: the defaults for the DPU)")
	_ = c.MarkFlagFilename("config-file", "json", "jsonc")
}

// readConfig reads a strategy file; "" is no file, "-" standard input.
func (a *app) readConfig(file string) (*strategy.Strategy, diag.List, error) {
	switch file {
	case "":
		return strategy.Default(), nil, nil
	case "-":
		src, err := io.ReadAll(a.stdin)
		if err != nil {
			return nil, nil, diag.Errorf("reading standard input: %w", err)
		}
		s, list := strategy.Parse("<stdin>", src)
		return s, list, nil
	}
	src, err := strategy.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	if bytes.Contains(src[:min(len(src), 200)], []byte(`"`+quantInfoFormat)) {
		return nil, nil, usagef("%s is a calibration, not a strategy file: name the file that it was made by (test and export need none)", file)
	}
	s, list := strategy.Parse(file, src)
	return s, list, nil
}

// quantInfoFormat is how the format of a quant_info.json begins.
const quantInfoFormat = "narrow.quant_info/"

// readFile is os.ReadFile with errors that do not repeat the name.
func readFile(file string) ([]byte, error) {
	if st, err := os.Stat(file); err == nil && st.IsDir() {
		return nil, diag.Errorf("is a folder, not a file")
	}
	src, err := os.ReadFile(file)
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return src, err
}

// loadConfig reads a strategy for a command that needs a good one: findings
// go to standard error, and errors among them end the command.
func (a *app) loadConfig(file string) (*strategy.Strategy, error) {
	s, list, err := a.readConfig(file)
	if err != nil {
		return nil, err
	}
	a.printFindings(a.stderr, list, s.Source)
	return s, a.verdict(list)
}

// printJSON writes one JSON document to standard output.
func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return diag.Errorf("writing JSON: %w", err)
	}
	return nil
}
