package archtest

import (
	"bytes"
	"flag"
	"go/ast"
	"go/printer"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/api.txt")

// stable are the packages whose exported names docs/api.txt holds.
var stable = []string{".", "diag", "engine", "graph", "strategy"}

// apiFile holds the stable surface, a name a line.
const apiFile = "../../docs/api.txt"

// What others may build on changes only knowingly: docs/api.txt is the list.
func TestStableSurface(t *testing.T) {
	_, files := sources(t)
	var lines []string
	for _, f := range files {
		if f.test || !slices.Contains(stable, f.pkg) {
			continue
		}
		name := f.pkg
		if name == "." {
			name = "narrow"
		}
		for _, l := range surface(f.syntax) {
			lines = append(lines, name+": "+l)
		}
	}
	slices.Sort(lines)
	lines = slices.Compact(lines) // a function that several systems have is named once
	got := strings.Join(lines, "\n") + "\n"
	if *update {
		if err := os.WriteFile(apiFile, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	text, err := os.ReadFile(apiFile)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for _, l := range want {
		if !slices.Contains(lines, l) {
			t.Errorf("gone or changed: %s", l)
		}
	}
	for _, l := range lines {
		if !slices.Contains(want, l) {
			t.Errorf("new: %s", l)
		}
	}
	if t.Failed() {
		t.Log("if this is meant, say so in CHANGELOG.md and run: go test ./internal/archtest -run TestStableSurface -update")
	}
}

// Every package that others can import is in docs/api.md, and no other.
func TestEveryPackageListed(t *testing.T) {
	text, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	module, files := sources(t)
	seen := map[string]bool{}
	for _, f := range files {
		name := f.pkg
		if seen[name] || f.test || isProgram(name) || strings.HasPrefix(name, "internal/") || strings.Contains(name, "/internal/") {
			continue
		}
		seen[name] = true
		path := module + "/" + name
		if name == "." {
			path = module
		}
		if !bytes.Contains(text, []byte("| `"+path+"` |")) {
			t.Errorf("docs/api.md does not list %s", path)
		}
	}
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, "| `"+module)
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(rest, "/"), "`")
		if name == "" {
			name = "."
		}
		if !seen[name] {
			t.Errorf("docs/api.md lists narrow/%s, which is no package for others", name)
		}
	}
	for _, name := range stable {
		if !seen[name] {
			t.Errorf("stable package %s is not there", name)
		}
	}
}

// surface lists what a file exports: functions and methods with their types,
// types with their exported fields and methods, constants and variables.
func surface(f *ast.File) []string {
	var out []string
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if !d.Name.IsExported() {
				continue
			}
			receiver := ""
			if d.Recv != nil {
				of := source(d.Recv.List[0].Type)
				if !ast.IsExported(strings.TrimLeft(of, "*")) {
					continue
				}
				receiver = "(" + of + ") "
			}
			out = append(out, "func "+receiver+d.Name.Name+strings.TrimPrefix(source(d.Type), "func"))
		case *ast.GenDecl:
			var values []string // those of one declaration stand on one line
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.ValueSpec:
					for _, n := range s.Names {
						if n.IsExported() {
							values = append(values, n.Name)
						}
					}
				case *ast.TypeSpec:
					if s.Name.IsExported() {
						out = append(out, typeSurface(s)...)
					}
				}
			}
			if len(values) > 0 {
				out = append(out, d.Tok.String()+" "+strings.Join(values, ", "))
			}
		}
	}
	return out
}

func typeSurface(s *ast.TypeSpec) []string {
	var fields *ast.FieldList
	kind := ""
	switch x := s.Type.(type) {
	case *ast.StructType:
		fields, kind = x.Fields, "struct"
	case *ast.InterfaceType:
		fields, kind = x.Methods, "interface"
	default:
		equals := ""
		if s.Assign.IsValid() {
			equals = "= "
		}
		return []string{"type " + s.Name.Name + " " + equals + source(s.Type)}
	}
	out := []string{"type " + s.Name.Name + " " + kind}
	for _, f := range fields.List {
		if len(f.Names) == 0 {
			out = append(out, "type "+s.Name.Name+" "+kind+", embeds "+source(f.Type))
		}
		for _, n := range f.Names {
			if n.IsExported() {
				out = append(out, "type "+s.Name.Name+" "+kind+", "+n.Name+" "+source(f.Type))
			}
		}
	}
	return out
}

// source prints an expression on one line.
func source(e ast.Expr) string {
	var b bytes.Buffer
	if err := printer.Fprint(&b, token.NewFileSet(), e); err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
