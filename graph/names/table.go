package names

import (
	"bytes"
	"slices"
	"strings"

	"narrow/graph"
	"narrow/strategy"
)

// Entry is what one node is called.
type Entry struct {
	Node *graph.Node
	// Name is the node's name, or its operator and first output.
	Name string
	// Module is the torch module path and Scoped whether it is known: the
	// path of what the root module does itself is "".
	Module string
	Scoped bool
	// Vai is the name in vai_q_pytorch's listings up to the last part, "" where
	// the file does not hold the modules' classes.
	Vai string
	// Class is the torch class, "" where nothing in torch.nn fits.
	Class string

	scope scope
	place int // in the table
}

// Table knows the names of a model's nodes. It is a snapshot: make a new one
// after changing the model.
type Table struct {
	Entries []*Entry // in graph order

	ix      *graph.Index
	classes map[string]class
	// before is the table of the model that this one was rewritten from, or nil.
	before   *Table
	byName   map[string]*Entry
	byModule map[string][]*Entry
	// inside are the entries of the modules in a module, by its path.
	inside map[string][]*Entry
	// numbered are the module paths that become a path without their counters.
	numbered map[string][]string
}

// New builds the table of a model's main graph.
func New(m *graph.Model) *Table {
	t := &Table{
		ix: graph.NewIndex(m.Graph), classes: torchClasses(),
		byName: map[string]*Entry{}, byModule: map[string][]*Entry{}, numbered: map[string][]string{},
		inside: map[string][]*Entry{},
	}
	order := classOrder(t.classes)
	for _, n := range m.Graph.Nodes {
		s := scopeOf(n, t.ix)
		e := &Entry{place: len(t.Entries), Node: n, Name: n.Label(), Module: s.path, Scoped: s.known, Vai: s.vaiName(), scope: s}
		e.Class = t.classOf(e, order)
		t.Entries = append(t.Entries, e)
		if t.byName[e.Name] == nil {
			t.byName[e.Name] = e
		}
		if e.Scoped {
			if bare := uncounted(e.Module); t.byModule[e.Module] == nil && bare != e.Module {
				t.numbered[bare] = append(t.numbered[bare], e.Module)
			}
			t.byModule[e.Module] = append(t.byModule[e.Module], e)
			for i, c := range e.Module {
				if c == '.' {
					t.inside[e.Module[:i]] = append(t.inside[e.Module[:i]], e)
				}
			}
		}
	}
	return t
}

// NewAfter builds the table of m, which was rewritten from original. What a
// name or type means only in the original is looked up there, and leads to
// what now puts out the same values.
func NewAfter(original, m *graph.Model) *Table {
	t := New(m)
	t.before = New(original)
	return t
}

// Before returns an index of the network before it was rewritten, nil where the
// table was made without one.
func (t *Table) Before() *graph.Index {
	if t.before == nil {
		return nil
	}
	return t.before.ix
}

// Gone is a node that a rewrite took away.
type Gone struct {
	Node *graph.Node
	// Into is the node that now puts out what Node did, nil where there is none.
	Into *graph.Node
}

// follow leads nodes of the original to those that took their place.
func (t *Table) follow(nodes []*graph.Node) (now []*graph.Node, gone []Gone) {
	for _, n := range nodes {
		var into *graph.Node
		for _, o := range n.Outputs {
			if p := t.ix.Producer[o]; p != nil && o != "" {
				into = p
			}
		}
		switch {
		case into == nil, into.OpType != n.OpType && t.weighted(into):
			// A batch norm that was folded into a convolution is not that convolution.
			gone = append(gone, Gone{n, into})
		case !slices.Contains(now, into):
			now = append(now, into)
		}
	}
	return now, gone
}

