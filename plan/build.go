package plan

import (
	"slices"

	"narrow/diag"
	"narrow/graph"
	"narrow/graph/op"
	"narrow/scheme"
	"narrow/strategy"
)

// makeLayers gives every group its layer and the rule that applies to it: the
// winner among the rules that match any of its units.
func (b *builder) makeLayers() {
	for _, u := range b.flow.units {
		if b.layers[u.group] != nil {
			continue
		}
		first := u.group.units[0]
		l := &Layer{Op: first.op, Node: first.main}
		var rules []*strategy.Rule
		for _, m := range u.group.units {
			l.Nodes = append(l.Nodes, m.nodes...)
			if n := len(m.outs); n > 0 {
				l.Output = m.outs[0]
			}
			if r := b.rules[m]; r != nil {
				rules = append(rules, r)
			}
		}
		if i := strategy.Winner(rules); i >= 0 {
			l.Rule = rules[i]
		}
		if first.main != nil {
			l.Name = first.main.Label()
		} else {
			l.Name = first.outs[0]
		}
		b.layers[u.group] = l
		b.p.Layers = append(b.p.Layers, l)
	}
}

// settings returns what applies to one kind of tensor of a layer.
func (b *builder) settings(l *Layer, kind scheme.Kind) strategy.Resolved {
	if l == nil {
		return b.s.Resolve(kind, nil)
	}
	return b.s.Resolve(kind, l.Rule)
}

// declines returns why settings ask for no quantizer, or nothing.
func declines(kind scheme.Kind, st strategy.Resolved) diag.Text {
	switch {
	case !st.Quantize:
		return diag.Textf("%v is not in quantizable_data_type", kind)
	case st.Settings.Datatype == scheme.Float32:
		return diag.Textf("its datatype is float32")
	}
	return diag.Text{}
}

// unable returns why no quantizer with these settings may stand behind u, or
// nothing: an integer one may only behind operators that integer hardware has,
// a float one behind every operator that computes.
func unable(u *unit, st strategy.Resolved) diag.Text {
	switch {
	case u.op == opInput:
		return diag.Text{}
	case u.main.Domain != "":
		return diag.Textf("%s is an operator of the domain %s, which passes through untouched", u.main.OpType, u.main.Domain)
	case len(u.main.Subgraphs()) > 0:
		return diag.Textf("control flow passes through untouched")
	case u.moves(), st.Settings.Datatype == scheme.Int && !u.quantizable():
		return diag.Textf("%s has no integer form, and no quantized layer reads it", u.op)
	}
	return diag.Text{}
}

// quantizes reports whether a quantizer may stand behind u, whose settings are st.
func quantizes(u *unit, st strategy.Resolved) bool {
	return declines(scheme.Activation, st).IsZero() && unable(u, st).IsZero()
}

// findPoints decides behind which units an activation quantizer stands, and
// records why none stands behind others.
func (b *builder) findPoints() {
	asks := map[*unit]bool{}
	for _, u := range b.flow.units {
		kind := b.kindOf(u)
		st := b.settings(b.layers[u.group], kind)
		asks[u] = quantizes(u, st)
		b.declined[u] = declines(kind, st)
		b.unable[u] = unable(u, st)
		if why := b.spared(u); !why.IsZero() {
			b.declined[u] = why
		}
	}
	b.spareMasks(asks, b.flow.look.high)
	if b.flow.look.high {
		b.spare(asks)
	}
	for _, u := range b.flow.units {
		b.places[u] = b.flow.point(u)
	}
	for _, u := range b.flow.units {
		if asks[u] {
			b.place(u, diag.Textf("the result of %s", u.op))
		}
	}
	// What a quantized operator reads is quantized too, whoever made it; a
	// Concat takes its inputs as they come, since its own result's quantizer
	// serves them.
	for _, u := range b.flow.units {
		if u.op == opInput || u.op == "Concat" || !asks[u] {
			continue
		}
		for _, p := range b.flow.parents(u) {
			b.place(p, diag.Textf("read by %s, which is quantized", u.op))
		}
	}
}

