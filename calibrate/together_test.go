package calibrate_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"narrow"
	"narrow/calibrate"
	"narrow/engine"
	"narrow/internal/testnet"
)

// TestCalibrateTogether: strategies that share a run save the bytes that each
// saves alone, ties included; what cannot take part is left out.
func TestCalibrateTogether(t *testing.T) {
	ctx := context.Background()
	m := testnet.Bundled(t)
	const float = `{"target_device": "CPU", "include_cle": false, "overall_quantize_config": {"scale_type": "float", "round_mode": "half_even", `
	texts := []string{
		float + `"method": "maxmin", "calib_statistic_method": "max"}}`,
		`{"include_cle": false}`,
		`{}`,
		float + `"method": "entropy", "calib_statistic_method": "mean", "bit_width": 5}, "include_bias_corr": false}`,
		`{"target_device": "CPU", "include_cle": false, "overall_quantize_config": {"datatype": "bfloat16"}}`,
		// A quantizer between a Conv and its Clip needs a tap of its own.
		`{"target_device": "CPU", "include_cle": false, "layer_quantize_config": [{"layer_type": "Clip", "layer_name": null,
			"quantizable_data_type": ["input", "activation"], "overall_quantize_config": {"datatype": "bfloat16"}}]}`,
		float + `"method": "percentile", "percentage": 99, "calib_statistic_method": "median", "symmetry": false}}`,
	}
	apart := []int{2, 5}
	var rs []*narrow.Planned
	for _, text := range texts {
		rs = append(rs, testnet.Plan(t, m, text))
	}
	passes := 0
	in := func(yield func(*engine.Batch, error) bool) {
		passes++
		testnet.Blobs(20, 6)(yield)
	}
	got, err := narrow.CalibrateTogether(ctx, testnet.Runner(t), rs, in, narrow.CalibrateOptions{Propagate: calibrate.Float})
	if err != nil {
		t.Fatal(err)
	}
	if passes != 1 {
		t.Errorf("the samples were read %d times", passes)
	}
	for i, c := range got {
		if slices.Contains(apart, i) {
			if c != nil {
				t.Errorf("strategy %d took part in a run of another network", i)
			}
			continue
		}
		alone, err := rs[i].Calibrate(ctx, testnet.Runner(t), testnet.Blobs(20, 6), narrow.CalibrateOptions{Propagate: calibrate.Float, Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		want, files := content(t, alone), content(t, c)
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if files[name] != want[name] {
				t.Errorf("strategy %d: %s differs: %s", i, name, firstDifference(files[name], want[name]))
			}
		}
	}
	if len(got[1].Result.Ties) == 0 {
		t.Error("no ties were counted")
	}

	for name, want := range map[string]error{
		"float propagation only": together(t, rs[:1], narrow.CalibrateOptions{}),
		"no strategy":            together(t, nil, narrow.CalibrateOptions{Propagate: calibrate.Float}),
		"one model":              together(t, []*narrow.Planned{rs[0], testnet.Plan(t, testnet.Bundled(t), `{}`)}, narrow.CalibrateOptions{Propagate: calibrate.Float}),
	} {
		if want == nil || !strings.Contains(want.Error(), name) {
			t.Errorf("%v, want an error about %q", want, name)
		}
	}
}

// together returns the error of a calibration that cannot be.
func together(t *testing.T, rs []*narrow.Planned, opts narrow.CalibrateOptions) error {
	t.Helper()
	_, err := narrow.CalibrateTogether(context.Background(), testnet.Runner(t), rs, testnet.Blobs(4, 4), opts)
	return err
}
