package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"narrow"
	"narrow/engine/ort"
	"narrow/internal/ortlib"
	"narrow/internal/setup"
	"narrow/samples"
)

const root = "../.."

// The bundled network is what its README says.
func TestBundledNetwork(t *testing.T) {
	path := filepath.Join(root, modelFile)
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if fi.Size() > 400_000 {
		t.Errorf("%d bytes are more than 400 KB", fi.Size())
	}
	m, err := narrow.Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, n := range m.Graph.Graph.Nodes {
		count[n.OpType]++
		if n.OpType == "Conv" && !strings.HasPrefix(n.Name, "/features/features.") {
			t.Errorf("node %s carries no module path", n.Name)
		}
	}
	for op, want := range map[string]int{"Conv": 15, "BatchNormalization": 15, "Clip": 15, "Add": 4, "Gemm": 1} {
		if count[op] != want {
			t.Errorf("%d %s nodes, want %d", count[op], op, want)
		}
	}
	if in := m.Inputs(); len(in) != 1 || in[0].Dims[0] >= 0 || in[0].Dims[2] != 28 {
		t.Errorf("inputs %+v", in)
	}
}

// Each strategy of the demo, on fewer images.
func TestStrategies(t *testing.T) {
	lib, err := ortlib.Find("")
	if err != nil {
		t.Skip(err)
	}
	cache, err := ortlib.CacheRoot()
	if err != nil {
		t.Skip(err)
	}
	if _, err := os.Stat(setup.DataDir(cache)); err != nil {
		t.Skip("Fashion-MNIST is not installed: make setup")
	}
	t.Chdir(root)
	runner, err := ort.Open(lib)
	if err != nil {
		t.Fatal(err)
	}
	model, err := narrow.Open(context.Background(), modelFile)
	if err != nil {
		t.Fatal(err)
	}
	open := func(count int) *samples.Set {
		s, err := samples.Open(filepath.Join(setup.DataDir(cache), "t10k-images-idx3-ubyte.gz"), model.Inputs(), samples.Options{
			Labels:     filepath.Join(setup.DataDir(cache), "t10k-labels-idx1-ubyte.gz"),
			SubsetLen:  count,
			Preprocess: samples.Preprocess{Preset: samples.Unit},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	d := &demo{model: model, engine: runner, calib: open(60), test: open(500)}
	out := t.TempDir()
	rows, err := d.all(context.Background(), out)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.result.Samples != 500 || r.result.Float.Top1 < 0.91 || r.result.Quantized.Top1 < 0.85 {
			t.Errorf("%s: %+v, float %+v, quantized %+v", r.name, r.result, r.result.Float, r.result.Quantized)
		}
		if r.bytes > 200_000 {
			t.Errorf("%s: the exported model has %d bytes", r.name, r.bytes)
		}
	}
	for _, s := range strategies {
		for _, f := range []string{"model.onnx", "quant_info.json"} {
			if _, err := os.Stat(filepath.Join(out, s.slug, f)); err != nil {
				t.Error(err)
			}
		}
	}
	var b bytes.Buffer
	if err := table(&b, rows, out); err != nil || strings.Count(b.String(), "\n") != len(strategies)+3 {
		t.Errorf("%v\n%s", err, b.String())
	}
}
