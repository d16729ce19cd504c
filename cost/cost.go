package cost

import (
	"slices"

	"narrow/graph"
	"narrow/graph/infer"
	"narrow/plan"
)

// Cost is what a planned network costs.
type Cost struct {
	// MACs are the multiply-adds of one sample; where the model fixes another
	// batch than one, those of that batch. Additions of a bias are none.
	MACs int64 `json:"macs"`
	// Pairs are the multiply-adds by the formats of what is multiplied, integers
	// before floats and narrow before wide. They add up to MACs.
	Pairs []Pair `json:"pairs"`
	// Operations are those that multiply, in the network's order.
	Operations []Operation `json:"-"`
	// Bytes is the size of weights and biases as the QDQ export stores them,
	// without scales and zero points: integers in the next of 4, 8, 16 and 32
	// bits, biases of integer layers in 32. FloatBytes is their size in float32.
	Bytes      int64 `json:"weight_bytes"`
	FloatBytes int64 `json:"weight_bytes_float32"`
	// Stored are the weights and biases that Bytes and FloatBytes add up.
	Stored []Stored `json:"-"`
	// Uncounted are the operations that multiply, or may, and that are in none
	// of the numbers of multiply-adds.
	Uncounted []Uncounted `json:"uncounted,omitempty"`
}

// Pair is a number of multiply-adds of one sort.
type Pair struct {
	// Weights and Activations are the formats of the two factors; of two
	// activations, Weights is the second one's.
	Weights     Format `json:"weights"`
	Activations Format `json:"activations"`
	MACs        int64  `json:"macs"`
}

// Compare orders pairs by their formats: integers before floats, narrow before
// wide.
func (p Pair) Compare(q Pair) int {
	if d := p.Weights.compare(q.Weights); d != 0 {
		return d
	}
	return p.Activations.compare(q.Activations)
}

// Operation is an operation that multiplies and adds.
type Operation struct {
	*plan.Operation
	// Layer is the layer that the operation belongs to: whose name a layer rule
	// gives.
	Layer *plan.Layer
	// MACs are its multiply-adds, Weights and Activations the formats of its
	// factors, as in [Pair].
	MACs                 int64
	Weights, Activations Format
}

// Stored is a constant as the export stores it.
type Stored struct {
	Layer *plan.Layer
	// Bytes is its size, FloatBytes that in float32: 0 where another layer stores
	// the same constant, which the float network has once.
	Bytes, FloatBytes int64
}

// BitOperations returns the operation's multiply-adds, each weighted by the
// product of its factors' widths: see [Cost.Relative].
func (o *Operation) BitOperations() float64 {
	return float64(o.MACs) * float64(o.Weights.Bits) * float64(o.Activations.Bits)
}

// Uncounted is an operation whose multiply-adds are not known.
type Uncounted struct {
	// Name is the node's name, Op its operator.
	Name string `json:"name"`
	Op   string `json:"op"`
	Why  string `json:"why"`
}

// Relative returns the cost next to the network in float32: the bits of weights
// and activations weighted by multiply-adds,
//
//	sum(MACs * weight bits * activation bits) / sum(MACs * 32 * 32),
//
// in (0, 1]: 1/16 for int8 throughout, 1/4 for bfloat16. It is 1 where nothing
// multiplies. The sums are known as bit operations (Baskin et al. 2018,
// arXiv:1804.10969; van Baalen et al. 2020, arXiv:2005.07093).
func (c *Cost) Relative() float64 {
	if c.MACs == 0 {
		return 1
	}
	var sum float64
	for i := range c.Operations {
		sum += c.Operations[i].BitOperations()
	}
	return sum / (float64(c.MACs) * 32 * 32)
}

// Integer returns how many of the multiply-adds have two integer factors.
func (c *Cost) Integer() int64 {
	var n int64
	for _, p := range c.Pairs {
		if p.Weights.IsInt() && p.Activations.IsInt() {
			n += p.MACs
		}
	}
	return n
}

// Of estimates the cost of a plan. inputs are the shapes of the network's inputs,
// by name, for those that the model leaves open; the first axis of an input is
// the batch, and counts as 1 where it is open.
func Of(p *plan.Plan, inputs map[string][]graph.Dim) *Cost {
	r := &counter{
		shapes: infer.Shapes(p.Model, oneSample(p.Model.Graph, inputs)),
		ix:     graph.NewIndex(p.Model.Graph),
	}
	layers := map[*graph.Node]*plan.Layer{}
	for _, l := range p.Layers {
		for _, n := range l.Nodes {
			layers[n] = l
		}
	}
	operations := map[*graph.Node]*plan.Operation{}
	for _, op := range p.Operations {
		operations[op.Node] = op
	}
	c := &Cost{}
	byFormat := map[[2]Format]int64{}
	for _, node := range p.Model.Graph.Nodes {
		op, n := operations[node], int64(0)
		why := opaque(node)
		if op != nil && why == "" {
			if n, why = r.macs(node); why == "" && c.MACs > maxMACs-n {
				why = tooMany
			}
		}
		if why != "" {
			c.Uncounted = append(c.Uncounted, Uncounted{node.Label(), node.OpType, why})
			continue
		}
		if n == 0 {
			continue
		}
		o := Operation{Operation: op, Layer: layers[op.Node], MACs: n}
		o.Weights, o.Activations = r.formats(op)
		c.Operations = append(c.Operations, o)
		c.MACs += n
		byFormat[[2]Format{o.Weights, o.Activations}] += n
	}
	for f, n := range byFormat {
		c.Pairs = append(c.Pairs, Pair{f[0], f[1], n})
	}
	slices.SortFunc(c.Pairs, Pair.Compare)
	c.Stored = storedOf(p, r.ix)
	for _, s := range c.Stored {
		c.Bytes += s.Bytes
		c.FloatBytes += s.FloatBytes
	}
	return c
}

// oneSample returns the shapes of g's inputs with a batch of one where the
// batch is open: everywhere, where it has a name.
func oneSample(g *graph.Graph, inputs map[string][]graph.Dim) map[string][]graph.Dim {
	shapes := map[string][]graph.Dim{}
	for _, v := range g.Inputs {
		if s, ok := inputs[v.Name]; ok {
			shapes[v.Name] = s
		} else if v.Shape != nil {
			shapes[v.Name] = v.Shape
		}
	}
	batches := map[string]bool{}
	for name, s := range shapes {
		if len(s) > 0 && s[0].Size < 0 {
			batches[s[0].Param] = true
			shapes[name] = append([]graph.Dim{{Size: 1}}, s[1:]...)
		}
	}
	delete(batches, "")
	for name, s := range shapes {
		for b := range batches {
			s = infer.Fixed(s, b, 1)
		}
		shapes[name] = s
	}
	return shapes
}
