package observe

import (
	"math"

	"narrow/internal/kernel"
	"narrow/scheme"
)

// middle returns (a+b)/2, also where the sum is beyond float32.
func middle(a, b float32) float32 {
	if m := (a + b) / 2; m <= math.MaxFloat32 {
		return m
	}
	return a/2 + b/2
}

// mseDirect is the largest integer up to which a level holds at least two bins
// of any range searched; beyond, going from level to level saves nothing.
const mseDirect = searchStart / 3

// mseCenter returns the bin centre that, as clipping range, gives the smallest
// mean squared error between the bins' centres and their quantized selves,
// weighted by count; the smallest on a tie. hi is the largest integer.
//
// Levels are those of the reference: float32(centre * (hi/range)), rounded by
// mode. Its search works for half_even only; here all modes do. Sums are
// float64.
func mseCenter(h *kernel.Histogram, limit float32, hi int64, mode scheme.RoundMode) float32 {
	s := mseSearch{top: float32(hi), mode: mode}
	below := edge(limit, 0)
	for i, c := range h {
		above := edge(limit, i+1)
		s.centers[i], s.count[i] = middle(below, above), float64(c)
		below = above
	}
	s.width = float64(limit) / kernel.HistogramBins
	// Moments of the counts about bin 0. They are integers below 2^54, so that
	// moving them to another bin is all but exact.
	for i, c := range s.count {
		j := float64(i)
		s.moment[i+1] = [3]float64{s.moment[i][0] + c, s.moment[i][1] + float64(c*j), s.moment[i][2] + float64(c*float64(j*j))}
	}
	best, bestAt := math.Inf(1), searchStart
	for i := searchStart; i < kernel.HistogramBins; i += searchStride {
		var e float64
		if hi > mseDirect {
			e = s.direct(s.centers[i])
		} else {
			e = s.byLevel(s.centers[i])
		}
		if e < best {
			best, bestAt = e, i
		}
	}
	return s.centers[bestAt]
}

// mseSearch is what the candidates of one search share.
type mseSearch struct {
	width   float64
	top     float32
	mode    scheme.RoundMode
	centers [kernel.HistogramBins]float32
	count   [kernel.HistogramBins]float64
	// moment[i] are the sums of count, count*bin and count*bin^2 below bin i.
	moment [kernel.HistogramBins + 1][3]float64
}

// level returns the integer of bin j's centre.
func (s *mseSearch) level(j int, amp float32) float32 {
	return min(roundPositive(float32(s.centers[j]*amp), s.mode), s.top)
}

// direct returns the error of a clipping range, bin by bin.
func (s *mseSearch) direct(limit float32) float64 {
	amp, sum := s.top/limit, 0.0
	for j, c := range s.count {
		if c == 0 {
			continue
		}
		d := float64(s.centers[j]) - float64(s.level(j, amp)/amp)
		sum += float64(c * float64(d*d))
	}
	return sum
}

// byLevel returns the error of a clipping range, level by level: the bins of
// one level lie side by side, and their sum of squares about the level follows
// from their moments.
func (s *mseSearch) byLevel(limit float32) float64 {
	amp, sum := s.top/limit, 0.0
	binsPerLevel := 1 / (float64(amp) * s.width)
	level, tieUp := float32(0), s.mode != scheme.HalfDown && s.mode != scheme.HalfEven
	// above reports whether bin j rounds to more than level.
	above := func(j int) bool {
		v := float32(s.centers[j] * amp)
		return v > level+0.5 || v == level+0.5 && tieUp
	}
	for from := 0; from < kernel.HistogramBins; level++ {
		to := kernel.HistogramBins
		if level < s.top {
			if s.mode == scheme.HalfEven {
				tieUp = int(level)%2 == 1
			}
			// A level holds two bins or more, and the guess is off by a rounding
			// at most.
			to = min(max(int((float64(level)+0.5)*binsPerLevel+0.5), from+1), kernel.HistogramBins)
			for to > from+1 && above(to-1) {
				to--
			}
			for to < kernel.HistogramBins && !above(to) {
				to++
			}
		}
		a, b := &s.moment[from], &s.moment[to]
		if m0 := b[0] - a[0]; m0 > 0 {
			// Moments about bin `from`, then about the level.
			f := float64(from)
			m1 := b[1] - a[1] - float64(f*m0)
			m2 := b[2] - a[2] - float64(2*f*(b[1]-a[1])) + float64(f*f*m0)
			t := float64(level/amp)/s.width - 0.5 - f
			sum += m2 - float64(2*t*m1) + float64(t*t*m0)
		}
		from = to
	}
	return sum
}

// roundPositive rounds a number that is not negative.
func roundPositive(v float32, mode scheme.RoundMode) float32 {
	x := float64(v)
	switch mode {
	case scheme.HalfDown:
		return float32(math.Ceil(x - 0.5))
	case scheme.HalfUp, scheme.StdRound:
		return float32(math.Floor(x + 0.5))
	}
	return float32(math.RoundToEven(x))
}
