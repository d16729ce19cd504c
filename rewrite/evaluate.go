package rewrite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"narrow/graph"
)

// evaluation is a node with constant operands; a nil one is left out.
type evaluation struct {
	n     *graph.Node
	args  []*graph.Tensor
	opset int64
	most  int // elements that the result may have
}

// errNotHere tells that an operator's variant is not computed here.
var errNotHere = errors.New("this variant is not computed")

// foldable are the operators that can be computed on constants. Those on
// elements work on float32, int32 and int64, and keep float32 arithmetic.
var foldable = map[string]func(evaluation) (*graph.Tensor, error){
	"Identity":        func(e evaluation) (*graph.Tensor, error) { return e.args[0], nil },
	"Transpose":       evalTranspose,
	"Reshape":         evalReshape,
	"Flatten":         evalFlatten,
	"Squeeze":         evalSqueeze,
	"Unsqueeze":       evalUnsqueeze,
	"Cast":            evalCast,
	"Concat":          evalConcat,
	"Slice":           evalSlice,
	"Gather":          evalGather,
	"Expand":          evalExpand,
	"ConstantOfShape": evalConstantOfShape,
	"Add":             evalBinary,
	"Sub":             evalBinary,
	"Mul":             evalBinary,
	"Div":             evalBinary,
	"Neg":             evalUnary,
	"Abs":             evalUnary,
	"Sqrt":            evalUnary,
	"Reciprocal":      evalUnary,
	"Floor":           evalUnary,
	"Ceil":            evalUnary,
}

func (e evaluation) arg(i int) *graph.Tensor {
	if i < len(e.args) {
		return e.args[i]
	}
	return nil
}

// list returns integers that stand in an attribute before opset since and in
// input i from then on; nil where they are left out.
func (e evaluation) list(attr string, i int, since int64) ([]int64, error) {
	if e.opset < since {
		return e.n.Ints(attr), nil
	}
	if t := e.arg(i); t != nil {
		return t.Int64s()
	}
	return nil, nil
}

// axis returns a as an axis of rank r.
func axisOf(a int64, r int) (int, error) {
	if a < 0 {
		a += int64(r)
	}
	if a < 0 || a >= int64(r) {
		return 0, fmt.Errorf("axis %d is out of range for rank %d", a, r)
	}
	return int(a), nil
}

// sizeOf returns how many elements dims make, or more than any tensor here has
// where that would not fit.
func sizeOf(dims []int64) int {
	const huge = 1 << 50
	n := 1
	for _, d := range dims {
		if d > 0 && n > huge/int(min(d, huge)) {
			n = huge
			continue
		}
		n *= int(d)
	}
	return n
}

// strides returns the steps of a tensor of shape dims in C order.
func strides(dims []int64) []int {
	s := make([]int, len(dims))
	step := 1
	for i := len(dims) - 1; i >= 0; i-- {
		s[i] = step
		step *= int(dims[i])
	}
	return s
}

// pick makes a tensor of shape dims whose element at an index is t's element
// at offset + the sum of index*step.
func pick(t *graph.Tensor, dims []int64, offset int, steps []int) *graph.Tensor {
	size := t.Type.Bits() / 8
	out := make([]byte, 0, size*sizeOf(dims))
	if sizeOf(dims) > 0 {
		index := make([]int64, len(dims))
		for at := offset; ; {
			out = append(out, t.Raw[size*at:size*(at+1)]...)
			k := len(dims) - 1
			for ; k >= 0; k-- {
				at += steps[k]
				if index[k]++; index[k] < dims[k] {
					break
				}
				at -= steps[k] * int(index[k])
				index[k] = 0
			}
			if k < 0 {
				break
			}
		}
	}
	return &graph.Tensor{Type: t.Type, Dims: dims, Raw: out}
}

func reshaped(t *graph.Tensor, dims []int64) (*graph.Tensor, error) {
	if slices.ContainsFunc(dims, func(d int64) bool { return d < 0 }) || sizeOf(dims) != t.Len() {
		return nil, fmt.Errorf("shape %v does not hold %d elements", dims, t.Len())
	}
	return &graph.Tensor{Type: t.Type, Dims: dims, Raw: t.Raw}, nil
}

