package narrow_test

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"narrow"
	"narrow/engine"
	"narrow/evaluate"
	"narrow/internal/testnet"
)

// TestFloatAlone holds the float network alone to what Test tells of it, and a
// list of labels that is too short to the same error.
func TestFloatAlone(t *testing.T) {
	ctx := context.Background()
	m := testnet.Bundled(t)
	r, err := m.Plan(nil, narrow.PlanOptions{Accuracy: narrow.Guide})
	if err != nil {
		t.Fatal(err)
	}
	c := calibrated(t, r, narrow.CalibrateOptions{})
	opts := narrow.TestOptions{Labels: engine.Labels{Classes: make([]int, 40)}}
	for i := range opts.Labels.Classes {
		opts.Labels.Classes[i] = i % 10
	}
	both, err := c.Test(ctx, testnet.Runner(t), pictures(40), opts)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	opts.Output = func(first int, outs []engine.Tensor) error {
		if first != seen || len(outs) != 1 || outs[0].Shape[1] != 10 {
			t.Errorf("behind sample %d come outputs %v of sample %d", seen, outs, first)
		}
		seen += int(outs[0].Shape[0])
		return nil
	}
	alone, err := evaluate.Float(ctx, testnet.Runner(t), m.Graph, pictures(40), evaluate.Options{Labels: opts.Labels, Output: opts.Output})
	if err != nil {
		t.Fatal(err)
	}
	if opts.Output = nil; seen != 40 {
		t.Errorf("Output saw %d of 40 samples", seen)
	}
	if alone.Float == nil || *alone.Float != *both.Float || alone.Samples != 40 || alone.Quantized != nil {
		t.Errorf("Float gave %+v, Test %+v", alone, both)
	}
	opts.Labels.Classes = opts.Labels.Classes[:39]
	_, err = evaluate.Float(ctx, testnet.Runner(t), m.Graph, pictures(40), evaluate.Options{Labels: opts.Labels, Output: opts.Output})
	_, want := c.Test(ctx, testnet.Runner(t), pictures(40), opts)
	if err == nil || want == nil || !strings.HasSuffix(want.Error(), err.Error()) || !strings.Contains(err.Error(), "39 labels") {
		t.Errorf("with 39 labels for 40 samples Float says %v, Test %v", err, want)
	}
}

// TestTogether holds several calibrations that are tested at once to what Test
// tells of each alone.
func TestTogether(t *testing.T) {
	ctx := context.Background()
	m := testnet.Bundled(t)
	opts := narrow.TestOptions{Labels: engine.Labels{Classes: make([]int, 40)}}
	for i := range opts.Labels.Classes {
		opts.Labels.Classes[i] = i % 10
	}
	var all []engine.Network
	var want []*evaluate.Result
	for _, text := range []string{`{}`, `{"include_cle": false, "overall_quantize_config": {"datatype": "bfloat16"}}`} {
		c := calibrated(t, testnet.Plan(t, m, text), narrow.CalibrateOptions{})
		res, err := c.Test(ctx, testnet.Runner(t), pictures(40), opts)
		if err != nil {
			t.Fatal(err)
		}
		n, err := c.Result.Network(0, nil)
		if err != nil {
			t.Fatal(err)
		}
		all, want = append(all, n), append(want, res)
	}
	if want[0].SQNR == want[1].SQNR {
		t.Fatal("the two strategies should not come out equal")
	}
	got, err := evaluate.Run(ctx, testnet.Runner(t), m.Graph, all, pictures(40), evaluate.Options{Labels: opts.Labels})
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("strategy %d: %+v, alone %+v", i, got[i], want[i])
		}
	}
}
