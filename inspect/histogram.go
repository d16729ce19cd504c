package inspect

import (
	"math"
	"sync"

	"narrow/internal/kernel"
)

// counter counts values in bins over a range that grows with them, always by
// doubling: the counts are those of one look at all values, in whatever order
// and parts they come.
type counter struct {
	// limit is a power of two above every magnitude so far, 0 before the first.
	limit float32
	// neg and pos count by magnitude, in bins of limit/2048.
	neg, pos [kernel.HistogramBins]int64
	mu       sync.Mutex
}

// most is the magnitude from which values are not counted: twice it would
// not be finite.
const most = 0x1p127

// smallest is the least limit: below it magnitudes have no exact bins.
const smallest = 0x1p-115

// widen makes room for magnitudes up to mag, which is below most.
func (c *counter) widen(mag float32) {
	limit := max(c.limit, smallest)
	for limit <= mag {
		limit *= 2
	}
	if c.limit > 0 {
		for from := c.limit; from < limit; from *= 2 {
			halve(&c.neg)
			halve(&c.pos)
		}
	}
	c.limit = limit
}

// halve joins each two bins.
func halve(bins *[kernel.HistogramBins]int64) {
	const half = kernel.HistogramBins / 2
	for i := range half {
		bins[i] = bins[2*i] + bins[2*i+1]
	}
	clear(bins[half:])
}

// add counts x, all of it below the limit. It may be called by several
// goroutines at once, but for widen.
func (c *counter) add(x []float32) {
	var neg, pos kernel.Histogram
	kernel.SignedHistogram(&neg, &pos, x, c.limit)
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range neg {
		c.neg[i] += int64(neg[i])
		c.pos[i] += int64(pos[i])
	}
}

// histogram joins the bins to Bins that hold all values: as narrow ones as can
// be, with an edge at 0.
func (c *counter) histogram() Histogram {
	const n = kernel.HistogramBins
	at := func(i int) int64 { // from the lowest bin, 0 is at n
		if i < n {
			return c.neg[n-1-i]
		}
		return c.pos[i-n]
	}
	first, last := 2*n, -1
	for i := range 2 * n {
		if at(i) > 0 {
			first, last = min(first, i), i
		}
	}
	if last < 0 {
		return Histogram{}
	}
	width, start := 1, 0
	for ; ; width++ {
		start = n + floorDiv(first-n, width)*width
		if start+Bins*width > last {
			break
		}
	}
	h := Histogram{Counts: make([]int64, Bins)}
	step := float64(c.limit) / n
	h.Low, h.Width = float64(start-n)*step, float64(width)*step
	for i := first; i <= last; i++ {
		h.Counts[(i-start)/width] += at(i)
	}
	return h
}

func floorDiv(a, b int) int { return int(math.Floor(float64(a) / float64(b))) }
