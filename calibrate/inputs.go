package calibrate

import (
	"math"

	"narrow/diag"
	"narrow/engine"
	"narrow/scheme"
)

// When samples count as other than those that calibrated.
const (
	// rangeFactor is how far beyond a calibrated range a value lies out of it:
	// every method but percentile keeps at least three quarters of the largest
	// magnitude, so that like samples end at 4/3.
	rangeFactor = 1.35
	// rangeShare is the share of such values that is told, beside what percentile
	// clips.
	rangeShare = 0.01
	// rangeReach is the part of the range that samples at least reach: a power of
	// two is at most twice as wide as it has to be, and samples differ.
	rangeReach = 1. / 8
	// rangeSamples is how many samples it takes to say that they do not reach.
	rangeSamples = 8
	// zeroStep is a scale no smaller than that of a tensor that was zero throughout:
	// 2^-18, and with diffs up to this.
	zeroStep = 0x1p-12
)

// inputRange counts how the values that enter one input lie to the range that
// was calibrated for it.
type inputRange struct {
	name string
	// bound is the largest magnitude of the range; clipped is the share of values
	// that the method clips by design.
	bound, clipped float64
	// zeros: it looks as if nothing but zeros calibrated it, as where a recurrent
	// network's state begins.
	zeros           bool
	largest         float64
	values, outside int
	samples         int
}

// InputWatch counts how the values that enter a network lie to the ranges that
// were calibrated for its inputs: whether samples are like those that calibrated.
type InputWatch struct{ inputs []*inputRange }

// WatchInputs returns a watch for every input of the network that is quantized
// to integers.
func (c *Calibrated) WatchInputs() *InputWatch {
	w := &InputWatch{}
	for _, t := range c.Plan.Tensors {
		s := t.Settings.Settings
		e, ok := c.Encodings[t]
		if t.Kind != scheme.Input || !t.NetworkInput || s.Datatype != scheme.Int || !ok || len(e.Scale) != 1 {
			continue
		}
		in := &inputRange{name: t.Name}
		for _, q := range []int64{e.Min, e.Max} {
			in.bound = max(in.bound, math.Abs(float64(q-e.ZeroPoint[0])*float64(e.Scale[0])))
		}
		in.zeros = e.Scale[0] <= zeroStep
		if s.Method == scheme.Percentile {
			in.clipped = 1 - s.Percentage/100
		}
		w.inputs = append(w.inputs, in)
	}
	return w
}

// InputCounts are what an [InputWatch] counted of one input.
type InputCounts struct {
	Name                     string
	Largest                  float64
	Values, Outside, Samples int
}

// Counts returns what was counted, for [InputWatch.Add].
func (w *InputWatch) Counts() []InputCounts {
	var out []InputCounts
	for _, r := range w.inputs {
		out = append(out, InputCounts{r.name, r.largest, r.values, r.outside, r.samples})
	}
	return out
}

// Add adds what a watch of the same calibration counted elsewhere.
func (w *InputWatch) Add(counts []InputCounts) {
	for _, c := range counts {
		for _, r := range w.inputs {
			if r.name == c.Name {
				r.largest = max(r.largest, c.Largest)
				r.values += c.Values
				r.outside += c.Outside
				r.samples += c.Samples
			}
		}
	}
}

// Findings warns of samples that are not like those that calibrated.
func (w *InputWatch) Findings() diag.List {
	var list diag.List
	for _, r := range w.inputs {
		list = append(list, r.findings()...)
	}
	return list
}

// Batches passes batches on and counts their values.
func (w *InputWatch) Batches(in engine.Batches) engine.Batches {
	return func(yield func(*engine.Batch, error) bool) {
		for b, err := range in {
			if err == nil {
				for _, r := range w.inputs {
					r.add(b.Inputs[r.name].Floats, b.Count)
				}
			}
			if !yield(b, err) {
				return
			}
		}
	}
}

func (r *inputRange) add(values []float32, samples int) {
	limit := float32(rangeFactor * r.bound)
	largest := float32(r.largest)
	for _, v := range values {
		if v < 0 {
			v = -v
		}
		if v > limit {
			r.outside++
		}
		if v > largest { // false for NaN
			largest = v
		}
	}
	r.largest = float64(largest)
	r.values += len(values)
	r.samples += samples
}

// findings is [InputWatch.Findings] for one input.
func (r *inputRange) findings() diag.List {
	if r.values == 0 {
		return nil
	}
	f := diag.Finding{
		Severity: diag.Warning, Code: "other-samples",
		Fix: diag.Textf("calibrate on samples like those that the network will see, with the same preprocessing"),
	}
	outside := float64(r.outside) / float64(r.values)
	switch {
	case outside > r.clipped+rangeShare:
		f.Message = diag.Textf("%.1f %% of the values that enter input %q lie far beyond the range that was calibrated (up to %.3g, against %.3g)",
			100*outside, r.name, r.largest, r.bound)
	case r.samples >= rangeSamples && !(r.zeros && r.largest == 0) && r.largest < rangeReach*r.bound:
		f.Message = diag.Textf("the values that enter input %q reach only %.2g %% of the range that was calibrated (up to %.3g, against %.3g)",
			r.name, 100*r.largest/r.bound, r.largest, r.bound)
	default:
		return nil
	}
	return diag.List{f}
}
