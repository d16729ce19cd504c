package report

import "slices"

// channelBudget is how many channels, over all tensors, a page may hold: each
// takes some 22 bytes.
const channelBudget = 60_000

// limitChannels joins neighbouring channels, more and more of them, until all
// tensors together keep within the budget: a page of a large network stays
// small, and a screen has no more columns than that anyway.
func limitChannels(tensors []Tensor) {
	most := 1024
	for ; most > 16; most /= 2 {
		total := 0
		for _, t := range tensors {
			if t.Seen != nil && t.Seen.Channels != nil {
				total += min(t.Seen.Channels.Count, most)
			}
		}
		if total <= channelBudget {
			break
		}
	}
	for _, t := range tensors {
		if t.Seen != nil && t.Seen.Channels != nil {
			t.Seen.Channels.join(most)
		}
	}
}

// join makes at most most elements of the channels, and one of a grid that all
// of them have.
func (c *Channels) join(most int) {
	c.Per = max(1, (c.Count+most-1)/most)
	c.Min, c.Max = group(c.Min, c.Per, lower), group(c.Max, c.Per, higher)
	c.Low, c.High = group(c.Low, c.Per, higher), group(c.High, c.Per, lower)
	if len(slices.Compact(slices.Clone(c.Low))) == 1 && len(slices.Compact(slices.Clone(c.High))) == 1 {
		c.Low, c.High = c.Low[:1], c.High[:1]
	}
}

func lower(a, b float32) float32  { return min(a, b) }
func higher(a, b float32) float32 { return max(a, b) }

func group(in Floats, per int, join func(a, b float32) float32) Floats {
	var out Floats
	for i, v := range in {
		if i%per == 0 {
			out = append(out, v)
		} else {
			out[len(out)-1] = join(out[len(out)-1], v)
		}
	}
	return out
}

// binBudget is how many bins of histograms, over all tensors, a page may hold:
// each takes some 4 bytes.
const binBudget = 250_000

// limitHistograms joins neighbouring bins of all histograms by twos until they
// keep within the budget.
func limitHistograms(tensors []Tensor) {
	for range 3 {
		total := 0
		for _, t := range tensors {
			if t.Seen != nil && t.Seen.Histogram != nil {
				total += len(t.Seen.Histogram.Counts)
			}
		}
		if total <= binBudget {
			return
		}
		for _, t := range tensors {
			if t.Seen != nil && t.Seen.Histogram != nil {
				t.Seen.Histogram.halve()
			}
		}
	}
}

// halve makes one bin of two.
func (h *Histogram) halve() {
	var out Counts
	for i, n := range h.Counts {
		if i%2 == 0 {
			out = append(out, n)
		} else {
			out[i/2] += n
		}
	}
	h.Counts, h.Width = out, 2*h.Width
}
