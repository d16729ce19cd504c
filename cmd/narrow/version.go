package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"narrow"
	"narrow/diag"
	"narrow/engine/ort"
	"narrow/internal/ortlib"
)

// versionInfo is the JSON document of version.
type versionInfo struct {
	// Version comes from the tag that the program was built at.
	Version string `json:"version"`
	// Commit and Time are of the commit that it was built from, absent where
	// the go command did not record it.
	Commit   string `json:"commit,omitempty"`
	Time     string `json:"time,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
	// Engine is the ONNX Runtime that the other commands would use.
	Engine engineInfo `json:"onnxruntime"`
}

type engineInfo struct {
	Version string `json:"version,omitempty"`
	Path    string `json:"path,omitempty"`
	// Error says why there is none.
	Error string `json:"error,omitempty"`
}

func newVersionCommand(a *app) *cobra.Command {
	var asJSON bool
	var ortLib string
	c := &cobra.Command{
		Use:     "version",
		Short:   "Print the versions of narrow and of its engine",
		Example: `  narrow version --json`,
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			v := currentVersion()
			v.Engine = findEngine(ortLib)
			if asJSON {
				return a.printJSON(v)
			}
			commit := ""
			if v.Commit != "" {
				commit = ", " + v.Commit[:min(12, len(v.Commit))]
			}
			engine := diag.Textf("not found (built for %s)", ortlib.Version)
			if v.Engine.Version != "" {
				engine = diag.Verbatim(v.Engine.Version + ", " + v.Engine.Path)
			} else if v.Engine.Path != "" {
				engine = diag.Textf("does not start: %s", v.Engine.Error)
			}
			return a.say(diag.Verbatim(fmt.Sprintf("narrow %s (%s, %s%s)", v.Version, v.Go, v.Platform, commit)), diag.Textf("%s %s", diag.Verbatim("ONNX Runtime"), engine))
		},
	}
	c.Flags().StringVar(&ortLib, "ort-lib", "", "ONNX Runtime's shared library, or its folder")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

// currentVersion reads what the go command recorded in the program.
func currentVersion() versionInfo {
	v := versionInfo{Version: narrow.Version(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.time":
			v.Time = s.Value
		}
	}
	return v
}

// commitTime is when the program's commit was made, nil where that is not known.
func (v versionInfo) commitTime() *time.Time {
	t, err := time.Parse(time.RFC3339, v.Time)
	if err != nil {
		return nil
	}
	return &t
}

// findEngine opens the library that the other commands would.
func findEngine(flag string) engineInfo {
	path, err := ortlib.Find(flag)
	if err != nil {
		return engineInfo{Error: err.Error()}
	}
	r, err := ort.Open(path)
	if err != nil {
		return engineInfo{Path: path, Error: strings.TrimSpace(err.Error())}
	}
	return engineInfo{Path: path, Version: r.Version()}
}
