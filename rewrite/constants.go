package rewrite

import (
	"fmt"
	"slices"
	"strings"

	"narrow/diag"
	"narrow/graph"
	"narrow/graph/infer"
	"narrow/graph/op"
)

// FoldConstants stores what nodes make of constants alone: the chains in front
// of weights, whatever their operators, and the small computations of shapes.
// What is constant, and of which shape, follows from the graph. values are the
// elements as an engine computed them, by the value's name. A constant whose
// elements are missing there gets stand-ins, and is listed in
// [graph.Model.Unknown] of the network that comes out: its structure is right,
// its numbers are not.
func FoldConstants(values map[string]*graph.Tensor) Rule {
	return Rule{
		Name: "fold-constants", Exact: true,
		Doc: "Replaces nodes that depend on no input (or only on shapes that the model fixes) by their result, " +
			"where that is weights or a bias, or not larger than what they read.",
		find: func(w *work, n *graph.Node) *site {
			f := w.folding()
			if reason := f.refused[n]; reason != "" {
				return refuse("%s", reason)
			}
			outs, ok := f.stored[n]
			if !ok {
				return nil
			}
			delete(f.stored, n)
			return &site{apply: func() diag.Text {
				w.remove(n)
				var what []string
				for _, o := range outs {
					t, known := w.valueOf(o, values)
					if !known {
						w.m.Unknown = append(w.m.Unknown, o)
					}
					w.setInitializer(t)
					what = append(what, fmt.Sprintf("%v%v", t.Type, t.Dims))
				}
				return diag.Textf("%s computed: %s", n.OpType, strings.Join(what, ", "))
			}}
		},
	}
}

// folding is what of a network's constant nodes is to be stored.
type folding struct {
	constants map[string]*infer.Constant
	// stored are the results that other nodes read, by the node that makes them.
	stored map[*graph.Node][]string
	// refused are nodes that read constants alone and stay.
	refused map[*graph.Node]string
}

// constantRoom is how many bytes constants of a network may take that nodes
// make: a chain of them can double in every step.
func constantRoom(g *graph.Graph) int {
	room := 16 << 20
	for _, t := range g.Initializers {
		room += 16 * len(t.Raw)
	}
	return room
}

// folding finds out once which nodes go.
func (w *work) folding() *folding {
	if w.fold != nil {
		return w.fold
	}
	all := infer.FindConstants(w.m, constantRoom(w.g))
	f := &folding{constants: all.Values, stored: map[*graph.Node][]string{}, refused: map[*graph.Node]string{}}
	w.fold = f
	gone := map[*graph.Node]bool{}
	for _, n := range slices.Backward(w.g.Nodes) {
		if w.gone[n] || n.Is("Constant") || w.dead(n) {
			continue
		}
		if reason := all.Refused[n]; reason != "" {
			f.refused[n] = reason
			continue
		}
		var outs []string
		stays := false
		for _, o := range n.Outputs {
			if o == "" || !w.read(o) {
				continue
			}
			c := all.Values[o]
			if c == nil || w.ix.IsOutput(o) {
				stays = true
				break
			}
			if !slices.ContainsFunc(w.ix.Consumers[o], func(u *graph.Node) bool { return !gone[u] }) {
				continue // what reads it goes too
			}
			if most := w.mostElements(n); c.Len() > most && !w.weights(o) {
				f.refused[n] = fmt.Sprintf("the result would have %d elements", c.Len())
				stays = true
				break
			}
			outs = append(outs, o)
		}
		if !stays {
			gone[n] = true
			if len(outs) > 0 {
				f.stored[n] = outs
			}
		}
	}
	return f
}

// mostElements is how large a result of n may be that is no weights: about what
// it reads, so that the file does not grow.
func (w *work) mostElements(n *graph.Node) int {
	size := 16
	for _, in := range n.Inputs {
		if t := w.ix.Constant[in]; t != nil {
			size += t.Len()
		} else if c := w.fold.constants[in]; c != nil {
			size += c.Len()
		}
	}
	return max(size, 1024)
}

// weights reports whether a node reads v as its weights or bias.
func (w *work) weights(v string) bool {
	return slices.ContainsFunc(w.ix.Consumers[v], func(u *graph.Node) bool {
		in, ok := op.InputsOf(u, func(name string) bool {
			return name == v || w.ix.Constant[name] != nil || w.fold.constants[name] != nil
		})
		return ok && (u.Input(in.Weights) == v || in.Bias >= 0 && u.Input(in.Bias) == v)
	})
}

// valueOf returns the constant v with its elements, and whether they are those
// that it has, not stand-ins.
func (w *work) valueOf(v string, values map[string]*graph.Tensor) (*graph.Tensor, bool) {
	c := w.fold.constants[v]
	if c.Known != nil {
		return &graph.Tensor{Name: v, Type: c.Type, Dims: c.Dims, Raw: c.Known.Raw}, true
	}
	if t := values[v]; t != nil && t.Type == c.Type && slices.Equal(t.Dims, c.Dims) {
		return &graph.Tensor{Name: v, Type: c.Type, Dims: c.Dims, Raw: t.Raw}, true
	}
	return standIn(v, c), false
}

// standIn returns elements that the constant could have: what is known of them,
// else numbers from 0.5 to 1.5, no two neighbours alike, so that rules which
// look at numbers (a variance, the range of a channel) do what they will do.
func standIn(name string, c *infer.Constant) *graph.Tensor {
	size, _ := c.Type.ByteSize(c.Len()) // FindConstants returns types of fixed size
	if c.Type != graph.Float32 {
		return &graph.Tensor{Name: name, Type: c.Type, Dims: c.Dims, Raw: make([]byte, size)}
	}
	x := make([]float32, c.Len())
	for i := range x {
		if c.Near != nil {
			x[i] = float32(c.Near[i])
		} else {
			x[i] = 0.5 + float32(uint32(i)*2654435761>>8)/(1<<24)
		}
	}
	return graph.NewFloats(name, c.Dims, x)
}
