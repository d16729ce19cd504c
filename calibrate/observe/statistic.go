package observe

import (
	"cmp"
	"slices"

	"narrow/scheme"
)

// samples is the sorted multiset of what the batches gave for one channel.
type samples struct {
	scales []float64
	zeros  []int64
}

// insert puts v where it belongs in the sorted s.
func insert[T cmp.Ordered](s []T, v T) []T {
	i, _ := slices.BinarySearch(s, v)
	return slices.Insert(s, i, v)
}

func (s *samples) add(u unit) {
	s.scales = insert(s.scales, u.scale)
	s.zeros = insert(s.zeros, u.zero)
}

func (s *samples) merge(o samples) {
	s.scales = mergeSorted(s.scales, o.scales)
	s.zeros = mergeSorted(s.zeros, o.zeros)
}

func mergeSorted[T cmp.Ordered](a, b []T) []T {
	out := append(slices.Clone(a), b...)
	slices.Sort(out)
	return out
}

// mode returns the commonest value of the sorted s; on a tie the smallest, or
// the largest.
func mode[T cmp.Ordered](s []T, largest bool) T {
	var best T
	most := 0
	for i := 0; i < len(s); {
		j := i + 1
		for j < len(s) && s[j] == s[i] {
			j++
		}
		if j-i > most || largest && j-i == most {
			best, most = s[i], j-i
		}
		i = j
	}
	return best
}

// statistic joins the scales; the zero point is always modal. Where scales tie
// for modal, the smallest wins, or the largest.
func (s *samples) statistic(st scheme.Statistic, largest bool) unit {
	n := len(s.scales)
	u := unit{zero: mode(s.zeros, false)}
	switch st {
	case scheme.Max:
		u.scale = s.scales[n-1]
	case scheme.Mean:
		// Added from the smallest up: the order in which batches came must not show.
		for _, v := range s.scales {
			u.scale += v
		}
		u.scale /= float64(n)
	case scheme.Median:
		u.scale = s.scales[n/2]
		if n%2 == 0 {
			u.scale = (s.scales[n/2-1] + s.scales[n/2]) / 2
		}
	default:
		u.scale = mode(s.scales, largest)
	}
	return u
}