func evalTranspose(e evaluation) (*graph.Tensor, error) {
	t := e.args[0]
	perm := e.n.Ints("perm")
	if perm == nil {
		for i := len(t.Dims) - 1; i >= 0; i-- {
			perm = append(perm, int64(i))
		}
	}
	if len(perm) != len(t.Dims) {
		return nil, fmt.Errorf("perm %v is not for rank %d", perm, len(t.Dims))
	}
	from := strides(t.Dims)
	dims, steps := make([]int64, len(perm)), make([]int, len(perm))
	for i, p := range perm {
		a, err := axisOf(p, len(t.Dims))
		if err != nil {
			return nil, err
		}
		dims[i], steps[i] = t.Dims[a], from[a]
	}
	if sizeOf(dims) != t.Len() {
		return nil, fmt.Errorf("perm %v names an axis twice", perm)
	}
	return pick(t, dims, 0, steps), nil
}

func evalReshape(e evaluation) (*graph.Tensor, error) {
	t := e.args[0]
	shape, err := e.list("shape", 1, 5)
	if err != nil || shape == nil && e.opset < 5 {
		return nil, errNotHere
	}
	dims := slices.Clone(shape)
	rest, open := 1, -1
	for i, d := range dims {
		switch {
		case d == 0 && e.n.Int("allowzero", 0) == 0:
			if i >= len(t.Dims) {
				return nil, fmt.Errorf("shape %v copies axis %d of rank %d", shape, i, len(t.Dims))
			}
			dims[i] = t.Dims[i]
		case d == -1:
			open = i
			continue
		}
		rest *= int(dims[i])
	}
	if open >= 0 {
		if rest <= 0 || t.Len()%rest != 0 {
			return nil, fmt.Errorf("shape %v does not hold %d elements", shape, t.Len())
		}
		dims[open] = int64(t.Len() / rest)
	}
	return reshaped(t, dims)
}

func evalFlatten(e evaluation) (*graph.Tensor, error) {
	t := e.args[0]
	a := e.n.Int("axis", 1)
	if a < 0 {
		a += int64(len(t.Dims))
	}
	if a < 0 || a > int64(len(t.Dims)) {
		return nil, fmt.Errorf("axis %d is out of range for rank %d", a, len(t.Dims))
	}
	return reshaped(t, []int64{int64(sizeOf(t.Dims[:a])), int64(sizeOf(t.Dims[a:]))})
}

func evalSqueeze(e evaluation) (*graph.Tensor, error) {
	t := e.args[0]
	axes, err := e.list("axes", 1, 13)
	if err != nil {
		return nil, err
	}
	drop := map[int]bool{}
	for _, a := range axes {
		k, err := axisOf(a, len(t.Dims))
		if err != nil {
			return nil, err
		}
		drop[k] = true
	}
	var dims []int64
	for i, d := range t.Dims {
		if drop[i] || axes == nil && d == 1 {
			continue
		}
		dims = append(dims, d)
	}
	return reshaped(t, dims)
}

func evalUnsqueeze(e evaluation) (*graph.Tensor, error) {
	t := e.args[0]
	axes, err := e.list("axes", 1, 13)
	if err != nil {
		return nil, err
	}
	r := len(t.Dims) + len(axes)
	dims := make([]int64, r)
	for _, a := range axes {
		k, err := axisOf(a, r)
		if err != nil {
			return nil, err
		}
		dims[k] = 1
	}
	rest := t.Dims
	for i := range dims {
		if dims[i] == 1 {
			continue
		}
		if len(rest) == 0 {
			return nil, fmt.Errorf("axes %v name an axis twice", axes)
		}
		dims[i], rest = rest[0], rest[1:]
	}
	return reshaped(t, dims)
}

func evalConcat(e evaluation) (*graph.Tensor, error) {
	first := e.args[0]
	axis, err := axisOf(e.n.Int("axis", 0), len(first.Dims))
	if err != nil {
		return nil, err
	}
	dims := slices.Clone(first.Dims)
	dims[axis] = 0
	for _, t := range e.args {
		if t == nil || t.Type != first.Type || len(t.Dims) != len(dims) {
			return nil, errNotHere
		}
		for i, d := range t.Dims {
			if i != axis && d != dims[i] {
				return nil, fmt.Errorf("shapes %v and %v do not go together", first.Dims, t.Dims)
			}
		}
		dims[axis] += t.Dims[axis]
	}
	size := first.Type.Bits() / 8
	out := make([]byte, 0, size*sizeOf(dims))
	for row := range sizeOf(dims[:axis]) {
		for _, t := range e.args {
			n := size * sizeOf(t.Dims[axis:])
			out = append(out, t.Raw[row*n:(row+1)*n]...)
		}
	}
	return &graph.Tensor{Type: first.Type, Dims: dims, Raw: out}, nil
}

