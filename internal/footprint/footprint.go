// Package footprint estimates how much memory the values of a network take.
//
// In come a network and the shapes of its inputs for any number of samples, out
// come the bytes that live at once while it runs: those that do not depend on
// the number of samples, and those for each.
//
// Rule of the house: a number comes from the network alone, never from the
// machine, and what is not known is an error, not a guess.
package footprint

import (
	"math"

	"narrow/diag"
	"narrow/graph"
	"narrow/graph/infer"
	"narrow/graph/op"
)

// Footprint is how much memory a network takes, in bytes.
type Footprint struct {
	// Weights are the initializers of all graphs, inner ones too.
	Weights int64
	// Inputs are the network's inputs, for each sample.
	Inputs int64
	// Fixed and PerSample tell what lives at once at most: all values that have
	// been computed, or are being, and are still to be read or put out, inputs
	// included, are at most Fixed + n*PerSample for n samples.
	Fixed, PerSample int64
	// Moments is how many products a layer has of two of the inputs of its output
	// elements, the most: see [Block].
	Moments int64
	// Wide says that a layer's products are held block by block.
	Wide bool
	// Largest is the largest value, Total all of them together, for each sample.
	Largest, Total int64
}

// ErrUnknown says that a network's values have shapes that only running it
// tells.
var ErrUnknown = diag.Errorf("its shape is known only when the network runs")

// Of returns the footprint of m when the nodes run in the order they stand in.
// inputs returns the shapes of the inputs for n samples. The error names the
// first value whose shape is not known.
func Of(m *graph.Model, inputs func(n int64) map[string][]graph.Dim) (*Footprint, error) {
	f := &Footprint{Weights: weights(m.Graph)}
	f.Moments, f.Wide = moments(m.Graph)
	one, err := sizes(m, inputs(1))
	if err != nil {
		return nil, err
	}
	two, err := sizes(m, inputs(2))
	if err != nil {
		return nil, err
	}
	live1, live2 := peak(m.Graph, one), peak(m.Graph, two)
	f.PerSample = live2 - live1
	f.Fixed = max(live1-f.PerSample, 0)
	for name, n := range two {
		f.Largest = max(f.Largest, n-one[name])
		f.Total += n - one[name]
	}
	for name := range inputs(1) {
		f.Inputs += two[name] - one[name]
	}
	return f, nil
}

// Widest is how many inputs an output element of a layer has at most where products of
// each two of them are held: some five times, 8 bytes each, which are 250 MB at most. A wider
// layer's are held block by block, of at most blockInputs.
const (
	Widest      = 2560
	blockInputs = 512
)

// Block returns of how many of a layer's inputs at most products of each two are held, where
// an output element of each of so many groups has cols, so many for each channel: of all, or
// of whole channels where one has not too many itself.
func Block(groups, cols, kernel int) int {
	if int64(groups)*int64(cols)*int64(cols) <= Widest*Widest {
		return cols
	}
	most := min(max(int(blockInputs/math.Sqrt(float64(groups))), 1), cols)
	if kernel <= most {
		most -= most % kernel
	}
	return most
}

func moments(g *graph.Graph) (most int64, wide bool) {
	constants := graph.NewIndex(g).Constant
	for _, n := range g.Nodes {
		in, ok := op.InputsOf(n, func(v string) bool { return constants[v] != nil })
		if !ok || constants[n.Input(in.Weights)] == nil {
			continue
		}
		if p, ok := op.ProductOf(n, in.Weights, constants[n.Input(in.Weights)].Dims); ok {
			groups := max(p.Groups, 1)
			cols := p.In / groups * p.Kernel
			block := Block(groups, cols, p.Kernel)
			n := int64(block) + 1
			most, wide = max(most, int64(groups)*n*n), wide || block < cols
		}
	}
	return most, wide
}

func weights(g *graph.Graph) int64 {
	n := int64(0)
	for _, t := range g.Initializers {
		n += int64(len(t.Raw))
	}
	for _, node := range g.Nodes {
		for _, a := range node.Attrs {
			if a.Tensor != nil {
				n += int64(len(a.Tensor.Raw))
			}
		}
		for _, sub := range node.Subgraphs() {
			n += weights(sub)
		}
	}
	return n
}

// sizes returns the bytes of every value that is computed or an input.
func sizes(m *graph.Model, inputs map[string][]graph.Dim) (map[string]int64, error) {
	known := infer.Infer(m, inputs)
	out := map[string]int64{}
	size := func(name string) error {
		shape, ok := known.Shapes[name]
		bits := known.Types[name].Bits()
		if !ok || bits == 0 {
			return diag.Errorf("the value %q: %w", name, ErrUnknown)
		}
		n := int64(1)
		for _, d := range shape {
			if d.Size < 0 {
				return diag.Errorf("the value %q: %w", name, ErrUnknown)
			}
			if n *= d.Size; n > 1<<40 {
				return diag.Errorf("the value %q has %v elements or more: no memory holds it", name, n)
			}
		}
		out[name] = (n*int64(bits) + 7) / 8
		return nil
	}
	for name := range inputs {
		if err := size(name); err != nil {
			return nil, err
		}
	}
	for _, n := range m.Graph.Nodes {
		if len(n.Subgraphs()) > 0 {
			return nil, diag.Errorf("the node %q holds a network of its own: %w", n.Label(), ErrUnknown)
		}
		for _, o := range n.Outputs {
			if o == "" {
				continue
			}
			if err := size(o); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// peak returns the most bytes that live at once.
func peak(g *graph.Graph, size map[string]int64) int64 {
	last := map[string]int{}
	for i, n := range g.Nodes {
		for _, v := range graph.Reads(n) {
			last[v] = i
		}
	}
	for _, v := range g.Outputs {
		last[v.Name] = len(g.Nodes)
	}
	live, most := int64(0), int64(0)
	for _, v := range g.Inputs {
		live += size[v.Name]
		last[v.Name] = len(g.Nodes) // the caller's, to the end
	}
	for i, n := range g.Nodes {
		for _, o := range n.Outputs {
			live += size[o]
		}
		most = max(most, live)
		gone := map[string]bool{}
		for _, v := range append(graph.Reads(n), n.Outputs...) {
			if l, read := last[v]; v != "" && !gone[v] && (!read || l <= i) {
				gone[v] = true
				live -= size[v]
			}
		}
	}
	return most
}
