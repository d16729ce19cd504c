package xmodel_test

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"

	"narrow"
	"narrow/diag"
	"narrow/engine"
	qdq "narrow/export"
	"narrow/export/xmodel"
	"narrow/internal/testnet"
	"narrow/internal/xirtest"
	"narrow/samples"
	"narrow/strategy"
)

const parity = "../../internal/parity/testdata"

// files returns where a recorded network and its samples lie.
func files(net string) (model, calib, input string) {
	if strings.HasPrefix(net, "tiny") {
		dir := filepath.Join(parity, "models", net)
		return filepath.Join(dir, "model.onnx"), filepath.Join(dir, "calib.npy"), filepath.Join(dir, "test.npy")
	}
	model, calib, input = filepath.Join("testdata", net+".onnx"), "testdata/calib.npy", "testdata/input.npy"
	if net == "bnfirst" {
		calib, input = "testdata/bnfirst.calib.npy", "testdata/bnfirst.input.npy"
	}
	return model, calib, input
}

// strategyFile returns the file of a recorded strategy, "" for none.
func strategyFile(name string) string {
	switch name {
	case "none":
		return ""
	case "dpu_hswish", "dpu_relu6":
		return filepath.Join("testdata", name+".json")
	}
	return filepath.Join(parity, "configs", name+".json")
}

// calibrated calibrates a recorded network as the reference did: 16 samples in batches of 4.
func calibrated(t testing.TB, r engine.Runner, net, name string) (c *narrow.Calibrated, input map[string]engine.Tensor) {
	t.Helper()
	model, calib, in := files(net)
	m := testnet.Open(t, model)
	var s *strategy.Strategy
	if file := strategyFile(name); file != "" {
		var err error
		if s, err = strategy.Load(file); err != nil {
			t.Fatal(err)
		}
	}
	planned, err := m.Plan(s, narrow.PlanOptions{Accuracy: narrow.Guide})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	c, err = planned.Calibrate(ctx, r, open(t, m, calib).Batches(ctx, 4), narrow.CalibrateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return c, first(t, open(t, m, in))
}

func open(t testing.TB, m *narrow.Model, path string) *samples.Set {
	t.Helper()
	set, err := samples.Open(path, m.Inputs(), samples.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Close() })
	return set
}

// first returns the first sample of a set.
func first(t testing.TB, set *samples.Set) map[string]engine.Tensor {
	t.Helper()
	for b, err := range set.Batches(context.Background(), 1) {
		if err != nil {
			t.Fatal(err)
		}
		one := map[string]engine.Tensor{}
		for name, x := range b.Inputs {
			x = x.Clone()
			n := len(x.Floats) / int(x.Shape[0])
			x.Shape[0], x.Floats = 1, x.Floats[:n]
			one[name] = x
		}
		return one
	}
	t.Fatal("no samples")
	return nil
}

// export turns a calibration into a file.
func export(c *narrow.Calibrated, name string) (*xmodel.File, error) {
	if name == "" {
		name = qdq.ModelName(c.Model.Graph, c.Model.Path)
	}
	return xmodel.New(c.Result, xmodel.Options{Name: name})
}

// written turns a calibration into a file and reads that again.
func written(t testing.TB, c *narrow.Calibrated, name string) (*xmodel.File, *xmodel.Graph) {
	t.Helper()
	f, err := export(c, name)
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	n, err := f.WriteTo(&buf)
	if err != nil || n != int64(buf.Len()) || n != f.Graph.Size() {
		t.Fatalf("%d bytes written, %d told, %d foretold: %v", buf.Len(), n, f.Graph.Size(), err)
	}
	g, err := xirtest.Decode(buf.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := xirtest.Check(g); err != nil {
		t.Error(err)
	}
	return f, g
}

// equal computes every operator of a file from its definition, and holds it
// against what the quantized network of narrow test gives: integers exactly.
// It returns the interpreter's values and how many quantizers there were.
func equal(t testing.TB, r engine.Runner, c *narrow.Calibrated, f *xmodel.File, g *xmodel.Graph, in map[string]engine.Tensor) (map[string][]float64, int) {
	t.Helper()
	dump := map[string][]byte{}
	if err := f.Dump(context.Background(), r, c.Result, in, func(name string, data []byte) error {
		dump[name] = bytes.Clone(data)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	held, err := xirtest.Hold(g, f, dump)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range held.Wrong {
		t.Errorf("not as in test: %s", w)
	}
	return held.Values, held.Fixes
}

// refusals are the messages of a list's errors.
func refusals(list diag.List) string {
	var b strings.Builder
	for _, f := range list {
		if f.Severity == diag.Error {
			b.WriteString(f.String() + "\n")
		}
	}
	return b.String()
}
