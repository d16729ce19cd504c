package compare

import (
	"fmt"
	"slices"

	"narrow/cost"
	"narrow/diag"
	"narrow/graph"
	"narrow/plan"
	"narrow/scheme"
	"narrow/strategy"
)

// Difference is what a strategy sets otherwise than another one, on one network.
type Difference struct {
	// Words say it all, a line each: see [Difference.Switches] and
	// [Difference.Tensors].
	Words []diag.Text `json:"words"`
	// Switches are the settings of the whole network that differ, by their keys
	// in the strategy file.
	Switches []Change `json:"switches,omitempty"`
	// Tensors are those that are quantized otherwise, in the network's order.
	Tensors []TensorDifference `json:"tensors,omitempty"`
	// Rewritten are the layers that consist of other nodes, since the strategies
	// rewrite the network otherwise.
	Rewritten []string `json:"rewritten,omitempty"`
}

// TensorDifference is one tensor that is quantized otherwise.
type TensorDifference struct {
	Name  string      `json:"name"`
	Kind  scheme.Kind `json:"kind"`
	Layer string      `json:"layer"`
	// Changes are the settings that differ.
	Changes []Change `json:"changes"`
}

// Change is one setting that differs.
type Change struct {
	// Key is the setting's key in the strategy file; or "format", which is
	// datatype and bit width in one (int8, bfloat16, float32).
	Key  string `json:"key"`
	From string `json:"from"`
	To   string `json:"to"`
}

// Differences tells for each entry what it sets otherwise than the first one;
// nil for the first itself. It looks at what holds for each tensor, so that
// files which say the same in other words do not differ.
func Differences(entries []Entry) []*Difference {
	out := make([]*Difference, len(entries))
	for i, e := range entries {
		if i > 0 {
			out[i] = difference(entries[0].Planned.Plan, e.Planned.Plan)
		}
	}
	return out
}

func difference(a, b *plan.Plan) *Difference {
	d := &Difference{Switches: switches(a.Strategy, b.Strategy)}
	pa, pb := placesOf(a), placesOf(b)
	total := map[scheme.Kind]int{}
	for _, p := range pa.list {
		q, ok := pb.at(p)
		if !ok {
			continue
		}
		if p.tensor != nil || q.tensor != nil {
			total[p.kind]++
		}
		if changes := p.changes(q); len(changes) > 0 {
			d.Tensors = append(d.Tensors, TensorDifference{p.name, p.kind, p.layer, changes})
		}
	}
	// What a layer quantizes on its way in under the second strategy only.
	for _, q := range pb.list {
		if _, ok := pa.index[q.key]; ok || q.key.reader == "" {
			continue
		}
		if p, ok := pa.at(q); ok {
			total[q.kind]++
			if changes := p.changes(q); len(changes) > 0 {
				d.Tensors = append(d.Tensors, TensorDifference{q.name, q.kind, q.layer, changes})
			}
		}
	}
	d.Rewritten = rewritten(a, b)
	d.Words = d.words(total)
	return d
}

// switches compares the settings of the whole network. Which kinds of tensors
// are quantized, and which layers are spared, shows in the tensors.
func switches(a, b *strategy.Strategy) []Change {
	var out []Change
	add := func(key string, from, to any) {
		if f, t := fmt.Sprint(from), fmt.Sprint(to); f != t {
			out = append(out, Change{key, f, t})
		}
	}
	opset := func(v int) any {
		if v == 0 {
			return "unset"
		}
		return v
	}
	add("target_device", a.Target, b.Target)
	add("convert_relu6_to_relu", a.ConvertReLU6, b.ConvertReLU6)
	add("convert_silu_to_hswish", a.ConvertSiLU, b.ConvertSiLU)
	add("include_cle", a.IncludeCLE, b.IncludeCLE)
	add("include_bias_corr", a.IncludeBiasCorr, b.IncludeBiasCorr)
	add("change_concat_input_fix", a.ChangeConcatInputFix, b.ChangeConcatInputFix)
	add("change_pool_input_fix", a.ChangePoolInputFix, b.ChangePoolInputFix)
	add("onnx_opset_version", opset(a.OpsetVersion), opset(b.OpsetVersion))
	return out
}

// placeKey says where in a network a quantizer may stand: behind a value, or,
// with reader, at one input of the node that puts out reader.
type placeKey struct {
	value, reader string
	input         int
}

