package narrow_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"narrow"
	"narrow/engine/ort"
)

// block returns the block of docs/api.md that begins with first.
func block(t *testing.T, first string) string {
	t.Helper()
	text, err := os.ReadFile("docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.Split(string(text), "\n```")[1:] {
		if _, body, _ := strings.Cut(part, "\n"); strings.HasPrefix(body, first) {
			return body + "\n"
		}
	}
	t.Fatalf("docs/api.md has no block that begins with %q", first)
	return ""
}

// TestOutside builds the program of docs/api.md in a module of its own, with the
// go.mod that stands there, and quantizes a model with it.
func TestOutside(t *testing.T) {
	if testing.Short() {
		t.Skip("with -short: it builds a program")
	}
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile("go.sum")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	mod := block(t, "module example.com/quantize")
	for name, text := range map[string]string{
		"go.mod":  strings.Replace(mod, "=> ../narrow", "=> "+root, 1),
		"go.sum":  string(sums),
		"main.go": block(t, "// Quantize reads"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	run := func(name string, args ...string) string {
		t.Helper()
		c := exec.Command(name, args...)
		c.Dir = dir
		c.Env = append(os.Environ(), "GOPROXY=off", "GOWORK=off", "CGO_ENABLED=1")
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	run("go", "build", "-mod=mod", "-o", "quantize", ".")
	run("./quantize", filepath.Join(root, dscnn), filepath.Join(root, "examples", "configs", "int_config.json"), "out.onnx")
	runner, err := ort.Open("")
	if err != nil {
		t.Fatal(err)
	}
	s, err := runner.LoadFile(context.Background(), filepath.Join(dir, "out.onnx"), ort.FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	m, err := narrow.Open(context.Background(), filepath.Join(dir, "out.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	quantized := 0
	for _, n := range m.Graph.Graph.Nodes {
		if n.Is("QuantizeLinear") {
			quantized++
		}
	}
	if quantized < 20 {
		t.Errorf("the result has %d QuantizeLinear", quantized)
	}
}
