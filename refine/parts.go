package refine

import (
	"math"

	"narrow/diag"
	"narrow/engine"
	"narrow/graph"
)

// One figure of an output says nothing of its parts: where boxes in pixels and scores below 1
// share a tensor, every score may have become one value while the ratio of signal to error
// stays as it was. So the slices of an output along each of its axes are looked at too, and a
// result in which one is dead is never taken for one in which that one is alive.

// cuts are the slices of an output along one axis, over some samples.
type cuts struct {
	axis int
	each []cut
}

// cut is what a slice has in the float network, and what the quantized one makes of it.
type cut struct {
	n, sum, squares, fourths float64 // of the float network's values
	noise                    float64 // the squares of the errors
	lo, hi                   float32 // of the quantized network's values
}

const (
	// mostCuts is along how many places of an axis slices are looked at.
	mostCuts = 1 << 9
	// cutValues is how many values carry a slice's signal, at least: what one or two samples
	// alone have is chance.
	cutValues = 8
	// deadPart is which part of the signal the error of a dead slice is, at least, and
	// alivePart which part of its variance that of one that is alive is, at most.
	deadPart  = 0.5
	alivePart = 0.25
)

// cutsOf returns the slices of an output, along all axes but that of the samples.
func cutsOf(want, got engine.Tensor) (out []cuts) {
	if want.Type != graph.Float32 || len(want.Floats) != len(got.Floats) || len(want.Floats) == 0 {
		return nil
	}
	inner := len(want.Floats)
	for a, d := range want.Shape {
		n := int(d)
		inner /= n
		if a == 0 || n < 2 || n > mostCuts {
			continue
		}
		c := cuts{a, make([]cut, n)}
		for at := 0; at < len(want.Floats); at += inner {
			c.each[at/inner%n].add(want.Floats[at:at+inner], got.Floats[at:at+inner])
		}
		out = append(out, c)
	}
	return out
}

func (c *cut) add(want, got []float32) {
	if c.n == 0 {
		c.lo, c.hi = got[0], got[0]
	}
	c.n += float64(len(want))
	for i, v := range want {
		w, d := float64(v), float64(v)-float64(got[i])
		square := float64(w * w)
		c.sum += w
		c.squares += square
		c.fourths += float64(square * square)
		c.noise += float64(d * d)
		c.lo, c.hi = min(c.lo, got[i]), max(c.hi, got[i])
	}
}

// merged adds the slices of more samples; nothing is left of axes that do not fit.
func merged(all, more []cuts, first bool) []cuts {
	if first {
		all = make([]cuts, len(more))
		for i, m := range more {
			all[i] = cuts{m.axis, append([]cut(nil), m.each...)}
		}
		return all
	}
	var out []cuts
	for _, a := range all {
		for _, m := range more {
			if m.axis == a.axis && len(m.each) == len(a.each) {
				for i, c := range m.each {
					a.each[i].merge(c)
				}
				out = append(out, a)
			}
		}
	}
	return out
}

func (c *cut) merge(m cut) {
	if c.n == 0 {
		*c = m
		return
	}
	c.n, c.sum, c.squares, c.fourths, c.noise = c.n+m.n, c.sum+m.sum, c.squares+m.squares, c.fourths+m.fourths, c.noise+m.noise
	c.lo, c.hi = min(c.lo, m.lo), max(c.hi, m.hi)
}

// tells reports whether enough values carry the signal.
func (c *cut) tells() bool { return c.squares*c.squares >= cutValues*c.fourths && c.fourths > 0 }

// dead reports whether the error is as large as the signal, or all has become one value.
func (c *cut) dead() bool {
	return !(c.noise < deadPart*c.squares) || c.lo == c.hi
}

func (c *cut) alive() bool {
	return c.noise <= alivePart*math.Max(c.squares-c.sum*c.sum/c.n, 0) && c.lo < c.hi
}

// lost are slices that one of two results keeps alive and the other does not.
type lost struct{ output, axis, dead, of int }

// text says what is lost of a network's output.
func (l lost) text(m *graph.Model) diag.Text {
	return diag.Textf("%d of the %d slices of output %q along axis %d, which become one value or noise", l.dead, l.of, m.Graph.Outputs[l.output].Name, l.axis)
}

// spared compares two results: it is above 0 where a keeps something alive that is dead in b,
// below where b does, and 0 where neither does or both. It tells where the most is lost.
func spared(a, b []wrong) (side int, where lost) {
	for o := range a {
		for _, x := range a[o].cuts {
			for _, y := range b[o].cuts {
				if x.axis != y.axis || len(x.each) != len(y.each) {
					continue
				}
				kept, gone := 0, 0
				for i := range x.each {
					switch p, q := &x.each[i], &y.each[i]; {
					case !p.tells():
					case p.alive() && q.dead():
						kept++
					case p.dead() && q.alive():
						gone++
					}
				}
				if kept > 0 {
					side |= 1
				}
				if gone > 0 {
					side |= 2
				}
				if n := max(kept, gone); n > where.dead {
					where = lost{o, x.axis, n, len(x.each)}
				}
			}
		}
	}
	switch side {
	case 1:
		return 1, where
	case 2:
		return -1, where
	}
	return 0, lost{}
}
