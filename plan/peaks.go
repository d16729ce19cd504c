package plan

import "narrow/graph"

// peaks finds the units whose results are searched for peaks, each with the comparison that
// does it: a value is kept where it equals the largest of those around it (CenterNet, Zhou
// et al. 2019, arXiv:1904.07850; M-LSD), and quantized ones are equal at many places.
func (f *flow) peaks() map[*unit]*unit {
	found := map[*unit]*unit{}
	for _, n := range f.ix.Graph.Nodes {
		if !n.Is("Equal", "GreaterOrEqual", "LessOrEqual") {
			continue
		}
		pooled, values := f.mover(n.Input(0)), f.mover(n.Input(1))
		if !f.pools(pooled, values) {
			pooled, values = values, pooled
		}
		if !f.pools(pooled, values) {
			continue
		}
		by := &unit{op: n.OpType, main: n, nodes: []*graph.Node{n}}
		found[pooled] = by
		for u := values; u != nil && u.main != nil && found[u] == nil; u = f.producer[u.ins[0]] {
			found[u] = by
			if keepsOrder := u.moves() || joining[u.op] || u.main.Is("Resize", "Upsample", "Clip", "Relu"); !keepsOrder || len(u.ins) != 1 {
				break
			}
		}
	}
	return found
}

// pools reports whether u is a MaxPool of what values puts out.
func (f *flow) pools(u, values *unit) bool {
	return u != nil && values != nil && u.main != nil && u.comp == nil && u.main.Is("MaxPool") && f.mover(u.ins[0]) == values
}

// mover returns the unit that makes v, before those that only move values.
func (f *flow) mover(v string) *unit {
	u := f.producer[v]
	for u != nil && u.moves() && len(u.ins) == 1 {
		u = f.producer[u.ins[0]]
	}
	return u
}
