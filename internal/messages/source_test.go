package messages

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// calls are the functions that take a format, with its position among their
// arguments. Those that pass a format on may call others with a variable.
var calls = map[string]int{"Textf": 0, "diag.Errorf": 0, "usagef": 0, "conjoin": 0}

// counted is the function of cmd/narrow that makes "1 sample" and "3 samples" of
// a noun.
const counted = "count"

// use is a format in the source.
type use struct {
	where string
	// args is how many arguments the call has, -1 where it does not show.
	args int
}

// formats reads every format from the source of the module.
func formats(t *testing.T) map[string]use {
	t.Helper()
	const root = "../.."
	found := map[string]use{}
	set := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && (name == "testdata" || name == "node_modules" || strings.HasPrefix(name, ".") && path != root):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		f, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range f.Decls {
			ast.Inspect(decl, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				name := called(call)
				if name == counted && len(call.Args) == 2 && strings.Contains(filepath.ToSlash(path), "/cmd/narrow/") {
					noun, ok := constant(call.Args[1])
					if !ok {
						t.Errorf("%s: %s takes a constant noun", set.Position(call.Pos()), name)
						return true
					}
					found["1 "+noun] = use{set.Position(call.Pos()).String(), 0}
					found["%d "+noun+"s"] = use{set.Position(call.Pos()).String(), 1}
					return true
				}
				at, ok := calls[name]
				if !ok || len(call.Args) <= at {
					return true
				}
				format, ok := constant(call.Args[at])
				if !ok {
					if !passesOn(decl) {
						t.Errorf("%s: the format of %s is not a constant", set.Position(call.Pos()), name)
					}
					return true
				}
				if name != "Textf" {
					format = strings.ReplaceAll(format, "%w", "%v") // as usagef and Errorf do
				}
				u := use{set.Position(call.Pos()).String(), len(call.Args) - at - 1}
				if call.Ellipsis.IsValid() || name == "conjoin" {
					u.args = -1
				}
				found[format] = u
				return true
			})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// called returns the name of the function that is called.
func called(c *ast.CallExpr) string {
	switch f := c.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		if x, ok := f.X.(*ast.Ident); ok && f.Sel.Name == "Errorf" {
			return x.Name + "." + f.Sel.Name
		}
		return f.Sel.Name
	}
	return ""
}

// passesOn reports whether decl is a function that hands formats to others.
func passesOn(decl ast.Decl) bool {
	f, ok := decl.(*ast.FuncDecl)
	if !ok {
		return false
	}
	_, ok = calls[f.Name.Name]
	return ok || f.Name.Name == counted || f.Name.Name == "Errorf"
}

// constant returns the value of a string literal, or of a sum of such.
func constant(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil && e.Kind == token.STRING
	case *ast.BinaryExpr:
		a, ok := constant(e.X)
		b, ok2 := constant(e.Y)
		return a + b, ok && ok2 && e.Op == token.ADD
	case *ast.ParenExpr:
		return constant(e.X)
	}
	return "", false
}

// verbs returns the arguments of a format in order, each as its index from 1 and
// how it is written: "1:%s". Flags count: %q and %s are not the same.
func verbs(format string) ([]string, error) {
	var out []string
	next := 1
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			continue
		}
		i++
		start := i
		for i < len(format) && strings.IndexByte("+-# 0123456789.", format[i]) >= 0 {
			i++
		}
		flags := format[start:i]
		if i < len(format) && format[i] == '[' {
			end := strings.IndexByte(format[i:], ']')
			if end < 0 {
				return nil, fmt.Errorf("%q: [ without ]", format)
			}
			n, err := strconv.Atoi(format[i+1 : i+end])
			if err != nil {
				return nil, fmt.Errorf("%q: %w", format, err)
			}
			next = n
			i += end + 1
		}
		if i >= len(format) {
			return nil, fmt.Errorf("%q ends inside a verb", format)
		}
		if format[i] == '%' {
			continue
		}
		out = append(out, fmt.Sprintf("%d:%%%s%c", next, flags, format[i]))
		next++
	}
	return out, nil
}

// told are the packages whose errors users see.
var told = []string{
	".", "calibrate", "calibrate/observe", "cmd/narrow", "compare", "cost", "engine", "engine/ort", "evaluate", "export", "export/xmodel",
	"graph/infer", "graph/onnx", "inspect", "internal/atomicfile", "internal/footprint", "internal/ortlib", "internal/scratch", "metric", "plan",
	"refine", "report", "rewrite", "samples", "search", "strategy",
}

// TestErrorsAreTold: errors that users see are made by diag.Errorf, so that they
// can be told in Chinese.
func TestErrorsAreTold(t *testing.T) {
	set := token.NewFileSet()
	for _, dir := range told {
		files, err := filepath.Glob(filepath.Join("../..", dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", dir, len(files), err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || len(call.Args) == 0 {
					return true
				}
				sel, ok := call.Fun.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				pkg, ok := sel.X.(*ast.Ident)
				if _, literal := constant(call.Args[0]); ok && literal && (pkg.Name == "fmt" && sel.Sel.Name == "Errorf" || pkg.Name == "errors" && sel.Sel.Name == "New") {
					t.Errorf("%s: users see this error: make it by diag.Errorf", set.Position(call.Pos()))
				}
				return true
			})
		}
	}
}
