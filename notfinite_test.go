package narrow_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"narrow"
	"narrow/calibrate"
	"narrow/engine"
	"narrow/graph"
	"narrow/internal/testnet"
)

// TestWhatMadeIt: a value that is NaN or infinite is laid to the sample, to the
// model or to a quantizer, whichever made it.
func TestWhatMadeIt(t *testing.T) {
	rows := func(x ...float32) engine.Batches {
		return func(yield func(*engine.Batch, error) bool) {
			n := len(x) / 2
			yield(&engine.Batch{Count: n, Inputs: map[string]engine.Tensor{"x": {Type: graph.Float32, Shape: []int64{int64(n), 2}, Floats: x}}}, nil)
		}
	}
	const root = `g (float[N, 2] x) => (float[N, 2] y) <float[2] c = {1, 1}> { [root] r = Sqrt (x) [add] y = Add (r, c) }`
	const log = `g (float[N, 2] x) => (float[N, 2] y) <float[2] c = {1e-6, 1e-6}> { [square] s = Mul (x, x) [eps] e = Add (s, c) [log] l = Log (e) [scale] y = Mul (l, c) }`
	// A Softmax makes finite values of infinite ones.
	const once = `g (float[N, 2] x) => (float[N, 2] y) <float lo = {0}> { [first] a = Clip (x, lo) [log1] l = Log (a) [soft1] y = Softmax (l) }`
	const masks = `g (float[N, 2] x) => (float[N, 2] y) <float lo = {0}> { [first] a = Clip (x, lo) [log1] l = Log (a) [soft1] b = Softmax (l) [log2] m = Log (b) [soft2] y = Softmax (m) }`
	for _, c := range []struct {
		name, net string
		in        engine.Batches
		how       calibrate.Propagation
		origin    calibrate.Origin
		by        []string
		layer     string
	}{
		{"the sample", root, rows(1, 4, float32(math.NaN()), 9), calibrate.Progressive, calibrate.FromSample, []string{"x"}, "x"},
		{"the sample, in float", root, rows(1, 4, float32(math.Inf(1)), 9), calibrate.Float, calibrate.FromSample, []string{"x"}, "x"},
		{"the model", root, rows(1, 4, -1, 9), calibrate.Progressive, calibrate.FromModel, []string{"add"}, "root"},
		{"the model, in float", root, rows(1, 4, -1, 9), calibrate.Float, calibrate.FromModel, []string{"add"}, "root"},
		{"the model, twice", masks, rows(1, 4, -1, 9), calibrate.Float, calibrate.FromModel, []string{"log2"}, "log1"},
		{"the model, once", once, rows(1, 4, -1, 9), calibrate.Float, calibrate.FromModel, nil, "log1"},
		{"a quantizer", log, rows(1, 100, 0.001, 9), calibrate.Progressive, calibrate.FromQuantizer, []string{"eps"}, "log"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := testnet.Plan(t, testnet.Parse(t, c.net), `{"target_device": "CPU"}`)
			_, err := p.Calibrate(context.Background(), testnet.Runner(t), c.in, narrow.CalibrateOptions{Propagate: c.how})
			var bad *calibrate.NotFiniteError
			if !errors.As(err, &bad) {
				t.Fatalf("%v", err)
			}
			if bad.Origin != c.origin || !slices.Equal(bad.By, c.by) || bad.Layer != c.layer {
				t.Errorf("origin %d by %q at %s: %v", bad.Origin, bad.By, bad.Layer, err)
			}
			if spoilt := strings.Contains(c.net, "[root]") && bad.Origin == calibrate.FromModel; bad.Spoilt != spoilt {
				t.Errorf("outputs are NaN: %v, want %v", bad.Spoilt, spoilt)
			}
			if rule := fmt.Sprintf(`"layer_name": ["%s", "%s"]`, bad.Layer, strings.Join(bad.By, "\", \"")); bad.Origin == calibrate.FromModel && !bad.Spoilt && len(bad.By) > 0 && !strings.Contains(err.Error(), rule) {
				t.Errorf("the rule %s is missing: %v", rule, err)
			}
		})
	}
}
