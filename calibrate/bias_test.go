package calibrate

import (
	"math"
	"testing"

	"narrow/internal/kernel"
)

// TestSettle follows vai_q_pytorch's schedule by hand (quant_noise.py,
// eval_qnoise): the quality is 1.25*log10(signal/noise), its mean and the mean
// of its changes move by a fifth, the rate halves above 4, and it ends above
// 4.3 or when the change is small beside the quality.
func TestSettle(t *testing.T) {
	l := &correction{}
	// 10 dB each time: e = 1.25, from 0.
	rate, stop := l.settle(1, 10)
	if rate != 0.05 || stop {
		t.Errorf("first: rate %v, stop %v", rate, stop)
	}
	if want := 1.25 * 0.2; math.Abs(l.efficiency-want) > 1e-12 || math.Abs(l.deviation-want) > 1e-12 {
		t.Errorf("after one: %v, %v, want %v", l.efficiency, l.deviation, want)
	}
	rate, stop = l.settle(1, 10)
	// d = 1.25-0.25 = 1; efficiency (0.25*4+1.25)/5 = 0.45; deviation (0.25*4+1)/5 = 0.4.
	if rate != 0.05 || stop || math.Abs(l.efficiency-0.45) > 1e-12 || math.Abs(l.deviation-0.4) > 1e-12 {
		t.Errorf("after two: rate %v, stop %v, %v, %v", rate, stop, l.efficiency, l.deviation)
	}
	if _, stop := l.settle(0, 10); !stop {
		t.Error("continues without noise")
	}
	good := &correction{efficiency: 4.1, deviation: 1}
	if rate, stop := good.settle(1, math.Pow(10, 4.2/1.25)); rate != 0.025 || stop {
		t.Errorf("good: rate %v, stop %v", rate, stop)
	}
	best := &correction{efficiency: 4.4, deviation: 1}
	if _, stop := best.settle(1, math.Pow(10, 4.5/1.25)); !stop {
		t.Error("continues above 4.3")
	}
	settled := &correction{efficiency: 3, deviation: 0.1}
	if _, stop := settled.settle(1, math.Pow(10, 3.1/1.25)); !stop {
		t.Error("continues when nothing changes")
	}
}

// TestChannelErrors: by hand, two samples of two channels of two elements.
func TestChannelErrors(t *testing.T) {
	out := []float32{1, 2, 3, 4, 5, 6, 7, 8}
	ref := []float32{1, 1, 3, 6, 5, 5, 7, 6}
	means, noise, signal := channelErrors(nil, kernel.NewLayout([]int64{2, 2, 2}, 1), out, ref)
	// Channel 0: 0, 1, 0, 1. Channel 1: 0, -2, 0, 2.
	if means[0] != 0.5 || means[1] != 0 {
		t.Errorf("means %v", means)
	}
	if noise != 10.0/8 || signal != (1+1+9+36+25+25+49+36)/8.0 {
		t.Errorf("noise %v, signal %v", noise, signal)
	}
}

// TestAverage: the mean error of each sample counts the same, however the
// samples come, and padding does not count.
func TestAverage(t *testing.T) {
	l := &correction{axis: 1, float: make([]float32, 2)}
	l.average([]float32{1, 2, 9, 9}, []float32{0, 0, 0, 0}, []int64{2, 2}, 1)
	l.average([]float32{3, 4, 5, 6}, []float32{0, 0, 0, 0}, []int64{2, 2}, 2)
	if l.samples != 3 || l.sum[0].Float64() != 9 || l.sum[1].Float64() != 12 {
		t.Errorf("%d samples, sums %v", l.samples, rounded(l.sum))
	}
}

// TestCompareSamples: batches of up to 4 are compared whole, of larger ones an
// eighth, rounded up: a batch of 5 must not be compared on nothing, which would
// be on all of it.
func TestCompareSamples(t *testing.T) {
	for rows, want := range map[int]int{1: 0, 4: 0, 5: 1, 8: 1, 9: 2, 12: 2, 16: 2, 17: 3, 64: 8, 65: 9} {
		if got := compareSamples(rows); got != want {
			t.Errorf("batches of %d are compared on %d samples, want %d", rows, got, want)
		}
	}
}
