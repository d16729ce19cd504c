package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// licence is the licence of something that an archive holds.
type licence struct {
	// of is what it is the licence of: a module's path, "go" or "onnxruntime".
	of string
	// ids are the SPDX names of the licences found in text.
	ids  []string
	text []byte
}

type licenceList []licence

// entries puts the texts below licenses.
func (l licenceList) entries() []entry {
	var out []entry
	for _, x := range l {
		out = append(out, entry{name: "licenses/" + strings.ReplaceAll(x.of, "/", "_") + ".txt", data: x.text, mode: 0o644})
	}
	return out
}

// ids returns the SPDX names for a module.
func (l licenceList) ids(of string) []string {
	for _, x := range l {
		if x.of == of {
			return x.ids
		}
	}
	return nil
}

// licenceName matches the files that hold a licence.
var licenceName = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)([.\-_].*)?$`)

// collectLicences reads the licences of the modules that a program is linked
// from, of Go's library and of ONNX Runtime. A module without one is an error.
func collectLicences(ctx context.Context, modules []*debug.Module) (licenceList, error) {
	goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOROOT: %w", err)
	}
	list := licenceList{}
	add := func(of string, files ...string) error {
		slices.Sort(files)
		var text []byte
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil {
				return err
			}
			text = append(text, data...)
		}
		var ids []string
		for _, m := range licensecheck.Scan(text).Match {
			if !slices.Contains(ids, m.ID) && m.ID != "GooglePatentsFile" && !m.IsURL {
				ids = append(ids, m.ID)
			}
		}
		if len(ids) == 0 {
			return fmt.Errorf("the licence of %s was not recognized", of)
		}
		list = append(list, licence{of, ids, text})
		return nil
	}
	if err := add("go", filepath.Join(strings.TrimSpace(string(goroot)), "LICENSE")); err != nil {
		return nil, err
	}
	if err := add("onnxruntime", "engine/ort/internal/capi/LICENSE.onnxruntime"); err != nil {
		return nil, err
	}
	dirs, err := moduleDirs(ctx, modules)
	if err != nil {
		return nil, err
	}
	for _, m := range modules {
		all, err := os.ReadDir(dirs[m.Path])
		if err != nil {
			return nil, err
		}
		var files []string
		for _, f := range all {
			if !f.IsDir() && licenceName.MatchString(f.Name()) {
				files = append(files, filepath.Join(dirs[m.Path], f.Name()))
			}
		}
		if len(files) == 0 {
			return nil, fmt.Errorf("module %s holds no licence", m.Path)
		}
		if err := add(m.Path, files...); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// moduleDirs returns the folders of modules in the module cache, by path.
func moduleDirs(ctx context.Context, modules []*debug.Module) (map[string]string, error) {
	args := []string{"mod", "download", "-json"}
	for _, m := range modules {
		args = append(args, m.Path+"@"+m.Version)
	}
	out, err := exec.CommandContext(ctx, "go", args...).Output()
	if err != nil {
		return nil, fmt.Errorf("go mod download: %w", err)
	}
	dirs := map[string]string{}
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var m struct{ Path, Dir string }
		if err := d.Decode(&m); err != nil {
			return nil, fmt.Errorf("go mod download: %w", err)
		}
		dirs[m.Path] = m.Dir
	}
	return dirs, nil
}
