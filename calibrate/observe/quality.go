package observe

import (
	"math"

	"narrow/internal/kernel"
)

// Quality compares a tensor with its float self over any number of batches.
// The zero value has compared nothing.
type Quality struct{ Sums kernel.ErrorSums }

// Add compares one more batch: ref is float, test quantized, of one length.
func (q *Quality) Add(pool *kernel.Pool, ref, test []float32) {
	q.Sums = q.Sums.Join(pool.Errors(ref, test))
}

// Merge adds what other compared: commutative, and associative up to the
// rounding of float64 addition.
func (q *Quality) Merge(other Quality) { q.Sums = q.Sums.Join(other.Sums) }

// SQNR returns the signal to quantization noise ratio in dB,
// 10*log10(sum ref^2 / sum (ref-test)^2): +Inf where the two are equal, and -Inf
// where the signal is zero and the noise is not.
func (q Quality) SQNR() float64 {
	if q.Sums.DiffSquares == 0 {
		return math.Inf(1)
	}
	return 10 * math.Log10(q.Sums.RefSquares/q.Sums.DiffSquares)
}

// Cosine returns the cosine of the angle between the two, in -1..1; 1 where
// both are zero, 0 where one is.
func (q Quality) Cosine() float64 {
	a, b := q.Sums.RefSquares, q.Sums.TestSquares
	switch {
	case a == 0 && b == 0:
		return 1
	case a == 0 || b == 0:
		return 0
	}
	return min(max(q.Sums.Dot/(math.Sqrt(a)*math.Sqrt(b)), -1), 1)
}

// MSE returns the mean squared error, or 0 where nothing was compared.
func (q Quality) MSE() float64 {
	if q.Sums.N == 0 {
		return 0
	}
	return q.Sums.DiffSquares / float64(q.Sums.N)
}
