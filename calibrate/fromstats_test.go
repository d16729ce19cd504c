package calibrate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"narrow"
	"narrow/calibrate"
	"narrow/engine"
	"narrow/export"
	"narrow/internal/testnet"
)

// saveStats calibrates r in float propagation and returns the statistics.
func saveStats(t *testing.T, r *narrow.Planned, in engine.Batches, samplesSHA256 string, opts narrow.CalibrateOptions) []byte {
	t.Helper()
	var buf bytes.Buffer
	opts.Propagate, opts.SaveStats, opts.SamplesSHA256 = calibrate.Float, &buf, samplesSHA256
	if _, err := r.Calibrate(context.Background(), testnet.Runner(t), in, opts); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// fromStats calibrates without samples.
func fromStats(p *narrow.Planned, s *calibrate.Stats, opts narrow.CalibrateOptions) (*narrow.Calibrated, error) {
	opts.FromStats = s
	return p.Calibrate(context.Background(), nil, nil, opts)
}

// saved returns the files that a calibration saves, but for ties.json, which
// statistics do not tell.
func saved(t *testing.T, c *narrow.Calibrated) map[string]string {
	t.Helper()
	dir := t.TempDir()
	if err := c.Save(dir); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(name) != export.TiesFile {
			files[filepath.Base(name)] = string(data)
		}
	}
	return files
}

