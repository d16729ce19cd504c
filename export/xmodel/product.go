package xmodel

import (
	"slices"

	"narrow/diag"
	"narrow/graph"
	"narrow/graph/op"
	"narrow/plan"
)

// turned returns a matrix with rows and columns exchanged.
func turned(data []float32, dims []int64) ([]float32, []int64) {
	return permuteFloats(data, dims, []int{1, 0}), []int64{dims[1], dims[0]}
}

func asIs(data []float32, dims []int64) ([]float32, []int64) { return data, dims }

// product makes a matmul of x and the operand or weights w.
func (b *builder) product(x, w *node, transposeB bool, bias *node) *node {
	p := &node{op: "matmul", in: []*node{x, w}, attrs: attrsOf("transpose_a", false, "transpose_b", transposeB)}
	if bias != nil {
		p.bound = []bound{{"bias", bias}}
	}
	return p
}

// biasOf makes the bias that input i of n holds: a vector of size.
func (b *builder) biasOf(n *graph.Node, i int, size int64) (*node, bool) {
	data, dims, _, ok := b.floats(n, i)
	if !ok {
		return nil, n.Input(i) == ""
	}
	if int64(len(data)) != size && len(data) != 1 || len(data) > 1 && dims[len(dims)-1] != size {
		return nil, false
	}
	return b.constant(n, i, "vector", func(data []float32, _ []int64) ([]float32, []int64) {
		if len(data) == 1 && size > 1 {
			data = slices.Repeat(data, int(size))
		}
		return data, []int64{size}
	}), true
}

// gemm turns a Gemm.
func (b *builder) gemm(n *graph.Node) {
	if !op.PlainSum(n) || n.Float("alpha", 1) != 1 {
		b.refuse(diag.Textf("it scales its product (alpha, beta), and XIR's matmul does not"), diag.Textf("multiply the weights by alpha in the model"))
		return
	}
	x, value := b.at(n, 0), n.Outputs[0]
	size := b.shape(value)[1]
	ta, tb := op.Trans(n)
	if x == nil {
		b.constantFirst(n, ta == 1)
		return
	}
	if ta == 1 {
		x = b.step(&node{op: "transpose", in: []*node{x}, perm: []int{1, 0}, shape: []int64{x.shape[1], x.shape[0]}}, "", "_t")
	}
	bias, ok := b.biasOf(n, 2, size)
	if !ok {
		b.refuse(diag.Textf("what it adds is no vector of constants"), diag.Textf("write it as MatMul and Add"))
		return
	}
	w := b.at(n, 1)
	if w == nil {
		form, key := turned, "columns"
		if tb == 1 {
			form, key = asIs, "rows"
		}
		w = b.constant(n, 1, key, form)
		tb = 1
	}
	if w == nil {
		b.refuse(noKind(n.Input(1)), cutFix())
		return
	}
	p := b.product(x, w, tb == 1, bias)
	b.ownInputs(p, n, 0, 1)
	b.add(p, value)
}

// constantFirst refuses products whose left factor is the constant one in forms
// that XIR has no word for.
func (b *builder) constantFirst(n *graph.Node, transposed bool) {
	y := b.at(n, 1)
	if y == nil || transposed || n.Is("Gemm") {
		b.refuse(diag.Textf("its left factor is a constant, and the DPU has weights on the right"), diag.Textf("transpose the product in the model"))
		return
	}
	w := b.constant(n, 0, "left", asIs)
	if w == nil || len(w.shape) < 2 || len(y.shape) < 2 {
		b.refuse(noMatrix(), diag.Textf("add an axis in the model (unsqueeze)"))
		return
	}
	p := b.product(w, y, false, nil)
	b.ownInputs(p, n, 0, 1)
	b.add(p, n.Outputs[0])
}

// matMul turns a MatMul of two values or by a constant.
func (b *builder) matMul(n *graph.Node) { b.multiply(n, nil, n.Outputs[0], n) }

// linear turns a MatMul by a constant and the Add of its bias.
func (b *builder) linear(o *plan.Operation) {
	mul, add := o.Nodes[0], o.Nodes[len(o.Nodes)-1]
	_, dims, _, ok := b.floats(mul, 1)
	if !ok || len(dims) < 2 {
		b.refuse(noKind(mul.Input(1)), cutFix())
		return
	}
	i := 1 - slices.Index(add.Inputs, mul.Outputs[0])
	bias, ok := b.biasOf(add, i, dims[len(dims)-1])
	if !ok {
		b.refuse(diag.Textf("what it adds is no vector of constants"), cutFix())
		return
	}
	b.multiply(mul, bias, add.Outputs[0], mul)
}

// multiply makes the matmul of MatMul n with a bias, if there is one.
func (b *builder) multiply(n *graph.Node, bias *node, value string, own *graph.Node) {
	x, y := b.at(n, 0), b.at(n, 1)
	if x == nil {
		b.constantFirst(n, false)
		return
	}
	transposeB := false
	if y == nil {
		_, dims, _, ok := b.floats(n, 1)
		switch {
		case !ok || len(dims) < 2:
			b.refuse(noMatrix(), diag.Textf("add an axis in the model (unsqueeze)"))
			return
		case len(dims) == 2:
			y, transposeB = b.constant(n, 1, "columns", turned), true
		default:
			y = b.constant(n, 1, "stack", asIs)
		}
	}
	if len(x.shape) < 2 || len(y.shape) < 2 {
		b.refuse(noMatrix(), diag.Textf("add an axis in the model (unsqueeze)"))
		return
	}
	p := b.product(x, y, transposeB, bias)
	b.ownInputs(p, own, 0, 1)
	b.add(p, value)
}
