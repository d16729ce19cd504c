package inspect

import (
	"math"

	"narrow/internal/kernel"
)

// look is what is seen of single values of the network besides errors: how far
// they reach, and which values are the most frequent.
type look struct{ values map[string]*seen }

// seen is one value of the float network and the quantized one.
type seen struct {
	n        int64
	min, max float32
	ref, got counts
}

// counts are how often values come, by bits, among some of the elements.
type counts struct {
	n  int
	of map[uint32]int
}

// lookAt is how many elements of a batch are counted by value.
const lookAt = 4096

func (l *look) add(name string, ref, got []float32) {
	if l == nil || len(ref) == 0 || len(ref) != len(got) {
		return
	}
	s := l.values[name]
	if s == nil {
		s = &seen{min: float32(math.Inf(1)), max: float32(math.Inf(-1))}
		l.values[name] = s
	}
	if e := kernel.MinMax(ref); e.Finite {
		s.min, s.max = min(s.min, e.Min), max(s.max, e.Max)
	} else {
		for _, v := range ref {
			if finite(v) {
				s.min, s.max = min(s.min, v), max(s.max, v)
			}
		}
	}
	s.n += int64(len(ref))
	s.ref.add(ref)
	s.got.add(got)
}

func (c *counts) add(x []float32) {
	if c.of == nil {
		c.of = map[uint32]int{}
	}
	// A step that is no multiple of a power of two walks through all channels.
	step := len(x)/lookAt | 1
	for i := 0; i < len(x); i += step {
		v := x[i]
		if v == 0 {
			v = 0 // one zero
		}
		c.of[math.Float32bits(v)]++
		c.n++
	}
}

// most returns the most frequent value and its share; the smaller one on a tie.
func (c *counts) most() (value float32, share float64) {
	best := 0
	for bits, n := range c.of {
		if v := math.Float32frombits(bits); n > best || n == best && v < value {
			value, best = v, n
		}
	}
	return value, float64(best) / float64(max(c.n, 1))
}
