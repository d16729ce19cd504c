package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"narrow/export"
)

// inputs and outputs are the flags that name what a command reads, and files
// that it writes.
var (
	inputs  = []string{"model", "data", "labels", "test-data", "test-labels", "config-file", "from-stats", "from-shards", "from-results"}
	outputs = []string{"save-stats", "save-output", "save-shard", "save-result", "html", "checkpoint"}
)

// checkPaths refuses a command that would write over what it reads.
func checkPaths(c *cobra.Command, _ []string) error {
	var read []*inputFile
	for _, name := range inputs {
		for _, path := range flagValues(c, name) {
			if st, err := os.Stat(path); err == nil {
				read = append(read, &inputFile{name, path, st})
			}
		}
	}
	over := func(path string) *inputFile {
		st, err := os.Stat(path)
		if err != nil {
			return nil // it is new
		}
		i := slices.IndexFunc(read, func(r *inputFile) bool { return os.SameFile(r.info, st) })
		if i < 0 {
			return nil
		}
		return read[i]
	}
	for _, name := range outputs {
		path := flagValue(c, name)
		if path == "" {
			continue
		}
		if r := over(path); r != nil {
			return usagef("--%s %s is what --%s reads: name another file", name, path, r.flag)
		}
	}
	dir := flagValue(c, "output-dir")
	if dir == "" || c.Name() == "test" { // which writes nothing there
		return nil
	}
	for _, name := range resultNames(flagValue(c, "model")) {
		if r := over(filepath.Join(dir, name)); r != nil {
			return usagef("%s writes %s, which is what --%s reads: name another folder with -o", c.CommandPath(), filepath.Join(dir, name), r.flag)
		}
	}
	return nil
}

// flagValues returns what a flag names: one file, several, or none.
func flagValues(c *cobra.Command, name string) []string {
	if list, err := c.Flags().GetStringArray(name); err == nil {
		return list
	}
	if v := flagValue(c, name); v != "" {
		return []string{v}
	}
	return nil
}

// inputFile is a file that a flag names.
type inputFile struct {
	flag, path string
	info       os.FileInfo
}

// resultNames are the files that commands write into the output folder whose
// names are known before.
func resultNames(model string) []string {
	base := strings.TrimSuffix(filepath.Base(model), filepath.Ext(model))
	return []string{export.QuantInfoFile, export.BiasCorrFile, export.TiesFile, reportFile, base + ".qdq.onnx", base + ".py", base + ".xmodel"}
}
