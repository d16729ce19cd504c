package names

import (
	"maps"
	"slices"

	"narrow/graph"
)

// class says which nodes a torch class becomes.
type class struct {
	ops []string
	// dims is the number of spatial dimensions, 0 where it does not matter.
	dims int
	// also has to hold too, if it is set.
	also func(t *Table, n *graph.Node) bool
	// function says that it is no class but a function of torch, which a layer is
	// never called after.
	function bool
}

// torchClasses maps torch.nn's classes to what exporters make of them.
func torchClasses() map[string]class {
	c := map[string]class{
		"Linear":    {ops: []string{"Gemm", "MatMul"}, also: (*Table).hasConstantWeight},
		"ReLU":      {ops: []string{"Relu"}},
		"ReLU6":     {ops: []string{"Clip"}, also: (*Table).isReLU6},
		"Hardtanh":  {ops: []string{"Clip"}},
		"LeakyReLU": {ops: []string{"LeakyRelu"}}, "PReLU": {ops: []string{"PRelu"}},
		"ELU": {ops: []string{"Elu"}}, "SELU": {ops: []string{"Selu"}}, "CELU": {ops: []string{"Celu"}},
		"GELU": {ops: []string{"Gelu"}}, "Mish": {ops: []string{"Mish"}},
		"SiLU":      {ops: []string{"Mul", "Swish"}, also: (*Table).isSiLU},
		"Hardswish": {ops: []string{"HardSwish", "Mul", "Div"}, also: (*Table).isHardSwish},
		"Sigmoid":   {ops: []string{"Sigmoid"}}, "Hardsigmoid": {ops: []string{"HardSigmoid"}},
		"Tanh": {ops: []string{"Tanh"}}, "Softplus": {ops: []string{"Softplus"}}, "Softsign": {ops: []string{"Softsign"}},
		"Softmax": {ops: []string{"Softmax"}}, "LogSoftmax": {ops: []string{"LogSoftmax"}},
		"LayerNorm": {ops: []string{"LayerNormalization"}}, "GroupNorm": {ops: []string{"GroupNormalization"}},
		"RMSNorm": {ops: []string{"RMSNormalization"}},
		"Flatten": {ops: []string{"Flatten"}}, "Identity": {ops: []string{"Identity"}}, "Dropout": {ops: []string{"Dropout"}},
		"Upsample": {ops: []string{"Resize", "Upsample"}}, "PixelShuffle": {ops: []string{"DepthToSpace"}},
		"PixelUnshuffle": {ops: []string{"SpaceToDepth"}},
		"Embedding":      {ops: []string{"Gather"}, also: (*Table).hasConstantTable},
		"LSTM":           {ops: []string{"LSTM"}}, "GRU": {ops: []string{"GRU"}}, "RNN": {ops: []string{"RNN"}},
		// What vai_q_pytorch's listings call functions that are no modules.
		"Cat": {ops: []string{"Concat"}}, "Interpolate": {ops: []string{"Resize", "Upsample"}},
	}
	addFunctions(c)
	for d, suffix := range map[int]string{1: "1d", 2: "2d", 3: "3d"} {
		for name, ops := range map[string][]string{
			"Conv": {"Conv"}, "ConvTranspose": {"ConvTranspose"},
			"BatchNorm": {"BatchNormalization"}, "InstanceNorm": {"InstanceNormalization"},
			"MaxPool": {"MaxPool"}, "AvgPool": {"AveragePool"}, "LPPool": {"LpPool"},
			"AdaptiveAvgPool": {"GlobalAveragePool", "AveragePool"}, "AdaptiveMaxPool": {"GlobalMaxPool", "MaxPool"},
			"ZeroPad": {"Pad"}, "ConstantPad": {"Pad"}, "ReflectionPad": {"Pad"}, "ReplicationPad": {"Pad"},
		} {
			c[name+suffix] = class{ops: ops, dims: d}
		}
	}
	return c
}

// classOrder lists classes in the order in which [Table.Class] tries them: the
// more telling ones first.
func classOrder(classes map[string]class) []string {
	last := map[string]bool{
		"Hardtanh": true, "Cat": true, "Interpolate": true,
		"AdaptiveAvgPool1d": true, "AdaptiveAvgPool2d": true, "AdaptiveAvgPool3d": true,
		"AdaptiveMaxPool1d": true, "AdaptiveMaxPool2d": true, "AdaptiveMaxPool3d": true,
	}
	order := slices.DeleteFunc(slices.Sorted(maps.Keys(classes)), func(name string) bool { return classes[name].function })
	slices.SortStableFunc(order, func(a, b string) int {
		switch {
		case last[a] == last[b]:
			return 0
		case last[a]:
			return 1
		}
		return -1
	})
	return order
}

// is reports whether n is what the exporter makes of the class.
func (t *Table) is(n *graph.Node, c class) bool {
	if !n.Is(c.ops...) || c.also != nil && !c.also(t, n) {
		return false
	}
	if c.dims == 0 {
		return true
	}
	d := t.dims(n)
	return d == c.dims || d < 0
}

