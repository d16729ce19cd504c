// Package scheme is the vocabulary of quantization: which kinds of tensors
// there are, what can be set for one of them, and what calibration finds.
//
// Nothing here reads a file or a model. The zero value of every enum is
// invalid, so that a setting that nobody chose is found out.
package scheme

import "math"

// Settings are the eleven things that can be set for one tensor. Spec: the
// "Settings" table of the strategy file.
type Settings struct {
	Datatype Datatype
	// BitWidth is in 2..32 and counts only for Int.
	BitWidth int
	Method   Method
	// Percentage is in (0, 100] and counts only for the method Percentile.
	Percentage  float64
	RoundMode   RoundMode
	Symmetry    bool
	PerChannel  bool
	Signed      bool
	NarrowRange bool
	ScaleType   ScaleType
	// Statistic joins the scales of several batches (input and activation only).
	Statistic Statistic
}

// Range returns the smallest and the largest integer of a quantized tensor:
// signed symmetric [-2^(b-1), 2^(b-1)-1], with narrow range
// [-2^(b-1)+1, 2^(b-1)-1]; unsigned or asymmetric [0, 2^b-1].
func (s Settings) Range() (lo, hi int64) {
	if s.Signed && s.Symmetry {
		lo, hi = -(int64(1) << (s.BitWidth - 1)), int64(1)<<(s.BitWidth-1)-1
		if s.NarrowRange {
			lo++
		}
		return lo, hi
	}
	return 0, int64(1)<<s.BitWidth - 1
}

// Encoding is how one tensor is quantized: what calibration found for its
// settings. q = clamp(round(x/Scale) + ZeroPoint, Min, Max).
type Encoding struct {
	// Scale holds one positive scale, or one per channel along Axis.
	Scale []float32
	// ZeroPoint is as long as Scale.
	ZeroPoint []int64
	// FixPosition p has Scale = 2^-p; nil unless the scale type is PowerOfTwo.
	FixPosition []int
	// Axis is the channel axis, or -1 per tensor.
	Axis int
	// Min and Max are the smallest and largest integer.
	Min, Max int64
	// Batches is how many batches were seen.
	Batches int
}

// FixScale returns the scale 2^-p of a fix position.
func FixScale(p int) float32 { return float32(math.Ldexp(1, -p)) }
