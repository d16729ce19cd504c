package plan

import (
	"slices"

	"narrow/graph"
	"narrow/graph/op"
)

// Names of normalizations that networks write out.
const (
	compositeRMSNorm      = "RMSNormalization"
	compositeInstanceNorm = "InstanceNormalization"
	compositeGroupNorm    = "GroupNormalization"
	compositeSoftmax      = "Softmax"
)

// normalNodes is how many nodes a normalization is spelled with at most.
const normalNodes = 32

// region is a set of nodes that grows into a composite.
type region struct {
	m     *matcher
	nodes []*graph.Node
	made  map[string]bool // what they put out
}

func (m *matcher) region(nodes ...*graph.Node) *region {
	r := &region{m: m, made: map[string]bool{}}
	for _, n := range nodes {
		r.add(n)
	}
	return r
}

func (r *region) has(n *graph.Node) bool { return slices.Contains(r.nodes, n) }

func (r *region) add(n *graph.Node) {
	if n == nil || r.has(n) {
		return
	}
	r.nodes = append(r.nodes, n)
	for _, o := range n.Outputs {
		r.made[o] = true
	}
}

// composite returns r as the layer op, its nodes in graph order.
func (r *region) composite(op string) *composite {
	slices.SortFunc(r.nodes, func(a, b *graph.Node) int { return r.m.place(a) - r.m.place(b) })
	return &composite{op: op, nodes: r.nodes, main: r.nodes[len(r.nodes)-1]}
}

// open returns how many values leave r, and the earliest node outside that
// reads one of them; leaves reports whether one leaves the network.
func (r *region) open() (count int, next *graph.Node, leaves bool) {
	for _, n := range r.nodes {
		for _, o := range n.Outputs {
			out := r.m.ix.IsOutput(o)
			leaves = leaves || out
			for _, u := range r.m.ix.Consumers[o] {
				if r.has(u) {
					continue
				}
				out = true
				if next == nil || r.m.place(u) < r.m.place(next) {
					next = u
				}
			}
			if out {
				count++
			}
		}
	}
	return count, next, leaves
}

// normalization finds a layer that divides by a standard deviation or a root
// mean square, as networks write it out: LayerNorm, InstanceNorm and RMSNorm
// of whatever exporter. n is the node that takes the root. What makes the
// variance is found going back from there; going forward, nodes are taken in
// until a single value comes out.
func (m *matcher) normalization(n *graph.Node) *composite {
	if !m.isRoot(n) {
		return nil
	}
	r := m.region(n)
	square, ok := m.variance(r, n.Input(0))
	if !ok {
		return nil
	}
	x, centered := m.uncentered(r, square)
	for {
		count, next, leaves := r.open()
		if leaves || next == nil || len(r.nodes) > normalNodes {
			return nil
		}
		if count == 1 && r.normalizes(x, square) {
			break
		}
		if !joinsNormalization(next) || m.taken[next] {
			return nil
		}
		r.add(next)
	}
	spatial := m.reducesSpace(r)
	moved := r.affine()
	switch {
	case !centered:
		return r.composite(compositeRMSNorm)
	case moved:
		return r.composite(compositeGroupNorm)
	case spatial:
		return r.composite(compositeInstanceNorm)
	}
	return r.composite(compositeLayerNorm)
}

// isRoot reports whether n takes a square root, or divides by one.
func (m *matcher) isRoot(n *graph.Node) bool {
	if n.Is("Sqrt") {
		return true
	}
	if !n.Is("Pow") {
		return false
	}
	e, ok := m.scalar(n.Input(1))
	return ok && (e == 0.5 || e == -0.5)
}

// reduces reports whether n makes a mean or a sum over axes.
func reduces(n *graph.Node) bool {
	return n != nil && n.Is("ReduceMean", "ReduceSum", "GlobalAveragePool", "ReduceSumSquare")
}

