package kernel

import "math"

// RoundBFloat16 sets dst to src rounded to the nearest bfloat16, ties to even,
// kept in float32; what is beyond the largest finite one becomes infinite, NaN
// stays NaN. dst and src have one length and may be the same memory.
func (p *Pool) RoundBFloat16(dst, src []float32) {
	_ = dst[:len(src)]
	p.Run(blocks(len(src)), func(b int) {
		lo, hi := block(b, len(src))
		roundBFloat16(dst[lo:hi], src[lo:hi])
	})
}

// RoundFloat16 is RoundBFloat16 for IEEE half precision, subnormals included:
// magnitudes from 65520 up become infinite.
func (p *Pool) RoundFloat16(dst, src []float32) {
	_ = dst[:len(src)]
	p.Run(blocks(len(src)), func(b int) {
		lo, hi := block(b, len(src))
		roundFloat16(dst[lo:hi], src[lo:hi])
	})
}

// RoundBFloat16 is [Pool.RoundBFloat16] in the caller's goroutine.
func RoundBFloat16(dst, src []float32) { (*Pool)(nil).RoundBFloat16(dst, src) }

// RoundFloat16 is [Pool.RoundFloat16] in the caller's goroutine.
func RoundFloat16(dst, src []float32) { (*Pool)(nil).RoundFloat16(dst, src) }

func roundBFloat16Go(dst, src []float32) {
	for i, x := range src {
		dst[i] = FromBFloat16(ToBFloat16(x))
	}
}

func roundFloat16Go(dst, src []float32) {
	for i, x := range src {
		dst[i] = FromFloat16(ToFloat16(x))
	}
}

// ToBFloat16 returns the bits of the bfloat16 nearest to x. A NaN keeps its
// sign and upper payload and becomes quiet.
func ToBFloat16(x float32) uint16 {
	b := math.Float32bits(x)
	if b&absBits > infBits {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// FromBFloat16 returns the value of bfloat16 bits.
func FromBFloat16(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// ToFloat16 returns the bits of the IEEE half nearest to x. A NaN keeps its
// sign and upper payload and becomes quiet.
func ToFloat16(x float32) uint16 {
	b := math.Float32bits(x)
	sign := uint16(b >> 16 & 0x8000)
	b &= absBits
	switch {
	case b > infBits:
		return sign | 0x7e00 | uint16(b>>13&0x3ff)
	case b >= 0x477ff000: // 65520, half way from 65504 to 65536
		return sign | 0x7c00
	case b < 0x38800000: // below 2^-14: multiples of 2^-24
		return sign | uint16(math.RoundToEven(float64(math.Float32frombits(b))*0x1p24))
	}
	// Rebias the exponent from 127 to 15 and round the 13 lost bits to even.
	b -= 112 << 23
	return sign | uint16((b+0xfff+b>>13&1)>>13)
}

// FromFloat16 returns the value of IEEE half bits.
func FromFloat16(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exp, frac := uint32(h>>10&0x1f), uint32(h&0x3ff)
	switch exp {
	case 0:
		return math.Float32frombits(sign | math.Float32bits(float32(frac)*0x1p-24))
	case 31:
		return math.Float32frombits(sign | infBits | frac<<13)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
}
