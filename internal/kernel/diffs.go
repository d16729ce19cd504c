package kernel

import "math"

// MaxDiffs is how many fix positions SquaredDiffs takes at once.
const MaxDiffs = 5

// lanes is how many partial sums a block's sum is kept in: element i adds to
// partial sum i mod lanes. Eight is what one vector of doubles of AVX-512 or
// two of AVX2 hold.
const lanes = 8

// SquaredDiffs returns, for the n <= 5 fix positions first, first+1, ..., the
// sum of squared differences between x and its fake-quantized self with scale
// 2^-p and integers lo..hi. x is read once. Fix positions are in -126..126.
//
// The round mode does not matter: at a tie both neighbours are half a step away.
//
// A difference is taken in steps, in float32; its square and the sums are
// float64, eight partial sums per block of 2^15 elements, so that the result
// depends on x only. Scaling by 2^p is exact where |x|*2^p stays in float32's
// normal range.
func (p *Pool) SquaredDiffs(x []float32, first, n int, lo, hi int64) [MaxDiffs]float64 {
	f := squaredDiffs
	if lo < -exactInt || hi > exactInt {
		f = squaredDiffsWide
	}
	k := blocks(len(x))
	if k <= 1 {
		return f(x, first, n, lo, hi)
	}
	parts := make([][MaxDiffs]float64, k)
	p.Run(k, func(b int) {
		from, to := block(b, len(x))
		parts[b] = f(x[from:to], first, n, lo, hi)
	})
	var sums [MaxDiffs]float64
	for i := range n {
		for _, s := range parts {
			sums[i] += s[i]
		}
	}
	return sums
}

// SquaredDiffs is [Pool.SquaredDiffs] in the caller's goroutine.
func SquaredDiffs(x []float32, first, n int, lo, hi int64) [MaxDiffs]float64 {
	return (*Pool)(nil).SquaredDiffs(x, first, n, lo, hi)
}

// laneSums are the partial sums of each fix position, in steps squared.
type laneSums [MaxDiffs][lanes]float64

// total joins the partial sums and gives them the unit of x, first being the
// first fix position.
func (l *laneSums) total(first int) (out [MaxDiffs]float64) {
	for i := range l {
		s := &l[i]
		sum := ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))
		out[i] = math.Ldexp(sum, -2*(first+i))
	}
	return out
}

// squaredDiffsGo is the definition for one block.
func squaredDiffsGo(x []float32, first, n int, lo, hi int64) [MaxDiffs]float64 {
	var l laneSums
	l.add(x, 0, first, n, float32(lo), float32(hi))
	return l.total(first)
}

// add adds x[from:], element by element.
func (l *laneSums) add(x []float32, from, first, n int, lo, hi float32) {
	for c := range n {
		amp := float32(math.Ldexp(1, first+c))
		s := &l[c]
		for i, v := range x[from:] {
			d := float64(beyond(float32(v*amp), lo, hi))
			s[(from+i)%lanes] += float64(d * d)
		}
	}
}

// magic is 1.5*2^52: adding it to a smaller float64 leaves no fraction.
const magic = 0x1.8p52

// beyond returns the difference between v and its quantized self, in steps.
// Clamping first changes nothing, as lo and hi are integers.
func beyond(v, lo, hi float32) float32 {
	return v - float32(float64(min(max(v, lo), hi))+magic-magic)
}

// squaredDiffsWide is the definition where float32 does not hold the integers.
func squaredDiffsWide(x []float32, first, n int, lo, hi int64) [MaxDiffs]float64 {
	var l laneSums
	for c := range n {
		amp := math.Ldexp(1, first+c)
		for i, f := range x {
			v := float64(f) * amp
			d := v - min(max(math.RoundToEven(v), float64(lo)), float64(hi))
			l[c][i%lanes] += float64(d * d)
		}
	}
	return l.total(first)
}
