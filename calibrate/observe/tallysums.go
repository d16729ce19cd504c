package observe

import "math"

// Sums tell the sums of a tally's values below any bound, each value taken as the
// middle of its bin.
type Sums struct {
	inverse float64 // of the bins' width
	// below are those of the first bins that are not empty, in ascending order, before
	// which so many are empty; zeros are a bin of their own.
	empty int
	below []Sum
}

// Sum is what values weigh, their weighted sum, and that of their squares.
type Sum struct{ Count, Sum, Squares float64 }

// Sums returns those of t.
func (t *Tally) Sums() *Sums {
	s := &Sums{inverse: math.Ldexp(1, -t.exponent)}
	negative, positive := used(t.bins[0]), used(t.bins[1])
	s.empty, s.below = tallyBins-len(negative), make([]Sum, 1, len(negative)+1+len(positive)+1)
	width := math.Ldexp(1, t.exponent)
	var all Sum
	add := func(v float64, w uint64) {
		n := float64(w)
		all.Count += n
		all.Sum += float64(n * v)
		all.Squares += float64(n * float64(v*v))
		s.below = append(s.below, all)
	}
	for i := len(negative) - 1; i >= 0; i-- {
		add(-(float64(i)+0.5)*width, negative[i])
	}
	add(0, t.zero)
	for i, w := range positive {
		add((float64(i)+0.5)*width, w)
	}
	return s
}

// used returns bins up to the last that is not empty.
func used(bins []uint64) []uint64 {
	n := len(bins)
	for n > 0 && bins[n-1] == 0 {
		n--
	}
	return bins[:n]
}

// Below returns that of the values below v.
func (s *Sums) Below(v float64) Sum {
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
	return s.below[min(max(at-s.empty, 0), len(s.below)-1)]
}

// All returns that of all values.
func (s *Sums) All() Sum { return s.below[len(s.below)-1] }

// Reach returns bounds that all values lie between.
func (s *Sums) Reach() (lo, hi float64) {
	width := 1 / s.inverse
	return -float64(tallyBins-s.empty) * width, float64(len(s.below)-2-(tallyBins-s.empty)) * width
}
