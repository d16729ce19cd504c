package refine_test

import (
	"context"
	"fmt"
	"reflect"
	"testing"

	"narrow"
	"narrow/calibrate"
	"narrow/engine"
	"narrow/internal/testnet"
	"narrow/refine"
)

// coarse has activations and weights of so few bits that nothing makes it as good as
// another strategy.
const coarse = `{"target_device": "CPU", "include_cle": false, "overall_quantize_config": {"bit_width": 4, "method": "maxmin", "scale_type": "float",
	"calib_statistic_method": "max", "round_mode": "half_even"}}`

// Where the guide's way is the nearer one, or as near as can be told, the result is
// its own, encoding by encoding, in progressive propagation over the batches as they come.
func TestGuideIsKept(t *testing.T) {
	m, run, ctx := testnet.Bundled(t), testnet.Runner(t), context.Background()
	own := testnet.PlanFor(t, m, coarse, narrow.High)
	guide := testnet.PlanFor(t, m, testnet.Configs["per channel"], narrow.Guide)
	in := testnet.Blobs(48, 7)
	want, err := calibrate.Calibrate(ctx, guide.Plan, run, in, calibrate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := refine.Calibrate(ctx, refine.Task{Plan: own.Plan, Guide: guide.Plan, Float: m.Graph}, run, in, calibrate.Options{}, refine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Plan != guide.Plan || got.Propagate != calibrate.Progressive || got.Plan.Options.Accuracy != narrow.Guide {
		t.Fatalf("accuracy %v, propagation %v", got.Plan.Options.Accuracy, got.Propagate)
	}
	if !reflect.DeepEqual(got.Encodings, want.Encodings) || !reflect.DeepEqual(got.Bias, want.Bias) {
		t.Error("the result is not the guide's")
	}
	if len(got.Findings) != 1 || got.Findings[0].Code != "guide-kept" {
		t.Errorf("%v", got.Findings)
	}
}

// Where it is clearly worse it is not kept, whatever the batches' size, the threads and
// the way the samples come.
func TestOwnIsKept(t *testing.T) {
	m, run, ctx := testnet.Bundled(t), testnet.Runner(t), context.Background()
	own := testnet.PlanFor(t, m, testnet.Configs["per channel"], narrow.High)
	guide := testnet.PlanFor(t, m, coarse, narrow.Guide)
	var first *calibrate.Calibrated
	for _, size := range []int{5, 48} {
		got, err := refine.Calibrate(ctx, refine.Task{Plan: own.Plan, Guide: guide.Plan, Float: m.Graph}, run, testnet.Blobs(48, size), calibrate.Options{Threads: 1 + size%4}, refine.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got.Plan != own.Plan {
			t.Fatal("the guide's is kept")
		}
		if first == nil {
			first = got
		} else if !reflect.DeepEqual(got.Encodings, first.Encodings) || !reflect.DeepEqual(got.Weights, first.Weights) || !reflect.DeepEqual(got.Bias, first.Bias) {
			t.Errorf("another result in batches of %d", size)
		}
	}
	if len(first.Weights) == 0 {
		t.Error("no weights were chosen")
	}
}

// detector joins boxes in pixels and scores below 1.
const detector = `g (float[N, 3, 8, 8] x) => (float[N, 10, 8, 8] y)
	<float[4, 3, 1, 1] wb = {0.5, -0.25, 0.75, ...}, float[6, 3, 1, 1] ws = {1.5, -1.0, 0.5, -2.0, ...}, float pixels = {150}>
	{ [box] h = Conv (x, wb) [relu] r = Relu (h) [pixels] b = Mul (r, pixels) [cls] k = Conv (x, ws) [score] s = Sigmoid (k) [join] y = Concat <axis = 1> (b, s) }`

// Boxes that are nearer by far do not make up for scores that have become one value,
// however many samples judge.
func TestDeadScoresAreNotKept(t *testing.T) {
	m, run, ctx := testnet.Parse(t, detector), testnet.Runner(t), context.Background()
	const config = `{"target_device": "CPU", "include_cle": false, "overall_quantize_config": {"bit_width": 8}, "layer_quantize_config": [%s]}`
	const rule = `{"layer_type": null, "layer_name": "relu", "quantizable_data_type": ["activation"], "overall_quantize_config": {"bit_width": 5}}`
	own := testnet.PlanFor(t, m, fmt.Sprintf(config, rule), narrow.High)
	guide := testnet.PlanFor(t, m, fmt.Sprintf(config, ""), narrow.Guide)
	for _, n := range []int{16, 32, 64} {
		got, err := refine.Calibrate(ctx, refine.Task{Plan: own.Plan, Guide: guide.Plan, Float: m.Graph}, run, some(m, n), calibrate.Options{}, refine.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got.Plan != own.Plan {
			t.Errorf("%d samples: the guide's is kept, whose scores are dead: %v", n, got.Findings)
			continue
		}
		told := false
		for _, f := range got.Findings {
			told = told || f.Code == "dead-parts"
		}
		if !told {
			t.Errorf("%d samples: it is not told that scores decided: %v", n, got.Findings)
		}
	}
}

// some yields n samples for m's inputs, 8 at once.
func some(m *narrow.Model, n int) engine.Batches {
	return func(yield func(*engine.Batch, error) bool) {
		for at := 0; at < n; at += 8 {
			if !yield(&engine.Batch{First: at, Count: 8, Inputs: testnet.Inputs(m.Graph, 8, uint64(at), 1)}, nil) {
				return
			}
		}
	}
}
