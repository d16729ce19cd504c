package narrow_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"narrow"
	"narrow/calibrate"
	"narrow/engine"
	"narrow/internal/testnet"
	"narrow/strategy"
)

// checkpointed are strategies that between them have every method, statistic
// and kind of bias correction.
var checkpointed = map[string]string{
	"diffs, modal":                    "{}",
	"maxmin, per channel, percentile": configs["per channel"],
	"bfloat16":                        configs["bfloat16"],
	"entropy, mean":                   `{"target_device": "CPU", "overall_quantize_config": {"method": "entropy", "scale_type": "float", "calib_statistic_method": "mean", "round_mode": "half_even"}}`,
	"mse, median":                     `{"target_device": "GPU", "overall_quantize_config": {"method": "mse", "scale_type": "float", "calib_statistic_method": "median", "round_mode": "half_up"}}`,
	"rules, no bias correction":       configs["rules"],
}

// TestCheckpoint: from the state after any batch a calibration goes on to the
// same bytes.
func TestCheckpoint(t *testing.T) {
	m := testnet.Bundled(t)
	for name, text := range checkpointed {
		for _, how := range []calibrate.Propagation{calibrate.Progressive, calibrate.Float} {
			t.Run(name+"/"+how.String(), func(t *testing.T) {
				resolved := testnet.Resolve(t, m, text)
				const samples, size = 54, 6
				in := func() engine.Batches { return engine.Rebatch(pictures(samples), size) }
				files := func(c *narrow.Calibrated, err error) map[string]string {
					t.Helper()
					if err != nil {
						t.Fatal(err)
					}
					fs, err := c.Files()
					if err != nil {
						t.Fatal(err)
					}
					out := map[string]string{}
					for name, data := range fs {
						out[name] = string(data)
					}
					return out
				}
				run := func(p *calibrate.Checkpoint, in engine.Batches) (*narrow.Calibrated, error) {
					return resolved.Calibrate(context.Background(), testnet.Runner(t), in, calibrate.Options{Propagate: how, Checkpoint: p})
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
					got := files(run(&calibrate.Checkpoint{State: state}, from(in(), first)))
					if !maps.Equal(got, want) {
						t.Errorf("after %d samples: %v differ", done[i], changedFiles(want, got))
					}
				}
				// A state of other batches is no use, and says so.
				if _, err := run(&calibrate.Checkpoint{State: states[0]}, from(in(), 30)); err == nil || !strings.Contains(err.Error(), "begins at sample") {
					t.Errorf("batches that begin too late: %v", err)
				}
			})
		}
	}
}

// from leaves out the batches before sample first.
func from(in engine.Batches, first int) engine.Batches {
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

// TestCheckpointFile: a checkpoint goes on what it is of and nothing else.
func TestCheckpointFile(t *testing.T) {
	m := testnet.Bundled(t)
	resolved, _, err := m.Resolve(strategy.Default())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "new", "c")
	opts := calibrate.Options{Propagate: calibrate.Progressive}
	of := func() *narrow.Checkpoint {
		c, err := resolved.Checkpoint("samples", 16, opts)
		if err != nil {
			t.Fatal(err)
		}
		c.Engine = "an engine 1.0"
		return c
	}
	c := of()
	if err := c.Read(file); err != nil || c.State != nil {
		t.Fatalf("no file: %v", err)
	}
	c.Samples, c.State = 32, []byte("state\nof things")
	if err := c.Write(file); err != nil {
		t.Fatal(err)
	}
	again := of()
	if err := again.Read(file); err != nil || again.Samples != 32 || !bytes.Equal(again.State, c.State) {
		t.Fatalf("%+v, %v", again, err)
	}
	for want, change := range map[string]func(*narrow.Checkpoint){
		"another version of narrow":                         func(c *narrow.Checkpoint) { c.Version = "v9" },
		"another engine (an engine 1.0, not an engine 2.0)": func(c *narrow.Checkpoint) { c.Engine = "an engine 2.0" },
		"another model":                                     func(c *narrow.Checkpoint) { c.ModelSHA256 = "x" },
		"another strategy":                                  func(c *narrow.Checkpoint) { c.StrategySHA256 = "x" },
		"another network":                                   func(c *narrow.Checkpoint) { c.NetworkSHA256 = "x" },
		"other samples":                                     func(c *narrow.Checkpoint) { c.SamplesSHA256 = "x" },
		"another batch size (16, not 8)":                    func(c *narrow.Checkpoint) { c.BatchSize = 8 },
		"another --propagate (progressive, not float)":      func(c *narrow.Checkpoint) { c.Propagate = "float" },
		"another --skip-invalid (false, not true)":          func(c *narrow.Checkpoint) { c.SkipInvalid = true },
		"another --accuracy (guide, not high)":              func(c *narrow.Checkpoint) { c.Accuracy = "high" },
	} {
		other := of()
		change(other)
		err := other.Read(file)
		var mismatch *narrow.CheckpointMismatchError
		if !errors.As(err, &mismatch) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file) || other.State != nil {
			t.Errorf("%v, want %q", err, want)
		}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for want, data := range map[string][]byte{
		"is damaged":       data[:len(data)-1],
		"is no checkpoint": []byte(`{"format": "narrow.quant_info/1"}`),
	} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := of().Read(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	// Whatever a state holds, it is an error and no panic.
	for _, state := range [][]byte{nil, []byte("x"), data} {
		_, err := resolved.Calibrate(context.Background(), testnet.Runner(t), pictures(8), calibrate.Options{Checkpoint: &calibrate.Checkpoint{State: append([]byte{}, state...)}})
		if err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("a state of %d bytes: %v", len(state), err)
		}
	}
}
