package rewrite

import (
	"fmt"
	"maps"
	"slices"

	"narrow/diag"
	"narrow/graph"
	"narrow/graph/infer"
)

// work is a network being rewritten, with an index that is kept up to date.
// Nodes that are removed stay in the graph, marked in gone, until sweep: a rule
// may remove each of many thousands.
type work struct {
	m       *graph.Model
	g       *graph.Graph
	ix      *graph.Index
	fresh   func(base string) string // see [graph.Fresh]
	stored  map[string]int           // where in the graph's initializers each name is
	gone    map[*graph.Node]bool
	spare   map[string]bool        // values and initializers that nobody read to begin with
	idle    map[*graph.Node]bool   // nodes whose results nobody read to begin with
	ranks   map[string]int         // memory of rank
	shapes  map[string][]graph.Dim // of the values that the model came with
	types   map[string]graph.DataType
	fold    *folding             // see [work.folding]
	normals map[*graph.Node]bool // memory of normalizes

	rule   string
	made   []string
	report Report
}

func newWork(m *graph.Model) (*work, error) {
	c := m.Clone()
	w := &work{
		m: c, g: c.Graph,
		fresh:  graph.Fresh(c.Graph),
		stored: map[string]int{},
		gone:   map[*graph.Node]bool{},
		spare:  map[string]bool{},
		idle:   map[*graph.Node]bool{},
		ranks:  map[string]int{},
	}
	if err := c.Graph.Sort(); err != nil {
		return nil, diag.Errorf("rewrite: graph %q: %w", c.Graph.Name, err)
	}
	if err := oneProducer(c.Graph); err != nil {
		return nil, diag.Errorf("rewrite: graph %q: %w", c.Graph.Name, err)
	}
	w.ix = graph.NewIndex(c.Graph)
	known := infer.Infer(c, nil)
	w.shapes, w.types = known.Shapes, known.Types
	for _, n := range c.Graph.Nodes {
		w.idle[n] = w.dead(n)
	}
	for i, t := range c.Graph.Initializers {
		if _, twice := w.stored[t.Name]; !twice {
			w.stored[t.Name] = i
		}
		w.spare[t.Name] = !w.read(t.Name)
	}
	return w, nil
}

// oneProducer refuses a value with two producers in g or a graph inside.
func oneProducer(g *graph.Graph) error {
	own := map[string]bool{}
	for _, v := range g.Inputs {
		own[v.Name] = true
	}
	for _, t := range g.Initializers {
		own[t.Name] = true
	}
	for _, n := range g.Nodes {
		for _, o := range n.Outputs {
			if o != "" && own[o] {
				return diag.Errorf("value %q has two producers, the second is node %q", o, n.Label())
			}
			own[o] = true
		}
		for _, sub := range n.Subgraphs() {
			if err := oneProducer(sub); err != nil {
				return err
			}
		}
	}
	return nil
}

// opset returns the version of the standard operators.
func (w *work) opset() int64 { return w.m.Opsets[""] }

// read reports whether a node reads v or it leaves the graph.
func (w *work) read(v string) bool { return len(w.ix.Consumers[v]) > 0 || w.ix.IsOutput(v) }

// dead reports whether nobody reads any result of n.
func (w *work) dead(n *graph.Node) bool {
	return !slices.ContainsFunc(n.Outputs, func(o string) bool { return o != "" && w.read(o) })
}

// only reports whether n is the only reader of v, through one input of its own.
func (w *work) only(v string, n *graph.Node) bool {
	users := w.ix.Consumers[v]
	if len(users) != 1 || users[0] != n || w.ix.IsOutput(v) || w.inner(v) {
		return false
	}
	times := 0
	for _, in := range n.Inputs {
		if in == v {
			times++
		}
	}
	return times == 1
}

// inner reports whether a graph inside a node reads v.
func (w *work) inner(v string) bool {
	for _, n := range w.ix.Consumers[v] {
		if !slices.Contains(n.Inputs, v) {
			return true
		}
		if len(n.Subgraphs()) > 0 {
			bare := &graph.Node{Attrs: n.Attrs}
			if slices.Contains(graph.Reads(bare), v) {
				return true
			}
		}
	}
	return false
}