// classOf returns the torch class that a node is: the exporter's word for it
// where it says so, else what its operator tells.
func (t *Table) classOf(e *Entry, order []string) string {
	if n := len(e.scope.classes); n > 1 {
		own := e.scope.classes[n-1]
		if c, ok := t.classes[own]; ok && t.is(e.Node, c) {
			return own
		}
	}
	for _, name := range order {
		if t.is(e.Node, t.classes[name]) {
			if strings.HasPrefix(e.Node.OpType, "Global") || !strings.HasPrefix(name, "Adaptive") {
				return name
			}
		}
	}
	if n := len(e.scope.classes); n > 1 && strings.HasPrefix(e.scope.full, "torch.nn.") {
		return e.scope.classes[n-1] // taken apart by the exporter
	}
	return ""
}

// Entry returns the entry of a node, or nil.
func (t *Table) Entry(n *graph.Node) *Entry {
	if e := t.byName[n.Label()]; e != nil && e.Node == n {
		return e
	}
	for _, e := range t.Entries {
		if e.Node == n {
			return e
		}
	}
	return nil
}

// Form says as what a name was understood.
type Form string

// The forms of a layer's name.
const (
	NodeName   Form = "node name"
	ModulePath Form = "module path"
	VaiName    Form = "vai name"
	InputName  Form = "network input"
	Pattern    Form = "pattern"
)

// Match is what a name means.
type Match struct {
	// Name is the name that was looked up, as [Table.FindAll] tells it.
	Name string
	Form Form
	// Nodes are the nodes that the name means, in graph order. Several of them
	// may still be one layer to a quantizer (MatMul and Add of one Linear).
	Nodes []*graph.Node
	// Input is the network input that the name means, "" where it means nodes;
	// Inputs are those that a pattern means.
	Input  string
	Inputs []string
	// Reused says that Nodes are several uses of one module.
	Reused bool
	// Gone are the nodes that the name meant before rewriting (see [NewAfter]).
	Gone []Gone
}

// Find returns what a layer_name of a strategy file means: the node of that
// name; else the network input; else the nodes of the module with that path;
// else those that a name of vai_q_pytorch leads to. Without a match, Form
// is "".
//
// Of a module's nodes, constants count only when there is nothing else, and
// those that only move values around when there is nothing that computes;
// where exactly one has weights, it alone counts. A path of a module that
// does nothing itself means everything inside. A module that is called several
// times means all of its uses, and Reused says so; a name of vai_q_pytorch means
// one of them where its last part tells which.
func (t *Table) Find(name string) Match {
	m := t.find(name)
	m.Reused = m.Form != NodeName && t.reused(m.Nodes)
	if m.Form == "" && t.before != nil {
		m = t.before.find(name)
		m.Reused = m.Form != NodeName && t.before.reused(m.Nodes)
		m.Nodes, m.Gone = t.follow(m.Nodes)
	}
	return m
}

func (t *Table) find(name string) Match {
	if e := t.byName[name]; e != nil {
		return Match{Form: NodeName, Nodes: []*graph.Node{e.Node}}
	}
	if name == "" {
		return Match{}
	}
	for _, v := range t.ix.Graph.Inputs {
		if v.Name == name && t.ix.IsInput(name) {
			return Match{Form: InputName, Input: name}
		}
	}
	if nodes := t.module(name); len(nodes) > 0 {
		return Match{Form: ModulePath, Nodes: nodes}
	}
	v, ok := parseVai(name)
	switch {
	case !ok:
		return Match{}
	case v.input >= 0:
		i := 0
		for _, in := range t.ix.Graph.Inputs {
			if !t.ix.IsInput(in.Name) {
				continue
			}
			if i == v.input {
				return Match{Form: InputName, Input: in.Name}
			}
			i++
		}
		return Match{}
	}
	if nodes := t.vai(v); len(nodes) > 0 {
		return Match{Form: VaiName, Nodes: nodes}
	}
	return Match{}
}

// module returns the nodes of a module path, those of the modules in it and of
// later calls of the same included.
func (t *Table) module(path string) []*graph.Node {
	if path == "" {
		return nil
	}
	within := t.inside[path]
	own := t.byModule[path]
	if len(within) == 0 {
		if again := t.calls(path); len(again) > 0 {
			return pickEach(t, slices.Concat(own, again))
		}
		return pick(t, own)
	}
	return pickEach(t, slices.Concat(own, within))
}