func evalSlice(e evaluation) (*graph.Tensor, error) {
	t := e.args[0]
	starts, err1 := e.list("starts", 1, 10)
	ends, err2 := e.list("ends", 2, 10)
	axes, err3 := e.list("axes", 3, 10)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	if len(starts) != len(ends) {
		return nil, fmt.Errorf("%d starts and %d ends", len(starts), len(ends))
	}
	if s := e.arg(4); s != nil {
		by, err := s.Int64s()
		if err != nil || slices.ContainsFunc(by, func(x int64) bool { return x != 1 }) {
			return nil, errNotHere
		}
	}
	dims, steps, offset := slices.Clone(t.Dims), strides(t.Dims), 0
	for i := range starts {
		a := int64(i)
		if axes != nil {
			if i >= len(axes) {
				return nil, fmt.Errorf("%d starts and %d axes", len(starts), len(axes))
			}
			a = axes[i]
		}
		k, err := axisOf(a, len(dims))
		if err != nil {
			return nil, err
		}
		from, to := clampRange(starts[i], ends[i], int(t.Dims[k]))
		dims[k] = int64(to - from)
		offset += from * steps[k]
	}
	return pick(t, dims, offset, steps), nil
}

func evalGather(e evaluation) (*graph.Tensor, error) {
	t := e.args[0]
	if e.arg(1) == nil {
		return nil, errNotHere
	}
	at, err := e.args[1].Int64s()
	if err != nil {
		return nil, err
	}
	axis, err := axisOf(e.n.Int("axis", 0), len(t.Dims))
	if err != nil {
		return nil, err
	}
	dims := slices.Concat(t.Dims[:axis], e.args[1].Dims, t.Dims[axis+1:])
	if sizeOf(dims) > e.most {
		return nil, fmt.Errorf("the result would have %d elements", sizeOf(dims))
	}
	row := t.Type.Bits() / 8 * sizeOf(t.Dims[axis+1:])
	out := make([]byte, 0, row*sizeOf(t.Dims[:axis])*len(at))
	for block := range sizeOf(t.Dims[:axis]) {
		for _, i := range at {
			k, err := axisOf(i, int(t.Dims[axis]))
			if err != nil {
				return nil, fmt.Errorf("index %d is out of range for %d", i, t.Dims[axis])
			}
			from := (block*int(t.Dims[axis]) + k) * row
			out = append(out, t.Raw[from:from+row]...)
		}
	}
	return &graph.Tensor{Type: t.Type, Dims: dims, Raw: out}, nil
}

// broadcast returns the common shape of a and b.
func broadcast(a, b []int64) ([]int64, error) {
	out := make([]int64, max(len(a), len(b)))
	for i := range out {
		da, db := int64(1), int64(1)
		if k := len(a) - len(out) + i; k >= 0 {
			da = a[k]
		}
		if k := len(b) - len(out) + i; k >= 0 {
			db = b[k]
		}
		switch {
		case da == db, db == 1:
			out[i] = da
		case da == 1:
			out[i] = db
		default:
			return nil, fmt.Errorf("shapes %v and %v do not go together", a, b)
		}
	}
	return out, nil
}

// stretched returns t over the larger shape dims.
func stretched(t *graph.Tensor, dims []int64) *graph.Tensor {
	if slices.Equal(t.Dims, dims) {
		return t
	}
	own := strides(t.Dims)
	steps := make([]int, len(dims))
	for i := range t.Dims {
		if t.Dims[i] != 1 {
			steps[len(dims)-len(t.Dims)+i] = own[i]
		}
	}
	return pick(t, dims, 0, steps)
}

func evalExpand(e evaluation) (*graph.Tensor, error) {
	if e.arg(1) == nil {
		return nil, errNotHere
	}
	shape, err := e.args[1].Int64s()
	if err != nil {
		return nil, err
	}
	dims, err := broadcast(e.args[0].Dims, shape)
	if err != nil {
		return nil, err
	}
	if n := sizeOf(dims); n < 0 || n > e.most {
		return nil, fmt.Errorf("the result would have %d elements", n)
	}
	return stretched(e.args[0], dims), nil
}

