// Package exact adds float64 numbers without rounding. Numbers go in, in any order
// and on any number of machines; out comes the float64 nearest to their true sum, so
// that neither order nor grouping shows.
//
// A [Sum] is one wide fixed-point number, as in Kulisch, Computer Arithmetic and
// Validity (2008), section 8, cut down to what values of a network reach.
package exact

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
)

const (
	// words hold 448 bits: multiples of 2^-lowest below 2^191 in magnitude. Means of
	// float32 values lie below 2^128 and have no bits below 2^-242; 2^63 of the
	// largest fit.
	words  = 7
	lowest = 256
	// highest is the exponent from which on a number counts as infinite.
	highest = 128
)

// What a Sum met that is no number.
const (
	nan = 1 << iota
	plusInf
	minusInf
)

// Sum is a sum of float64 numbers. The zero value is 0. It may be used by one
// goroutine at a time.
type Sum struct {
	// w is in two's complement, the lowest word first.
	w       [words]uint64
	special uint8
}

// Add adds x. What x has below 2^-256 is rounded off, to even; from 2^128 on it
// counts as infinite.
func (s *Sum) Add(x float64) {
	b := math.Float64bits(x)
	exp := int(b>>52) & 0x7ff
	mantissa := b & (1<<52 - 1)
	negative := b>>63 != 0
	switch {
	case exp == 0x7ff && mantissa != 0:
		s.special |= nan
		return
	case exp >= 1023+highest:
		if negative {
			s.special |= minusInf
		} else {
			s.special |= plusInf
		}
		return
	case exp == 0:
		return // below 2^-1022
	}
	mantissa |= 1 << 52
	shift := exp - 1075 + lowest
	if shift < 0 {
		if mantissa = roundedShift(mantissa, uint(-shift)); mantissa == 0 {
			return
		}
		shift = 0
	}
	at, off := shift>>6, uint(shift&63)
	lo, hi := mantissa<<off, uint64(0)
	if off > 0 {
		hi = mantissa >> (64 - off)
	}
	var c uint64
	if negative {
		s.w[at], c = bits.Sub64(s.w[at], lo, 0)
		s.w[at+1], c = bits.Sub64(s.w[at+1], hi, c)
		for i := at + 2; c != 0 && i < words; i++ {
			s.w[i], c = bits.Sub64(s.w[i], 0, c)
		}
		return
	}
	s.w[at], c = bits.Add64(s.w[at], lo, 0)
	s.w[at+1], c = bits.Add64(s.w[at+1], hi, c)
	for i := at + 2; c != 0 && i < words; i++ {
		s.w[i], c = bits.Add64(s.w[i], 0, c)
	}
}

// roundedShift returns m >> n, rounded to even.
func roundedShift(m uint64, n uint) uint64 {
	if n > 54 {
		return 0
	}
	q, rest, half := m>>n, m&(1<<n-1), uint64(1)<<(n-1)
	if rest > half || rest == half && q&1 == 1 {
		q++
	}
	return q
}

// Merge adds the numbers that o adds up.
func (s *Sum) Merge(o *Sum) {
	var c uint64
	for i := range s.w {
		s.w[i], c = bits.Add64(s.w[i], o.w[i], c)
	}
	s.special |= o.special
}

// Float64 returns the sum, rounded once, to even; NaN and infinities come out as
// they do of adding float64 numbers.
func (s *Sum) Float64() float64 {
	switch s.special {
	case 0:
	case plusInf:
		return math.Inf(1)
	case minusInf:
		return math.Inf(-1)
	default:
		return math.NaN()
	}
	w := s.w
	negative := w[words-1]>>63 != 0
	if negative {
		var c uint64
		for i := range w {
			w[i], c = bits.Sub64(0, w[i], c)
		}
	}
	top := words - 1
	for top >= 0 && w[top] == 0 {
		top--
	}
	if top < 0 {
		return 0
	}
	// The 64 bits from the highest one on, the lowest of them standing for all below.
	n := uint(bits.LeadingZeros64(w[top]))
	m := w[top] << n
	below := uint64(0)
	if top > 0 {
		if n > 0 {
			m |= w[top-1] >> (64 - n)
		}
		below = w[top-1] << n
		for _, v := range w[:top-1] {
			below |= v
		}
	}
	if below != 0 {
		m |= 1
	}
	v := math.Ldexp(float64(roundedShift(m, 11)), 64*top-int(n)+11-lowest)
	if negative {
		return -v
	}
	return v
}

// AppendBinary appends the sum's encoding to b: a byte that tells of NaN and
// infinities, one each for the first word in use and the number of them, and these;
// the last one's sign stands for the words above.
func (s *Sum) AppendBinary(b []byte) ([]byte, error) {
	sign := uint64(0)
	if s.w[words-1]>>63 != 0 {
		sign = math.MaxUint64
	}
	from, to := 0, words
	for to > 1 && s.w[to-1] == sign && s.w[to-2]>>63 == sign>>63 {
		to--
	}
	for from < to-1 && s.w[from] == 0 {
		from++
	}
	b = append(b, s.special, byte(from), byte(to-from))
	for _, v := range s.w[from:to] {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b, nil
}

var errDamaged = errors.New("damaged sum")

// Decode reads a sum that AppendBinary wrote from the start of b and returns what
// follows it.
func Decode(b []byte) (s Sum, rest []byte, err error) {
	if len(b) < 3 || b[0] > nan|plusInf|minusInf || b[2] == 0 || int(b[1])+int(b[2]) > words || len(b) < 3+8*int(b[2]) {
		return Sum{}, nil, errDamaged
	}
	s.special = b[0]
	from, n := int(b[1]), int(b[2])
	b = b[3:]
	for i := from; i < from+n; i++ {
		s.w[i], b = binary.LittleEndian.Uint64(b), b[8:]
	}
	if s.w[from+n-1]>>63 != 0 {
		for i := from + n; i < words; i++ {
			s.w[i] = math.MaxUint64
		}
	}
	return s, b, nil
}
