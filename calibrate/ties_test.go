package calibrate_test

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"narrow"
	"narrow/calibrate"
	"narrow/engine"
	"narrow/export"
	"narrow/graph"
	"narrow/internal/testnet"
)

// batch is one batch of rows for the input x.
func batch(rows int, x []float32, dims ...int64) engine.Batches {
	return func(yield func(*engine.Batch, error) bool) {
		yield(&engine.Batch{Count: rows, Inputs: map[string]engine.Tensor{
			"x": {Type: graph.Float32, Shape: append([]int64{int64(rows)}, dims...), Floats: x},
		}}, nil)
	}
}

// TestTieAudit: by hand. The input has fix position 0 and is rounded by
// std_round, so that 0.5, 2.5, -0.5 and -2.5 fall otherwise than with half_even;
// then one half is added and half_up takes 2.5 and -1.5 up.
func TestTieAudit(t *testing.T) {
	m := testnet.Parse(t, `net (float[N, 4] x) => (float[N, 4] y)
<float[4] c = {0.5, 0.5, 0.5, 0.5}> { [add] y = Add (x, c) }`)
	r := testnet.Plan(t, m, `{}`)
	x := []float32{100, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 3}
	want := map[string]calibrate.Ties{"x": {Elements: 8, Differing: 4}, "y": {Elements: 8, Differing: 4}}
	for _, how := range []calibrate.Propagation{calibrate.Progressive, calibrate.Float} {
		if how == calibrate.Float {
			// y is 100.5, 1, 2, 3, 0, -1, -2, 3.5: all but the first and last whole.
			want["y"] = calibrate.Ties{Elements: 8, Differing: 1}
		} else {
			// y is 100.5, 1.5, 2.5, 3.5, -0.5, -1.5, -2.5, 3.5: to the even
			// neighbour go 100, 2, 2, 4, 0, -2, -2, 4, up go 101, 2, 3, 4, 0, -1, -2, 4.
			want["y"] = calibrate.Ties{Elements: 8, Differing: 3}
		}
		c, err := r.Calibrate(context.Background(), testnet.Runner(t), batch(2, x, 4), narrow.CalibrateOptions{Propagate: how})
		if err != nil {
			t.Fatal(err)
		}
		check := func(what string, c *narrow.Calibrated) {
			t.Helper()
			got := map[string]calibrate.Ties{}
			for tensor, n := range c.Result.Ties {
				got[tensor.Name] = n
			}
			if !maps.Equal(got, want) {
				t.Errorf("%v, %s: ties are %v, want %v", how, what, got, want)
			}
		}
		check("calibrated", c)
		dir := t.TempDir()
		if err := c.Save(dir); err != nil {
			t.Fatal(err)
		}
		loaded, err := narrow.Load(dir, m, nil)
		if err != nil {
			t.Fatal(err)
		}
		check("loaded", loaded)

		file := filepath.Join(dir, export.TiesFile)
		for _, bad := range []string{"", "{", `{"format": "narrow.ties/9"}`,
			`{"format": "narrow.ties/1", "tensors": [{"name": "z", "kind": "input", "layer": "z"}]}`,
			`{"format": "narrow.ties/1", "tensors": [{"name": "x", "kind": "input", "layer": "x", "elements": 1, "differing": 2}]}`} {
			if err := os.WriteFile(file, []byte(bad), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := narrow.Load(dir, m, nil); err == nil || !strings.Contains(err.Error(), file) {
				t.Errorf("%q as %s: error %v", bad, export.TiesFile, err)
			}
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if loaded, err = narrow.Load(dir, m, nil); err != nil || len(loaded.Result.Ties) != 0 {
			t.Errorf("without %s: %v, %v", export.TiesFile, loaded, err)
		}
	}
}
