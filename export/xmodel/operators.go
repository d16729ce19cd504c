package xmodel

import (
	"narrow/diag"
	"narrow/graph"
	"narrow/plan"
)

// operation turns one operation of the plan into operators, or refuses it.
func (b *builder) operation(o *plan.Operation) {
	n := o.Nodes[len(o.Nodes)-1]
	if b.skip[o.Nodes[0]] {
		if s := b.unshuffles[n]; s != nil {
			b.pixelShuffle(s)
		}
		return
	}
	for _, in := range o.In {
		if b.of[in] == nil {
			// What makes it was refused, with its reason.
			b.reasons[o] = reason{why: diag.Textf("what it reads cannot be written")}
			return
		}
	}
	for _, out := range n.Outputs {
		if b.needed[out] && out != "" && b.shape(out) == nil {
			b.refuse(diag.Textf("the shape of its result %q is not known before the network runs", out),
				diag.Textf("export the model with fixed sizes"))
			return
		}
	}
	if len(n.Subgraphs()) > 0 {
		b.refuse(diag.Textf("%s is control flow, which XIR does not have", n.OpType), diag.Textf("export the model without it"))
		return
	}
	if n.Domain != "" && o.Op == n.Domain+"."+n.OpType {
		b.refuse(diag.Textf("%s is an operator of the domain %s, which XIR does not have", n.OpType, n.Domain), cutFix())
		return
	}
	b.dispatch(o, n)
	if _, refused := b.reasons[o]; refused {
		// What reads it is looked at all the same: every refusal is told at once.
		for _, out := range n.Outputs {
			b.of[out] = &node{op: "refused", shape: b.shape(out)}
		}
	}
}

// cutFix is the way out that is always there.
func cutFix() diag.Text {
	return diag.Textf("replace it in the model, or cut the model there and compute the rest on the CPU")
}

// computed says that what an operator needs to know is only known while the network runs.
func computed(value string) diag.Text {
	return diag.Textf("its input %q is computed by the network, and XIR needs it stored", value)
}

// noKind says that an input can be written in no form.
func noKind(value string) diag.Text {
	return diag.Textf("its input %q is of no kind that can be written", value)
}

// noMatrix says that a factor has too few axes.
func noMatrix() diag.Text {
	return diag.Textf("XIR multiplies matrices, and one of its factors has a single axis")
}

// negative says that a window begins inside of its input.
func negative() diag.Text { return diag.Textf("its padding is negative") }

// unknownForm says that the nodes of an operator are not those that narrow writes
// for it.
func unknownForm(name string) diag.Text {
	return diag.Textf("it is a %s in a form that is not known", name)
}

func (b *builder) dispatch(o *plan.Operation, n *graph.Node) {
	if w := o.Nodes[0].Whole; w != nil && len(o.Nodes) > 1 {
		switch w.OpType {
		case "AveragePool", "GlobalAveragePool", "ReduceMean":
			b.mean(o.Nodes[0], n)
			return
		case "HardSigmoid":
			b.hardSigmoid(o, n)
			return
		case "HardSwish":
			b.hardSwish(o, n)
			return
		case "Clip":
			b.boundedRelu(o, n)
			return
		}
	}
	if write, ok := writers[o.Op]; ok {
		write(b, o, n)
		return
	}
	b.unknown(o)
}

// writer turns an operation, whose result node n puts out, into operators.
type writer func(b *builder, o *plan.Operation, n *graph.Node)

