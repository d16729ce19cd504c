package rewrite

import (
	"maps"
	"slices"

	"narrow/graph"
	"narrow/graph/infer"
)

// deepestBranches is how deep Ifs inside of inlined branches are looked at.
const deepestBranches = 32

// InlineBranches puts the branch that is taken in the place of every If of m's
// outermost graph whose condition is constant, by the graph's structure alone: a
// stored constant, or what small computations of shapes come to. Names stay where
// they are free. What only a condition needed goes too. The second result is how many
// were inlined; m itself stays as it is.
func InlineBranches(m *graph.Model) (*graph.Model, int) {
	isIf := func(n *graph.Node) bool { return n.Is("If") }
	if !slices.ContainsFunc(m.Graph.Nodes, isIf) {
		return m, 0
	}
	b := &branches{m: m.Clone(), used: map[string]bool{}, conditions: map[string]bool{}}
	g := b.m.Graph
	b.fresh = graph.Fresh(g)
	for _, v := range g.Inputs {
		b.used[v.Name] = true
	}
	for _, t := range g.Initializers {
		b.used[t.Name] = true
	}
	for _, n := range g.Nodes {
		for _, o := range n.Outputs {
			b.used[o] = true
		}
	}
	count := 0
	for range deepestBranches {
		before := count
		b.ix, b.known = graph.NewIndex(g), nil
		var nodes []*graph.Node
		for _, n := range g.Nodes {
			branch := b.taken(n)
			if branch == nil {
				nodes = append(nodes, n)
				continue
			}
			b.conditions[n.Input(0)] = true
			nodes = append(nodes, b.inline(n, branch)...)
			count++
		}
		if count == before {
			break
		}
		g.Nodes = nodes
	}
	if count == 0 {
		return m, 0
	}
	b.prune()
	return b.m, count
}

// branches inlines Ifs.
type branches struct {
	m     *graph.Model
	ix    *graph.Index
	known *infer.Constants // what nodes make, once asked for
	used  map[string]bool  // the outermost graph's names of values
	fresh func(string) string
	// conditions are those of the Ifs that are gone.
	conditions map[string]bool
}

// taken returns the branch that n, an If, always takes, or nil.
func (b *branches) taken(n *graph.Node) *graph.Graph {
	if !n.Is("If") {
		return nil
	}
	then, ok := b.condition(n.Input(0))
	if !ok {
		return nil
	}
	name := "else_branch"
	if then {
		name = "then_branch"
	}
	if a := n.Attr(name); a != nil && a.Graph != nil && len(a.Graph.Inputs) == 0 && len(a.Graph.Outputs) == len(n.Outputs) {
		return a.Graph
	}
	return nil
}

// condition returns the element of a constant of one boolean.
func (b *branches) condition(v string) (value, ok bool) {
	t := b.ix.Constant[v]
	if t == nil {
		if b.known == nil {
			b.known = infer.FindConstants(b.m, constantRoom(b.m.Graph))
		}
		if c := b.known.Values[v]; c != nil {
			t = c.Known
		}
	}
	if t == nil || t.Type != graph.Bool || len(t.Raw) != 1 {
		return false, false
	}
	return t.Raw[0] != 0, true
}

// inline returns the nodes of a branch, in the place of n.
func (b *branches) inline(n *graph.Node, branch *graph.Graph) []*graph.Node {
	g := b.m.Graph
	names := map[string]string{}
	for i, v := range branch.Outputs {
		made := slices.ContainsFunc(branch.Nodes, func(x *graph.Node) bool { return slices.Contains(x.Outputs, v.Name) })
		if _, taken := names[v.Name]; made && !taken && n.Outputs[i] != "" {
			names[v.Name] = n.Outputs[i]
		}
	}
	own := func(v string) {
		if _, named := names[v]; v == "" || named {
			return
		}
		names[v] = v
		if b.used[v] {
			names[v] = b.fresh(v)
		}
		b.used[names[v]] = true
	}
	for _, t := range branch.Initializers {
		own(t.Name)
		c := *t
		c.Name = names[t.Name]
		g.Initializers = append(g.Initializers, &c)
	}
	for _, x := range branch.Nodes {
		for _, o := range x.Outputs {
			own(o)
		}
	}
	var nodes []*graph.Node
	for _, x := range branch.Nodes {
		c := x.Clone()
		renameReads(c, names)
		for i, o := range c.Outputs {
			if o != "" {
				c.Outputs[i] = names[o]
			}
		}
		nodes = append(nodes, c)
	}
	for i, v := range branch.Outputs {
		from := v.Name
		if to, ok := names[from]; ok {
			from = to
		}
		if out := n.Outputs[i]; out != "" && from != out {
			nodes = append(nodes, &graph.Node{Name: b.fresh(n.Label() + "/Identity"), OpType: "Identity", Inputs: []string{from}, Outputs: []string{out}})
		}
	}
	for v, x := range branch.Values {
		if to := names[v]; to != "" && g.Values[to] == nil {
			c := *x
			c.Name = to
			if g.Values == nil {
				g.Values = map[string]*graph.Value{}
			}
			g.Values[to] = &c
		}
	}
	return nodes
}

// renameReads gives what n, and the graphs in it, reads its new names.
func renameReads(n *graph.Node, names map[string]string) {
	for i, v := range n.Inputs {
		if to, ok := names[v]; ok {
			n.Inputs[i] = to
		}
	}
	for _, sub := range n.Subgraphs() {
		inner := maps.Clone(names)
		for _, v := range sub.Inputs {
			delete(inner, v.Name)
		}
		for _, t := range sub.Initializers {
			delete(inner, t.Name)
		}
		for _, x := range sub.Nodes {
			for _, o := range x.Outputs {
				delete(inner, o)
			}
		}
		for _, x := range sub.Nodes {
			renameReads(x, inner)
		}
		renameOutputs(sub, inner)
	}
}

// prune removes what made the conditions alone.
func (b *branches) prune() {
	g := b.m.Graph
	read := map[string]int{}
	for _, v := range g.Outputs {
		read[v.Name]++
	}
	for _, n := range g.Nodes {
		for _, v := range graph.Reads(n) {
			read[v]++
		}
	}
	var kept []*graph.Node
	for _, n := range slices.Backward(g.Nodes) {
		needless := slices.ContainsFunc(n.Outputs, func(o string) bool { return b.conditions[o] }) &&
			!slices.ContainsFunc(n.Outputs, func(o string) bool { return read[o] > 0 })
		if !needless {
			kept = append(kept, n)
			continue
		}
		for _, v := range graph.Reads(n) {
			read[v]--
			b.conditions[v] = true
		}
	}
	slices.Reverse(kept)
	g.Nodes = kept
	g.Initializers = slices.DeleteFunc(g.Initializers, func(t *graph.Tensor) bool { return b.conditions[t.Name] && read[t.Name] == 0 })
}
