package infer

import (
	"slices"

	"narrow/diag"
	"narrow/graph"
	"narrow/graph/op"
)

// windowed are the operators that slide a window, and whether it has weights.
var windowed = map[string]bool{"Conv": true, "ConvTranspose": true, "MaxPool": false, "AveragePool": false, "LpPool": false}

// checkWindow looks at how a window slides.
func checkWindow(n *graph.Node) error {
	if pad := n.Str("auto_pad", "NOTSET"); !slices.Contains([]string{"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID", ""}, pad) {
		return diag.Errorf("its attribute auto_pad is %q: it must be one of NOTSET, SAME_UPPER, SAME_LOWER and VALID", pad)
	}
	if g := op.Groups(n); g < 1 {
		return diag.Errorf("its attribute group is %d: it must be 1 or more", g)
	}
	const most = 1 << 31 // runtimes estimate windows in 32 bits
	for _, name := range []string{"kernel_shape", "strides", "dilations"} {
		for _, v := range n.Ints(name) {
			if v < 1 || v >= most {
				return diag.Errorf("its attribute %s is %v: each must be from 1 to 2^31-1", name, n.Ints(name))
			}
		}
	}
	for _, v := range n.Ints("pads") {
		if v < 0 && n.OpType != "ConvTranspose" || v <= -most || v >= most {
			return diag.Errorf("its attribute pads is %v: each must be from 0 to 2^31-1", n.Ints("pads"))
		}
	}
	if !windowed[n.OpType] && n.Attr("kernel_shape") == nil {
		return diag.Errorf("it has no attribute kernel_shape")
	}
	return nil
}

// conv: x of N,C,..., weights of M,C/group,kernel, a bias of M.
func (a asked) conv() error {
	x, w, bias := a.shape(0), a.shape(1), a.shape(2)
	group := int64(op.Groups(a.n))
	switch {
	case w != nil && len(w) < 3:
		return diag.Errorf("its weights %s have rank %d, and need 3 or more", a.input(1), len(w))
	case w == nil:
		return a.window(a.n.Ints("kernel_shape"))
	case x != nil && len(x) != len(w):
		return diag.Errorf("%s and the weights %s must have the same rank", a.input(0), a.input(1))
	case x != nil && differ(x[1], times(w[1], size(group))):
		return diag.Errorf("%s has %v channels, and the weights %s in %s are for %v", a.input(0), x[1], a.input(1), groups(group), times(w[1], size(group)))
	case slices.Contains(w, size(0)):
		return diag.Errorf("its weights %s have no elements", a.input(1))
	case w[0].Size >= 0 && w[0].Size%group != 0:
		return diag.Errorf("its weights %s make %v channels, which cannot be divided into %s", a.input(1), w[0], groups(group))
	case bias != nil && (len(bias) != 1 || differ(bias[0], w[0])):
		return diag.Errorf("its bias %s must have one element for each of the %v channels", a.input(2), w[0])
	}
	return a.kernel(w[2:])
}

// convTranspose: x of N,C,..., weights of C,M/group,kernel, a bias of M.
func (a asked) convTranspose() error {
	x, w, bias := a.shape(0), a.shape(1), a.shape(2)
	group := int64(op.Groups(a.n))
	switch {
	case w != nil && len(w) < 3:
		return diag.Errorf("its weights %s have rank %d, and need 3 or more", a.input(1), len(w))
	case w == nil:
		return nil
	case x != nil && len(x) != len(w):
		return diag.Errorf("%s and the weights %s must have the same rank", a.input(0), a.input(1))
	case x != nil && differ(x[1], w[0]):
		return diag.Errorf("%s has %v channels, and the weights %s are for %v", a.input(0), x[1], a.input(1), w[0])
	case slices.Contains(w, size(0)):
		return diag.Errorf("its weights %s have no elements", a.input(1))
	case w[0].Size >= 0 && w[0].Size%group != 0:
		return diag.Errorf("its weights %s are for %v channels, which cannot be divided into %s", a.input(1), w[0], groups(group))
	case bias != nil && (len(bias) != 1 || differ(bias[0], times(w[1], size(group)))):
		return diag.Errorf("its bias %s must have one element for each of the %v channels", a.input(2), times(w[1], size(group)))
	}
	return a.kernel(w[2:])
}

func groups(n int64) diag.Text {
	if n == 1 {
		return diag.Textf("1 group")
	}
	return diag.Textf("%d groups", n)
}

// kernel holds the attribute against the weights' dimensions of space.
func (a asked) kernel(space []graph.Dim) error {
	own := a.n.Ints("kernel_shape")
	if own != nil && !slices.EqualFunc(own, space, func(k int64, d graph.Dim) bool { return !differ(size(k), d) }) {
		return diag.Errorf("its attribute kernel_shape is %v, and its weights are %s", own, a.input(1))
	}
	var k []int64
	for _, d := range space {
		k = append(k, d.Size)
	}
	return a.window(k)
}

// window looks at a window of the given size (-1 where it is not known) over
// what lies behind the first two dimensions of the first input.
func (a asked) window(kernel []int64) error {
	x := a.shape(0)
	if x != nil && kernel != nil && len(kernel) != len(x)-2 {
		return diag.Errorf("its kernel %v is of rank %d, and does not go over %s", kernel, len(kernel), a.input(0))
	}
	space := len(kernel)
	if kernel == nil {
		return nil
	}
	auto := a.n.Str("auto_pad", "NOTSET")
	for _, name := range []string{"strides", "dilations", "pads"} {
		want := space
		if name == "pads" {
			want = 2 * space
		}
		v := a.n.Ints(name)
		if name == "pads" && auto != "NOTSET" && auto != "" {
			continue // it does not count
		}
		if len(v) > 0 && len(v) != want {
			return diag.Errorf("its attribute %s is %v: it must have %d numbers", name, v, want)
		}
	}
	if x == nil || a.n.OpType == "ConvTranspose" || auto == "SAME_UPPER" || auto == "SAME_LOWER" || a.n.Int("ceil_mode", 0) != 0 {
		return nil
	}
	for i, w := range op.Windows(a.n, kernel) {
		d := x[2+i]
		if !w.Sane() || d.Size < 0 {
			continue
		}
		if _, ok := w.Out(d.Size); !ok {
			before, after := w.Pads(d.Size)
			return diag.Errorf("its kernel reaches over %d elements, and dimension %d of %s has %d, padding included", w.Extent(), 2+i, a.input(0), d.Size+before+after)
		}
	}
	return nil
}