func (b *builder) kindOf(u *unit) scheme.Kind {
	if u.op == opInput {
		return scheme.Input
	}
	return scheme.Activation
}

// place puts the quantizer of u's group where it belongs, once.
func (b *builder) place(u *unit, where diag.Text) {
	at := b.places[u]
	if at == nil || b.points[at] != nil || len(at.outs) == 0 || !b.declined[at].IsZero() ||
		at.main != nil && (at.main.Domain != "" || len(at.main.Subgraphs()) > 0) {
		return
	}
	l := b.layers[at.group]
	kind := b.kindOf(at)
	b.points[at] = &Tensor{
		Name: at.outs[0], Kind: kind, Layer: l, Settings: b.settings(l, kind), Axis: -1,
		NetworkInput: at.op == opInput, Where: where,
	}
}

// spared returns why an asked-for accuracy option keeps u's result float, or nothing.
func (b *builder) spared(u *unit) diag.Text {
	l := b.layers[u.group]
	switch {
	case b.s.KeepAdd && l.Op == "Add":
		return diag.Textf("%s is set", "keep_add_layer_accuracy")
	case b.s.KeepFirstLast && b.edge(l):
		return diag.Textf("%s is set", "keep_first_last_layer_accuracy")
	}
	return diag.Text{}
}

// edge reports whether l is the first or the last layer with weights.
func (b *builder) edge(l *Layer) bool {
	var first, last *Layer
	for _, u := range b.flow.units {
		if len(b.constants(u)) > 0 {
			if first == nil {
				first = b.layers[u.group]
			}
			last = b.layers[u.group]
		}
	}
	return l == first || l == last
}

// constantUse is a weighted operator's constant.
type constantUse struct {
	kind  scheme.Kind
	use   Use
	value string
}

// constants returns the weights and bias of u, if it has any.
func (b *builder) constants(u *unit) []constantUse {
	if u.main == nil {
		return nil
	}
	in, ok := op.InputsOf(u.main, b.floatConstant)
	if !ok || u.comp != nil && u.comp.op != compositeLinear {
		return nil // two activations are multiplied: each has its producer's quantizer
	}
	var cs []constantUse
	add := func(kind scheme.Kind, n *graph.Node, i int) {
		if i < 0 {
			return
		}
		if name := n.Input(i); b.floatConstant(name) {
			cs = append(cs, constantUse{kind, Use{n, i}, name})
		}
	}
	add(scheme.Weights, u.main, in.Weights)
	add(scheme.Bias, u.main, in.Bias)
	if u.comp != nil && u.comp.biasN != nil {
		add(scheme.Bias, u.comp.biasN, slices.Index(u.comp.biasN.Inputs, u.comp.bias))
	}
	return cs
}

// floatConstant reports whether a value is a constant of float32.
func (b *builder) floatConstant(value string) bool {
	t := b.flow.ix.Constant[value]
	return t != nil && t.Type == graph.Float32
}