// TestFromStatsEqualsFreshRun: for strategies of all methods, scale types, bit
// widths and statistics, statistics that were saved under the default strategy
// give the bytes that running the network in float propagation gives.
func TestFromStatsEqualsFreshRun(t *testing.T) {
	m := testnet.Bundled(t)
	const hash = "5a"
	data := saveStats(t, testnet.Plan(t, m, `{}`), testnet.Blobs(20, 16), hash, narrow.CalibrateOptions{})
	if again := saveStats(t, testnet.Plan(t, m, `{}`), testnet.Blobs(20, 3), hash, narrow.CalibrateOptions{Threads: 1}); !bytes.Equal(data, again) {
		t.Error("another batch size and one thread give other statistics")
	}
	stats, err := calibrate.ReadStats(data)
	if err != nil {
		t.Fatal(err)
	}
	float := func(method, statistic string, bits int, more string) string {
		return fmt.Sprintf(`{"target_device": "CPU", "overall_quantize_config": {"method": %q, "calib_statistic_method": %q, "bit_width": %d,
			"scale_type": "float", "round_mode": "half_even"%s}}`, method, statistic, bits, more)
	}
	for name, text := range map[string]string{
		"default":            `{}`,
		"no bias correction": `{"include_bias_corr": false}`,
		"pow2 maxmin 6":      `{"target_device": "CPU", "overall_quantize_config": {"method": "maxmin", "bit_width": 6}}`,
		"pow2 diffs 4":       `{"target_device": "CPU", "overall_quantize_config": {"method": "diffs", "bit_width": 4}}`,
		"maxmin mean 8":      float("maxmin", "mean", 8, ""),
		"maxmin max asym":    float("maxmin", "max", 8, `, "symmetry": false, "signed": false`),
		"percentile median":  float("percentile", "median", 7, `, "percentage": 99.5`),
		"percentile asym":    float("percentile", "mean", 8, `, "percentage": 99, "symmetry": false`),
		"entropy max":        float("entropy", "max", 8, ""),
		"entropy mean 5":     float("entropy", "mean", 5, ""),
		"mse median 16":      float("mse", "median", 16, ""),
		"mse mean 4":         float("mse", "mean", 4, ""),
		"per channel": `{"target_device": "CPU", "overall_quantize_config": {"method": "maxmin", "scale_type": "float", "calib_statistic_method": "max"},
			"tensor_quantize_config": {"weights": {"per_channel": true}}}`,
		"bfloat16":                `{"target_device": "CPU", "overall_quantize_config": {"datatype": "bfloat16"}}`,
		"weights and inputs only": `{"quantizable_data_type": ["input", "weights", "bias"]}`,
		"a rule": `{"layer_quantize_config": [{"layer_type": "Conv2d", "layer_name": null, "quantizable_data_type": ["weights", "activation"],
			"overall_quantize_config": {"datatype": "float32"}}]}`,
		"a rule with inputs": `{"target_device": "CPU", "layer_quantize_config": [{"layer_type": "Linear", "layer_name": null, "quantizable_data_type": ["input", "weights", "bias", "activation"],
			"overall_quantize_config": {"bit_width": 5}}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			r := testnet.Plan(t, m, text)
			fresh, err := r.Calibrate(context.Background(), testnet.Runner(t), testnet.Blobs(20, 5), narrow.CalibrateOptions{Propagate: calibrate.Float, SamplesSHA256: hash})
			if err != nil {
				t.Fatal(err)
			}
			quick, err := fromStats(r, stats, narrow.CalibrateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			want, got := saved(t, fresh), saved(t, quick)
			if len(want) < 3 {
				t.Fatalf("saved %d files", len(want))
			}
			for file, w := range want {
				if got[file] != w {
					t.Errorf("%s differs:\n%s", file, firstDifference(got[file], w))
				}
			}
		})
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d: %s\nwant %s", i+1, g[i], w[i])
		}
	}
	return "one is longer"
}

// TestStatsRefused: statistics serve no other model, samples or network.
func TestStatsRefused(t *testing.T) {
	const net = `net (float[N, 4] x) => (float[N, 2] y)
<float[4, 2] w = {1, 2, 3, 4, 5, 6, 7, 8}, float[2] b = {0.5, 1}> { [fc] h = Gemm (x, w, b) [act] y = Clip (h, lo, hi) }`
	text := func(w string) string {
		return strings.Replace(strings.Replace(net, "{1, 2, 3", "{"+w+", 2, 3", 1), "> {", ", float lo = {0}, float hi = {6}> {", 1)
	}
	m, other := testnet.Parse(t, text("1")), testnet.Parse(t, text("9"))
	x := []float32{1, 2, 3, 4, -1, 0.5, 0.25, 2}
	r := testnet.Plan(t, m, `{"include_cle": false}`)
	stats, err := calibrate.ReadStats(saveStats(t, r, batch(2, x, 4), "aa", narrow.CalibrateOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		what, strategy, samples, want string
		model                         *narrow.Model
	}{
		{"same", `{"include_cle": false}`, "", "", m},
		{"same samples", `{"include_cle": false}`, "aa", "", m},
		{"other model", `{"include_cle": false}`, "", "another model", other},
		{"other samples", `{"include_cle": false}`, "bb", "other samples", m},
		{"other network", `{}`, "", "include_cle is true here and was false there", m},
	} {
		c, err := fromStats(testnet.Plan(t, tt.model, tt.strategy), stats, narrow.CalibrateOptions{SamplesSHA256: tt.samples})
		var mismatch *narrow.MismatchError
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.what, err)
		case tt.want == "" && c.Result.SamplesSHA256 != "aa":
			t.Errorf("%s: the samples' hash is %q", tt.what, c.Result.SamplesSHA256)
		case tt.want != "" && (!errors.As(err, &mismatch) || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: error %v, want one about %q", tt.what, err, tt.want)
		}
	}
	// What a rule asks for in the middle of a layer is not in statistics.
	inner := testnet.Plan(t, m, `{"include_cle": false, "layer_quantize_config": [{"layer_type": null, "layer_name": "act",
		"quantizable_data_type": ["input", "activation"], "overall_quantize_config": {"datatype": "bfloat16"}}]}`)
	_, err = fromStats(inner, stats, narrow.CalibrateOptions{})
	var missing *calibrate.Missing
	if !errors.As(err, &missing) || missing.Value != "h" {
		t.Errorf("a value inside a layer: error %v", err)
	}
	if _, err := r.Calibrate(context.Background(), testnet.Runner(t), batch(2, x, 4), narrow.CalibrateOptions{SaveStats: &bytes.Buffer{}}); err == nil {
		t.Error("progressive propagation kept statistics")
	}
}

// TestStatsOfInvalidSamples: NaN in a value matters only to strategies that
// quantize it, and then as in a fresh run.
func TestStatsOfInvalidSamples(t *testing.T) {
	m := testnet.Parse(t, `net (float[N, 2] x) => (float[N, 2] y)
<float[2] c = {1, 1}> { [root] r = Sqrt (x) [add] y = Add (r, c) }`)
	x := []float32{1, 4, -1, 9, 16, 0.25}
	r := testnet.Plan(t, m, `{"target_device": "CPU"}`)
	skip := narrow.CalibrateOptions{Propagate: calibrate.Float, SkipInvalid: true, SamplesSHA256: "aa"}
	stats, err := calibrate.ReadStats(saveStats(t, r, batch(3, x, 2), "aa", skip))
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := r.Calibrate(context.Background(), testnet.Runner(t), batch(3, x, 2), skip)
	if err != nil {
		t.Fatal(err)
	}
	quick, err := fromStats(r, stats, skip)
	if err != nil {
		t.Fatal(err)
	}
	if fresh.Result.Invalid != 2 || quick.Result.Invalid != 2 {
		t.Errorf("%d and %d invalid tensors, want 2", fresh.Result.Invalid, quick.Result.Invalid)
	}
	if want, got := saved(t, fresh), saved(t, quick); want[export.QuantInfoFile] != got[export.QuantInfoFile] {
		t.Error(firstDifference(got[export.QuantInfoFile], want[export.QuantInfoFile]))
	}
	_, freshErr := r.Calibrate(context.Background(), testnet.Runner(t), batch(3, x, 2), narrow.CalibrateOptions{Propagate: calibrate.Float})
	_, quickErr := fromStats(r, stats, narrow.CalibrateOptions{})
	// Statistics know no samples, and so not what made the value.
	const where = `layer root: tensor "r" holds NaN in sample 1: `
	if freshErr == nil || quickErr == nil || !strings.Contains(freshErr.Error(), where+"the float network makes it") || !strings.Contains(quickErr.Error(), where+"fix the sample or the model") {
		t.Errorf("errors are %v and %v", freshErr, quickErr)
	}
	spared := testnet.Plan(t, m, `{"target_device": "CPU", "quantizable_data_type": ["input"]}`)
	if _, err := fromStats(spared, stats, narrow.CalibrateOptions{}); err != nil {
		t.Errorf("a strategy that does not quantize it: %v", err)
	}
}
