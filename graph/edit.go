package graph

import (
	"maps"
	"slices"
	"strconv"
)

// Editor changes a graph with lookups that stay true and fast while it
// changes. While an Editor works its graph must not be changed by other
// means; [Editor.Done] puts the result in place.
type Editor struct {
	g          *Graph
	first      *link // a ring with a head that holds no node
	links      map[*Node]*link
	producer   map[string]*Node
	consumers  map[string][]*Node
	stored     map[string]int // initializers by name; their place in the list
	outputs    map[string]bool
	names      map[string]bool // every name in g, inner graphs included
	nodeNames  map[string]bool
	nextSuffix map[string]int
}

type link struct {
	node       *Node
	prev, next *link
}

// Edit starts to change g. Names in outer, the graphs around g if any, are
// never made up anew.
func Edit(g *Graph, outer ...*Graph) *Editor {
	e := &Editor{
		g:          g,
		first:      &link{},
		links:      make(map[*Node]*link, len(g.Nodes)),
		producer:   map[string]*Node{},
		consumers:  map[string][]*Node{},
		stored:     make(map[string]int, len(g.Initializers)),
		outputs:    map[string]bool{},
		names:      map[string]bool{},
		nodeNames:  map[string]bool{},
		nextSuffix: map[string]int{},
	}
	e.first.prev, e.first.next = e.first, e.first
	for i, t := range g.Initializers {
		e.stored[t.Name] = i
	}
	for _, v := range g.Outputs {
		e.outputs[v.Name] = true
	}
	for _, o := range outer {
		e.collect(o)
	}
	e.collect(g)
	for _, n := range g.Nodes {
		e.insert(e.first.prev, n)
	}
	return e
}

// collect notes every name in g.
func (e *Editor) collect(g *Graph) {
	for _, list := range [][]*Value{g.Inputs, g.Outputs} {
		for _, v := range list {
			e.names[v.Name] = true
		}
	}
	for name := range g.Values {
		e.names[name] = true
	}
	for _, t := range g.Initializers {
		e.names[t.Name] = true
	}
	for _, n := range g.Nodes {
		e.collectNode(n)
	}
}

func (e *Editor) collectNode(n *Node) {
	e.nodeNames[n.Name] = true
	for _, name := range n.Inputs {
		e.names[name] = true
	}
	for _, name := range n.Outputs {
		e.names[name] = true
	}
	for _, sub := range n.Subgraphs() {
		e.collect(sub)
	}
}

// insert links n in after at.
func (e *Editor) insert(at *link, n *Node) *link {
	l := &link{node: n, prev: at, next: at.next}
	l.prev.next, l.next.prev = l, l
	e.links[n] = l
	for _, o := range n.Outputs {
		if o != "" {
			e.producer[o] = n
		}
	}
	for _, in := range Reads(n) {
		e.consumers[in] = append(e.consumers[in], n)
	}
	return l
}

// Nodes returns the nodes as they are now, in order.
func (e *Editor) Nodes() []*Node {
	out := make([]*Node, 0, len(e.links))
	for l := e.first.next; l != e.first; l = l.next {
		out = append(out, l.node)
	}
	return out
}

// Producer returns the node that puts out the value, or nil.
func (e *Editor) Producer(value string) *Node { return e.producer[value] }

// Consumers returns the nodes that read the value, in no particular order when
// nodes were inserted; a node whose inner graphs read it counts too.
func (e *Editor) Consumers(value string) []*Node { return slices.Clone(e.consumers[value]) }

// IsOutput reports whether the value leaves the graph.
func (e *Editor) IsOutput(value string) bool { return e.outputs[value] }

// Initializer returns the stored constant of that name, or nil.
func (e *Editor) Initializer(name string) *Tensor {
	if i, ok := e.stored[name]; ok {
		return e.g.Initializers[i]
	}
	return nil
}

// SetInitializer adds t, or puts it in the place of the one of the same name.
func (e *Editor) SetInitializer(t *Tensor) {
	if i, ok := e.stored[t.Name]; ok {
		e.g.Initializers[i] = t
		return
	}
	e.stored[t.Name] = len(e.g.Initializers)
	e.g.Initializers = append(e.g.Initializers, t)
	e.names[t.Name] = true
}

// Fresh returns base, or base with the first free number after an underscore,
// so that no value of that name exists, and takes the name.
func (e *Editor) Fresh(base string) string { return e.fresh(base, e.names) }

// FreshNode does for node names what [Editor.Fresh] does for values.
func (e *Editor) FreshNode(base string) string { return e.fresh(base, e.nodeNames) }

func (e *Editor) fresh(base string, taken map[string]bool) string {
	name := base
	for name == "" || taken[name] {
		// The counter only saves asking again for numbers that are taken.
		e.nextSuffix[base]++
		name = base + "_" + strconv.Itoa(e.nextSuffix[base])
	}
	taken[name] = true
	return name
}

// Append adds nodes at the end.
func (e *Editor) Append(nodes ...*Node) { e.insertAll(e.first.prev, nodes) }

// InsertBefore adds nodes before n.
func (e *Editor) InsertBefore(n *Node, nodes ...*Node) { e.insertAll(e.links[n].prev, nodes) }

// InsertAfter adds nodes after n.
func (e *Editor) InsertAfter(n *Node, nodes ...*Node) { e.insertAll(e.links[n], nodes) }

func (e *Editor) insertAll(at *link, nodes []*Node) {
	for _, n := range nodes {
		e.collectNode(n)
		at = e.insert(at, n)
	}
}

// Remove takes n out. What reads its outputs must be changed by the caller,
// before or after.
func (e *Editor) Remove(n *Node) {
	l := e.links[n]
	l.prev.next, l.next.prev = l.next, l.prev
	delete(e.links, n)
	for _, o := range n.Outputs {
		if e.producer[o] == n {
			delete(e.producer, o)
		}
	}
	for _, in := range Reads(n) {
		e.unread(in, n)
	}
}

