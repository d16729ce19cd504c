package narrow_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"narrow"
	"narrow/engine"
	"narrow/internal/testnet"
)

// uneven is a residual block whose channels have ranges of 1 to 100, and the layer
// that reads it.
const uneven = `<ir_version: 8, opset_import: ["": 17]> g (float[N, 4] x) => (float[N, 3] z)
<float[4, 6] a = {1, 0.1, 10, 0.02, 0.5, 0.03, -1, 0.2, 7, 0.05, 0.2, 0.01, 0.5, -0.3, 20, 0.01, -0.5, 0.02, 0.7, 0.1, -9, -0.04, 0.1, 0.03},
 float[6] ab = {0.1, 0.02, 1, 0.01, 0, 0.01},
 float[6, 6] b = {0.1, 0.01, 3, 0.004, 0.1, 0.02, 0.5, 0.2, 10, 0.1, 0.3, 0.01, 0.01, 0.003, 0.3, 0.001, 0.02, 0.001, 1, 1, 90, 0.3, 4, 0.2, 0.2, 0.1, 5, 0.1, 0.3, 0.01, 3, 0.5, 90, 0.4, 5, 0.1},
 float[6, 3] c = {1, 0.5, 0.3, 9, -7, 3, 0.1, 0.05, -0.09, 30, 20, -50, 1, -2, 1, 20, 30, 60}>
{ h = MatMul (x, a) i = Add (h, ab) r = Relu (i) k = MatMul (r, b) s = Add (k, r) y = Relu (s) z = MatMul (y, c) }`

// Where include_cle is on, channels are scaled across a residual addition, which
// loses nothing in float and gains in integers; what was chosen is saved and loaded
// again, to the bit. Without include_cle, and for the DPU, nothing is.
func TestChannelsAreScaled(t *testing.T) {
	ctx, run := context.Background(), testnet.Runner(t)
	m := testnet.Parse(t, uneven)
	equalize := strings.Replace(perChannel, `"include_cle": false`, `"include_cle": true`, 1)
	float, plain, err := both(t, m, perChannel, narrow.High)
	if err != nil {
		t.Fatal(err)
	}
	_, scaled, err := both(t, m, equalize, narrow.High)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := decibels(float, plain), decibels(float, scaled); b < a+3 {
		t.Errorf("%.1f dB with scaled channels, %.1f without", b, a)
	}
	for config, chosen := range map[string]bool{perChannel: false, equalize: true, `{"include_cle": true}`: false} {
		c, err := testnet.PlanFor(t, m, config, narrow.High).Calibrate(ctx, run, noise(m), narrow.CalibrateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if e := c.Result.Equalization; (e != nil && len(e.Steps) > 0) != chosen {
			t.Errorf("%s: %+v", config, e)
		}
		if !chosen {
			continue
		}
		if f, exact, err := c.FloatReference(); err != nil || !exact || f == c.Plan.Model {
			t.Errorf("the float reference: exact %v, %v", exact, err)
		}
		dir := t.TempDir()
		if err := c.Save(dir); err != nil {
			t.Fatal(err)
		}
		loaded, err := narrow.Load(dir, m, nil)
		if err != nil {
			t.Fatal(err)
		}
		results := func(c *narrow.Calibrated) (all []float32) {
			if _, err := c.Test(ctx, run, noise(m), narrow.TestOptions{Output: func(_ int, outs []engine.Tensor) error {
				all = append(all, outs[0].Floats...)
				return nil
			}}); err != nil {
				t.Fatal(err)
			}
			return all
		}
		if want, got := results(c), results(loaded); !slices.Equal(want, got) {
			t.Error("what was loaded computes something else")
		}
	}
}
