// Package kernel holds the inner loops over float32 tensors: extent and
// finiteness, histogram, fake quantization, squared differences, half-float
// rounding and error sums; and over float64, products of columns.
//
// In come slices of float32 in C order, out come numbers or slices of the same
// length. The rule of the house: the plain Go loop (xxxGo) is the definition,
// it stays in every binary, and every faster loop equals it bit for bit.
// Results never depend on how many workers shared the work: a tensor is always
// cut into the same blocks, and block results are joined in block order.
//
// Nothing here knows strategies, models or tensors' names.
package kernel

// blockLen is how many elements one unit of parallel work holds: 128 KiB, which
// stays in a core's own cache. Sums are taken per block and joined in order, so
// changing it changes last bits of sums.
const blockLen = 1 << 15

// blocks returns how many blocks n elements make.
func blocks(n int) int { return (n + blockLen - 1) / blockLen }

// block returns the bounds of block b of n elements.
func block(b, n int) (lo, hi int) { return b * blockLen, min((b+1)*blockLen, n) }

// Layout says where the channels of a tensor in C order lie: element
// (o, c, i) is at (o*Channels+c)*Inner+i.
type Layout struct{ Outer, Channels, Inner int }

// NewLayout returns the layout of channels along axis of a tensor of that
// shape; a negative axis means one channel that holds everything.
func NewLayout(shape []int64, axis int) Layout {
	l := Layout{1, 1, 1}
	for i, d := range shape {
		switch {
		case axis < 0 || i > axis:
			l.Inner *= int(d)
		case i < axis:
			l.Outer *= int(d)
		default:
			l.Channels = int(d)
		}
	}
	return l
}

// Len returns the number of elements.
func (l Layout) Len() int { return l.Outer * l.Channels * l.Inner }