// vai returns the nodes that a name of vai_q_pytorch leads to.
func (t *Table) vai(v vai) []*graph.Node {
	own := t.byModule[v.path]
	if e := t.asListed(own, v.tail); e != nil {
		return []*graph.Node{e.Node}
	}
	if len(own) == 0 && v.path != "" {
		// A module that wraps others, or a file without that module's nodes.
		own = t.calls(v.path)
	} else if v.path != "" {
		own = append(own[:len(own):len(own)], t.calls(v.path)...)
	}
	if c, ok := t.classes[v.class]; ok && len(own) > 1 && v.tail != "" {
		var fit []*Entry
		for _, e := range own {
			if t.is(e.Node, c) {
				fit = append(fit, e)
			}
		}
		if len(fit) > 0 {
			own = fit
		}
	}
	nodes := pickEach(t, own)
	if _, leaf := t.classes[v.class]; !leaf && v.tail != "" && len(own) > 0 {
		// What a block does itself: a Flatten may be meant as well as an Add.
		nodes = nil
		for _, e := range own {
			if !isConstant(e.Node) {
				nodes = append(nodes, e.Node)
			}
		}
	}
	if len(nodes) == 0 && v.path != "" {
		nodes = t.module(v.path)
	}
	if len(nodes) != 1 && v.tail != "" {
		// Exporters before torch 1.13 name values as vai_q_pytorch does.
		for _, e := range t.Entries {
			if slices.Contains(e.Node.Outputs, v.tail) && (!e.Scoped || e.Module == v.path || slices.Contains(nodes, e.Node)) {
				return []*graph.Node{e.Node}
			}
		}
	}
	if len(nodes) > 1 && v.number > 0 {
		if n := t.numberedNode(v.number); n != nil && slices.Contains(nodes, n) {
			return []*graph.Node{n}
		}
	}
	return nodes
}

// asListed returns the one of a module's entries whose operator is the last part
// of a name, as narrow's own listings write it: that one call of the module,
// where it is called several times. Nil where there is no such one.
func (t *Table) asListed(own []*Entry, tail string) *Entry {
	var found *Entry
	for _, e := range own {
		if tail == strings.ToLower(e.Node.OpType) {
			if found != nil {
				return nil
			}
			found = e
		}
	}
	return found
}

// calls returns the nodes of the second and later calls of a module. The
// TorchScript-based exporter numbers them, on the module or on one around it
// (relu_1, or layer1_1.0.relu), as it does modules that have such a name of
// their own: those do another thing, or with other constants.
func (t *Table) calls(path string) []*Entry {
	first := t.byModule[path]
	if len(first) == 0 {
		return nil
	}
	var found []*Entry
	for _, module := range t.numbered[path] {
		again := t.byModule[module]
		if module == path || len(again) != len(first) {
			continue
		}
		same := true
		for i, e := range again {
			same = same && t.sameCall(e, first[i])
		}
		if same {
			found = append(found, again...)
		}
	}
	return found
}

// sameCall reports whether e may do in a second call what first does.
func (t *Table) sameCall(e, first *Entry) bool {
	n, f := e.Node, first.Node
	if n.OpType != f.OpType || len(n.Inputs) != len(f.Inputs) {
		return false
	}
	for i, in := range n.Inputs {
		a, b := t.ix.Constant[in], t.ix.Constant[f.Inputs[i]]
		if strings.HasPrefix(in, e.Module+".") || (a == nil) != (b == nil) {
			return false
		}
		if a != nil && a != b && (a.Type != b.Type || !slices.Equal(a.Dims, b.Dims) || !bytes.Equal(a.Raw, b.Raw)) {
			return false
		}
	}
	return true
}

