package rewrite

import (
	"math"
	"slices"

	"narrow/diag"
	"narrow/graph"
)

// ScaleOctave is how many steps of [MoveScales] double a channel.
const ScaleOctave = 4

// StepFactor is what so many steps multiply a channel by.
func StepFactor(steps int) float64 { return math.Exp2(float64(steps) / ScaleOctave) }

// Steps returns the steps of every channel for [MoveScales], by the value that it
// comes from, of those of its class; values all of whose channels stay are left out.
func (c *Channels) Steps(class []int) map[string][]int {
	out := map[string][]int{}
	for id, o := range c.origin {
		root, inverse, fixed := c.Class(id)
		k := class[root]
		if fixed || k == 0 {
			continue
		}
		if inverse {
			k = -k
		}
		for len(out[o.value]) <= o.at {
			out[o.value] = append(out[o.value], 0)
		}
		out[o.value][o.at] = k
	}
	return out
}

// read returns the steps of every class out of what [Channels.Steps] returned.
func (c *Channels) read(steps map[string][]int) []int {
	class := make([]int, len(c.parent))
	for id, o := range c.origin {
		root, inverse, fixed := c.Class(id)
		if fixed || o.at >= len(steps[o.value]) {
			continue
		}
		k := steps[o.value][o.at]
		if inverse {
			k = -k
		}
		if k != 0 {
			class[root] = k
		}
	}
	return class
}

// factors returns what each channel is multiplied by.
func (c *Channels) factors(class []int) []float32 {
	out := make([]float32, len(c.parent))
	for id := range out {
		out[id] = 1
		if root, inverse, fixed := c.Class(id); !fixed {
			k := class[root]
			if inverse {
				k = -k
			}
			out[id] = float32(StepFactor(k))
		}
	}
	return out
}

// MoveScales multiplies the channels of activations, so that all use the range of
// one scale, and divides the weights that read them: across LayerNormalization,
// BatchNormalization, residual additions and attention as well as between
// convolutions, as SmoothQuant does for transformers (Xiao et al. 2022,
// arXiv:2211.10438). A step is a factor of the fourth root of 2; steps are by the
// value that a channel comes from, see [Channels].
func MoveScales(steps map[string][]int) Rule {
	var found *Channels
	var edits map[*graph.Node][]Scaled
	var factor []float32
	done := map[string]bool{}
	return Rule{
		Name: "move-scales", Exact: true, passes: 1,
		Doc: "Multiplies channels of activations to one range, and divides the weights that read them (SmoothQuant, and cross-layer equalization through residual additions).",
		find: func(w *work, n *graph.Node) *site {
			if found == nil {
				found = w.channels()
				factor = found.factors(found.read(steps))
				edits = map[*graph.Node][]Scaled{}
				for _, s := range slices.Concat(found.Layers, found.Others) {
					if s.moves(factor) {
						edits[s.Node] = append(edits[s.Node], s)
					}
				}
			}
			if len(edits[n]) == 0 {
				return nil
			}
			return &site{apply: func() diag.Text {
				least, most := float32(1), float32(1)
				for _, s := range edits[n] {
					name := n.Input(s.Input)
					if _, stored := w.stored[name]; stored && done[name] {
						continue // another node that reads it came first
					}
					done[name] = true
					t := w.ix.Constant[name]
					x, err := t.Floats()
					if err != nil {
						continue // not reached: the channels came from float constants
					}
					x = slices.Clone(x)
					for i := range x {
						f := s.factor(i, factor)
						x[i] *= f
						least, most = min(least, f), max(most, f)
					}
					if _, stored := w.stored[name]; stored {
						w.setInitializer(graph.NewFloats(name, slices.Clone(t.Dims), x))
					} else {
						w.setFloats(n, s.Input, name, t.Dims, x)
					}
				}
				return diag.Textf("constants are multiplied by %.3g to %.3g", least, most)
			}}
		},
	}
}

// moves reports whether any of the channels does.
func (s Scaled) moves(factor []float32) bool {
	moved := func(id int) bool { return factor[id] != 1 }
	return slices.ContainsFunc(s.In, moved) || slices.ContainsFunc(s.Out, moved)
}

// factor is what element i of the constant is multiplied by.
func (s Scaled) factor(i int, factor []float32) float32 {
	f := float32(1)
	in, out := 0, 0
	if s.Product.Node != nil {
		in, out = s.Product.InOf(i), s.Product.OutOf(i)
	} else {
		in, out = s.of[i], s.of[i]
	}
	if s.Out != nil {
		f *= factor[s.Out[out]]
	}
	if s.In != nil {
		f /= factor[s.In[in]]
	}
	if s.by {
		return 1 / f
	}
	return f
}

// Floats returns the elements of a constant that changes with channels.
func (c *Channels) Floats(s Scaled) ([]float32, error) {
	return c.w.ix.Constant[s.Node.Input(s.Input)].Floats()
}
