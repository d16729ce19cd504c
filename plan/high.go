package plan

import (
	"slices"

	"narrow/diag"
	"narrow/graph"
	"narrow/graph/infer"
	"narrow/graph/op"
	"narrow/scheme"
)

// look is how placement sees a network: which nodes are one layer, and which
// functions belong to the layer before them.
type look struct {
	// high takes what a network writes out as one layer, and spares what a small
	// error destroys.
	high bool
	// join are the functions that join a layer with weights although they have
	// no integer form there.
	join bool
	// apart are the functions, by their value, that stay apart despite join.
	apart map[string]bool
	// device takes what vai_q_pytorch quantizes for the DPU alone.
	device bool
}

// lookOf returns how a plan sees its network.
func lookOf(o Options, target scheme.Target) look {
	if o.Accuracy != scheme.High {
		return look{device: target == scheme.DPU}
	}
	l := look{high: true, join: target == scheme.GPU || target == scheme.CPU && o.Functions.Join}
	if target == scheme.CPU {
		l.apart = map[string]bool{}
		for _, v := range o.Functions.Apart {
			l.apart[v] = true
		}
	}
	return l
}

// joining are the functions that look.join speaks of: a compiler fuses them
// into the convolution or product before them.
var joining = map[string]bool{
	compositeSwish: true, compositeHardSwish: true, compositeGelu: true, functionMish: true, functionSigmoid: true, functionTanh: true,
	functionHardSigmoid: true, "Elu": true,
}

// joins reports whether u belongs to the group of the unit before it, which is
// in the group g.
func (f *flow) joins(u *unit, g *group) bool {
	switch {
	case u.main == nil || u.main.Domain != "":
		return false
	case activation[u.op], u.moves():
		return true
	}
	return f.look.join && joining[u.op] && f.weighted(g.units[0]) && !f.look.apart[u.outs[0]]
}

// JoinedFunctions returns the values that functions such as SiLU put out which
// may join the weighted operator before them, in topological order.
func (p *Plan) JoinedFunctions() []string {
	var values []string
	f := newFlow(p.Model.Graph, infer.Types(p.Model), look{high: true, join: true})
	for _, u := range f.units {
		if us := u.group.units; len(us) > 1 && us[len(us)-1] == u && joining[u.op] {
			values = append(values, u.outs[0])
		}
	}
	return values
}

// weighted reports whether u multiplies constant weights.
func (f *flow) weighted(u *unit) bool {
	if u.main == nil || u.comp != nil && u.comp.op != compositeLinear {
		return false
	}
	_, ok := op.InputsOf(u.main, func(v string) bool { return f.ix.Constant[v] != nil })
	return ok && u.main.Is("Conv", "ConvTranspose", "Gemm", "MatMul")
}

// destroys returns the value that n cannot take with a small error, or "": the
// nearer it is to zero, the more of the result is lost.
func (f *flow) destroys(n *graph.Node) string {
	switch {
	case n.Is("Log", "Sqrt", "Reciprocal"):
		return n.Input(0)
	case n.Is("Div"):
		return n.Input(1)
	case n.Is("Pow"):
		t := f.ix.Constant[n.Input(1)]
		if t == nil || t.Type != graph.Float32 {
			return ""
		}
		v, err := t.Floats()
		if err == nil && slices.ContainsFunc(v, func(e float32) bool { return e < 0 || e != float32(int32(e)) }) {
			return n.Input(0)
		}
	}
	return ""
}