// uncounted takes the counters of second calls off every part of a module path.
func uncounted(path string) string {
	parts := strings.Split(path, ".")
	for i, p := range parts {
		parts[i] = trimCall(p)
	}
	return strings.Join(parts, ".")
}

// numberedNode returns the node that vai_q_pytorch calls nndct_..._number, or nil
// where the file does not tell: it counts inputs and operations as they are
// traced, batch norms behind a convolution left out.
func (t *Table) numberedNode(number int) *graph.Node {
	at := 0
	for _, v := range t.ix.Graph.Inputs {
		if t.ix.IsInput(v.Name) {
			at++
		}
	}
	for _, e := range t.Entries {
		n := e.Node
		before := t.ix.Producer[n.Input(0)]
		switch {
		case n.Is("Constant", "Identity"):
			continue
		case isConstant(n), len(n.Subgraphs()) > 0, n.Domain != "":
			return nil // what the exporter made of the trace cannot be counted
		case n.Is("BatchNormalization") && before != nil && before.Is("Conv", "ConvTranspose"),
			n.Is("Mul") && t.isSiLU(n), // one with the Sigmoid before it
			n.Is("Add") && before != nil && before.Is("MatMul") && t.ix.Constant[n.Input(1)] != nil:
			continue
		case at == number:
			return n
		}
		at++
	}
	return nil
}

// pickEach picks among the entries of each module on its own.
func pickEach(t *Table, entries []*Entry) []*graph.Node {
	byModule := map[string][]*Entry{}
	for _, e := range entries {
		byModule[e.Module] = append(byModule[e.Module], e)
	}
	keep := map[*graph.Node]bool{}
	for _, es := range byModule {
		for _, n := range pick(t, es) {
			keep[n] = true
		}
	}
	var nodes []*graph.Node
	for _, e := range slices.SortedFunc(slices.Values(entries), func(a, b *Entry) int { return a.place - b.place }) {
		if keep[e.Node] {
			nodes = append(nodes, e.Node)
			delete(keep, e.Node)
		}
	}
	return nodes
}

// pick returns those of one module's nodes that make its layer.
func pick(t *Table, entries []*Entry) []*graph.Node {
	nodes := make([]*graph.Node, 0, len(entries))
	for _, e := range entries {
		nodes = append(nodes, e.Node)
	}
	for _, drop := range []func(*graph.Node) bool{isConstant, isMover} {
		if rest := slices.DeleteFunc(slices.Clone(nodes), drop); len(rest) > 0 {
			nodes = rest
		}
	}
	if len(nodes) > 1 {
		var weighted []*graph.Node
		for _, n := range nodes {
			if t.weighted(n) {
				weighted = append(weighted, n)
			}
		}
		if len(weighted) == 1 {
			return weighted
		}
	}
	return nodes
}

func isConstant(n *graph.Node) bool {
	return n.Is("Constant", "ConstantOfShape", "Shape", "Size", "Range")
}

func isMover(n *graph.Node) bool {
	return isConstant(n) || n.Is("Identity", "Cast", "CastLike", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Gather",
		"Expand", "Pad", "Dropout", "Split", "Tile")
}

// weighted reports whether a node is a layer with weights of its own.
func (t *Table) weighted(n *graph.Node) bool {
	switch {
	case n.Is("Conv", "ConvTranspose", "Gemm", "BatchNormalization", "InstanceNormalization", "LayerNormalization",
		"GroupNormalization", "LSTM", "GRU", "RNN"):
		return true
	case n.Is("MatMul"):
		return t.hasConstantWeight(n)
	}
	return false
}

// OfType returns the nodes that a layer_type of a strategy file means, in graph
// order: an ONNX operator, a class of torch.nn (torch.nn.Conv2d, nn.Conv2d or
// Conv2d), or any other class that the exporter wrote into the file.
func (t *Table) OfType(layerType string) []*graph.Node {
	nodes := t.ofType(layerType)
	if len(nodes) == 0 && t.before != nil {
		nodes, _ = t.follow(t.before.ofType(layerType))
	}
	return nodes
}