// emit lists the tensors in topological order, and those that are not quantized.
func (b *builder) emit() {
	type constKey struct {
		value string
		s     scheme.Settings
	}
	seen := map[constKey]*Tensor{}
	for _, u := range b.flow.units {
		l := b.layers[u.group]
		b.layerInput(u, l)
		for _, c := range append(b.constants(u), b.operands(u)...) {
			own := *l
			own.Rule = b.rules[u]
			st := b.settings(&own, c.kind)
			why := b.leftConstant(st, c.kind, l)
			if why.IsZero() {
				why = b.signalWeights(u, c.kind)
			}
			if !why.IsZero() {
				b.p.FloatTensors = append(b.p.FloatTensors, FloatTensor{c.value, constantKind(c.kind), l, why})
				continue
			}
			if t := seen[constKey{c.value, st.Settings}]; t != nil {
				t.Uses = append(t.Uses, c.use)
				continue
			}
			t := &Tensor{
				Name: c.value, Kind: constantKind(c.kind), Layer: l, Settings: st, Axis: -1,
				Constant: b.flow.ix.Constant[c.value], Uses: []Use{c.use},
				Where: constantOf(c.kind, u.op),
			}
			if st.Settings.PerChannel && st.Settings.Datatype == scheme.Int && c.kind == scheme.Weights {
				t.Axis = op.WeightAxis(c.use.Node, c.use.Input, len(t.Constant.Dims))
			}
			seen[constKey{c.value, st.Settings}] = t
			b.p.Tensors = append(b.p.Tensors, t)
		}
		b.leftRecurrent(u)
		if t := b.points[u]; t != nil {
			b.p.Tensors = append(b.p.Tensors, t)
			continue
		}
		for _, o := range u.outs {
			b.p.FloatTensors = append(b.p.FloatTensors, FloatTensor{o, b.kindOf(u), l, b.why(u)})
		}
	}
}

// constantKind returns the kind of a constant's tensor, given whose settings it has:
// nothing of it is watched, as of an activation.
func constantKind(settings scheme.Kind) scheme.Kind {
	if settings == scheme.Activation {
		return scheme.Weights
	}
	return settings
}

// constantOf says what a constant is to the operator op.
func constantOf(kind scheme.Kind, op string) diag.Text {
	switch {
	case kind == scheme.Bias:
		return diag.Textf("the bias of %s", op)
	case slices.Contains(withOperands, op):
		return diag.Textf("the constant of %s", op)
	}
	return diag.Textf("the weights of %s", op)
}

func (b *builder) leftConstant(st strategy.Resolved, kind scheme.Kind, l *Layer) diag.Text {
	switch {
	case !declines(kind, st).IsZero():
		return declines(kind, st)
	case b.s.KeepFirstLast && b.edge(l):
		return diag.Textf("%s is set", "keep_first_last_layer_accuracy")
	}
	return diag.Text{}
}

// why says why no quantizer stands behind u: the strategy wants none, another
// one serves it, or the operator can have none.
func (b *builder) why(u *unit) diag.Text {
	at := b.places[u]
	switch {
	case !b.declined[u].IsZero():
		return b.declined[u]
	case at == nil || at == u || b.points[at] == nil:
	case at.op == "Concat":
		return diag.Textf("it feeds only the Concat %s, whose quantizer serves it", b.layers[at.group].Name)
	case at.pos > u.pos:
		return diag.Textf("one group with %s, whose quantizer stands behind %s", at.op, at.main.Label())
	default:
		return diag.Textf("%s only moves values that are quantized at %s", u.op, at.outs[0])
	}
	if why := b.unable[u]; !why.IsZero() {
		return why
	}
	return diag.Textf("%s has no integer form, and no quantized layer reads it", u.op)
}

// layerInput adds the quantizer of what enters u, where its rule lists the
// kind input and asks for other settings than the producer's quantizer has.
func (b *builder) layerInput(u *unit, l *Layer) {
	if u.main == nil {
		return
	}
	rule := b.rules[u]
	if rule == nil || !rule.Kinds.Has(scheme.Input) {
		return
	}
	st := b.s.Resolve(scheme.Input, rule)
	if !quantizes(u, st) {
		return
	}
	for _, in := range u.ins {
		src := b.flow.producer[in]
		if at := b.places[src]; at != nil && b.points[at] != nil && b.points[at].Settings.Settings == st.Settings {
			continue
		}
		t := &Tensor{
			Name: in, Kind: scheme.Input, Layer: l, Settings: st, Axis: -1,
			NetworkInput: src.op == opInput, Where: diag.Textf("layer rule lists the kind input"),
		}
		for _, n := range u.nodes {
			for i, x := range n.Inputs {
				if x == in {
					t.Uses = append(t.Uses, Use{n, i})
				}
			}
		}
		b.p.Tensors = append(b.p.Tensors, t)
	}
}
