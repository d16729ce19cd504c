package plan

import (
	"slices"

	"narrow/graph"
	"narrow/graph/op"
)

// opInput is the operator name of a graph input's unit.
const opInput = "Input"

// unit is one operation as the quantizer sees it: a graph input, a node, or a
// composite of several nodes.
type unit struct {
	op    string
	main  *graph.Node   // nil for a graph input
	nodes []*graph.Node // in graph order; nil for a graph input
	comp  *composite    // nil for a single node
	ins   []string      // values that enter it and depend on the graph's inputs
	outs  []string      // values that leave it
	group *group
	pos   int // index of its last node in the graph, -1-i for inputs
}

// moves reports whether u only moves values.
func (u *unit) moves() bool { return u.main != nil && u.comp == nil && op.Moves(u.main) }

// quantizable reports whether an integer quantizer may stand behind u.
func (u *unit) quantizable() bool {
	return quantizable[u.op] || u.comp != nil && u.op == compositeRMSNorm
}

// group is a layer with what follows it directly: one activation quantizer
// serves it.
type group struct {
	units []*unit // in graph order; the first is the layer
}

// flow is the network as units, with who feeds whom.
type flow struct {
	look     look
	ix       *graph.Index
	units    []*unit
	producer map[string]*unit
	readers  map[string][]*unit
	// depends are the values of any type that depend on elements of an input.
	depends map[string]bool
	// freeJoins are joins that stay unquantized: see [flow.free].
	freeJoins map[*unit]bool
}

// newFlow cuts g into units. types tell which values are float32; values that
// do not depend on a graph input's elements (shapes, constants) are no data.
func newFlow(g *graph.Graph, types map[string]graph.DataType, l look) *flow {
	f := &flow{look: l, ix: graph.NewIndex(g), producer: map[string]*unit{}, readers: map[string][]*unit{}}
	comps := findComposites(f.ix, l.high)
	data, depends := dataValues(f.ix, types)
	f.depends = depends
	for i, v := range g.Inputs {
		if f.ix.IsInput(v.Name) && data[v.Name] {
			f.add(&unit{op: opInput, outs: []string{v.Name}, pos: -len(g.Inputs) + i})
		}
	}
	for i, n := range g.Nodes {
		c := comps[n]
		if c != nil && n != c.nodes[len(c.nodes)-1] {
			continue
		}
		u := &unit{op: n.OpType, main: n, nodes: []*graph.Node{n}, pos: i}
		if n.Domain != "" {
			u.op = n.Domain + "." + n.OpType
		}
		if c != nil {
			u.op, u.main, u.nodes, u.comp = c.op, c.main, c.nodes, c
		}
		for _, m := range u.nodes {
			for _, in := range graph.Reads(m) {
				if data[in] && (c == nil || !c.inner[in]) && !slices.Contains(u.ins, in) {
					u.ins = append(u.ins, in)
				}
			}
		}
		for _, o := range n.Outputs {
			if data[o] {
				u.outs = append(u.outs, o)
			}
		}
		if len(u.outs) > 0 {
			f.add(u)
		} else {
			for _, in := range u.ins {
				f.readers[in] = append(f.readers[in], u)
			}
		}
	}
	f.form()
	return f
}

func (f *flow) add(u *unit) {
	f.units = append(f.units, u)
	for _, o := range u.outs {
		f.producer[o] = u
	}
	for _, in := range u.ins {
		f.readers[in] = append(f.readers[in], u)
	}
	u.group = &group{units: []*unit{u}}
}

// dataValues returns the float32 values that depend on elements of a graph
// input, not only on its shape, and those of any type that do.
func dataValues(ix *graph.Index, types map[string]graph.DataType) (data, depends map[string]bool) {
	depends = map[string]bool{}
	for _, v := range ix.Graph.Inputs {
		if ix.IsInput(v.Name) {
			depends[v.Name] = true
		}
	}
	for _, n := range ix.Graph.Nodes {
		if n.Is("Shape", "Size", "Constant") {
			continue
		}
		for _, in := range graph.Reads(n) {
			if depends[in] {
				for _, o := range n.Outputs {
					depends[o] = true
				}
				break
			}
		}
	}
	data = map[string]bool{}
	for v := range depends {
		if types[v] == graph.Float32 {
			data[v] = true
		}
	}
	return data, depends
}

// children returns the distinct units that read u's outputs.
func (f *flow) children(u *unit) []*unit {
	var cs []*unit
	for _, o := range u.outs {
		for _, r := range f.readers[o] {
			if !slices.Contains(cs, r) {
				cs = append(cs, r)
			}
		}
	}
	return cs
}

// parents returns the distinct units that feed u.
func (f *flow) parents(u *unit) []*unit {
	var ps []*unit
	for _, in := range u.ins {
		if p := f.producer[in]; p != nil && !slices.Contains(ps, p) {
			ps = append(ps, p)
		}
	}
	return ps
}

func (f *flow) leaves(u *unit) bool {
	return slices.ContainsFunc(u.outs, f.ix.IsOutput)
}

// form joins activation functions and operators that only move values to the
// unit before them, when that feeds nothing else (vai_q_pytorch: group_up).
func (f *flow) form() {
	for _, u := range f.units {
		ps := f.parents(u)
		if len(ps) != 1 || !f.joins(u, ps[0].group) || len(f.children(ps[0])) != 1 || f.leaves(ps[0]) || len(ps[0].outs) != 1 {
			continue
		}
		u.group = ps[0].group
		u.group.units = append(u.group.units, u)
	}
}

// point returns the unit behind whose output the quantizer of u's group
// stands: the last of the group that changes values; or, where the group feeds
// nothing but a Concat, the Concat. It returns nil where values only moved
// from a place that has no unit.
func (f *flow) point(u *unit) *unit {
	us := u.group.units
	end := us[len(us)-1]
	if cs := f.children(end); len(cs) == 1 && cs[0].op == "Concat" && !f.freeJoins[cs[0]] && !f.leaves(end) {
		return cs[0]
	}
	for end != nil && f.passes(end) {
		ps := f.parents(end)
		if len(ps) == 0 {
			return end
		}
		end = ps[0]
	}
	return end
}
