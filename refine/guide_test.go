package refine_test

import (
	"context"
	"reflect"
	"testing"

	"narrow"
	"narrow/calibrate"
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
