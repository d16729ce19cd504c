package narrow_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"narrow"
	"narrow/calibrate"
	"narrow/diag"
	"narrow/engine"
	"narrow/evaluate"
	"narrow/export"
	"narrow/internal/testnet"
	"narrow/strategy"
)

const dscnn = "models/fashion_dscnn.onnx"

func calibrated(t *testing.T, r *narrow.Planned, opts narrow.CalibrateOptions) *narrow.Calibrated {
	t.Helper()
	c, err := r.Calibrate(context.Background(), testnet.Runner(t), pictures(40), opts)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func save(t *testing.T, c *narrow.Calibrated) string {
	t.Helper()
	dir := t.TempDir()
	if err := c.Save(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// content is the files of a folder.
func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]string{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		m[e.Name()] = string(data)
	}
	return m
}

// outputs tests c and returns the quantized network's outputs and the result.
func outputs(t *testing.T, c *narrow.Calibrated) ([]float32, evaluate.Result) {
	t.Helper()
	var all []float32
	res, err := c.Test(context.Background(), testnet.Runner(t), pictures(40), narrow.TestOptions{
		Output: func(_ int, outs []engine.Tensor) error {
			all = append(all, outs[0].Floats...)
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return all, *res
}

// TestRoundTrip: what was saved and loaded again computes the same to the
// bit, exports the same bytes, and saves the same bytes.
func TestRoundTrip(t *testing.T) {
	m := testnet.Bundled(t)
	for name, config := range testnet.Configs {
		t.Run(name, func(t *testing.T) {
			c := calibrated(t, testnet.Plan(t, m, config), narrow.CalibrateOptions{})
			dir := save(t, c)
			s, _ := strategy.Parse("strategy.json", []byte(config))
			loaded, err := narrow.Load(dir, testnet.Bundled(t), s)
			if err != nil {
				t.Fatal(err)
			}
			if len(loaded.Findings) > 0 {
				t.Errorf("loading finds %v", loaded.Findings)
			}
			want, wantResult := outputs(t, c)
			got, gotResult := outputs(t, loaded)
			if len(want) != 400 || !slices.Equal(got, want) {
				t.Errorf("outputs differ after loading")
			}
			if *gotResult.Agreement != *wantResult.Agreement || gotResult.SQNR != wantResult.SQNR || gotResult.Samples != 40 {
				t.Errorf("%+v after loading, %+v before", gotResult, wantResult)
			}
			if again := save(t, loaded); !maps.Equal(content(t, again), content(t, dir)) {
				t.Errorf("saving what was loaded writes other bytes")
			}
			if a, b := exported(t, c), exported(t, loaded); !bytes.Equal(a, b) {
				t.Errorf("exporting what was loaded writes other bytes")
			}
		})
	}
}

func exported(t *testing.T, c *narrow.Calibrated) []byte {
	t.Helper()
	x, err := c.Export(narrow.ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	data, err := x.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestSameBytes: neither the number of threads nor the run reaches a result.
func TestSameBytes(t *testing.T) {
	for name, config := range testnet.Configs {
		for _, how := range []calibrate.Propagation{calibrate.Progressive, calibrate.Float} {
			var first map[string]string
			for _, threads := range []int{1, 2, 3, 2} {
				r := testnet.Plan(t, testnet.Bundled(t), config)
				got := content(t, save(t, calibrated(t, r, narrow.CalibrateOptions{Threads: threads, Propagate: how})))
				if len(got[export.QuantInfoFile]) < 1000 {
					t.Fatalf("%s: %s is short", name, export.QuantInfoFile)
				}
				if first == nil {
					first = got
				}
				for file := range first {
					if got[file] != first[file] {
						t.Errorf("%s, %v: %s differs with %d threads", name, how, file, threads)
					}
				}
			}
		}
	}
}

// TestLoadErrors: every error names the file and the way out.
func TestLoadErrors(t *testing.T) {
	m := testnet.Bundled(t)
	dir := save(t, calibrated(t, testnet.Plan(t, m, "{}"), narrow.CalibrateOptions{}))
	whole := content(t, dir)
	other := testnet.Parse(t, `net (float[N, 4] x) => (float[N, 4] y) { y = Relu (x) }`)

	info := filepath.Join(dir, export.QuantInfoFile)
	bias := filepath.Join(dir, export.BiasCorrFile)
	tests := []struct {
		name    string
		m       *narrow.Model
		by      string // strategy, "" for any
		file    string // the file that is changed
		change  func(string) string
		says    []string
		another string // what a MismatchError is of
	}{
		{name: "another model", m: other, says: []string{info, "another model"}, another: "model"},
		{name: "another strategy", by: testnet.Configs["bfloat16"], says: []string{info, "strategy.json"}, another: "strategy"},
		{name: "no quant_info.json", file: info, says: []string{"there is no calibration in " + dir, filepath.Base(info)}},
		{name: "no bias_corr.json", file: bias, says: []string{bias, "calibrate again"}},
		{name: "cut off", file: info, change: func(s string) string { return s[:len(s)/2] }, says: []string{info}},
		{name: "empty", file: info, change: func(string) string { return "" }, says: []string{info}},
		{name: "another format", file: info, change: func(s string) string { return strings.Replace(s, "quant_info/1", "quant_info/9", 1) }, says: []string{info, "quant_info/9"}},
		{name: "a tensor is missing", file: info, change: func(s string) string {
			at := strings.Index(s, `"tensors": [`)
			end := at + strings.Index(s[at:], "},") + 2
			return s[:at] + `"tensors": [` + s[end:]
		}, says: []string{info, `"image"`}},
		{name: "a negative scale", file: info, change: func(s string) string {
			at := strings.Index(s, `"scale": [`)
			return s[:at] + strings.Replace(s[at:], "0.", "-0.", 1)
		}, says: []string{info, `"image"`}},
		{name: "bias correction cut off", file: bias, change: func(s string) string { return s[:len(s)/2] }, says: []string{bias}},
		{name: "bias correction of another length", file: bias, change: func(s string) string {
			at := strings.Index(s, ", ")
			return s[:at] + s[strings.Index(s, "]"):]
		}, says: []string{"/classifier/Gemm"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.m == nil {
				tt.m = m
			}
			var s *strategy.Strategy
			if tt.by != "" {
				s, _ = strategy.Parse("strategy.json", []byte(tt.by))
			}
			if tt.file != "" {
				was := whole[filepath.Base(tt.file)]
				defer os.WriteFile(tt.file, []byte(was), 0o600)
				if tt.change == nil {
					os.Remove(tt.file)
				} else if now := tt.change(was); now == was {
					t.Fatal("nothing was changed")
				} else if err := os.WriteFile(tt.file, []byte(now), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			c, err := narrow.Load(dir, tt.m, s)
			if err == nil || c != nil {
				t.Fatalf("no error")
			}
			for _, say := range tt.says {
				if !strings.Contains(err.Error(), say) {
					t.Errorf("%q does not say %q", err, say)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q is more than one line", err)
			}
			var mismatch *narrow.MismatchError
			if is := errors.As(err, &mismatch); is != (tt.another != "") || is && mismatch.Of != tt.another {
				t.Errorf("%T for %s", err, tt.name)
			}
			if regexp.MustCompile(`\s--?[a-z]`).MatchString(err.Error()) {
				t.Errorf("%q names a flag", err)
			}
		})
	}
	if _, err := narrow.Load(dir, m, nil); err != nil {
		t.Error("whole again:", err)
	}
}

// TestOpenMissing: callers can tell a missing model from a bad one.
func TestOpenMissing(t *testing.T) {
	if _, err := narrow.Open(context.Background(), "models/nowhere.onnx"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "models/nowhere.onnx") {
		t.Errorf("error %v", err)
	}
}

// TestCancel: a calibration that is broken off says so.
func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r := testnet.Plan(t, testnet.Bundled(t), "{}")
	_, err := r.Calibrate(ctx, testnet.Runner(t), pictures(1_000_000), narrow.CalibrateOptions{Progress: func(int) { cancel() }})
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), dscnn) {
		t.Errorf("error %v", err)
	}
}

// TestInvalidSamples: a sample at NaN is told of, and the rest is compared as
// it would be without it; NaN is no right answer.
func TestInvalidSamples(t *testing.T) {
	m := testnet.Parse(t, `net (float[N, 2] x) => (float[N, 2] y)
<float[2, 2] w = {1, -0.5, 0.3, 0.7}> { [fc] y = MatMul (x, w) }`)
	good := []float32{1, 0.5, -1, 0.3}
	c, err := testnet.Plan(t, m, "{}").Calibrate(context.Background(), testnet.Runner(t), batch(2, good, 2), narrow.CalibrateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	test := func(rows int, x []float32, labels ...int) *evaluate.Result {
		t.Helper()
		res, err := c.Test(context.Background(), testnet.Runner(t), batch(rows, x, 2), narrow.TestOptions{Labels: engine.Labels{Classes: labels}})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	nan := float32(math.NaN())
	want := test(2, good, 0, 1)
	got := test(3, append([]float32{nan, nan}, good...), 0, 0, 1)
	if want.Invalid != 0 || got.Invalid != 1 || got.Samples != 3 || got.SQNR != want.SQNR || *got.Agreement != *want.Agreement {
		t.Errorf("with NaN %+v, without %+v", got, want)
	}
	if want.Float.Top1 != 1 || got.Float.Top1 != 2.0/3 {
		t.Errorf("top-1 with NaN %v, without %v", got.Float.Top1, want.Float.Top1)
	}
}

// TestPlan: the defaults where there is no strategy, and all mistakes of one
// that has some, in the file or next to the model. A strategy with mistakes makes
// no plan, wherever they are.
func TestPlan(t *testing.T) {
	m := testnet.Bundled(t)
	want := testnet.Plan(t, m, "{}").Plan.Strategy.SHA256()
	if p, err := m.Plan(nil, narrow.PlanOptions{Accuracy: narrow.High}); err != nil || len(p.Findings) > 0 || p.Plan.Strategy.SHA256() != want || p.Accuracy != narrow.High {
		t.Errorf("no strategy: %+v, %v", p, err)
	}
	file := filepath.Join(t.TempDir(), "s.json")
	for text, parts := range map[string][]string{
		`{"target_device": "CPU"}`:                   nil,
		`{"target_device": "CPX", "include_cle": 1}`: {file + ":1:", "CPX", "include_cle"},
		`{"layer_quantize_config": [{"layer_type": null, "layer_name": "none", "quantizable_data_type": ["weights"], "overall_quantize_config": {"bit_width": 4}}]}`: {file + ":1:", "none"},
	} {
		s, _ := strategy.Parse(file, []byte(text))
		p, err := m.Plan(s, narrow.PlanOptions{})
		if parts == nil {
			if err != nil || p.Plan.Strategy.SHA256() == want {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		if _, ok := diag.AsFindings(err); !ok || p != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		for _, part := range parts {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q does not say %q", text, err, part)
			}
		}
	}
	// Warnings hang on the plan, the strategy's own first.
	s, list := strategy.Parse("s.json", []byte(`{"layer_quantize_config": [{"layer_type": "Conv2d", "layer_name": null, "quantizable_data_type": ["weights"], "overall_quantize_config": {"bit_width": 3}},
		{"layer_type": "Conv2d", "layer_name": null, "quantizable_data_type": ["weights"], "overall_quantize_config": {"bit_width": 4}}]}`))
	if p, err := m.Plan(s, narrow.PlanOptions{}); err != nil || len(list) == 0 || !slices.EqualFunc(p.Findings[:len(list)], list, func(a, b diag.Finding) bool { return a.String() == b.String() }) {
		t.Errorf("warnings: %v, plan %+v, %v", list, p, err)
	}
}

// TestExportRefused: what a form cannot hold is the error, and there is no model.
func TestExportRefused(t *testing.T) {
	c := calibrated(t, testnet.Plan(t, testnet.Bundled(t), `{"target_device": "CPU", "overall_quantize_config": {"bit_width": 20}}`), narrow.CalibrateOptions{})
	x, err := c.Export(narrow.ExportOptions{For: export.TensorRT, Strict: true})
	if list, ok := diag.AsFindings(err); !ok || !list.HasErrors() || x != nil {
		t.Errorf("%v, %v", x, err)
	}
}

// TestOpenBytes: bytes make the model that their file makes.
func TestOpenBytes(t *testing.T) {
	ctx := context.Background()
	want := testnet.Bundled(t)
	data, err := os.ReadFile(dscnn)
	if err != nil {
		t.Fatal(err)
	}
	m, err := narrow.OpenBytes(ctx, "net", data)
	if err != nil || m.SHA256 != want.SHA256 || m.Path != "net" || len(m.Graph.Graph.Nodes) != len(want.Graph.Graph.Nodes) {
		t.Errorf("%+v, %v", m, err)
	}
	if m, err := narrow.OpenBytes(ctx, "net", data[:100]); err == nil || m != nil || !strings.Contains(err.Error(), "net") {
		t.Errorf("cut off: %v", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	if m, err := narrow.OpenBytes(ctx, "net", data); !errors.Is(err, context.Canceled) || m != nil {
		t.Errorf("cancelled: %v", err)
	}
	if m, err := narrow.Open(ctx, dscnn); !errors.Is(err, context.Canceled) || m != nil {
		t.Errorf("cancelled: %v", err)
	}
}
