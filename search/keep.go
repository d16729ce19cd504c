package search

import (
	"math"
	"slices"

	"narrow/engine"
)

// keepBytes is how much memory a set of samples may take.
const keepBytes = 1 << 30

// extent is where a batch lies in its set.
type extent struct{ first, count int }

// keep reads the batches once and returns them to be gone through many times:
// from memory, or, where they take more than limit bytes, from in again.
func keep(in engine.Batches, limit int) (engine.Batches, []extent, error) {
	var kept []*engine.Batch
	var extents []extent
	size, all := 0, true
	for b, err := range in {
		if err != nil {
			return nil, nil, err
		}
		extents = append(extents, extent{b.First, b.Count})
		if !all {
			continue
		}
		c := *b
		c.Names = slices.Clone(b.Names)
		c.Inputs = map[string]engine.Tensor{}
		for name, t := range b.Inputs {
			size += 4*len(t.Floats) + len(t.Raw)
			for _, s := range t.Strings {
				size += len(s)
			}
			c.Inputs[name] = engine.Tensor{Type: t.Type, Shape: slices.Clone(t.Shape), Floats: slices.Clone(t.Floats), Raw: slices.Clone(t.Raw), Strings: slices.Clone(t.Strings)}
		}
		if kept = append(kept, &c); size > limit {
			kept, all = nil, false
		}
	}
	if !all {
		return in, extents, nil
	}
	return func(yield func(*engine.Batch, error) bool) {
		for _, b := range kept {
			if !yield(b, nil) {
				return
			}
		}
	}, extents, nil
}

// firstSamples yields whole batches until at least n samples.
func firstSamples(in engine.Batches, n int) engine.Batches {
	return func(yield func(*engine.Batch, error) bool) {
		seen := 0
		for b, err := range in {
			if !yield(b, err) || err != nil {
				return
			}
			if seen += b.Count; seen >= n {
				return
			}
		}
	}
}

// fromDecibel returns noise as a share of the signal.
func fromDecibel(sqnr float64) float64 {
	noise := math.Pow(10, -sqnr/10)
	if !(noise <= MaxNoise) {
		return MaxNoise
	}
	return noise
}
