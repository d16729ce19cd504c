package kernel

import "math"

// Extent is the smallest and the largest element of a tensor. When an element
// is NaN or infinite, Finite is false and Min and Max mean nothing. The extent
// of no elements is finite and 0..0.
type Extent struct {
	Min, Max float32
	Finite   bool
}

// AbsMax returns the largest magnitude.
func (e Extent) AbsMax() float32 { return max(e.Max, -e.Min) }

// join widens e by o.
func (e Extent) join(o Extent) Extent {
	return Extent{min(e.Min, o.Min), max(e.Max, o.Max), e.Finite && o.Finite}
}

// MinMax returns the extent of x and whether all of it is finite, in one pass.
// Zeros of both signs count as +0.
func (p *Pool) MinMax(x []float32) Extent {
	n := blocks(len(x))
	if n <= 1 {
		return minMaxBlock(x)
	}
	parts := make([]Extent, n)
	p.Run(n, func(b int) {
		lo, hi := block(b, len(x))
		parts[b] = minMaxBlock(x[lo:hi])
	})
	e := parts[0]
	for _, o := range parts[1:] {
		e = e.join(o)
	}
	return e
}

// MinMax is [Pool.MinMax] in the caller's goroutine.
func MinMax(x []float32) Extent { return (*Pool)(nil).MinMax(x) }

func minMaxBlock(x []float32) Extent {
	if len(x) == 0 {
		return Extent{Finite: true}
	}
	lo, hi, mag := minMax(x)
	if mag >= infBits {
		return Extent{}
	}
	// +0 makes a negative zero positive: which zero came first must not show.
	return Extent{Min: lo + 0, Max: hi + 0, Finite: true}
}

const (
	infBits = 0x7f800000
	absBits = 0x7fffffff
)

// minMaxGo returns the smallest and largest element of x, which holds at least
// one, and the largest magnitude as bits: those of a NaN exceed those of Inf,
// which exceed those of any finite number. Where an element is NaN, only mag
// means something.
func minMaxGo(x []float32) (lo, hi float32, mag uint32) {
	lo, hi = x[0], x[0]
	for _, v := range x {
		mag = max(mag, math.Float32bits(v)&absBits)
		if v < lo {
			lo = v
		}
		if v > hi {
			hi = v
		}
	}
	return lo, hi, mag
}

// FirstNonFinite returns the index of the first NaN or Inf of x, or -1.
func FirstNonFinite(x []float32) int {
	for i, v := range x {
		if math.Float32bits(v)&infBits == infBits {
			return i
		}
	}
	return -1
}

// MinMaxChannels returns the extent of each channel of x, laid out as l says.
// len(x) is l.Len().
func (p *Pool) MinMaxChannels(x []float32, l Layout) []Extent {
	if l.Inner < shortInner {
		return minMaxRows(x, l)
	}
	out := make([]Extent, l.Channels)
	p.Run(l.Channels, func(c int) {
		e := Extent{Finite: true}
		for o := range l.Outer {
			at := (o*l.Channels + c) * l.Inner
			part := (*Pool)(nil).MinMax(x[at : at+l.Inner])
			if o == 0 {
				e = part
			} else {
				e = e.join(part)
			}
		}
		out[c] = e
	})
	return out
}

// shortInner is the length of a channel's run below which it is not worth a
// call: a transposed weight matrix has runs of one element.
const shortInner = 8

// minMaxRows is MinMaxChannels for short runs, in the order of memory.
func minMaxRows(x []float32, l Layout) []Extent {
	out, mag := make([]Extent, l.Channels), make([]uint32, l.Channels)
	if len(x) == 0 {
		for c := range out {
			out[c].Finite = true
		}
		return out
	}
	for c := range out {
		out[c] = Extent{Min: x[c*l.Inner], Max: x[c*l.Inner]}
	}
	for o := range l.Outer {
		row := x[o*l.Channels*l.Inner:]
		for c := range out {
			lo, hi, m := minMaxGo(row[c*l.Inner : (c+1)*l.Inner])
			mag[c] = max(mag[c], m)
			if e := &out[c]; lo < e.Min || hi > e.Max {
				e.Min, e.Max = min(lo, e.Min), max(hi, e.Max)
			}
		}
	}
	for c, m := range mag {
		if m >= infBits {
			out[c] = Extent{}
			continue
		}
		out[c] = Extent{Min: out[c].Min + 0, Max: out[c].Max + 0, Finite: true}
	}
	return out
}
