package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Zig brings the symbols of macOS' libSystem but not of the other libraries
// that Go's own packages call (net: libresolv; crypto/x509: two frameworks). A
// linker needs no more of a library than the names in it, and Go's sources name
// what they call: from those a text-based stub (.tbd) is written for each.

// dynamicImport is the line by which Go's sources name a function of a macOS
// library: its name there, and the library's path.
var dynamicImport = regexp.MustCompile(`(?m)^//go:cgo_import_dynamic \S+ (\S+) "(/[^"]+)"`)

// writeStubs writes the stubs below b.stubs, from the sources of the go command
// that builds.
func (b *builder) writeStubs() error {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("go env GOROOT: %w", err)
	}
	src := filepath.Join(strings.TrimSpace(string(out)), "src")
	imports := map[string][]string{} // symbols by library
	for _, pattern := range []string{"net", "runtime", "internal/syscall/unix", "crypto/x509/internal/macos", "syscall", "os/user"} {
		files, err := filepath.Glob(filepath.Join(src, filepath.FromSlash(pattern), "*.go"))
		if err != nil {
			return err
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			for _, m := range dynamicImport.FindAllSubmatch(text, -1) {
				lib := string(m[2])
				imports[lib] = append(imports[lib], string(m[1]))
			}
		}
	}
	wrote := 0
	for lib, symbols := range imports {
		name := stubName(lib)
		if name == "" {
			continue
		}
		to := filepath.Join(b.stubs(), filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(to, stub(lib, symbols), 0o666); err != nil {
			return err
		}
		wrote++
	}
	if wrote == 0 {
		return fmt.Errorf("%s names no library of macOS: the stubs for its linker cannot be made", src)
	}
	return nil
}

// stubName is where a linker looks for a library below the folder of stubs:
// lib for -L, Frameworks for -F. It is "" for a library that zig has itself.
func stubName(lib string) string {
	base := path.Base(lib)
	switch {
	case strings.HasPrefix(lib, "/usr/lib/libSystem."):
		return ""
	case strings.Contains(lib, ".framework/"):
		return path.Join("Frameworks", base+".framework", base+".tbd")
	case strings.HasPrefix(lib, "/usr/lib/lib"):
		short, _, _ := strings.Cut(base, ".") // libresolv.9.dylib is linked as -lresolv
		return path.Join("lib", short+".tbd")
	}
	return ""
}

// stub returns a text-based stub of a library.
func stub(lib string, symbols []string) []byte {
	slices.Sort(symbols)
	var b bytes.Buffer
	fmt.Fprintf(&b, "--- !tapi-tbd\ntbd-version: 4\ntargets: [ arm64-macos ]\ninstall-name: '%s'\nexports:\n  - targets: [ arm64-macos ]\n    symbols:\n", lib)
	for _, s := range slices.Compact(symbols) {
		fmt.Fprintf(&b, "      - _%s\n", s)
	}
	b.WriteString("...\n")
	return b.Bytes()
}
