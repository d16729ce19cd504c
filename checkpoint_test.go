package narrow_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"narrow"
	"narrow/calibrate"
	"narrow/engine"
	"narrow/internal/testnet"
)

// TestCheckpointOption: a calibration that is broken off resumes from its file,
// to the same result, reading only what is not done; one of something else is
// told what the file is of.
func TestCheckpointOption(t *testing.T) {
	for _, tt := range []struct {
		accuracy      narrow.Accuracy
		samples, stop int
	}{
		{narrow.Guide, 54, 48},
		{narrow.High, 54, 48},
		{narrow.High, 270, 264}, // behind the samples that are kept
	} {
		t.Run(fmt.Sprint(tt.accuracy, tt.samples), func(t *testing.T) { checkCheckpoint(t, tt.accuracy, tt.samples, tt.stop) })
	}
}

func checkCheckpoint(t *testing.T, accuracy narrow.Accuracy, samples, stop int) {
	ctx := context.Background()
	m := testnet.Bundled(t)
	p := testnet.PlanFor(t, m, "{}", accuracy)
	file := filepath.Join(t.TempDir(), "c")
	const size = 6
	in := func() engine.Batches { return engine.Rebatch(pictures(samples), size) }
	want := save(t, calibratedOn(t, p, in(), narrow.CalibrateOptions{SamplesSHA256: "aa"}))
	resumed, from, written := 0, -1, 0
	opts := narrow.CalibrateOptions{SamplesSHA256: "aa", Checkpoint: &narrow.Checkpoint{
		File: file, BatchSize: size, Engine: "an engine 1.0",
		From:    func(n int) engine.Batches { from = n; return fromSample(in(), n) },
		Resumed: func(n int) { resumed = n },
		Write:   func(write func() error) error { written++; return write() },
	}}
	short, cancel := context.WithCancel(ctx)
	defer cancel()
	broken := opts
	broken.Progress = func(n int) {
		if n >= stop {
			cancel()
		}
	}
	if _, err := p.Calibrate(short, testnet.Runner(t), in(), broken); !errors.Is(err, context.Canceled) {
		t.Fatalf("not broken off: %v", err)
	}
	if written == 0 || resumed != 0 || from != -1 {
		t.Fatalf("written %d times, resumed after %d", written, resumed)
	}
	c := calibratedOn(t, p, in(), opts)
	// High hears of a batch before the guide has seen it too.
	if begin := stop / (8 * size) * (8 * size); resumed < stop-2*size || from != begin && from != begin-8*size {
		t.Errorf("resumed after %d samples, batches from %d", resumed, from)
	}
	if !maps.Equal(content(t, save(t, c)), content(t, want)) {
		t.Error("resuming gives another result")
	}
	if c = calibratedOn(t, p, in(), opts); resumed != samples || !maps.Equal(content(t, save(t, c)), content(t, want)) {
		t.Errorf("resuming behind all samples, %d, gives another result", resumed)
	}
	other := opts
	other.SamplesSHA256 = "bb"
	_, err := p.Calibrate(ctx, testnet.Runner(t), in(), other)
	var mismatch *narrow.MismatchError
	if !errors.As(err, &mismatch) || mismatch.Of != "samples" || !strings.Contains(err.Error(), file) {
		t.Errorf("other samples: %v", err)
	}
	if accuracy == narrow.High {
		other = opts
		other.RefineSamples = 40
		if _, err := p.Calibrate(ctx, testnet.Runner(t), in(), other); !errors.As(err, &mismatch) || !strings.Contains(err.Error(), "(256, not 40)") && !strings.Contains(err.Error(), "(0, not 40)") {
			t.Errorf("another number of samples to choose over: %v", err)
		}
	}
	if _, err := p.Calibrate(ctx, testnet.Runner(t), in(), narrow.CalibrateOptions{Propagate: calibrate.Float, SaveStats: io.Discard, Checkpoint: &narrow.Checkpoint{File: filepath.Join(t.TempDir(), "d")}}); err == nil {
		t.Error("a checkpoint went with statistics")
	}
}

// calibratedOn calibrates on given batches.
func calibratedOn(t *testing.T, p *narrow.Planned, in engine.Batches, opts narrow.CalibrateOptions) *narrow.Calibrated {
	t.Helper()
	c, err := p.Calibrate(context.Background(), testnet.Runner(t), in, opts)
	if err != nil {
		t.Fatal(err)
	}
	return c
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