// others says who else than n reads v, for a refusal.
func (w *work) others(v string, n *graph.Node) string {
	if w.ix.IsOutput(v) {
		return fmt.Sprintf("%q is an output of the network", v)
	}
	for _, u := range w.ix.Consumers[v] {
		if u != n {
			return fmt.Sprintf("%q is read by %q too", v, u.Label())
		}
	}
	return fmt.Sprintf("%q is read more than once", v)
}

// floats returns the elements of a float32 constant.
func (w *work) floats(v string) ([]float32, []int64, bool) {
	t := w.ix.Constant[v]
	if t == nil || t.Type != graph.Float32 {
		return nil, nil, false
	}
	x, err := t.Floats()
	if err != nil {
		return nil, nil, false
	}
	return x, t.Dims, true
}

// ints returns the elements of an integer constant.
func (w *work) ints(v string) ([]int64, bool) {
	t := w.ix.Constant[v]
	if t == nil {
		return nil, false
	}
	x, err := t.Int64s()
	return x, err == nil
}

// setInput makes input i of n read v.
func (w *work) setInput(n *graph.Node, i int, v string) {
	for len(n.Inputs) <= i {
		n.Inputs = append(n.Inputs, "")
	}
	old := n.Inputs[i]
	n.Inputs[i] = v
	if old != "" && !slices.Contains(graph.Reads(n), old) {
		w.ix.Consumers[old] = slices.DeleteFunc(w.ix.Consumers[old], func(u *graph.Node) bool { return u == n })
	}
	if v != "" && !slices.Contains(w.ix.Consumers[v], n) {
		w.ix.Consumers[v] = append(w.ix.Consumers[v], n)
	}
}

// setFloats puts a new constant in the place of input i of n. A constant that
// n alone reads keeps its name; another gets a new one, of base where it has none.
func (w *work) setFloats(n *graph.Node, i int, base string, dims []int64, values []float32) {
	name := n.Input(i)
	if _, ok := w.stored[name]; name == "" || !ok || !w.only(name, n) {
		if name != "" {
			base = name
		}
		name = w.fresh(base)
		w.setInput(n, i, name)
	}
	w.setInitializer(graph.NewFloats(name, slices.Clone(dims), values))
}

// setInitializer stores a constant. A graph input of the same name (files of
// IR version 3 list constants there too) is dropped: a value handed in by the
// caller would undo what the rule did.
func (w *work) setInitializer(t *graph.Tensor) {
	if i, ok := w.stored[t.Name]; ok {
		w.g.Initializers[i] = t
	} else {
		w.stored[t.Name] = len(w.g.Initializers)
		w.g.Initializers = append(w.g.Initializers, t)
	}
	w.g.Inputs = slices.DeleteFunc(w.g.Inputs, func(v *graph.Value) bool { return v.Name == t.Name })
	delete(w.g.Values, t.Name)
	delete(w.shapes, t.Name)
	w.ix.Constant[t.Name] = t
}

// remove takes n out of the graph. Its results must have no readers left.
func (w *work) remove(n *graph.Node) {
	for _, v := range graph.Reads(n) {
		w.ix.Consumers[v] = slices.DeleteFunc(w.ix.Consumers[v], func(u *graph.Node) bool { return u == n })
	}
	for _, o := range n.Outputs {
		if w.ix.Producer[o] == n {
			delete(w.ix.Producer, o)
			delete(w.ix.Constant, o)
			delete(w.ranks, o)
		}
	}
	w.gone[n] = true
}

// sweep takes the nodes that were removed out of the list.
func (w *work) sweep() {
	w.g.Nodes = slices.DeleteFunc(w.g.Nodes, func(n *graph.Node) bool { return w.gone[n] })
}

