// Package archtest holds the table of packages: who may import whom. It reads
// the sources themselves, so that a wrong import fails a test and not a review.
package archtest

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// house is the table. Packages below an "internal" folder of a package belong
// to it and may import what it may.
var house = map[string]struct {
	level int
	may   []string // packages of lower levels
}{
	"diag":                {-1, nil},
	"scheme":              {0, []string{"diag"}},
	"internal/kernel":     {0, nil},
	"internal/ortlib":     {1, []string{"diag"}},
	"internal/atomicfile": {1, []string{"diag"}},
	"internal/progress":   {0, nil},
	"internal/supervise":  {0, nil},
	"internal/printable":  {0, nil},
	"internal/bounded":    {0, nil},
	"internal/exact":      {0, nil},
	"internal/recorded":   {0, nil},
	"internal/machine":    {0, nil},

	"strategy":          {1, []string{"diag", "scheme"}},
	"internal/messages": {1, []string{"diag", "internal/printable"}},
	"internal/scratch":  {2, []string{"internal/atomicfile"}},
	"graph":             {0, []string{"diag"}},
	"calibrate/observe": {1, []string{"diag", "internal/exact", "internal/kernel", "scheme"}},
	"internal/setup":    {2, []string{"internal/ortlib"}},

	"graph/onnx":      {2, []string{"graph", "diag", "internal/atomicfile"}},
	"graph/op":        {1, []string{"graph"}},
	"graph/graphtext": {1, []string{"graph"}}, // for tests
	"graph/infer":     {2, []string{"diag", "graph", "graph/op", "internal/printable"}},
	"graph/names":     {2, []string{"graph", "strategy", "diag", "scheme"}},
	"engine":          {2, []string{"diag", "graph"}},

	"engine/ort": {3, []string{"diag", "graph", "graph/onnx", "engine", "internal/ortlib", "internal/printable", "internal/scratch"}},
	"samples":    {3, []string{"diag", "graph", "engine"}},

	"internal/broken": {3, []string{"graph", "graph/onnx", "graph/graphtext"}},

	"internal/footprint": {3, []string{"diag", "graph", "graph/infer", "graph/op"}},

	"plan": {3, []string{"diag", "scheme", "strategy", "graph", "graph/op", "graph/infer", "graph/names"}},

	"rewrite":       {4, []string{"diag", "graph", "graph/op", "graph/infer", "graph/names", "plan", "internal/kernel", "scheme"}},
	"calibrate":     {4, []string{"internal/atomicfile", "diag", "graph", "graph/op", "graph/infer", "engine", "plan", "calibrate/observe", "internal/exact", "internal/footprint", "internal/kernel", "scheme"}},
	"evaluate":      {4, []string{"diag", "graph", "graph/infer", "engine", "calibrate/observe", "internal/kernel"}},
	"cost":          {4, []string{"graph", "graph/op", "graph/infer", "plan", "scheme"}},
	"export":        {5, []string{"calibrate", "diag", "graph", "graph/onnx", "graph/op", "graph/infer", "graph/names", "plan", "internal/kernel", "scheme", "strategy"}},
	"export/xmodel": {5, []string{"calibrate", "calibrate/observe", "diag", "engine", "graph", "graph/op", "graph/infer", "internal/kernel", "plan", "scheme"}},
	"refine":        {5, []string{"diag", "calibrate", "calibrate/observe", "engine", "graph", "graph/op", "graph/infer", "internal/footprint", "internal/kernel", "plan", "rewrite", "scheme"}},

	// The root strings all together but the engine: importing it brings no cgo.
	".": {6, []string{
		"diag", "scheme", "strategy", "graph", "graph/onnx", "graph/infer", "graph/names", "engine", "plan", "rewrite", "calibrate", "evaluate",
		"calibrate/observe", "refine", "samples", "export", "export/xmodel", "internal/atomicfile",
	}},
	"internal/parity":  {6, nil},
	"internal/xirtest": {6, []string{"export/xmodel"}},                                                                   // for tests
	"internal/testnet": {7, []string{".", "strategy", "graph", "graph/onnx", "graph/graphtext", "engine", "engine/ort"}}, // for tests

	"metric": {5, []string{"diag", "graph", "engine", "evaluate", "samples", "calibrate/observe", "internal/scratch"}},

	"compare": {7, []string{".", "diag", "scheme", "strategy", "graph", "graph/onnx", "engine", "plan", "calibrate", "evaluate", "cost", "export", "internal/scratch", "metric"}},
	"inspect": {7, []string{
		".", "diag", "scheme", "graph", "graph/op", "graph/infer", "engine", "plan", "calibrate", "evaluate", "calibrate/observe", "internal/kernel", "metric",
	}},
	"report": {8, []string{"export/xmodel", "export", ".", "diag", "scheme", "strategy", "graph", "plan", "calibrate", "evaluate", "cost", "inspect", "internal/messages"}},
	"search": {8, []string{".", "diag", "scheme", "strategy", "graph", "engine", "plan", "calibrate", "evaluate", "cost", "inspect", "metric"}},
	"serve": {9, []string{
		".", "diag", "scheme", "strategy", "graph", "graph/onnx", "graph/names", "engine", "plan", "calibrate", "samples", "export", "export/xmodel", "search", "inspect", "metric", "internal/kernel", "internal/atomicfile", "internal/machine",
	}},
}

// programs are above the table and may import anything.
var programs = []string{"cmd", "tools", "examples"}

