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
	switch o.Op {
	case "Conv":
		b.conv(n)
	case "ConvTranspose":
		b.convTranspose(n)
	case "AveragePool", "GlobalAveragePool", "ReduceMean":
		b.mean(n, n)
	case "MaxPool", "GlobalMaxPool":
		b.maxPool(n)
	case "BatchNormalization":
		b.batchNorm(n)
	case "Gemm":
		b.gemm(n)
	case "MatMul":
		b.matMul(n)
	case "Linear":
		b.linear(o)
	case "Relu":
		b.unary(n, "relu")
	case "Sigmoid":
		b.unary(n, "sigmoid")
	case "Tanh":
		b.unary(n, "tanh")
	case "Neg":
		b.unary(n, "neg")
	case "LeakyRelu":
		b.unary(n, "leaky-relu", Attr{"alpha", n.Float("alpha", 0.01)})
	case "Clip":
		b.clip(n)
	case "PRelu":
		b.prelu(n)
	case "Softmax":
		b.softmax(n)
	case "Add", "Sub", "Mul", "Div":
		b.binary(n, map[string]string{"Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div"}[o.Op])
	case "Reciprocal":
		b.reciprocal(n)
	case "Sum":
		b.sum(n)
	case "Max", "Min":
		b.extreme(n)
	case "Pow":
		b.pow(n)
	case "ReduceMax":
		b.reduce(n, "reduction_max")
	case "ReduceSum":
		b.reduce(n, "reduction_sum")
	case "Concat":
		b.concat(n)
	case "Flatten", "Reshape", "Squeeze", "Unsqueeze":
		b.reshape(n)
	case "Transpose":
		b.transpose(n)
	case "Slice":
		b.slice(n)
	case "Split":
		b.split(n)
	case "Gather":
		b.gather(n)
	case "Pad":
		b.pad(n)
	case "Resize", "Upsample":
		b.resize(n)
	case "DepthToSpace", "SpaceToDepth":
		b.depthSpace(n)
	case "Expand", "Tile":
		b.copies(n)
	case "Identity", "Dropout":
		b.of[n.Outputs[0]] = b.at(n, 0)
		if n.Is("Dropout") && len(n.Outputs) > 1 && b.needed[n.Outputs[1]] {
			b.refuse(diag.Textf("the mask of Dropout is read"), cutFix())
		}
	default:
		b.unknown(o)
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
