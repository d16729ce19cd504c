package observe

import "math"

// Sums tell the sums of a tally's values below any bound, each value taken as the
// middle of its bin.
type Sums struct {
	inverse float64 // of the bins' width
	// count, sum and squares are those of the first bins, in ascending order; zeros are a
	// bin of their own.
	count, sum, squares []float64
}

// Sums returns those of t.
func (t *Tally) Sums() *Sums {
	const all = 2*tallyBins + 1
	s := &Sums{inverse: math.Ldexp(1, -t.exponent), count: make([]float64, all+1), sum: make([]float64, all+1), squares: make([]float64, all+1)}
	if t.Empty() {
		return s
	}
	width, at := math.Ldexp(1, t.exponent), 0
	add := func(v float64, w uint64) {
		n := float64(w)
		s.count[at+1] = s.count[at] + n
		s.sum[at+1] = s.sum[at] + float64(n*v)
		s.squares[at+1] = s.squares[at] + float64(n*float64(v*v))
		at++
	}
	for i := tallyBins - 1; i >= 0; i-- {
		add(-(float64(i)+0.5)*width, t.bins[0][i])
	}
	add(0, t.zero)
	for i, w := range t.bins[1] {
		add((float64(i)+0.5)*width, w)
	}
	return s
}

// Below returns how much the values below v weigh, their weighted sum, and that of their
// squares.
func (s *Sums) Below(v float64) (count, sum, squares float64) {
	// Bins at the bound fall to one side whole.
	bins := math.Ceil(math.Abs(v)*s.inverse - 0.5)
	if v <= 0 {
		bins = math.Floor(-v*s.inverse-0.5) + 1
	}
	at := int(min(max(bins, 0), tallyBins))
	if v > 0 {
		at += tallyBins + 1
	} else {
		at = tallyBins - at
	}
	return s.count[at], s.sum[at], s.squares[at]
}

// All returns what [Sums.Below] returns for all values.
func (s *Sums) All() (count, sum, squares float64) {
	last := len(s.count) - 1
	return s.count[last], s.sum[last], s.squares[last]
}