// dims returns the number of spatial dimensions that n works on, -1 where the
// file does not tell.
func (t *Table) dims(n *graph.Node) int { return t.dimsFrom(n, 0) }

func (t *Table) dimsFrom(n *graph.Node, depth int) int {
	if n.Is("Conv", "ConvTranspose") {
		if w := t.ix.Constant[n.Input(1)]; w != nil {
			return len(w.Dims) - 2
		}
	}
	if k := n.Ints("kernel_shape"); k != nil {
		return len(k)
	}
	for _, name := range []string{n.Input(0), n.Outputs[0]} {
		if v := t.ix.Graph.Values[name]; v != nil && v.Shape != nil {
			return len(v.Shape) - 2
		}
		for _, v := range slices.Concat(t.ix.Graph.Inputs, t.ix.Graph.Outputs) {
			if v.Name == name && v.Shape != nil {
				return len(v.Shape) - 2
			}
		}
	}
	if depth < 64 && n.Is("BatchNormalization", "InstanceNormalization", "Relu", "Clip", "LeakyRelu", "Sigmoid", "HardSwish", "Add", "Mul", "Concat",
		"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Identity", "Dropout") {
		if p := t.ix.Producer[n.Input(0)]; p != nil {
			return t.dimsFrom(p, depth+1) // these keep the number of dimensions
		}
	}
	return -1
}

// hasConstantWeight reports whether a Gemm or MatMul multiplies by a constant:
// without one it is no layer with weights.
func (t *Table) hasConstantWeight(n *graph.Node) bool {
	if n.Is("Gemm") || t.constant(n.Input(1)) {
		return true
	}
	return t.constant(n.Input(0))
}

// constant reports whether a value is a constant, a transposed one included.
func (t *Table) constant(name string) bool {
	if t.ix.Constant[name] != nil {
		return true
	}
	p := t.ix.Producer[name]
	return p != nil && p.Is("Transpose", "Identity", "DequantizeLinear") && t.constant(p.Input(0))
}

func (t *Table) hasConstantTable(n *graph.Node) bool {
	w := t.ix.Constant[n.Input(0)]
	return w != nil && len(w.Dims) == 2
}

// scalar returns the single number of a constant.
func (t *Table) scalar(name string) (float64, bool) {
	c := t.ix.Constant[name]
	if c == nil || c.Len() != 1 {
		return 0, false
	}
	f, err := c.Floats()
	if err != nil || len(f) != 1 {
		return 0, false
	}
	return float64(f[0]), true
}

// isReLU6 reports whether a Clip is from 0 to 6: by attributes up to opset 10,
// by inputs from 11 on.
func (t *Table) isReLU6(n *graph.Node) bool {
	lo, hi := float64(n.Float("min", -1)), float64(n.Float("max", -1))
	if v, ok := t.scalar(n.Input(1)); ok {
		lo = v
	}
	if v, ok := t.scalar(n.Input(2)); ok {
		hi = v
	}
	return lo == 0 && hi == 6
}

// isSiLU reports whether a Mul is x*sigmoid(x).
func (t *Table) isSiLU(n *graph.Node) bool {
	if n.Is("Swish") {
		return true
	}
	for i := range 2 {
		if p := t.ix.Producer[n.Input(i)]; p != nil && p.Is("Sigmoid") && p.Input(0) == n.Input(1-i) {
			return true
		}
	}
	return false
}

// isHardSwish reports whether a node ends x*clip(x+3, 0, 6)/6, in any order of
// the factors, or x*hardsigmoid(x).
func (t *Table) isHardSwish(n *graph.Node) bool {
	if n.Is("HardSwish") {
		return true
	}
	// gate reports whether v is clip(x+3, 0, 6) or hardsigmoid(x).
	gate := func(v, x string) bool {
		p := t.ix.Producer[v]
		if p != nil && p.Is("HardSigmoid") {
			return p.Input(0) == x
		}
		if p != nil && p.Is("Div", "Mul") { // the sixth taken first
			p = t.ix.Producer[p.Input(0)]
		}
		if p == nil || !p.Is("Clip") || !t.isReLU6(p) {
			return false
		}
		a := t.ix.Producer[p.Input(0)]
		return a != nil && a.Is("Add") && (a.Input(0) == x || a.Input(1) == x)
	}
	product := func(m *graph.Node) bool {
		return m != nil && m.Is("Mul") && (gate(m.Input(0), m.Input(1)) || gate(m.Input(1), m.Input(0)))
	}
	if product(n) {
		// x*clip(x+3) without the sixth is no HardSwish yet: its reader is.
		return !slices.ContainsFunc(t.ix.Consumers[n.Outputs[0]], func(r *graph.Node) bool { return t.sixth(r, n.Outputs[0]) })
	}
	return t.sixth(n, n.Input(0)) && product(t.ix.Producer[n.Input(0)])
}

// sixth reports whether n takes a sixth of x.
func (t *Table) sixth(n *graph.Node, x string) bool {
	v, ok := t.scalar(n.Input(1))
	switch {
	case !ok || n.Input(0) != x:
		return false
	case n.Is("Div"):
		return v == 6
	}
	return n.Is("Mul") && v > 0.1666 && v < 0.1667
}