// fragile finds the units whose results a small error destroys, each with the
// unit that does it: what feeds a logarithm, a root, a denominator, also by
// way of operators that hand a relative error on; what is searched for peaks; what becomes
// integers, such as indices; inputs of the network that others are only compared with.
func (f *flow) fragile() map[*unit]*unit {
	found := f.peaks()
	var mark func(v string, by *unit)
	mark = func(v string, by *unit) {
		u := f.producer[v]
		if u == nil || found[u] != nil || u.main == nil && !becomesInteger(by.main) {
			return
		}
		found[u] = by
		switch {
		case u.main == nil:
			return
		case u.moves(), u.main.Is("Floor", "Ceil", "Round", "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "Abs", "Clip", "Sum", "Max", "Min", "Sub", "Add", "Sqrt"):
		case u.main.Is("Mul", "Div", "Pow") && len(u.ins) == 1: // with a constant, or a square
		default:
			return
		}
		for _, in := range u.ins {
			mark(in, by)
		}
	}
	for _, u := range f.units {
		if u.main == nil || u.comp != nil {
			continue
		}
		if v := f.destroys(u.main); v != "" {
			mark(v, u)
		}
	}
	for _, n := range f.ix.Graph.Nodes {
		by := &unit{op: n.OpType, main: n, nodes: []*graph.Node{n}}
		switch {
		case becomesInteger(n):
			mark(n.Input(0), by)
		case compares(n):
			for _, in := range n.Inputs {
				if u := f.producer[in]; u != nil && u.main == nil && found[u] == nil && !slices.ContainsFunc(f.ix.Consumers[in], func(n *graph.Node) bool { return !compares(n) }) {
					found[u] = by // an input of the network that is a bound and nothing else
				}
			}
		}
	}
	return found
}

// compares reports whether n tells which of two values is larger.
func compares(n *graph.Node) bool {
	return n.Is("Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal")
}

// becomesInteger reports whether n makes integers of floats.
func becomesInteger(n *graph.Node) bool {
	if !n.Is("Cast") {
		return false
	}
	switch graph.DataType(n.Int("to", 0)) {
	case graph.Int8, graph.Int16, graph.Int32, graph.Int64, graph.Uint8, graph.Uint16, graph.Uint32, graph.Uint64:
		return true
	}
	return false
}

// isJoin reports whether u puts values together without computing.
func isJoin(u *unit) bool {
	return u.main != nil && u.comp == nil && u.main.Is("Concat", "Where", "ScatterND", "ScatterElements")
}

// selects reports whether u puts out some of the values that enter it, by their order or by
// indices, which takes no arithmetic.
func selects(u *unit) bool {
	return u.main != nil && u.comp == nil && u.main.Is("TopK", "ReduceMax", "ReduceMin", "Gather", "GatherElements", "GatherND")
}

// free finds the joins whose results no quantized operator reads, and what selects of
// such; leaves tells whether nobody but the world outside does. quantized tells of a unit
// whether it is a quantized operator.
func (f *flow) free(quantized func(*unit) bool) (free map[*unit]bool, leaves map[*unit]bool) {
	free, leaves = map[*unit]bool{}, map[*unit]bool{}
	// unread is true for what no quantized operator reads, out for what only
	// leaves the network, by unit.
	unread, out := map[*unit]bool{}, map[*unit]bool{}
	for _, u := range slices.Backward(f.units) {
		unread[u], out[u] = true, true
		for _, c := range f.children(u) {
			switch {
			case c.moves(), (isJoin(c) || selects(c)) && free[c]:
				unread[u], out[u] = unread[u] && unread[c], out[u] && out[c]
			case quantized(c) || isJoin(c):
				unread[u], out[u] = false, false
			default:
				out[u] = false
			}
		}
		if (isJoin(u) || selects(u)) && unread[u] {
			free[u], leaves[u] = true, out[u]
		}
	}
	return free, leaves
}

// asked reports whether a layer rule of the strategy asks for activations of
// u's layer.
func (b *builder) asked(u *unit) bool {
	r := b.layers[u.group].Rule
	return r != nil && r.Kinds.Has(scheme.Activation)
}

// spare records, for [scheme.High], what stays float although the strategy's
// settings would quantize it, unless a layer rule asks for it.
func (b *builder) spare(asks map[*unit]bool) {
	b.spareSignal(asks)
	for u, by := range b.flow.fragile() {
		if !b.asked(u) {
			b.declined[u] = diag.Textf("%s %s follows, which a small error of it destroys", by.op, by.main.Label())
			asks[u] = false
		}
	}
	free, leaves := b.flow.free(func(u *unit) bool { return asks[u] })
	for u := range free {
		if b.asked(u) {
			delete(free, u)
		}
	}
	b.flow.freeJoins = free
	for u := range free {
		b.declined[u] = diag.Textf("no quantized operator reads what %s joins", u.op)
		if selects(u) {
			b.declined[u] = diag.Textf("no quantized operator reads what %s selects", u.op)
		}
		asks[u] = false
		if !leaves[u] {
			continue
		}
		for _, p := range b.flow.parents(u) {
			at := b.flow.point(p)
			if at == nil || at.main == nil || b.asked(at) || b.flow.weighted(at.group.units[0]) || !b.flow.leavesThrough(at, free) {
				continue
			}
			b.declined[at] = diag.Textf("it leaves the network by way of %s %s, and no quantized operator reads it", u.op, u.main.Label())
			asks[at] = false
		}
	}
}

// leavesThrough reports whether all that reads u's result are free joins, and
// operators that move values to them.
func (f *flow) leavesThrough(u *unit, free map[*unit]bool) bool {
	cs := f.children(u)
	return len(cs) > 0 && !slices.ContainsFunc(cs, func(c *unit) bool {
		return !(free[c] || c.moves() && f.leavesThrough(c, free))
	})
}

// A Joint is a function such as SiLU behind a weighted operator, which it may join.
type Joint struct {
	// Function is the value that the function puts out.
	Function string
	// Entering is the quantized tensor that the function reads where it stays apart; nil
	// where it has joined, or nothing is quantized there.
	Entering *Tensor
}

// Joints returns the functions of p that may join the weighted operators before them, in
// topological order.
func (p *Plan) Joints() []Joint {
	tensors := map[string]*Tensor{}
	for _, t := range p.Activations() {
		if t.Uses == nil {
			tensors[t.Name] = t
		}
	}
	var out []Joint
	f := newFlow(p.Model.Graph, infer.Types(p.Model), look{high: true, join: true})
	for _, u := range f.units {
		us := u.group.units
		at := slices.IndexFunc(us, func(u *unit) bool { return joining[u.op] })
		if at < 1 || us[at] != u {
			continue
		}
		before := at - 1
		for before > 0 && us[before].moves() {
			before--
		}
		out = append(out, Joint{u.outs[0], tensors[us[before].outs[0]]})
	}
	return out
}
