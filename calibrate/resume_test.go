package calibrate_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"narrow/calibrate"
	"narrow/engine"
	"narrow/export"
	"narrow/internal/testnet"
)

// checkpointed are strategies that between them have every method, statistic
// and kind of bias correction.
var checkpointed = map[string]string{
	"diffs, modal":                    "{}",
	"maxmin, per channel, percentile": testnet.Configs["per channel"],
	"bfloat16":                        testnet.Configs["bfloat16"],
	"entropy, mean":                   `{"target_device": "CPU", "overall_quantize_config": {"method": "entropy", "scale_type": "float", "calib_statistic_method": "mean", "round_mode": "half_even"}}`,
	"mse, median":                     `{"target_device": "GPU", "overall_quantize_config": {"method": "mse", "scale_type": "float", "calib_statistic_method": "median", "round_mode": "half_up"}}`,
	"rules, no bias correction":       testnet.Configs["rules"],
}

// TestCheckpoint: from the state after any batch a calibration resumes, to the
// same bytes.
func TestCheckpoint(t *testing.T) {
	m := testnet.Bundled(t)
	for name, text := range checkpointed {
		for _, how := range []calibrate.Propagation{calibrate.Progressive, calibrate.Float} {
			t.Run(name+"/"+how.String(), func(t *testing.T) {
				planned := testnet.Plan(t, m, text)
				const samples, size = 54, 6
				in := func() engine.Batches { return engine.Rebatch(pictures(samples), size) }
				files := func(c *calibrate.Calibrated, err error) map[string]string {
					t.Helper()
					if err != nil {
						t.Fatal(err)
					}
					fs, err := export.Files(c)
					if err != nil {
						t.Fatal(err)
					}
					out := map[string]string{}
					for name, data := range fs {
						out[name] = string(data)
					}
					return out
				}
				run := func(p *calibrate.Checkpoint, in engine.Batches) (*calibrate.Calibrated, error) {
					return calibrate.Calibrate(context.Background(), planned.Plan, testnet.Runner(t), in, calibrate.Options{Propagate: how, Checkpoint: p})
				}
				want := files(run(nil, in()))
				var states [][]byte
				var done []int
				got := files(run(&calibrate.Checkpoint{Save: func(n int, state []byte) error {
					states, done = append(states, state), append(done, n)
					return nil
				}}, in()))
				if !maps.Equal(got, want) {
					t.Fatal("keeping checkpoints changes the calibration")
				}
				if len(states) < 8 || done[len(done)-1] != samples {
					t.Fatalf("states after %v samples", done)
				}
				for i, state := range states {
					if i%4 != 1 && i != 0 && i < len(states)-1 { // for the time it takes
						continue
					}
					first := done[i] / 24 * 24 // where batches of 6 and of 8 both begin
					got := files(run(&calibrate.Checkpoint{State: state}, fromSample(in(), first)))
					if !maps.Equal(got, want) {
						t.Errorf("after %d samples: %v differ", done[i], changedFiles(want, got))
					}
				}
				// A state of other batches is no use, and says so.
				if _, err := run(&calibrate.Checkpoint{State: states[0]}, fromSample(in(), 30)); err == nil || !strings.Contains(err.Error(), "begins at sample") {
					t.Errorf("batches that begin too late: %v", err)
				}
			})
		}
	}
}

// fromSample leaves out the batches before sample first.
func fromSample(in engine.Batches, first int) engine.Batches {
	return func(yield func(*engine.Batch, error) bool) {
		for b, err := range in {
			if err == nil && b.First < first {
				continue
			}
			if !yield(b, err) {
				return
			}
		}
	}
}

func changedFiles(a, b map[string]string) []string {
	var names []string
	for name := range a {
		if a[name] != b[name] {
			names = append(names, name)
		}
	}
	return slices.Sorted(slices.Values(names))
}

// TestDamagedState: whatever a state holds, it is an error and no panic.
func TestDamagedState(t *testing.T) {
	p := testnet.Plan(t, testnet.Bundled(t), "{}")
	for _, state := range []string{"", "x", "narrow.checkpoint/1\nof things"} {
		_, err := calibrate.Calibrate(context.Background(), p.Plan, testnet.Runner(t), pictures(8), calibrate.Options{Checkpoint: &calibrate.Checkpoint{State: []byte(state)}})
		if err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("a state of %d bytes: %v", len(state), err)
		}
	}
}
