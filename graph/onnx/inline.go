package onnx

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"narrow/diag"
	"narrow/graph"
	pb "narrow/graph/onnx/internal/onnxpb"
)

// The most that the calls of functions in a model may become. A file of 3 KB
// can ask for 2^40 nodes.
const (
	// maxInlinedNodes counts nodes.
	maxInlinedNodes = 50_000
	// maxInlinedBytes counts the bytes of messages, on top of 16 times the functions' own.
	maxInlinedBytes = 64 << 20
	// maxFunctionDepth is how deep functions may call each other.
	maxFunctionDepth = 100
	// maxInlinedName is how long the names of inlined parts may become, in bytes.
	maxInlinedName = 256
)

// inline replaces the calls of model-local functions by their nodes. The node
// that makes the call's first result takes the call's name, so that a layer
// rule for the call is one for it; other nodes get that name and their own. Nodes
// without metadata take the call's, in which exporters tell the torch module.
//
// Calls of functions for another standard operator set than the model's stay,
// since their operators may mean something else.
func inline(m *graph.Model, dir string) error {
	src, ok := m.Source.(*pb.ModelProto)
	if !ok || len(src.Functions) == 0 {
		return nil
	}
	in := &inliner{model: m, functions: map[functionKey]*function{}}
	for _, f := range src.Functions {
		k := functionKey{domain(f.GetDomain()), f.GetName(), f.GetOverload()}
		if in.functions[k] != nil {
			return diag.Errorf("two functions are called %s", k)
		}
		in.own += proto.Size(f)
		in.functions[k] = &function{key: k, src: f}
	}
	var total cost
	if err := in.count(m.Graph, &total, 0); err != nil {
		return err
	}
	if err := in.decode(dir); err != nil {
		return err
	}
	in.fresh = graph.Fresh(m.Graph)
	in.graph(m.Graph)
	in.drop(src)
	return nil
}

type functionKey struct{ domain, name, overload string }

func (k functionKey) String() string {
	s := k.domain + "." + k.name
	if k.overload != "" {
		s += ":" + k.overload
	}
	return fmt.Sprintf("%q", s)
}

// function is a model-local function.
type function struct {
	key     functionKey
	src     *pb.FunctionProto
	counted bool
	open    bool // being counted: a call of it is recursion
	cost    cost // of one call
	depth   int  // of the calls below one
	nodes   []*graph.Node
	// defaults are the attributes that a call may leave out.
	defaults []*graph.Attr
}

// cost is what calls become.
type cost struct{ nodes, bytes int }

func (c *cost) add(d cost) {
	// Each is below the limits, so that the sum does not overflow.
	c.nodes += d.nodes
	c.bytes += d.bytes
}

type inliner struct {
	model     *graph.Model
	functions map[functionKey]*function
	own       int // bytes of the functions' messages
	fresh     func(string) string
}

// callee returns the function that n calls, or nil.
func (in *inliner) callee(n *graph.Node) *function {
	return in.usable(in.functions[keyOf(n)])
}

func (in *inliner) calleeOf(n *pb.NodeProto) *function {
	return in.usable(in.functions[functionKey{domain(n.GetDomain()), n.GetOpType(), n.GetOverload()}])
}

// usable returns f where the operators in it mean what they mean in the model.
func (in *inliner) usable(f *function) *function {
	if f == nil {
		return nil
	}
	for d, v := range opsets(f.src.OpsetImport) {
		if was, ok := in.model.Opsets[d]; d == "" && (!ok || was != v) {
			return nil
		}
	}
	return f
}

// count adds what the calls in g become, and refuses a model where that is too
// much, before anything is made.
func (in *inliner) count(g *graph.Graph, total *cost, depth int) error {
	for _, n := range g.Nodes {
		if f := in.callee(n); f != nil {
			if err := in.measure(f, depth+1); err != nil {
				return err
			}
			total.add(f.cost)
			if err := in.within(*total, f); err != nil {
				return err
			}
		}
		for _, sub := range n.Subgraphs() {
			if err := in.count(sub, total, depth); err != nil {
				return err
			}
		}
	}
	return nil
}

func (in *inliner) within(c cost, f *function) error {
	const way = "export the model without functions (torch's exporter: optimize=True, or onnx.inliner)"
	if c.nodes > maxInlinedNodes {
		return diag.Errorf("the calls of its functions, such as %s, become more than %d nodes: %s", f.key, maxInlinedNodes, way)
	}
	if c.bytes > maxInlinedBytes && c.bytes/16 > in.own {
		return diag.Errorf("the calls of its functions, such as %s, become %d MB: %s", f.key, c.bytes>>20, way)
	}
	return nil
}

