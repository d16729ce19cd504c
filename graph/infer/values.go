package infer

import (
	"math"
	"slices"

	"narrow/graph"
)

// elem is an element of a small tensor that takes part in computing a shape: a
// number (floats too: shapes are scaled by them), or a dimension by its name,
// or unknown.
type elem struct {
	known bool
	v     float64
	param string
}

// maxElems bounds the tensors whose elements are followed.
const maxElems = 1024

func num(v float64) elem { return elem{known: true, v: v} }

func dimElem(d graph.Dim) elem {
	if d.Size >= 0 {
		return num(float64(d.Size))
	}
	return elem{param: d.Param}
}

// dim turns an element into a dimension.
func (e elem) dim() graph.Dim {
	if e.known {
		return graph.Dim{Size: max(e.int(), -1)}
	}
	return graph.Dim{Size: -1, Param: e.param}
}

// int returns the element as an integer, held within int64.
func (e elem) int() int64 {
	switch {
	case e.v >= math.MaxInt64:
		return math.MaxInt64
	case e.v <= math.MinInt64:
		return math.MinInt64
	}
	return int64(e.v)
}

// tensorElems returns the elements of a small tensor, nil for others.
func tensorElems(t *graph.Tensor) []elem {
	n := int64(1)
	for _, d := range t.Dims {
		if d > maxElems || n*d > maxElems {
			return nil
		}
		n *= d
	}
	var out []elem
	switch t.Type {
	case graph.Float32:
		vs, err := t.Floats()
		if err != nil {
			return nil
		}
		out = make([]elem, len(vs))
		for i, v := range vs {
			out[i] = num(float64(v))
		}
	case graph.Int64, graph.Int32, graph.Uint8, graph.Int8, graph.Int16, graph.Uint16, graph.Uint32, graph.Bool:
		vs, err := t.Int64s()
		if err != nil {
			return nil
		}
		out = make([]elem, len(vs))
		for i, v := range vs {
			out[i] = num(float64(v))
		}
	}
	return out
}

func (f *frame) setValue(name string, v []elem) {
	if v != nil && len(v) <= maxElems && name != "" {
		f.values[name] = v
	}
}

// ints returns the elements of an input as integers, and whether all are
// known.
func (f *frame) ints(n *graph.Node, i int) ([]int64, bool) {
	vs, ok := f.valueOf(n.Input(i))
	if !ok {
		return nil, false
	}
	out := make([]int64, len(vs))
	for i, v := range vs {
		if !v.known {
			return nil, false
		}
		out[i] = v.int()
	}
	return out, true
}

// attrOrInput returns integers that an attribute gave in older operator sets
// and an input gives in newer ones. given tells whether either is there, ok
// whether its elements are known.
func (f *frame) attrOrInput(n *graph.Node, attr string, input int) (list []int64, given, ok bool) {
	if a := n.Attr(attr); a != nil {
		if a.Kind == graph.AttrInt {
			return []int64{a.Int}, true, true
		}
		return a.Ints, true, a.Kind == graph.AttrInts
	}
	if n.Input(input) == "" {
		return nil, false, true
	}
	list, ok = f.ints(n, input)
	return list, true, ok
}

