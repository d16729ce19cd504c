package refine

import "narrow/internal/kernel"

// madeGood is which part of what a layer's quantized input gets wrong its weights make good.
// All of it makes the layer's own error least, but the errors of the input shrink weights
// that are fitted to it (regression dilution: Fuller 1987, Measurement Error Models, 1.1),
// in layer after layer, so that signals fade on their way to the outputs; none of it rounds
// the float weights only. What is wrong on the average is made good whole.
const madeGood = 0.5

// missing writes to dst, every so many elements, the mean products of the columns, in that
// order, with what is missing behind them for a row: what the layer puts out in the float
// network, and offset, less what the float weights make of the quantized input, as far as it
// is to be made good.
func (m *moments) missing(dst []float64, every, g, row int, order []int, float []float64, offset float64) {
	one := m.n - 1 // the column of ones
	missing := func(i int) float64 {
		own := m.own[g][i*m.n : (i+1)*m.n]
		return m.target[g][i*m.rows+row] + float64(offset*own[one]) - kernel.Dot(own, float)
	}
	mean := missing(one)
	for at, i := range order {
		dst[at*every] = attenuated(missing(i), mean*m.own[g][i*m.n+one])
	}
}

// attenuated returns what of v is to be made good, mean being its part on the average.
func attenuated(v, mean float64) float64 { return float64(madeGood*v) + float64((1-madeGood)*mean) }

// attenuate leaves of each row what is to be made good.
func (r *rest) attenuate() {
	if len(r.of) == 0 {
		return
	}
	width := r.columns.f.groups * r.ld
	for k := range width {
		mean := 0.0
		for i := range r.of {
			mean += r.rows[i*width+k] / float64(len(r.of))
		}
		for i := range r.of {
			r.rows[i*width+k] = attenuated(r.rows[i*width+k], mean)
		}
	}
}