// measure works out what one call of f becomes.
func (in *inliner) measure(f *function, depth int) error {
	if f.open {
		return diag.Errorf("the function %s calls itself", f.key)
	}
	if depth > maxFunctionDepth || depth+f.depth > maxFunctionDepth {
		return diag.Errorf("functions such as %s call each other more than %d deep", f.key, maxFunctionDepth)
	}
	if f.counted {
		return nil
	}
	f.open = true
	if err := in.measureNodes(f, f.src.Node, depth); err != nil {
		return err
	}
	f.open, f.counted = false, true
	return nil
}

func (in *inliner) measureNodes(f *function, nodes []*pb.NodeProto, depth int) error {
	for _, n := range nodes {
		f.cost.add(cost{1, min(proto.Size(n), math.MaxInt32)})
		if g := in.calleeOf(n); g != nil {
			if err := in.measure(g, depth+1); err != nil {
				return err
			}
			f.depth = max(f.depth, g.depth+1)
			f.cost.add(g.cost)
		}
		if err := in.within(f.cost, f); err != nil {
			return err
		}
		for _, a := range n.Attribute {
			if a.G != nil {
				if err := in.measureNodes(f, a.G.Node, depth); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// decode reads the functions that are called.
func (in *inliner) decode(dir string) error {
	d := decoder{}
	for _, src := range in.model.Source.(*pb.ModelProto).Functions { // in the file's order, for its first mistake
		f := in.functions[functionKey{domain(src.GetDomain()), src.GetName(), src.GetOverload()}]
		if !f.counted {
			continue
		}
		g := &graph.Graph{Name: f.key.name}
		for _, v := range src.Input {
			g.Inputs = append(g.Inputs, &graph.Value{Name: v})
		}
		for _, v := range src.Output {
			g.Outputs = append(g.Outputs, &graph.Value{Name: v})
		}
		for _, n := range src.Node {
			g.Nodes = append(g.Nodes, d.node(n))
		}
		for _, a := range src.AttributeProto {
			f.defaults = append(f.defaults, d.attr(a))
		}
		if d.err != nil {
			return diag.Errorf("function %s: %w", f.key, d.err)
		}
		if err := checkGraph(g, nil); err != nil {
			return diag.Errorf("function %s: %w", f.key, err)
		}
		if err := g.Sort(); err != nil {
			return diag.Errorf("function %s: %w", f.key, err)
		}
		f.nodes = g.Nodes
	}
	return readExternal(d.external, dir)
}

// graph inlines the calls in g and the graphs inside.
func (in *inliner) graph(g *graph.Graph) {
	changed := false
	var nodes []*graph.Node
	for _, n := range g.Nodes {
		made := in.node(n)
		changed = changed || len(made) != 1 || made[0] != n
		nodes = append(nodes, made...)
	}
	if changed {
		g.Nodes = nodes
	}
}

// node returns what stands for n.
func (in *inliner) node(n *graph.Node) []*graph.Node {
	for _, sub := range n.Subgraphs() {
		in.graph(sub)
	}
	f := in.callee(n)
	if f == nil {
		return []*graph.Node{n}
	}
	var nodes []*graph.Node
	for _, made := range in.call(n, f) {
		nodes = append(nodes, in.node(made)...)
	}
	return nodes
}

// call returns the nodes of f with the names and attributes of one call.
func (in *inliner) call(call *graph.Node, f *function) []*graph.Node {
	names := map[string]string{"": ""}
	for i, v := range f.src.Input {
		names[v] = call.Input(i)
	}
	var through []*graph.Node // results that are arguments as they are
	for i, v := range f.src.Output {
		if i >= len(call.Outputs) || call.Outputs[i] == "" {
			continue
		}
		if _, taken := names[v]; taken {
			through = append(through, &graph.Node{
				Name: in.name(call.Name, "Identity"), OpType: "Identity", Inputs: []string{names[v]}, Outputs: []string{call.Outputs[i]},
			})
			continue
		}
		names[v] = call.Outputs[i]
	}
	var nodes []*graph.Node
	for _, n := range f.nodes {
		c := in.instance(n, call, f, names)
		if len(call.Outputs) > 0 && slices.Contains(c.Outputs, call.Outputs[0]) && call.Outputs[0] != "" {
			c.Name = call.Name
		}
		nodes = append(nodes, c)
	}
	return append(nodes, through...)
}

// instance copies n of the body of f for one call; names maps the values of
// the body, to which n's own results are added.
func (in *inliner) instance(n, call *graph.Node, f *function, names map[string]string) *graph.Node {
	c := n.Clone()
	c.Name = ""
	if n.Name != "" || call.Name != "" {
		own := n.Name
		if own == "" {
			own = n.OpType
		}
		c.Name = in.name(call.Name, own)
	}
	if len(c.Metadata) == 0 {
		c.Metadata = call.Metadata
	}
	for i, v := range c.Inputs {
		c.Inputs[i] = names[v]
	}
	c.Attrs = in.attributes(c.Attrs, call, f)
	for _, sub := range c.Subgraphs() {
		in.subgraph(sub, call, f, names)
	}
	for i, v := range c.Outputs {
		if names[v] == "" && v != "" {
			names[v] = in.name(call.Name, v)
		}
		c.Outputs[i] = names[v]
	}
	return c
}

// subgraph renames what g, a copy of a graph inside a function's body, reads
// and makes.
func (in *inliner) subgraph(g *graph.Graph, call *graph.Node, f *function, outer map[string]string) {
	names := make(map[string]string, len(outer))
	for k, v := range outer {
		names[k] = v
	}
	own := func(v string) string {
		if v != "" {
			names[v] = in.name(call.Name, v)
		}
		return names[v]
	}
	for i, v := range g.Inputs {
		c := *v
		c.Name = own(v.Name)
		g.Inputs[i] = &c
	}
	for i, t := range g.Initializers {
		c := *t
		if to, input := names[t.Name], slices.ContainsFunc(g.Inputs, func(v *graph.Value) bool { return v.Name == names[t.Name] }); input {
			c.Name = to // a default of an input
		} else {
			c.Name = own(t.Name)
		}
		g.Initializers[i] = &c
	}
	for _, n := range g.Nodes {
		for _, o := range n.Outputs {
			own(o)
		}
	}
	for i, n := range g.Nodes {
		c := in.instance(n, call, f, names)
		g.Nodes[i] = c
	}
	for i, v := range g.Outputs {
		c := *v
		c.Name = names[v.Name]
		g.Outputs[i] = &c
	}
	values := make(map[string]*graph.Value, len(g.Values))
	for k, v := range g.Values {
		c := *v
		c.Name = names[k]
		if c.Name != "" {
			values[c.Name] = &c
		}
	}
	g.Values = values
}

// attributes gives references to attributes of the function their values.
func (in *inliner) attributes(attrs []*graph.Attr, call *graph.Node, f *function) []*graph.Attr {
	var out []*graph.Attr
	for _, a := range attrs {
		src, ok := a.Source.(*pb.AttributeProto)
		if !ok || src.GetRefAttrName() == "" {
			out = append(out, a)
			continue
		}
		v := call.Attr(src.GetRefAttrName())
		for _, d := range f.defaults {
			if v == nil && d.Name == src.GetRefAttrName() {
				v = d
			}
		}
		if v == nil {
			continue // left out: the operator's default holds
		}
		c := *v
		c.Name = a.Name
		if c.Graph != nil {
			c.Graph = c.Graph.Clone()
		}
		out = append(out, &c)
	}
	return out
}

// name returns a free name for a part of a call.
func (in *inliner) name(call, own string) string {
	s := own
	if call != "" {
		s = call + "/" + own
	}
	if len(s) > maxInlinedName {
		s = strings.ToValidUTF8(s[:maxInlinedName], "")
	}
	return in.fresh(s)
}

// drop takes the functions out of what is written, unless some call of them is
// left.
func (in *inliner) drop(src *pb.ModelProto) {
	if in.calls(in.model.Graph) {
		return
	}
	e := edit[*pb.ModelProto]{src, src}
	e.w().Functions = nil
	in.model.Source = e.out
}

// calls reports whether a node of g calls any function of the model.
func (in *inliner) calls(g *graph.Graph) bool {
	return slices.ContainsFunc(g.Nodes, func(n *graph.Node) bool {
		return in.functions[keyOf(n)] != nil || slices.ContainsFunc(n.Subgraphs(), in.calls)
	})
}

// keyOf returns the key of the function that n would call.
func keyOf(n *graph.Node) functionKey {
	overload := ""
	if src, ok := n.Source.(*pb.NodeProto); ok {
		overload = src.GetOverload()
	}
	return functionKey{n.Domain, n.OpType, overload}
}