// fold computes the elements of n's outputs where they may become shapes.
func (f *frame) fold(n *graph.Node) {
	if len(n.Outputs) == 0 || n.Domain != "" {
		return
	}
	out := n.Outputs[0]
	a, okA := f.valueOf(n.Input(0))
	b, okB := f.valueOf(n.Input(1))
	switch n.OpType {
	case "Shape":
		shape := f.shapeOf(n.Input(0))
		if shape == nil {
			return
		}
		start, end := clampRange(n.Int("start", 0), n.Int("end", math.MaxInt64), int64(len(shape)))
		v := []elem{}
		for i := start; i < end; i++ {
			v = append(v, dimElem(shape[i]))
		}
		f.setValue(out, v)
	case "Size":
		if n, ok := Elements(f.shapeOf(n.Input(0))); ok {
			f.setValue(out, []elem{num(float64(n))})
		}
	case "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Dropout":
		if okA {
			f.setValue(out, a)
		}
	case "Cast":
		if okA {
			f.setValue(out, castElems(a, graph.DataType(n.Int("to", 0))))
		}
	case "Gather":
		if okA && okB && len(f.shapeOf(n.Input(0))) == 1 {
			f.setValue(out, gatherElems(a, b))
		}
	case "Slice":
		if okA {
			f.setValue(out, f.sliceElems(n, a))
		}
	case "Transpose":
		if okA {
			f.setValue(out, f.transposeElems(n, a))
		}
	case "Concat":
		var all []elem
		for i := range n.Inputs {
			v, ok := f.valueOf(n.Inputs[i])
			if !ok || len(f.shapeOf(n.Inputs[i])) != 1 {
				return
			}
			all = append(all, v...)
		}
		f.setValue(out, all)
	case "Split":
		if okA && len(f.shapeOf(n.Input(0))) == 1 {
			at := int64(0)
			for _, o := range n.Outputs {
				s := f.shapes[o]
				if len(s) != 1 || s[0].Size < 0 || at+s[0].Size > int64(len(a)) {
					return
				}
				f.setValue(o, a[at:at+s[0].Size])
				at += s[0].Size
			}
		}
	case "ConstantOfShape":
		shape, ok := Elements(f.shapes[out])
		if !ok || shape > maxElems {
			return
		}
		fill := num(0)
		if t := n.Attr("value"); t != nil && t.Tensor != nil {
			v := tensorElems(t.Tensor)
			if len(v) != 1 {
				return
			}
			fill = v[0]
		}
		v := make([]elem, shape)
		for i := range v {
			v[i] = fill
		}
		f.setValue(out, v)
	case "Expand":
		if size, ok := Elements(f.shapes[out]); ok && okA && len(a) == 1 && size <= maxElems {
			v := make([]elem, size)
			for i := range v {
				v[i] = a[0]
			}
			f.setValue(out, v)
		}
	case "Range":
		c, okC := f.valueOf(n.Input(2))
		if okA && okB && okC && len(a) == 1 && len(b) == 1 && len(c) == 1 && a[0].known && b[0].known && c[0].known && c[0].v != 0 {
			count := math.Max(0, math.Ceil((b[0].v-a[0].v)/c[0].v))
			if count > maxElems || math.IsNaN(count) {
				return
			}
			v := make([]elem, int(count))
			for i := range v {
				v[i] = num(a[0].v + float64(i)*c[0].v)
			}
			f.setValue(out, v)
		}
	case "Neg", "Floor", "Ceil", "Round", "Sqrt", "Abs", "Not":
		if okA {
			v := make([]elem, len(a))
			for i, e := range a {
				if e.known {
					v[i] = num(unary(n.OpType, e.v))
				}
			}
			f.setValue(out, v)
		}
	case "ReduceProd", "ReduceSum", "ReduceMax", "ReduceMin":
		if size, ok := Elements(f.shapes[out]); ok && size == 1 && okA && len(a) > 0 {
			op := map[string]string{"ReduceProd": "Mul", "ReduceSum": "Add", "ReduceMax": "Max", "ReduceMin": "Min"}[n.OpType]
			acc := a[0]
			for _, e := range a[1:] {
				acc = binary(op, acc, e, true)
			}
			f.setValue(out, []elem{acc})
		}
	case "Where":
		c, okC := f.valueOf(n.Input(2))
		if okA && okB && okC {
			f.setValue(out, zip(func(i int) elem {
				cond := pick(a, i)
				switch {
				case !cond.known:
					return elem{}
				case cond.v != 0:
					return pick(b, i)
				}
				return pick(c, i)
			}, a, b, c))
		}
	case "Add", "Sub", "Mul", "Div", "Mod", "Max", "Min", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "And", "Or", "Pow":
		if len(n.Inputs) == 2 && okA && okB && len(f.shapes[out]) <= 1 {
			integer := f.typeOf(n.Input(0)) != graph.Float32
			f.setValue(out, zip(func(i int) elem { return binary(n.OpType, pick(a, i), pick(b, i), integer) }, a, b))
		}
	}
}

// pick returns element i of a vector, or the only one of a scalar.
func pick(v []elem, i int) elem {
	if len(v) == 1 {
		return v[0]
	}
	return v[i]
}

// zip makes a vector as long as its parts, which must have one length, or one
// element each. It returns nil where they do not.
func zip(at func(int) elem, parts ...[]elem) []elem {
	n := 1
	for _, p := range parts {
		if len(p) != 1 {
			if n != 1 && n != len(p) {
				return nil
			}
			n = len(p)
		}
	}
	out := make([]elem, n)
	for i := range out {
		out[i] = at(i)
	}
	return out
}