// variance takes what computes a variance or a mean square v into r, and
// returns the value that is squared.
func (m *matcher) variance(r *region, v string) (squared string, ok bool) {
	for range normalNodes {
		p := m.ix.Producer[v]
		if p == nil {
			return "", false
		}
		r.add(p)
		switch {
		case p.Is("ReduceSumSquare"):
			return p.Input(0), true
		case reduces(p):
			sq := m.ix.Producer[p.Input(0)]
			if s, ok := m.squared(sq); ok {
				r.add(sq)
				return s, true
			}
			return "", false
		case p.Is("Add", "Mul", "Div", "Max") && len(p.Inputs) == 2:
			next, _, ok := m.operands(p)
			if !ok || p.Is("Div") && next != p.Input(0) {
				return "", false
			}
			v = next
		case p.Is("Clip", "Relu", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Abs"):
			v = p.Input(0)
		case p.Is("Sub"): // the mean of squares less the square of the mean
			mean := m.ix.Producer[p.Input(1)]
			of, ok := m.squared(mean)
			if by := m.ix.Producer[of]; !ok || !reduces(by) {
				return "", false
			} else {
				r.add(mean)
				r.add(by)
			}
			v = p.Input(0)
		default:
			return "", false
		}
	}
	return "", false
}

// squared returns what n squares.
func (m *matcher) squared(n *graph.Node) (string, bool) {
	switch {
	case n == nil:
	case n.Is("Mul") && n.Input(0) == n.Input(1):
		return n.Input(0), true
	case n.Is("Pow"):
		if e, ok := m.scalar(n.Input(1)); ok && e == 2 {
			return n.Input(0), true
		}
	}
	return "", false
}

// uncentered returns the value that v is without its mean, taking what
// subtracts it into r; without such a step it is v itself.
func (m *matcher) uncentered(r *region, v string) (x string, centered bool) {
	sub := m.ix.Producer[v]
	if sub != nil && sub.Is("Sub") {
		by := m.ix.Producer[sub.Input(1)]
		mean := by
		for mean != nil && (op.Moves(mean) || mean.Is("Mul", "Div") && m.scaled(mean)) {
			mean = m.ix.Producer[mean.Input(0)]
		}
		if reduces(mean) && mean.Input(0) == sub.Input(0) {
			r.add(sub)
			for n := by; n != mean; n = m.ix.Producer[n.Input(0)] {
				r.add(n)
			}
			r.add(mean)
			return sub.Input(0), true
		}
	}
	// The mean of squares less the square of the mean, of the same value.
	centered = slices.ContainsFunc(r.nodes, func(n *graph.Node) bool { return n.Is("Sub") })
	return v, centered
}

// scaled reports whether n multiplies its first input by a constant.
func (m *matcher) scaled(n *graph.Node) bool {
	_, ok := m.scalar(n.Input(1))
	return ok
}

// normalizes reports whether r holds the step that scales x, or its centered
// form, by what r computes.
func (r *region) normalizes(x, centered string) bool {
	return slices.ContainsFunc(r.nodes, func(n *graph.Node) bool {
		if !n.Is("Mul", "Div") || len(n.Inputs) != 2 || n.Input(0) == n.Input(1) {
			return false
		}
		for i, in := range n.Inputs {
			if (in == x || in == centered || r.centers(in, x)) && r.made[n.Inputs[1-i]] {
				return true
			}
		}
		return false
	})
}

// centers reports whether v is x less something that r computes: a second
// spelling of the centered value.
func (r *region) centers(v, x string) bool {
	p := r.m.ix.Producer[v]
	return p != nil && p.Is("Sub") && r.has(p) && p.Input(0) == x && r.made[p.Input(1)]
}

// joinsNormalization reports whether n may be part of a normalization.
func joinsNormalization(n *graph.Node) bool {
	return len(n.Outputs) == 1 && n.Is("Add", "Sub", "Mul", "Div", "Pow", "Reciprocal", "Sqrt", "Neg", "Identity", "Reshape", "Expand",
		"Squeeze", "Unsqueeze", "ReduceMean")
}

// affine takes the constant scale and offset behind r in, through operators
// that only move values; moved reports whether there were such.
func (r *region) affine() (moved bool) {
	var movers []*graph.Node
	seen := map[string]bool{}
	for {
		_, next, leaves := r.open()
		if len(movers) > 0 {
			last := movers[len(movers)-1]
			users := r.m.ix.Consumers[last.Outputs[0]]
			if next, leaves = nil, r.m.ix.IsOutput(last.Outputs[0]); len(users) == 1 {
				next = users[0]
			}
		} else if next != nil && len(r.m.ix.Consumers[r.m.lastOf(r)]) != 1 {
			return moved
		}
		if leaves || next == nil || r.m.taken[next] {
			return moved
		}
		switch {
		case next.Is("Reshape") && len(movers) < 2:
			movers = append(movers, next)
			continue
		case next.Is("Mul", "Add") && len(next.Inputs) == 2 && !seen[next.OpType] &&
			(r.m.ix.Constant[next.Input(0)] != nil || r.m.ix.Constant[next.Input(1)] != nil):
			seen[next.OpType] = true
			for _, n := range movers {
				r.add(n)
				moved = true
			}
			movers = nil
			r.add(next)
			continue
		}
		return moved
	}
}

// lastOf returns the output of r's last node.
func (m *matcher) lastOf(r *region) string {
	last := r.nodes[0]
	for _, n := range r.nodes {
		if m.place(n) > m.place(last) {
			last = n
		}
	}
	return last.Outputs[0]
}

// reducesSpace reports whether r's means are over the dimensions of space, as
// far as axes that count from the front tell.
func (m *matcher) reducesSpace(r *region) bool {
	for _, n := range r.nodes {
		if n.Is("GlobalAveragePool") {
			return true
		}
		if !n.Is("ReduceMean", "ReduceSum") {
			continue
		}
		axes := n.Ints("axes")
		if t := m.ix.Constant[n.Input(1)]; axes == nil && t != nil {
			axes, _ = t.Int64s()
		}
		if len(axes) > 1 || len(axes) == 1 && axes[0] >= 0 && axes[0] != 2 && axes[0] != 1 {
			return true
		}
	}
	return false
}

// groupNorm finds GroupNorm as torch exports it: the channels of a group are
// made dimensions of one InstanceNormalization, and scaled and shifted behind.
func (m *matcher) groupNorm(n *graph.Node) *composite {
	if !n.Is("InstanceNormalization") {
		return nil
	}
	before := m.producer(n.Input(0), "Reshape")
	if before == nil || len(m.ix.Consumers[before.Outputs[0]]) != 1 {
		return nil
	}
	r := m.region(before, n)
	if !r.affine() {
		return nil
	}
	return r.composite(compositeGroupNorm)
}

// softmax finds exp(x) / sum(exp(x)), with or without the largest x taken off
// before. n is the node of the exponential.
func (m *matcher) softmax(n *graph.Node) *composite {
	if !n.Is("Exp") {
		return nil
	}
	r := m.region(n)
	if sub := m.producer(n.Input(0), "Sub"); sub != nil && len(m.ix.Consumers[sub.Outputs[0]]) == 1 {
		if most := m.producer(sub.Input(1), "ReduceMax"); most != nil && most.Input(0) == sub.Input(0) {
			r.add(sub)
			r.add(most)
		}
	}
	var sum *graph.Node
	for _, u := range m.ix.Consumers[n.Outputs[0]] {
		if u.Is("ReduceSum") {
			sum = u
		}
	}
	if sum == nil {
		return nil
	}
	r.add(sum)
	for range 4 {
		count, next, leaves := r.open()
		if leaves && count > 1 || next == nil {
			return nil
		}
		switch {
		case next.Is("Add", "Max", "Clip"), next.Is("Reciprocal"):
			r.add(next)
			continue
		case next.Is("Div") && next.Input(0) == n.Outputs[0], next.Is("Mul") && slices.Contains(next.Inputs, n.Outputs[0]):
			if r.made[other(next, n.Outputs[0])] {
				r.add(next)
				return r.composite(compositeSoftmax)
			}
		}
		return nil
	}
	return nil
}