func evalConstantOfShape(e evaluation) (*graph.Tensor, error) {
	dims, err := e.args[0].Int64s()
	if err != nil {
		return nil, err
	}
	value := graph.NewFloats("", []int64{1}, []float32{0})
	if a := e.n.Attr("value"); a != nil && a.Tensor != nil {
		value = a.Tensor
	}
	n := 1
	for _, d := range dims {
		if d < 0 || d > int64(e.most) || n*int(d) > e.most {
			return nil, fmt.Errorf("the result would have shape %v", dims)
		}
		n *= int(d)
	}
	if value.Len() != 1 || value.Type.Bits() < 8 || len(value.Raw) != value.Type.Bits()/8 {
		return nil, errNotHere
	}
	return &graph.Tensor{Type: value.Type, Dims: dims, Raw: slices.Repeat(value.Raw, n)}, nil
}

func evalCast(e evaluation) (*graph.Tensor, error) {
	t := e.args[0]
	to := graph.DataType(e.n.Int("to", 0))
	if to == t.Type {
		return t, nil
	}
	var wide []float64
	if t.Type == graph.Float32 {
		x, err := t.Floats()
		if err != nil {
			return nil, err
		}
		for _, v := range x {
			wide = append(wide, float64(v))
		}
	} else {
		x, err := t.Int64s()
		if err != nil {
			return nil, err
		}
		for _, v := range x {
			if v > 1<<53 || v < -1<<53 {
				return nil, errNotHere
			}
			wide = append(wide, float64(v))
		}
	}
	out := make([]byte, 0, len(wide)*8)
	for _, v := range wide {
		switch to {
		case graph.Float32:
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(float32(v)))
		case graph.Float64:
			out = binary.LittleEndian.AppendUint64(out, math.Float64bits(v))
		case graph.Int64, graph.Int32:
			if math.IsNaN(v) || v >= 1<<31 || v < -1<<31 && to == graph.Int32 || math.Abs(v) > 1<<53 {
				return nil, errNotHere
			}
			if to == graph.Int64 {
				out = binary.LittleEndian.AppendUint64(out, uint64(int64(v)))
			} else {
				out = binary.LittleEndian.AppendUint32(out, uint32(int32(v)))
			}
		default:
			return nil, fmt.Errorf("a cast to %v is not computed", to)
		}
	}
	return &graph.Tensor{Type: to, Dims: t.Dims, Raw: out}, nil
}

func evalUnary(e evaluation) (*graph.Tensor, error) {
	t := e.args[0]
	x, err := t.Floats()
	if err != nil {
		return nil, err
	}
	for i, v := range x {
		switch d := float64(v); e.n.OpType {
		case "Neg":
			x[i] = -v
		case "Abs":
			x[i] = abs(v)
		case "Sqrt":
			x[i] = float32(math.Sqrt(d))
		case "Reciprocal":
			x[i] = 1 / v
		case "Floor":
			x[i] = float32(math.Floor(d))
		case "Ceil":
			x[i] = float32(math.Ceil(d))
		}
	}
	return graph.NewFloats("", t.Dims, x), nil
}

func evalBinary(e evaluation) (*graph.Tensor, error) {
	if e.opset < 7 || e.arg(1) == nil || e.args[0].Type != e.args[1].Type {
		return nil, errNotHere
	}
	dims, err := broadcast(e.args[0].Dims, e.args[1].Dims)
	if err != nil {
		return nil, err
	}
	if sizeOf(dims) > e.most {
		return nil, fmt.Errorf("the result would have %d elements", sizeOf(dims))
	}
	a, b := stretched(e.args[0], dims), stretched(e.args[1], dims)
	switch a.Type {
	case graph.Float32:
		x, err := a.Floats()
		if err != nil {
			return nil, err
		}
		y, err := b.Floats()
		if err != nil {
			return nil, err
		}
		calculate(e.n.OpType, x, y)
		return graph.NewFloats("", dims, x), nil
	case graph.Int64:
		x, err := a.Int64s()
		if err != nil {
			return nil, err
		}
		y, err := b.Int64s()
		if err != nil {
			return nil, err
		}
		if e.n.OpType == "Div" && slices.Contains(y, 0) {
			return nil, errors.New("it divides by 0")
		}
		calculate(e.n.OpType, x, y)
		return graph.NewInts("", dims, x), nil
	}
	return nil, fmt.Errorf("%s of %v is not computed", e.n.OpType, a.Type)
}

// calculate puts what op makes of x and y into x.
func calculate[T float32 | int64](op string, x, y []T) {
	for i := range x {
		switch op {
		case "Add":
			x[i] += y[i]
		case "Sub":
			x[i] -= y[i]
		case "Mul":
			x[i] *= y[i]
		case "Div":
			x[i] /= y[i]
		}
	}
}
