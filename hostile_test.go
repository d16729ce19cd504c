package narrow_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"narrow"
	"narrow/export"
	"narrow/graph/infer"
	"narrow/graph/onnx"
	"narrow/internal/bounded"
	"narrow/internal/broken"
	"narrow/internal/testnet"
	"narrow/plan"
	"narrow/strategy"
)

// What reading may allocate, in bytes for each of the files', and a constant:
// opening a model and laying three strategies over it, and loading a result.
// docs/robustness.md has the table.
var (
	resolveBound = bounded.Bound{Factor: 2000, Constant: 64 << 20}
	loadBound    = bounded.Bound{Factor: 4096, Constant: 16 << 20}
)

// oneLine holds that an error is one line which says what it must.
func oneLine(t *testing.T, err error, what string) {
	t.Helper()
	if err != nil && (strings.ContainsRune(err.Error(), '\n') || !strings.Contains(err.Error(), what)) {
		t.Errorf("not one line that says %q: %v", what, err)
	}
}

// planAll plans m by every strategy.
func planAll(t *testing.T, m *narrow.Model) {
	t.Helper()
	m.Inputs()
	for i, config := range strategies {
		s, list := strategy.Parse("s.json", []byte(config))
		if list.HasErrors() {
			t.Fatal(list.Err())
		}
		r, err := m.Plan(s, narrow.PlanOptions{Accuracy: narrow.Accuracy(i % 2)})
		oneLine(t, err, m.Path)
		if err == nil {
			_, err = r.Plan.Simulation(plan.SimulationOptions{})
			oneLine(t, err, "")
		}
	}
}

// strategies lead through all rewrites and kinds of quantizers.
var strategies = []string{
	`{}`,
	`{"target_device": "CPU", "include_cle": true, "convert_silu_to_hswish": true, "overall_quantize_config": {"per_channel": false}, "tensor_quantize_config": {"weights": {"per_channel": true}}}`,
	`{"target_device": "GPU", "quantizable_data_type": ["input", "weights", "bias", "activation"], "overall_quantize_config": {"datatype": "bfloat16"}}`,
}

// FuzzOpen: whatever the file, opening and resolving it does not panic, says on
// one line what is wrong, and takes memory in proportion.
func FuzzOpen(f *testing.F) {
	for _, b := range broken.Bases() {
		data, err := onnx.Encode(b.Net)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	path := filepath.Join(f.TempDir(), "m.onnx")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		resolveBound.Run(t, len(data), func() {
			m, err := narrow.Open(context.Background(), path)
			oneLine(t, err, path)
			if err == nil {
				planAll(t, m)
			}
		})
	})
}

// FuzzResolve does without the checks of Open: a network that was made in memory
// and that cannot run is planned, or refused, all the same.
func FuzzResolve(f *testing.F) {
	bases := broken.Bases()
	for i := range bases {
		f.Add(uint8(i), []byte{1, 4, 0, 2, 7, 3, 0, 4, 10, 10, 10, 10})
		f.Add(uint8(i), []byte{3, 8, 3, 8, 2, 0, 0, 1, 1, 5, 4, 3, 2, 1, 0})
	}
	f.Fuzz(func(t *testing.T, base uint8, script []byte) {
		if len(script) > 256 {
			return
		}
		m := broken.Mutate(bases[int(base)%len(bases)].Net, script)
		data, err := onnx.Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		resolveBound.Run(t, len(data), func() {
			m, err := onnx.Decode(data, "")
			oneLine(t, err, "")
			if err != nil {
				return
			}
			oneLine(t, infer.Check(m), "")
			planAll(t, &narrow.Model{Graph: m, Path: "m.onnx"})
		})
	})
}

// FuzzLoad: whatever the files of a result hold, loading it does not panic, says
// on one line what is wrong, and takes memory in proportion.
func FuzzLoad(f *testing.F) {
	const net = `net (float[N, 4] x) => (float[N, 3] y) <float[4, 3] w = {0.5, -0.25, ...}, float[3] b = {1, 2, 3}>
		{ [fc] h = Gemm (x, w, b) [act] y = Relu (h) }`
	m := testnet.Parse(f, net)
	dir := f.TempDir()
	names := []string{export.QuantInfoFile, export.BiasCorrFile, export.TiesFile}
	for _, config := range strategies {
		c, err := testnet.Plan(f, m, config).Calibrate(f.Context(), testnet.Runner(f), batch(2, []float32{1, -2, 3, 4, 5, 6, -7, 8}, 4), narrow.CalibrateOptions{Threads: 1})
		if err != nil {
			f.Fatal(err)
		}
		if err := c.Save(dir); err != nil {
			f.Fatal(err)
		}
		var parts [][]byte
		for _, name := range names {
			data, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				f.Fatal(err)
			}
			parts = append(parts, data)
		}
		f.Add(parts[0], parts[1], parts[2])
		f.Add(parts[0], []byte(`{"fc": [1e30, 0, 0]}`), []byte(`{"format": "narrow.ties/1", "tensors": [{}]}`))
	}
	f.Fuzz(func(t *testing.T, info, bias, ties []byte) {
		// The hash of this run's model stands for the one that the seeds were of.
		info = sha.ReplaceAll(info, []byte(`"sha256": "`+m.SHA256+`"`))
		for i, data := range [][]byte{info, bias, ties} {
			if err := os.WriteFile(filepath.Join(dir, names[i]), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		loadBound.Run(t, len(info)+len(bias)+len(ties), func() {
			c, err := narrow.Load(dir, m, nil)
			oneLine(t, err, dir)
			if err == nil && c.Findings.HasErrors() {
				t.Errorf("errors and none: %v", c.Findings)
			}
			if err == nil {
				_, err = export.VAI(c.Result, "")
				oneLine(t, err, "")
			}
		})
	})
}

// sha is where quant_info.json has the model's hash.
var sha = regexp.MustCompile(`"sha256": "[0-9a-f]{64}"`)
