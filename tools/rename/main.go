// Rename gives the source tree in the working folder another module path: in
// go.mod files, in every import, and in docs/api.md. Comments and messages keep
// the product's name.
//
//	go run ./tools/rename example.com/x/narrow
package main

import (
	"bytes"
	"fmt"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: rename <module path>, in the folder of go.mod")
		os.Exit(2)
	}
	n, err := rename(".", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "rename:", err)
		os.Exit(1)
	}
	fmt.Printf("%d files say %s\n", n, os.Args[1])
}

var modulePath = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.~_-]*(/[A-Za-z0-9.~_-]+)*$`)

// rename changes the tree at root and returns how many files it wrote.
func rename(root, to string) (int, error) {
	if !modulePath.MatchString(to) {
		return 0, fmt.Errorf("%q is no module path: give one such as example.com/x/narrow", to)
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(mod), "\n")
	from, ok := strings.CutPrefix(first, "module ")
	if !ok {
		return 0, fmt.Errorf("go.mod does not begin with its module: %q", first)
	}
	written := 0
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); path != root && (name == "node_modules" || strings.HasPrefix(name, ".")) {
				return fs.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		var change func([]byte, string, string) ([]byte, error)
		switch {
		case filepath.Ext(path) == ".go":
			change = imports
		case d.Name() == "go.mod":
			change = moduleLines
		case filepath.ToSlash(rel) == "docs/api.md":
			change = page
		default:
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		out, err := change(src, from, to)
		if err != nil {
			return fmt.Errorf("%s: %w", rel, err)
		}
		if bytes.Equal(out, src) {
			return nil
		}
		written++
		return os.WriteFile(path, out, 0o666)
	})
	return written, err
}

// moved returns what an import path is called now.
func moved(path, from, to string) string {
	if path == from {
		return to
	}
	if rest, ok := strings.CutPrefix(path, from+"/"); ok {
		return to + "/" + rest
	}
	return path
}

// imports rewrites the import paths of a Go file. A package whose path no longer
// ends with its name is imported by its name.
func imports(src []byte, from, to string) ([]byte, error) {
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, "", src, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	out := src
	for _, spec := range slices.Backward(f.Imports) {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		now := moved(path, from, to)
		if now == path {
			continue
		}
		text := strconv.Quote(now)
		if path == from && spec.Name == nil && to[strings.LastIndexByte(to, '/')+1:] != "narrow" {
			text = "narrow " + text
		}
		at, end := set.Position(spec.Path.Pos()).Offset, set.Position(spec.Path.End()).Offset
		out = slices.Concat(out[:at], []byte(text), out[end:])
	}
	if bytes.Equal(out, src) {
		return src, nil
	}
	return format.Source(out)
}

// moduleLines rewrites the lines of a go.mod.
func moduleLines(src []byte, from, to string) ([]byte, error) {
	lines := strings.Split(string(src), "\n")
	for i, l := range lines {
		fields := strings.Fields(l)
		for k, f := range fields {
			if now := moved(f, from, to); now != f && (k > 0 && fields[0] == "module" || strings.HasPrefix(l, "replace ") || strings.HasPrefix(l, "require ")) {
				lines[i] = strings.Replace(l, f, now, 1)
			}
		}
	}
	return []byte(strings.Join(lines, "\n")), nil
}

// page rewrites docs/api.md: its table of packages, the imports of its program
// and the lines of its go.mod.
func page(src []byte, from, to string) ([]byte, error) {
	old := regexp.QuoteMeta(from)
	text := regexp.MustCompile("([\"`])"+old+"(/[a-z/]+)?([\"`])").ReplaceAllString(string(src), "${1}"+to+"${2}${3}")
	text = regexp.MustCompile(`(?m)^(require|replace) `+old+` `).ReplaceAllString(text, "${1} "+to+" ")
	return []byte(text), nil
}