// place is where a quantizer may stand.
type place struct {
	key         placeKey
	name, layer string
	kind        scheme.Kind
	// tensor is nil where the plan leaves float32.
	tensor *plan.Tensor
}

// places are those of a plan, in the network's order.
type places struct {
	list  []place
	index map[placeKey]int
}

func placesOf(p *plan.Plan) *places {
	ps := &places{index: map[placeKey]int{}}
	add := func(q place) {
		if _, ok := ps.index[q.key]; !ok {
			ps.index[q.key] = len(ps.list)
			ps.list = append(ps.list, q)
		}
	}
	read := func(n *graph.Node, input int) placeKey {
		return placeKey{reader: n.Outputs[0], input: input}
	}
	for _, t := range p.Tensors {
		q := place{placeKey{value: t.Name}, t.Name, t.Layer.Name, t.Kind, t}
		if t.Uses == nil {
			add(q)
			continue
		}
		for _, u := range t.Uses {
			q.key = read(u.Node, u.Input)
			if t.Constant == nil {
				q.key.value = t.Name // where the reader takes it from, if not here
			}
			add(q)
		}
	}
	for _, l := range p.FloatTensors {
		q := place{placeKey{value: l.Name}, l.Name, l.Layer.Name, l.Kind, nil}
		if l.Kind != scheme.Weights && l.Kind != scheme.Bias {
			add(q)
			continue
		}
		for _, n := range l.Layer.Nodes {
			for i, in := range n.Inputs {
				if in == l.Name {
					q.key = read(n, i)
					add(q)
				}
			}
		}
	}
	order := map[string]int{}
	for i, n := range p.Model.Graph.Nodes {
		for _, o := range n.Outputs {
			order[o] = i + 1 // the network's inputs are 0
		}
	}
	at := func(q place) int {
		if q.key.reader != "" {
			return order[q.key.reader]
		}
		return order[q.key.value]
	}
	slices.SortStableFunc(ps.list, func(a, b place) int { return at(a) - at(b) })
	for i, q := range ps.list {
		ps.index[q.key] = i
	}
	return ps
}

// at returns what stands in ps where q stands in another plan. Where a reader
// has no quantizer of its own, the value's holds.
func (ps *places) at(q place) (place, bool) {
	i, ok := ps.index[q.key]
	if !ok && q.key.reader != "" && q.key.value != "" {
		i, ok = ps.index[placeKey{value: q.key.value}]
	}
	if !ok {
		return place{}, false
	}
	return ps.list[i], true
}

// changes returns what is set otherwise at q than at p.
func (p place) changes(q place) []Change {
	var out []Change
	if f, t := cost.FormatOf(p.tensor), cost.FormatOf(q.tensor); f != t {
		out = append(out, Change{"format", f.String(), t.String()})
	}
	if p.tensor == nil || q.tensor == nil {
		return out
	}
	a, b := &p.tensor.Settings, &q.tensor.Settings
	for _, k := range strategy.Keys() {
		switch k {
		case strategy.KeyDatatype, strategy.KeyBitWidth:
			continue // the format
		case strategy.KeyPercentage:
			continue // told with the method
		}
		if !a.Applies(k) || !b.Applies(k) {
			continue
		}
		if f, t := value(a.Settings, k), value(b.Settings, k); f != t {
			out = append(out, Change{k.String(), f, t})
		}
	}
	return out
}

// value returns a setting as a strategy file has it, a percentage behind its
// method.
func value(s scheme.Settings, k strategy.Key) string {
	v := strategy.Value(s, k)
	if k == strategy.KeyMethod && s.Method == scheme.Percentile {
		v += " " + strategy.Value(s, strategy.KeyPercentage)
	}
	return v
}

// rewritten returns the layers of either plan that have a node which the other
// plan's network does not have.
func rewritten(a, b *plan.Plan) []string {
	type node struct{ name, op string }
	nodes := func(p *plan.Plan) map[node]bool {
		all := map[node]bool{}
		for _, n := range p.Model.Graph.Nodes {
			all[node{n.Label(), n.OpType}] = true
		}
		return all
	}
	var out []string
	add := func(p *plan.Plan, has map[node]bool) {
		for _, l := range p.Layers {
			other := slices.ContainsFunc(l.Nodes, func(n *graph.Node) bool { return !has[node{n.Label(), n.OpType}] })
			if other && !slices.Contains(out, l.Name) {
				out = append(out, l.Name)
			}
		}
	}
	add(b, nodes(a))
	add(a, nodes(b))
	return out
}
