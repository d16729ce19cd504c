package observe

import (
	"cmp"
	"maps"
	"slices"

	"narrow/internal/exact"
	"narrow/scheme"
)

// samples is what the batches gave for one channel, as much of it as the statistic
// needs: for modal how often every scale came, for max the largest, for mean their
// exact sum, for median all of them.
type samples struct {
	st    scheme.Statistic
	n     int
	zeros counts[int64]

	scales  counts[float64]
	largest float64
	sum     exact.Sum
	all     sorted
}

// counts tells how often each value came.
type counts[T cmp.Ordered] map[T]int

// mode returns the commonest value; on a tie the smallest, or the largest.
func (c counts[T]) mode(largest bool) T {
	var best T
	most := 0
	for v, n := range c {
		if n > most || n == most && (v > best) == largest {
			best, most = v, n
		}
	}
	return best
}

func (c *counts[T]) add(v T, n int) {
	if *c == nil {
		*c = counts[T]{}
	}
	(*c)[v] += n
}

func (c *counts[T]) merge(o counts[T]) {
	for v, n := range o {
		c.add(v, n)
	}
}

// keys returns the values in ascending order.
func (c counts[T]) keys() []T { return slices.Sorted(maps.Keys(c)) }

// sorted is a multiset of numbers, put in order when they are asked for.
type sorted struct {
	x []float64
	// done is how many of x, from the first, are in order.
	done int
}

// values returns them in ascending order.
func (s *sorted) values() []float64 {
	if s.done == len(s.x) {
		return s.x
	}
	tail := slices.Clone(s.x[s.done:])
	slices.Sort(tail)
	for at, i := len(s.x)-1, s.done-1; len(tail) > 0; at-- {
		if last := tail[len(tail)-1]; i < 0 || s.x[i] <= last {
			s.x[at], tail = last, tail[:len(tail)-1]
		} else {
			s.x[at], i = s.x[i], i-1
		}
	}
	s.done = len(s.x)
	return s.x
}

func (s *samples) add(u unit) {
	s.n++
	s.zeros.add(u.zero, 1)
	switch s.st {
	case scheme.Max:
		s.largest = max(s.largest, u.scale)
	case scheme.Mean:
		s.sum.Add(u.scale)
	case scheme.Median:
		s.all.x = append(s.all.x, u.scale)
	default:
		s.scales.add(u.scale, 1)
	}
}

func (s *samples) merge(o *samples) {
	s.n += o.n
	s.zeros.merge(o.zeros)
	s.scales.merge(o.scales)
	s.largest = max(s.largest, o.largest)
	s.sum.Merge(&o.sum)
	s.all.x = append(s.all.x, o.all.x...)
}

// statistic joins the scales; the zero point is always modal. Where scales tie
// for modal, the smallest wins, or the largest.
func (s *samples) statistic(largest bool) unit {
	u := unit{zero: s.zeros.mode(false)}
	switch s.st {
	case scheme.Max:
		u.scale = s.largest
	case scheme.Mean:
		u.scale = s.sum.Float64() / float64(s.n)
	case scheme.Median:
		x := s.all.values()
		u.scale = x[s.n/2]
		if s.n%2 == 0 {
			u.scale = (x[s.n/2-1] + x[s.n/2]) / 2
		}
	default:
		u.scale = s.scales.mode(largest)
	}
	return u
}