// GoneType returns the nodes of a type that rewriting took away, where none
// are left (see [NewAfter]).
func (t *Table) GoneType(layerType string) []Gone {
	if t.before == nil || len(t.ofType(layerType)) > 0 {
		return nil
	}
	_, gone := t.follow(t.before.ofType(layerType))
	return gone
}

func (t *Table) ofType(layerType string) []*graph.Node {
	bare := strategy.BareType(layerType)
	c, isClass := t.classes[bare]
	// Modules whose own operator is there are that operator; of others, such as
	// a normalization that the exporter took apart, all nodes belong.
	whole := map[string]bool{}
	for _, e := range t.Entries {
		if k := len(e.scope.classes); k > 0 && t.classIs(e, layerType, bare) {
			if _, ok := whole[e.Module]; !ok {
				whole[e.Module] = true
			}
			if isClass && t.is(e.Node, c) {
				whole[e.Module] = false
			}
		}
	}
	var nodes []*graph.Node
	for _, e := range t.Entries {
		n := e.Node
		switch {
		case isClass && t.is(n, c), n.Is(layerType):
			nodes = append(nodes, n)
		case e.Scoped && whole[e.Module] && !isMover(n):
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// classIs reports whether the module that made a node is of a class.
func (t *Table) classIs(e *Entry, layerType, bare string) bool {
	return e.scope.full == layerType || e.scope.classes[len(e.scope.classes)-1] == bare && !strings.Contains(bare, ".")
}

// Nearest returns at most three names of layers that a name may be a
// misspelling of, the nearest first, in the form that it is written in.
func (t *Table) Nearest(name string) []string {
	v, isVai := parseVai(name)
	var nodes, modules, vais []string
	vaiOf := map[string]string{} // module path to the vai name
	for _, e := range t.Entries {
		if isConstant(e.Node) {
			continue
		}
		nodes = append(nodes, e.Name)
		if e.Scoped && e.Module != "" {
			modules = append(modules, e.Module)
			vaiOf[e.Module] = e.Vai
		}
		if e.Vai != "" {
			vais = append(vais, e.Vai)
		}
	}
	if isVai && v.path != "" {
		var out []string
		for _, m := range nearestPath(v.path, modules) {
			if vaiOf[m] != "" {
				m = vaiOf[m]
			}
			out = append(out, m)
		}
		if len(out) > 0 {
			return out
		}
	}
	if strings.HasPrefix(name, "/") {
		return firstFull(nearestPath(name, nodes), nearestPath(strings.ReplaceAll(strings.Trim(name, "/"), "/", "."), modules))
	}
	return firstFull(nearestPath(name, modules), nearestPath(name, nodes), strategy.Nearest(name, vais))
}

func firstFull(lists ...[]string) []string {
	for _, l := range lists {
		if len(l) > 0 {
			return l
		}
	}
	return nil
}

// nearestPath finds near paths: by spelling, else those that share the last
// part, such as layer1.1.conv1 for block1.1.conv1.
func nearestPath(path string, all []string) []string {
	if near := strategy.Nearest(path, all); len(near) > 0 {
		return near
	}
	last := func(s string) string { return s[strings.LastIndexAny(s, "./")+1:] }
	var same []string
	for _, a := range all {
		if last(a) == last(path) && !slices.Contains(same, a) && len(same) < 3 {
			same = append(same, a)
		}
	}
	return same
}

// NearestTypes returns at most three types of the model's layers that a type
// may be a misspelling of.
func (t *Table) NearestTypes(layerType string) []string {
	var types []string
	for _, e := range t.Entries {
		if e.Class != "" {
			types = append(types, e.Class)
		}
		if k := len(e.scope.classes); k > 0 {
			types = append(types, e.scope.classes[k-1])
		}
	}
	for _, e := range t.Entries {
		types = append(types, e.Node.OpType)
	}
	return strategy.Nearest(strategy.BareType(layerType), types)
}
