package refine

import (
	"math"

	"narrow/graph/op"
	"narrow/plan"
)

// channels tells how much the error of each channel of a value counts.
type channels struct {
	axis   int // of the channels; -1 the last one
	weight []float64
}

type importances map[*plan.Tensor]channels

// importance estimates, for the channels of every input and activation, how much
// a square of error there comes to in the squares of what the layers put out that
// read it, from the weights alone: from the back, a channel counts as the squares of the
// weights that multiply it, each times what the channel it goes to counts. Functions
// in between are taken as passing all. A tensor without an entry counts alike
// everywhere.
func importance(p *plan.Plan) importances {
	out := importances{}
	for i := len(p.Operations) - 1; i >= 0; i-- {
		o := p.Operations[i]
		behind, known := out[o.Output]
		if w := o.Weights; w != nil && len(w.Uses) > 0 {
			in, ok := throughWeights(w, behind, known)
			if ok {
				out.add(o.Input(0), in)
				continue
			}
		}
		switch o.Op {
		case "Add", "Sub", "MaxPool", "AveragePool", "GlobalAveragePool", "Relu", "Clip", "LeakyRelu", "Resize", "Upsample", "Pad":
			if !known {
				break
			}
			for _, in := range o.Inputs {
				out.add(in, behind)
			}
			continue
		}
		for _, in := range o.Inputs {
			out.add(in, channels{})
		}
	}
	for t, c := range out {
		if !c.usable() {
			delete(out, t)
		}
	}
	return out
}

// throughWeights returns what the input of a layer counts, by its weights.
func throughWeights(w *plan.Tensor, behind channels, known bool) (channels, bool) {
	u := w.Uses[0]
	p, ok := op.ProductOf(u.Node, u.Input, w.Constant.Dims)
	if !ok || !p.Valid() || u.Input != 1 {
		return channels{}, false
	}
	x, err := w.Constant.Floats()
	if err != nil {
		return channels{}, false
	}
	in := channels{axis: 1, weight: make([]float64, p.In)}
	if !p.Convolution() {
		in.axis = -1
	}
	known = known && len(behind.weight) == p.Out
	p.Each(len(x), func(from, c, o int) {
		for _, v := range x[from : from+p.Kernel] {
			square := float64(v) * float64(v)
			if known {
				square *= behind.weight[o]
			}
			in.weight[c] += square
		}
	})
	return in, true
}

// add adds what one reader of t makes of it; a reader that nothing is known of
// counts all channels alike, as much as the others on the average.
func (m importances) add(t *plan.Tensor, c channels) {
	if t == nil {
		return
	}
	was, seen := m[t]
	switch {
	case !seen:
		m[t] = channels{axis: c.axis, weight: append([]float64(nil), c.weight...)}
	case len(was.weight) == 0 || len(c.weight) == 0 || was.axis != c.axis || len(was.weight) != len(c.weight):
		m[t] = channels{}
	default:
		for i, v := range c.weight {
			was.weight[i] += v
		}
	}
}

func (c channels) usable() bool {
	most := 0.0
	for _, v := range c.weight {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
		most = max(most, v)
	}
	return most > 0
}

// integers returns the weights as integers of at most 16 bits; a channel that
// counts for nothing counts for a thousandth of the largest all the same.
func (c channels) integers() []uint64 {
	most := 0.0
	for _, v := range c.weight {
		most = max(most, v)
	}
	out := make([]uint64, len(c.weight))
	for i, v := range c.weight {
		out[i] = max(uint64(math.RoundToEven(v/most*65535)), 65)
	}
	return out
}