// writers are all operations that XIR has operators for.
var writers = map[string]writer{
	"Conv":               of((*builder).conv),
	"ConvTranspose":      of((*builder).convTranspose),
	"AveragePool":        average,
	"GlobalAveragePool":  average,
	"ReduceMean":         average,
	"MaxPool":            of((*builder).maxPool),
	"GlobalMaxPool":      of((*builder).maxPool),
	"BatchNormalization": of((*builder).batchNorm),
	"Gemm":               of((*builder).gemm),
	"MatMul":             of((*builder).matMul),
	"Linear":             func(b *builder, o *plan.Operation, _ *graph.Node) { b.linear(o) },
	"Relu":               unary("relu"),
	"Sigmoid":            unary("sigmoid"),
	"Tanh":               unary("tanh"),
	"Neg":                unary("neg"),
	"LeakyRelu": func(b *builder, _ *plan.Operation, n *graph.Node) {
		b.unary(n, "leaky-relu", Attr{"alpha", n.Float("alpha", 0.01)})
	},
	"Clip":         of((*builder).clip),
	"PRelu":        of((*builder).prelu),
	"Softmax":      of((*builder).softmax),
	"Add":          as((*builder).binary, "add"),
	"Sub":          as((*builder).binary, "sub"),
	"Mul":          as((*builder).binary, "mul"),
	"Div":          as((*builder).binary, "div"),
	"Reciprocal":   of((*builder).reciprocal),
	"Sum":          of((*builder).sum),
	"Max":          of((*builder).extreme),
	"Min":          of((*builder).extreme),
	"Pow":          of((*builder).pow),
	"ReduceMax":    as((*builder).reduce, "reduction_max"),
	"ReduceSum":    as((*builder).reduce, "reduction_sum"),
	"Concat":       of((*builder).concat),
	"Flatten":      of((*builder).reshape),
	"Reshape":      of((*builder).reshape),
	"Squeeze":      of((*builder).reshape),
	"Unsqueeze":    of((*builder).reshape),
	"Transpose":    of((*builder).transpose),
	"Slice":        of((*builder).slice),
	"Split":        of((*builder).split),
	"Gather":       of((*builder).gather),
	"Pad":          of((*builder).pad),
	"Resize":       of((*builder).resize),
	"Upsample":     of((*builder).resize),
	"DepthToSpace": of((*builder).depthSpace),
	"SpaceToDepth": of((*builder).depthSpace),
	"Expand":       of((*builder).copies),
	"Tile":         of((*builder).copies),
	"Identity":     of((*builder).same),
	"Dropout":      of((*builder).same),
}

func of(write func(*builder, *graph.Node)) writer {
	return func(b *builder, _ *plan.Operation, n *graph.Node) { write(b, n) }
}

func as(write func(*builder, *graph.Node, string), name string) writer {
	return func(b *builder, _ *plan.Operation, n *graph.Node) { write(b, n, name) }
}

func unary(name string) writer {
	return func(b *builder, _ *plan.Operation, n *graph.Node) { b.unary(n, name) }
}

func average(b *builder, _ *plan.Operation, n *graph.Node) { b.mean(n, n) }

// same passes a value on.
func (b *builder) same(n *graph.Node) {
	b.of[n.Outputs[0]] = b.at(n, 0)
	if n.Is("Dropout") && len(n.Outputs) > 1 && b.needed[n.Outputs[1]] {
		b.refuse(diag.Textf("the mask of Dropout is read"), cutFix())
	}
}

// unknown refuses an operator that XIR's table does not have, with what else
// could be done where that is known.
func (b *builder) unknown(o *plan.Operation) {
	fix := cutFix()
	name := o.Op
	switch o.Op {
	case "Swish":
		name = "SiLU"
		fix = diag.Textf("set convert_silu_to_hswish to true in the strategy and calibrate again")
	case "Gelu":
		fix = diag.Textf("train the network with ReLU or Hardswish in its place, or cut the model there")
	case "LayerNormalization", "InstanceNormalization", "GroupNormalization":
		fix = diag.Textf("train the network with BatchNorm in its place, or cut the model there")
	case "Elu", "Selu", "Celu", "Mish", "Softplus", "Softsign", "ThresholdedRelu":
		fix = diag.Textf("train the network with ReLU or LeakyReLU in its place, or cut the model there")
	}
	b.refuse(diag.Textf("%s has no operator in XIR that the DPU's compiler is known to take", name), fix)
}