// add puts n, a node that the rule makes, in front of anchor.
func (w *work) add(anchor, n *graph.Node) *graph.Node {
	n.Rule = w.rule
	i := slices.Index(w.g.Nodes, anchor)
	w.g.Nodes = slices.Insert(w.g.Nodes, i, n)
	for _, o := range n.Outputs {
		w.ix.Producer[o] = n
	}
	for _, v := range graph.Reads(n) {
		if !slices.Contains(w.ix.Consumers[v], n) {
			w.ix.Consumers[v] = append(w.ix.Consumers[v], n)
		}
	}
	w.made = append(w.made, n.Label())
	return n
}

// replace puts n in the place of old, whose results it puts out from now on.
func (w *work) replace(old, n *graph.Node) *graph.Node {
	w.add(old, n)
	w.remove(old)
	return n
}

// takeOver makes p put out the result of last instead of its own result v,
// which last alone reads, and removes last.
func (w *work) takeOver(p *graph.Node, v string, last *graph.Node) {
	out := last.Outputs[0]
	w.remove(last)
	for i, o := range p.Outputs {
		if o == v {
			p.Outputs[i] = out
		}
	}
	delete(w.ix.Producer, v)
	delete(w.ranks, v)
	delete(w.g.Values, v)
	delete(w.shapes, v)
	w.ix.Producer[out] = p
}

// bypassReason says why [work.bypass] cannot be used on n, or returns "".
func (w *work) bypassReason(n *graph.Node) string {
	v, out := n.Input(0), n.Outputs[0]
	p := w.ix.Producer[v]
	_, stored := w.stored[v]
	switch {
	case !w.ix.IsOutput(out):
		if w.inner(out) {
			return fmt.Sprintf("%q is read by a graph inside a node", out)
		}
	case p == nil || stored:
		return fmt.Sprintf("it leads from an input or a constant straight to the output %q", out)
	case w.ix.IsOutput(v):
		return fmt.Sprintf("%q and %q are both outputs of the network", v, out)
	case w.inner(v):
		return fmt.Sprintf("%q is read by a graph inside a node", v)
	}
	return ""
}

// bypass removes n, a node whose first result equals its first input.
func (w *work) bypass(n *graph.Node) {
	v, out := n.Input(0), n.Outputs[0]
	if !w.ix.IsOutput(out) {
		w.redirect(out, v)
		w.remove(n)
		return
	}
	// The network's output keeps its name: v's producer puts it out.
	p := w.ix.Producer[v]
	w.redirectExcept(v, out, n)
	w.takeOver(p, v, n)
}

// redirect makes every reader of from read to.
func (w *work) redirect(from, to string) { w.redirectExcept(from, to, nil) }

func (w *work) redirectExcept(from, to string, except *graph.Node) {
	for _, u := range slices.Clone(w.ix.Consumers[from]) {
		if u == except {
			continue
		}
		for i, in := range u.Inputs {
			if in == from {
				w.setInput(u, i, to)
			}
		}
	}
}

// finish removes what the rules left without readers and sorts the nodes.
func (w *work) finish() error {
	for again := true; again; {
		again = false
		for i := len(w.g.Nodes) - 1; i >= 0; i-- {
			if n := w.g.Nodes[i]; !w.gone[n] && !w.idle[n] && w.dead(n) {
				w.remove(n)
				again = true
			}
		}
	}
	w.sweep()
	drop := map[string]bool{}
	w.g.Initializers = slices.DeleteFunc(w.g.Initializers, func(t *graph.Tensor) bool {
		drop[t.Name] = !w.spare[t.Name] && !w.read(t.Name)
		return drop[t.Name]
	})
	w.g.Inputs = slices.DeleteFunc(w.g.Inputs, func(v *graph.Value) bool { return drop[v.Name] })
	alive := map[string]bool{}
	for _, v := range w.g.Inputs {
		alive[v.Name] = true
	}
	for _, t := range w.g.Initializers {
		alive[t.Name] = true
	}
	for _, n := range w.g.Nodes {
		for _, o := range n.Outputs {
			alive[o] = true
		}
	}
	maps.DeleteFunc(w.g.Values, func(name string, _ *graph.Value) bool { return !alive[name] })
	if err := w.g.Sort(); err != nil {
		return diag.Errorf("rewrite: graph %q: %w", w.g.Name, err)
	}
	return nil
}