func unary(op string, v float64) float64 {
	switch op {
	case "Neg":
		return -v
	case "Floor":
		return math.Floor(v)
	case "Ceil":
		return math.Ceil(v)
	case "Round":
		return math.RoundToEven(v)
	case "Sqrt":
		return math.Sqrt(v)
	case "Not":
		return truth(v == 0)
	}
	return math.Abs(v)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func binary(op string, a, b elem, integer bool) elem {
	one := func(e elem) bool { return e.known && e.v == 1 }
	zero := func(e elem) bool { return e.known && e.v == 0 }
	if !a.known || !b.known {
		switch {
		case op == "Mul" && one(a), op == "Add" && zero(a):
			return b
		case (op == "Mul" || op == "Div") && one(b), (op == "Add" || op == "Sub") && zero(b):
			return a
		// A dimension is at least 0, so it is not the -1 that shapes are compared with.
		case op == "Equal" && (a.param != "" && b.known && b.v < 0 || b.param != "" && a.known && a.v < 0):
			return num(0)
		}
		return elem{}
	}
	switch op {
	case "Add":
		return num(a.v + b.v)
	case "Sub":
		return num(a.v - b.v)
	case "Mul":
		return num(a.v * b.v)
	case "Div":
		if b.v == 0 {
			return elem{}
		}
		if integer {
			return num(math.Trunc(a.v / b.v))
		}
		return num(float64(float32(a.v) / float32(b.v)))
	case "Mod":
		if b.v == 0 || !integer {
			return elem{}
		}
		return num(a.v - b.v*math.Floor(a.v/b.v))
	case "Max":
		return num(math.Max(a.v, b.v))
	case "Min":
		return num(math.Min(a.v, b.v))
	case "Pow":
		return num(math.Pow(a.v, b.v))
	case "Equal":
		return num(truth(a.v == b.v))
	case "Greater":
		return num(truth(a.v > b.v))
	case "GreaterOrEqual":
		return num(truth(a.v >= b.v))
	case "Less":
		return num(truth(a.v < b.v))
	case "LessOrEqual":
		return num(truth(a.v <= b.v))
	case "And":
		return num(truth(a.v != 0 && b.v != 0))
	case "Or":
		return num(truth(a.v != 0 || b.v != 0))
	}
	return elem{}
}

func castElems(a []elem, to graph.DataType) []elem {
	out := make([]elem, len(a))
	for i, e := range a {
		switch {
		case !e.known:
			out[i] = e
		case to == graph.Bool:
			out[i] = num(truth(e.v != 0))
		case to == graph.Float32 || to == graph.Float64 || to == graph.Float16 || to == graph.BFloat16:
			out[i] = e
		default:
			out[i] = num(math.Trunc(e.v))
		}
	}
	return out
}

func gatherElems(a, index []elem) []elem {
	out := make([]elem, len(index))
	for i, e := range index {
		if !e.known {
			continue
		}
		k := e.int()
		if k < 0 {
			k += int64(len(a))
		}
		if k < 0 || k >= int64(len(a)) {
			return nil
		}
		out[i] = a[k]
	}
	return out
}

// sliceElems cuts a vector, or a matrix by rows or columns.
func (f *frame) sliceElems(n *graph.Node, a []elem) []elem {
	dims, ok := total2(f.shapeOf(n.Input(0)))
	if !ok || dims[0]*dims[1] != int64(len(a)) {
		return nil
	}
	s, ok := f.sliceArgs(n)
	if !ok {
		return nil
	}
	cuts := [2]cut{{end: math.MaxInt64, step: 1}, {end: math.MaxInt64, step: 1}}
	rank := len(f.shapeOf(n.Input(0)))
	for _, c := range s {
		axis, ok := axisOf(c.axis, rank)
		if !ok || c.open {
			return nil
		}
		cuts[axis+2-rank] = c
	}
	out := []elem{}
	row, rows := cuts[0].over(dims[0])
	col, cols := cuts[1].over(dims[1])
	for i := range rows {
		for j := range cols {
			out = append(out, a[(row+i*cuts[0].step)*dims[1]+col+j*cuts[1].step])
		}
	}
	return out
}

// transposeElems turns a matrix round.
func (f *frame) transposeElems(n *graph.Node, a []elem) []elem {
	dims, ok := total2(f.shapeOf(n.Input(0)))
	if !ok || dims[0]*dims[1] != int64(len(a)) {
		return nil
	}
	perm := n.Ints("perm")
	if len(f.shapeOf(n.Input(0))) != 2 || perm != nil && (len(perm) != 2 || perm[0] != 1) {
		return slices.Clone(a)
	}
	out := make([]elem, 0, len(a))
	for j := range dims[1] {
		for i := range dims[0] {
			out = append(out, a[i*dims[1]+j])
		}
	}
	return out
}

// total2 returns the rows and columns of a matrix, a vector being one row.
func total2(shape []graph.Dim) ([2]int64, bool) {
	switch {
	case len(shape) == 1 && shape[0].Size >= 0:
		return [2]int64{1, shape[0].Size}, true
	case len(shape) == 2 && shape[0].Size >= 0 && shape[1].Size >= 0:
		return [2]int64{shape[0].Size, shape[1].Size}, true
	}
	return [2]int64{}, false
}