// unread notes that n no longer reads the value.
func (e *Editor) unread(value string, n *Node) {
	if left := slices.DeleteFunc(e.consumers[value], func(c *Node) bool { return c == n }); len(left) > 0 {
		e.consumers[value] = left
	} else {
		delete(e.consumers, value)
	}
}

// SetInput makes n read value as its input i, growing the list with omitted
// inputs where it is shorter.
func (e *Editor) SetInput(n *Node, i int, value string) {
	e.change(n, func() {
		for len(n.Inputs) <= i {
			n.Inputs = append(n.Inputs, "")
		}
		n.Inputs[i] = value
	})
}

// SetOutput makes n put out value as its output i.
func (e *Editor) SetOutput(n *Node, i int, value string) {
	e.change(n, func() { n.Outputs[i] = value })
}

// Change lets f change n in any way, with the lookups following.
func (e *Editor) Change(n *Node, f func()) {
	e.change(n, f)
	e.collectNode(n)
}

func (e *Editor) change(n *Node, f func()) {
	before := Reads(n)
	for _, o := range n.Outputs {
		if e.producer[o] == n {
			delete(e.producer, o)
		}
	}
	f()
	for _, o := range n.Outputs {
		if o != "" {
			e.producer[o] = n
			e.names[o] = true
		}
	}
	after := Reads(n)
	for _, in := range before {
		if !slices.Contains(after, in) {
			e.unread(in, n)
		}
	}
	for _, in := range after {
		if !slices.Contains(before, in) {
			e.consumers[in] = append(e.consumers[in], n)
		}
	}
}

// ReplaceUses makes every node that reads old, inner graphs included, read new
// instead, except the nodes named. Outputs of the graph keep their names: where
// old is one ([Editor.IsOutput]) the caller must see that something still puts
// it out.
func (e *Editor) ReplaceUses(old, new string, except ...*Node) {
	for _, n := range e.Consumers(old) {
		if !slices.Contains(except, n) {
			e.change(n, func() { ReplaceReads(n, old, new) })
		}
	}
}

// ReplaceReads makes n read new in the place of old, in its subgraphs too
// where they do not define old themselves. It is for whoever holds no [Editor].
func ReplaceReads(n *Node, old, new string) {
	for i, in := range n.Inputs {
		if in == old {
			n.Inputs[i] = new
		}
	}
	for _, sub := range n.Subgraphs() {
		if defines(sub, old) {
			continue // another value of that name
		}
		for _, inner := range sub.Nodes {
			ReplaceReads(inner, old, new)
		}
		for i, v := range sub.Outputs {
			if v.Name == old {
				renamed := *v
				renamed.Name = new
				sub.Outputs[i] = &renamed
			}
		}
	}
}

// defines reports whether g itself makes a value of that name.
func defines(g *Graph, name string) bool {
	is := func(v *Value) bool { return v.Name == name }
	return slices.ContainsFunc(g.Inputs, is) || g.Initializer(name) != nil ||
		slices.ContainsFunc(g.Nodes, func(n *Node) bool { return slices.Contains(n.Outputs, name) })
}

// Done puts the nodes in place, sorted, and drops what nothing refers to any
// more: initializers (with the graph inputs that older files list them as) and
// types of inner values. It returns an error where the nodes form a cycle.
func (e *Editor) Done() error {
	e.g.Nodes = e.Nodes()
	if err := e.g.Sort(); err != nil {
		return err
	}
	e.g.DropUnused()
	return nil
}

// DropUnused removes the initializers that nothing reads, along with the graph
// inputs of the same name that older files list them as, and the types of
// values that are gone. It returns the names of the initializers.
func (g *Graph) DropUnused() []string {
	used := map[string]bool{}
	for _, n := range g.Nodes {
		for _, in := range Reads(n) {
			used[in] = true
		}
	}
	for _, v := range g.Outputs {
		used[v.Name] = true
	}
	var dropped []string
	gone := map[string]bool{}
	g.Initializers = slices.DeleteFunc(slices.Clone(g.Initializers), func(t *Tensor) bool {
		if !used[t.Name] {
			dropped = append(dropped, t.Name)
			gone[t.Name] = true
		}
		return !used[t.Name]
	})
	g.Inputs = slices.DeleteFunc(slices.Clone(g.Inputs), func(v *Value) bool { return gone[v.Name] })
	for _, n := range g.Nodes {
		for _, o := range n.Outputs {
			used[o] = true
		}
	}
	for _, v := range g.Inputs {
		used[v.Name] = true
	}
	maps.DeleteFunc(g.Values, func(name string, _ *Value) bool { return !used[name] })
	return dropped
}

// DropDead removes the nodes none of whose outputs are read or leave the
// graph, and what they alone read, until none is left. Nodes without outputs
// stay. It returns the removed nodes, last first.
func (g *Graph) DropDead() []*Node {
	uses := map[string]int{}
	for _, v := range g.Outputs {
		uses[v.Name]++
	}
	for _, n := range g.Nodes {
		for _, in := range Reads(n) {
			uses[in]++
		}
	}
	var dead []*Node
	keep := make([]*Node, 0, len(g.Nodes))
	for _, n := range slices.Backward(g.Nodes) {
		if len(n.Outputs) == 0 || slices.ContainsFunc(n.Outputs, func(o string) bool { return uses[o] > 0 }) {
			keep = append(keep, n)
			continue
		}
		dead = append(dead, n)
		for _, in := range Reads(n) {
			uses[in]--
		}
	}
	slices.Reverse(keep)
	g.Nodes = keep
	return dead
}
