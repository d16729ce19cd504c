package kernel

import "math"

// Round is how ties are rounded. The values are those of scheme.RoundMode,
// which this package may not import. The zero value is invalid.
type Round uint8

const (
	// HalfEven rounds ties to the even neighbour.
	HalfEven Round = iota + 1
	// HalfUp rounds ties towards +infinity.
	HalfUp
	// HalfDown rounds ties towards zero.
	HalfDown
	// StdRound rounds ties away from zero, as C's round does.
	StdRound
)

// round rounds v to an integer. The arithmetic is in float64, where v+0.5 is
// exact for every float32 v whose fraction matters, so no tie is made or lost.
// NaN and Inf stay what they are.
func (r Round) round(v float32) float64 {
	x := float64(v)
	switch r {
	case HalfUp:
		return math.Floor(x + 0.5)
	case HalfDown:
		return math.Copysign(math.Ceil(math.Abs(x)-0.5), x)
	case StdRound:
		return math.Copysign(math.Floor(math.Abs(x)+0.5), x)
	}
	return math.RoundToEven(x)
}
