package plan

import (
	"math"
	"slices"

	"narrow/graph"
)

// Names of functions that exporters write as several nodes, or ONNX has no
// operator for in most versions.
const (
	functionSigmoid     = "Sigmoid"
	functionTanh        = "Tanh"
	functionHardSigmoid = "HardSigmoid"
	functionMish        = "Mish"
)

// functions are what a formula may turn out to be.
var functions = []struct {
	op string
	at func(x float64) float64
}{
	{compositeSwish, func(x float64) float64 { return x * sigmoid(x) }},
	{compositeSwish, func(x float64) float64 { return x * sigmoid(1.702*x) }}, // an approximation of Gelu
	{compositeGelu, func(x float64) float64 { return x * (1 + math.Erf(x/math.Sqrt2)) / 2 }},
	{functionMish, func(x float64) float64 { return x * math.Tanh(math.Log1p(math.Exp(x))) }},
	{compositeHardSwish, func(x float64) float64 { return x * min(max(x/6+0.5, 0), 1) }},
	{functionHardSigmoid, func(x float64) float64 { return min(max(x/6+0.5, 0), 1) }},
	{functionSigmoid, sigmoid},
	{functionTanh, math.Tanh},
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// functionNodes is how many nodes a function is spelled with at most.
const functionNodes = 12

// function finds a function of one value that ends at n, in any spelling: the
// nodes between are evaluated at some places, and what comes out is held
// against the functions that networks use.
func (m *matcher) function(n *graph.Node) *composite {
	region := []*graph.Node{n}
	if n.Domain == "" && joining[n.OpType] && len(n.Outputs) == 1 {
		if all := m.scaledBehind(region); len(all) > 1 {
			return &composite{op: n.OpType, nodes: all, main: n}
		}
	}
	if !elementwise(n) {
		return nil
	}
	for len(region) <= functionNodes {
		x, ok := m.entering(region)
		if !ok {
			return nil
		}
		if len(x) == 1 && len(region) > 1 {
			if op := m.named(region, x[0], n.Outputs[0]); op != "" {
				return &composite{op: op, nodes: m.scaledBehind(region), main: n}
			}
		}
		// The latest of the values that enter is made of earlier ones, or is
		// where the function begins.
		var last *graph.Node
		for _, v := range x {
			if p := m.ix.Producer[v]; p != nil && (last == nil || m.place(p) > m.place(last)) {
				last = p
			}
		}
		if last == nil || !elementwise(last) || m.taken[last] || m.ix.IsOutput(last.Outputs[0]) ||
			slices.ContainsFunc(m.ix.Consumers[last.Outputs[0]], func(u *graph.Node) bool { return !slices.Contains(region, u) }) {
			return nil
		}
		region = append([]*graph.Node{last}, region...)
		slices.SortFunc(region, func(a, b *graph.Node) int { return m.place(a) - m.place(b) })
	}
	return nil
}

// scaledBehind takes the constant scale a channel in that a rewrite puts behind a
// function.
func (m *matcher) scaledBehind(region []*graph.Node) []*graph.Node {
	out := region[len(region)-1].Outputs[0]
	users := m.ix.Consumers[out]
	if len(users) != 1 || m.ix.IsOutput(out) || m.taken[users[0]] || users[0].Rule != "equalize-functions" {
		return region
	}
	return append(region, users[0])
}

// entering returns the values that enter a region and are no constant; ok is
// false where there are more than a function can have on its way to one.
func (m *matcher) entering(region []*graph.Node) (values []string, ok bool) {
	made := map[string]bool{}
	for _, n := range region {
		for _, in := range n.Inputs {
			if in == "" || made[in] || slices.Contains(values, in) {
				continue
			}
			if _, constant := m.scalar(in); constant {
				continue
			}
			if m.ix.Constant[in] != nil {
				return nil, false
			}
			values = append(values, in)
		}
		made[n.Outputs[0]] = true
	}
	return values, len(values) > 0 && len(values) <= 4
}

// place returns where a node stands in the graph.
func (m *matcher) place(n *graph.Node) int {
	if m.places == nil {
		m.places = make(map[*graph.Node]int, len(m.ix.Graph.Nodes))
		for i, x := range m.ix.Graph.Nodes {
			m.places[x] = i
		}
	}
	return m.places[n]
}

// named returns which function of x a region computes as y, or "".
func (m *matcher) named(region []*graph.Node, x, y string) string {
	candidates := slices.Clone(functions)
	for i := -32; i <= 32; i++ {
		at := float64(i)/4 + 0.03
		values := map[string]float64{x: at}
		for _, n := range region {
			v, ok := m.evaluate(n, values)
			if !ok {
				return ""
			}
			values[n.Outputs[0]] = v
		}
		for k := len(candidates) - 1; k >= 0; k-- {
			// The two forms of Gelu differ by less than this.
			if want := candidates[k].at(at); !(math.Abs(values[y]-want) <= 1e-3*(1+math.Abs(want))) {
				candidates = slices.Delete(candidates, k, k+1)
			}
		}
		if len(candidates) == 0 {
			return ""
		}
	}
	return candidates[0].op
}

// elementwise reports whether evaluate knows n.
func elementwise(n *graph.Node) bool {
	return len(n.Outputs) == 1 && (n.Is("Add", "Sub", "Mul", "Div", "Pow", "Min", "Max") && len(n.Inputs) == 2 ||
		n.Is("Neg", "Exp", "Log", "Sigmoid", "Tanh", "Erf", "Softplus", "Relu", "Clip", "HardSigmoid", "Reciprocal", "Identity", "Sqrt", "Abs"))
}

// evaluate computes one element of what n puts out.
func (m *matcher) evaluate(n *graph.Node, values map[string]float64) (float64, bool) {
	in := make([]float64, len(n.Inputs))
	for i, v := range n.Inputs {
		if x, ok := values[v]; ok {
			in[i] = x
			continue
		}
		x, ok := m.scalar(v)
		if !ok && v != "" {
			return 0, false
		}
		in[i] = x
	}
	if len(in) == 0 {
		return 0, false
	}
	a, b := in[0], 0.0
	if len(in) > 1 {
		b = in[1]
	}
	switch n.OpType {
	case "Add":
		return a + b, true
	case "Sub":
		return a - b, true
	case "Mul":
		return a * b, true
	case "Div":
		return a / b, true
	case "Pow":
		return math.Pow(a, b), true
	case "Min":
		return min(a, b), true
	case "Max":
		return max(a, b), true
	case "Neg":
		return -a, true
	case "Exp":
		return math.Exp(a), true
	case "Log":
		return math.Log(a), true
	case "Sigmoid":
		return sigmoid(a), true
	case "Tanh":
		return math.Tanh(a), true
	case "Erf":
		return math.Erf(a), true
	case "Softplus":
		return math.Log1p(math.Exp(a)), true
	case "Relu":
		return max(a, 0), true
	case "Clip":
		lo, hi, ok := m.bounds(n)
		return min(max(a, lo), hi), ok
	case "HardSigmoid":
		return min(max(float64(n.Float("alpha", 0.2))*a+float64(n.Float("beta", 0.5)), 0), 1), true
	case "Reciprocal":
		return 1 / a, true
	case "Identity":
		return a, true
	case "Sqrt":
		return math.Sqrt(a), true
	case "Abs":
		return math.Abs(a), true
	}
	return 0, false
}