// outside says who may import which module that is not of the standard
// library.
var outside = map[string][]string{
	"google.golang.org/protobuf":        {"graph/onnx", "engine/ort", "export/xmodel", "internal/xirtest"},
	"github.com/spf13/cobra":            {"cmd"},
	"github.com/spf13/pflag":            {"cmd"},
	"golang.org/x/image":                {"samples"},
	"golang.org/x/sys":                  {"internal/kernel", "internal/atomicfile", "internal/supervise", "engine/ort", "cmd"},
	"golang.org/x/term":                 {"cmd", "internal/progress"},
	"github.com/schollz/progressbar":    {"internal/progress"},
	"github.com/mattn/go-shellwords":    {"metric", "cmd"},
	"go.yaml.in/yaml/v3":                {"cmd"},
	"mvdan.cc/sh/v3":                    {"cmd"},
	"github.com/rogpeppe/go-internal":   {"cmd"},
	"github.com/mmcloughlin/avo":        nil,
	"github.com/CycloneDX/cyclonedx-go": {"tools/release"},
	"github.com/google/licensecheck":    {"tools/release"},
}

// cgo is the only package that may import C.
const cgo = "engine/ort/internal/capi"

type file struct {
	pkg     string // folder, with forward slashes
	name    string
	test    bool
	imports []string
	syntax  *ast.File
}

// sources parses every Go file of the module that holds this test.
func sources(t *testing.T) (module string, files []file) {
	t.Helper()
	root := "../.."
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	module, _, _ = strings.Cut(strings.TrimPrefix(string(mod), "module "), "\n")
	set := token.NewFileSet()
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if rel == "." {
				return nil
			}
			base := path.Base(rel)
			_, err := os.Stat(filepath.Join(p, "go.mod"))
			if base == "testdata" || base == "bin" || base == "demo" || base[0] == '.' || base[0] == '_' || err == nil {
				return fs.SkipDir // a module of its own, or no package
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") {
			return nil
		}
		src, err := parser.ParseFile(set, p, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		f := file{pkg: path.Dir(rel), name: rel, test: strings.HasSuffix(rel, "_test.go"), syntax: src}
		for _, spec := range src.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			f.imports = append(f.imports, name)
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 50 {
		t.Fatalf("only %d files found", len(files))
	}
	return module, files
}

// owner returns the package of the table that pkg is or belongs to.
func owner(pkg string) string {
	if _, ok := house[pkg]; ok {
		return pkg
	}
	if at := strings.LastIndex(pkg, "/internal/"); at >= 0 {
		return owner(pkg[:at])
	}
	return ""
}

func isProgram(pkg string) bool {
	first, _, _ := strings.Cut(pkg, "/")
	return slices.Contains(programs, first)
}

func TestTableGoesDownward(t *testing.T) {
	for name, row := range house {
		for _, m := range row.may {
			if low, ok := house[m]; !ok || low.level >= row.level {
				t.Errorf("%s, of level %d, lists %s, which is not below it", name, row.level, m)
			}
		}
	}
}

func TestImports(t *testing.T) {
	module, files := sources(t)
	for _, f := range files {
		pkg := owner(f.pkg)
		if pkg == "" && !isProgram(f.pkg) {
			if f.pkg != "internal/archtest" {
				t.Errorf("%s: package %s is not in the table: give it a level", f.name, f.pkg)
			}
			continue
		}
		for _, imp := range f.imports {
			if imp == "C" && f.pkg != cgo {
				t.Errorf("%s: only %s may use cgo", f.name, cgo)
			}
			rel, ours := strings.CutPrefix(imp+"/", module+"/")
			if first, _, _ := strings.Cut(imp, "/"); !ours && strings.Contains(first, ".") {
				checkOutside(t, f, imp)
				continue
			}
			if rel = strings.TrimSuffix(rel, "/"); rel == "" {
				rel = "."
			}
			if !ours || f.test || isProgram(f.pkg) {
				continue // tests and programs may look at anything
			}
			target := owner(rel)
			switch {
			case target == "" || isProgram(rel):
				t.Errorf("%s: nothing may import %s", f.name, imp)
			case target != pkg && !slices.Contains(house[pkg].may, target):
				t.Errorf("%s: %s may not import %s (it may: %s)", f.name, pkg, target, strings.Join(house[pkg].may, ", "))
			}
		}
	}
}

func checkOutside(t *testing.T, f file, imp string) {
	t.Helper()
	for prefix, who := range outside {
		if !strings.HasPrefix(imp, prefix) {
			continue
		}
		if f.test || slices.ContainsFunc(who, func(w string) bool { return f.pkg == w || strings.HasPrefix(f.pkg, w+"/") }) {
			return
		}
		t.Errorf("%s: %s may not import %s (only: %s)", f.name, f.pkg, imp, strings.Join(who, ", "))
		return
	}
	t.Errorf("%s: imports %s, which no package may: name it in this table and in docs/dependencies.md", f.name, imp)
}

// Work at start-up costs everybody and hides order; and each package says what
// it is for.
func TestHabits(t *testing.T) {
	_, files := sources(t)
	said := map[string]bool{}
	for _, f := range files {
		doc := f.syntax.Doc.Text()
		said[f.pkg] = said[f.pkg] || doc != ""
		for _, d := range f.syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" && !ast.IsGenerated(f.syntax) {
				t.Errorf("%s: has an init function", f.name)
			}
		}
	}
	for pkg, ok := range said {
		if !ok {
			t.Errorf("package %s has no package comment", pkg)
		}
	}
}
