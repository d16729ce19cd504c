package infer

import (
	"math"
	"slices"

	"narrow/graph"
)

// elementwise operators broadcast their inputs.
var elementwise = []string{
	"Add", "Sub", "Mul", "Div", "Pow", "Mod", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual",
	"And", "Or", "Xor", "Min", "Max", "Sum", "Mean", "Where", "PRelu", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor",
	"StringConcat",
}

// likeFirst operators put out the shape of their first input.
var likeFirst = []string{
	"Identity", "Relu", "LeakyRelu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Elu", "Selu", "Celu", "Softplus",
	"Softsign", "Mish", "Gelu", "FastGelu", "QuickGelu", "BiasGelu", "Swish", "ThresholdedRelu", "Shrink", "Erf", "Exp",
	"Log", "Sqrt", "Reciprocal", "Neg", "Abs", "Sign", "Floor", "Ceil", "Round", "Not", "BitwiseNot", "Sin", "Cos", "Tan",
	"Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh", "IsNaN", "IsInf", "Cast", "CastLike", "BitCast",
	"Clip", "Softmax", "LogSoftmax", "Hardmax", "BatchNormalization", "InstanceNormalization", "LayerNormalization",
	"GroupNormalization", "RMSNormalization", "LpNormalization", "MeanVarianceNormalization", "LRN", "Dropout",
	"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "CumSum", "CumProd", "Trilu", "ScatterElements",
	"Scatter", "ScatterND", "EyeLike", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "ReverseSequence", "Tap",
	"RotaryEmbedding", "TensorScatter", "SequenceErase",
}

// Bounds that keep absurd numbers in a file from becoming large loops.
const (
	maxRank = 64
	maxDim  = math.MaxInt64 / 4
)

func (f *frame) nodeShapes(n *graph.Node) {
	if len(n.Outputs) == 0 || n.Domain != "" && !passesThrough(n) {
		return
	}
	x := f.shapeOf(n.Input(0))
	switch {
	case slices.Contains(likeFirst, n.OpType):
		f.setShape(n, 0, x)
		f.extraOutputs(n, x)
		return
	case slices.Contains(elementwise, n.OpType):
		f.setShape(n, 0, f.broadcastInputs(n))
		return
	}
	second := f.shapeOf(n.Input(1))
	switch n.OpType {
	case "Conv", "ConvInteger":
		f.setShape(n, 0, f.conv(n, x, second))
	case "QLinearConv":
		f.setShape(n, 0, f.conv(n, x, f.shapeOf(n.Input(3))))
	case "DeformConv":
		f.setShape(n, 0, f.conv(n, x, second))
	case "ConvTranspose":
		f.setShape(n, 0, f.convTranspose(n, x, second))
	case "MaxPool", "AveragePool", "LpPool":
		out := f.pool(n, x)
		f.setShape(n, 0, out)
		f.setShape(n, 1, out)
	case "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool":
		if len(x) >= 2 {
			out := slices.Clone(x)
			for i := 2; i < len(out); i++ {
				out[i] = graph.Dim{Size: 1}
			}
			f.setShape(n, 0, out)
		}
	case "Gemm":
		if len(x) == 2 && len(second) == 2 {
			m, k := x[0], second[1]
			if n.Int("transA", 0) != 0 {
				m = x[1]
			}
			if n.Int("transB", 0) != 0 {
				k = second[0]
			}
			f.setShape(n, 0, []graph.Dim{m, k})
		}
	case "MatMul", "MatMulInteger":
		f.setShape(n, 0, matMul(x, second))
	case "QLinearMatMul":
		f.setShape(n, 0, matMul(x, f.shapeOf(n.Input(3))))
	case "Reshape":
		f.setShape(n, 0, f.reshape(n, x))
	case "Flatten":
		if x != nil {
			if axis, ok := axisOf(n.Int("axis", 1), len(x)+1); ok {
				f.setShape(n, 0, []graph.Dim{product(x[:axis]), product(x[axis:])})
			}
		}
	case "Transpose":
		f.setShape(n, 0, transpose(n, x))
	case "Concat":
		f.setShape(n, 0, f.concat(n))
	case "Split":
		f.split(n, x)
	case "Slice":
		f.setShape(n, 0, f.slice(n, x))
	case "Pad":
		f.setShape(n, 0, f.pad(n, x))
	case "Resize", "Upsample":
		f.setShape(n, 0, f.resize(n, x))
	case "Squeeze":
		f.setShape(n, 0, f.squeeze(n, x))
	case "Unsqueeze":
		f.setShape(n, 0, f.unsqueeze(n, x))
	case "Gather":
		if x != nil && second != nil {
			if axis, ok := axisOf(n.Int("axis", 0), len(x)); ok {
				f.setShape(n, 0, slices.Concat(x[:axis], second, x[axis+1:]))
			}
		}
	case "GatherElements":
		f.setShape(n, 0, second)
	case "GatherND":
		f.setShape(n, 0, gatherND(n, x, second))
	case "Shape":
		if x != nil {
			start, end := clampRange(n.Int("start", 0), n.Int("end", math.MaxInt64), int64(len(x)))
			f.setShape(n, 0, fixed([]int64{max(end-start, 0)}))
		}
	case "Size":
		f.setShape(n, 0, []graph.Dim{})
	case "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSum",
		"ReduceLogSumExp", "ReduceSumSquare":
		f.setShape(n, 0, f.reduce(n, x))
	case "ArgMax", "ArgMin":
		if axis, ok := axisOf(n.Int("axis", 0), len(x)); ok {
			f.setShape(n, 0, drop(x, []int64{int64(axis)}, n.Int("keepdims", 1) != 0))
		}
	case "Expand":
		if v, ok := f.valueOf(n.Input(1)); ok && x != nil {
			f.setShape(n, 0, broadcast(x, dims(v)))
		}
	case "Tile":
		f.setShape(n, 0, f.tile(n, x))
	case "ConstantOfShape":
		if v, ok := f.valueOf(n.Input(0)); ok {
			f.setShape(n, 0, dims(v))
		} else if len(x) == 1 && x[0].Size >= 0 && x[0].Size <= maxRank {
			f.setShape(n, 0, openShape(int(x[0].Size)))
		}
	case "RandomNormal", "RandomUniform":
		f.setShape(n, 0, fixed(n.Ints("shape")))
	case "Range":
		f.setShape(n, 0, []graph.Dim{f.rangeLen(n)})
	case "NonZero":
		if x != nil {
			f.setShape(n, 0, []graph.Dim{{Size: int64(len(x))}, open})
		}
	case "TopK":
		f.topK(n, x)
	case "OneHot":
		f.oneHot(n, x)
	case "DepthToSpace", "SpaceToDepth":
		f.setShape(n, 0, depthSpace(n, x))
	case "LSTM", "GRU", "RNN":
		f.recurrent(n, x)
	case "Einsum":
		f.setShape(n, 0, f.einsum(n))
	case "NonMaxSuppression":
		f.setShape(n, 0, []graph.Dim{open, {Size: 3}})
	case "GridSample":
		if len(x) >= 2 && len(second) == len(x) {
			f.setShape(n, 0, slices.Concat(x[:2], second[1:len(second)-1]))
		}
	case "MaxRoiPool":
		if size := n.Ints("pooled_shape"); len(x) == 4 && len(second) == 2 && len(size) == 2 {
			f.setShape(n, 0, slices.Concat(second[:1], x[1:2], fixed(size)))
		}
	case "RoiAlign":
		if len(x) == 4 && len(second) == 2 {
			f.setShape(n, 0, []graph.Dim{second[0], x[1], {Size: n.Int("output_height", 1)}, {Size: n.Int("output_width", 1)}})
		}
	case "Attention":
		f.attention(n, x)
	case "Compress":
		if a := n.Attr("axis"); a == nil {
			f.setShape(n, 0, []graph.Dim{open})
		} else if axis, ok := axisOf(a.Int, len(x)); ok {
			out := slices.Clone(x)
			out[axis] = open
			f.setShape(n, 0, out)
		}
	}
}

// extraOutputs shapes the outputs of likeFirst operators beyond the first.
func (f *frame) extraOutputs(n *graph.Node, x []graph.Dim) {
	switch n.OpType {
	case "Dropout":
		f.setShape(n, 1, x)
	case "DynamicQuantizeLinear":
		f.setShape(n, 1, []graph.Dim{})
		f.setShape(n, 2, []graph.Dim{})
	case "BatchNormalization":
		for i := 1; i < len(n.Outputs); i++ {
			f.setShape(n, i, f.shapeOf(n.Input(3)))
		}
	case "LayerNormalization":
		axis, ok := axisOf(n.Int("axis", -1), len(x))
		if !ok {
			return
		}
		stats := slices.Clone(x)
		for i := axis; i < len(stats); i++ {
			stats[i] = graph.Dim{Size: 1}
		}
		f.setShape(n, 1, stats)
		f.setShape(n, 2, stats)
	}
}

// axisOf counts negative axes from the end; ok tells whether the axis exists.
func axisOf(axis int64, rank int) (int, bool) {
	if axis < 0 {
		axis += int64(rank)
	}
	return int(axis), axis >= 0 && axis < int64(rank)
}

func openShape(rank int) []graph.Dim {
	out := make([]graph.Dim, rank)
	for i := range out {
		out[i] = open
	}
	return out
}

// dims turns elements into a shape.
func dims(v []elem) []graph.Dim {
	if len(v) > maxRank {
		return nil
	}
	out := make([]graph.Dim, len(v))
	for i, e := range v {
		out[i] = e.dim()
	}
	return out
}

// total returns the number of elements, where all dimensions are known.
func total(shape []graph.Dim) (int64, bool) {
	if shape == nil {
		return 0, false
	}
	p := product(shape)
	return p.Size, p.Size >= 0
}

// product multiplies dimensions. A single open one among ones keeps its name.
func product(shape []graph.Dim) graph.Dim {
	p := graph.Dim{Size: 1}
	for _, d := range shape {
		p = times(p, d)
	}
	return p
}

func times(a, b graph.Dim) graph.Dim {
	switch {
	case a.Size == 1:
		return b
	case b.Size == 1:
		return a
	case a.Size < 0 || b.Size < 0:
		return open
	case b.Size > 0 && a.Size > maxDim/b.Size:
		return open
	}
	return graph.Dim{Size: a.Size * b.Size}
}

func (f *frame) broadcastInputs(n *graph.Node) []graph.Dim {
	out := []graph.Dim{}
	for _, in := range n.Inputs {
		s := f.shapeOf(in)
		if s == nil {
			return nil
		}
		out = broadcast(out, s)
	}
	return out
}

// broadcast joins two shapes as numpy does, nil where they do not fit.
func broadcast(a, b []graph.Dim) []graph.Dim {
	if a == nil || b == nil {
		return nil
	}
	if len(a) < len(b) {
		a, b = b, a
	}
	out := slices.Clone(a)
	for i, d := range b {
		k := len(a) - len(b) + i
		switch e := a[k]; {
		case e == d && (d.Size >= 0 || d.Param != ""), d.Size == 1:
		case e.Size == 1:
			out[k] = d
		case e.Size < 0 && d.Size < 0:
			out[k] = open
		case e.Size < 0:
			out[k] = d
		case d.Size >= 0 && e.Size != d.Size:
			return nil
		}
	}
	return out
}

func matMul(a, b []graph.Dim) []graph.Dim {
	if len(a) == 0 || len(b) == 0 {
		return nil
	}
	rowA, columnB := len(a) == 1, len(b) == 1
	if rowA {
		a = slices.Concat(fixed([]int64{1}), a)
	}
	if columnB {
		b = slices.Concat(b, fixed([]int64{1}))
	}
	batch := broadcast(a[:len(a)-2], b[:len(b)-2])
	if batch == nil {
		return nil
	}
	if !rowA {
		batch = append(batch, a[len(a)-2])
	}
	if !columnB {
		batch = append(batch, b[len(b)-1])
	}
	return batch
}

// reshape applies the wanted shape: 0 copies, one -1 takes what is left.
func (f *frame) reshape(n *graph.Node, x []graph.Dim) []graph.Dim {
	v, ok := f.valueOf(n.Input(1))
	if !ok {
		// Only the rank may be known, by the length of the wanted shape.
		if s := f.shapeOf(n.Input(1)); len(s) == 1 && s[0].Size >= 0 && s[0].Size <= maxRank {
			return openShape(int(s[0].Size))
		}
		return nil
	}
	out := dims(v)
	rest := -1
	for i, e := range v {
		if i >= len(out) {
			return nil
		}
		switch {
		case e.known && e.v == 0 && n.Int("allowzero", 0) == 0:
			out[i] = open
			if i < len(x) {
				out[i] = x[i]
			}
		case e.known && e.v == -1:
			rest, out[i] = i, open
		}
	}
	// An element that is not known may be the one that takes what is left.
	if rest < 0 {
		unknown := 0
		for i, d := range out {
			if d.Size < 0 && d.Param == "" {
				rest = i
				unknown++
			}
		}
		if unknown != 1 {
			return out
		}
	}
	if x != nil {
		out[rest] = quotient(x, slices.Concat(out[:rest], out[rest+1:]))
	}
	return out
}

// quotient divides the number of elements of one shape by that of another,
// cancelling open dimensions by name.
func quotient(a, b []graph.Dim) graph.Dim {
	size := int64(1)
	names := map[string]int{}
	for _, d := range a {
		switch {
		case d.Size == 0 || d.Size < 0 && d.Param == "" || d.Size > 0 && size > maxDim/d.Size:
			return open
		case d.Size < 0:
			names[d.Param]++
		default:
			size *= d.Size
		}
	}
	by := int64(1)
	for _, d := range b {
		switch {
		case d.Size == 0 || d.Size < 0 && d.Param == "" || d.Size > 0 && by > maxDim/d.Size:
			return open
		case d.Size < 0:
			names[d.Param]--
		default:
			by *= d.Size
		}
	}
	left := ""
	for name, k := range names {
		switch {
		case k == 0:
		case k == 1 && left == "" && name != "":
			left = name
		default:
			return open
		}
	}
	switch {
	case size%by != 0:
		return open
	case left == "":
		return graph.Dim{Size: size / by}
	case size == by:
		return graph.Dim{Size: -1, Param: left}
	}
	return open
}

func transpose(n *graph.Node, x []graph.Dim) []graph.Dim {
	if x == nil {
		return nil
	}
	perm := n.Ints("perm")
	out := make([]graph.Dim, len(x))
	if perm == nil {
		for i, d := range x {
			out[len(x)-1-i] = d
		}
		return out
	}
	if len(perm) != len(x) {
		return nil
	}
	for i, p := range perm {
		axis, ok := axisOf(p, len(x))
		if !ok {
			return nil
		}
		out[i] = x[axis]
	}
	return out
}

func (f *frame) concat(n *graph.Node) []graph.Dim {
	var out []graph.Dim
	axis := 0
	for k, in := range n.Inputs {
		s := f.shapeOf(in)
		if s == nil {
			return nil
		}
		if k == 0 {
			var ok bool
			if axis, ok = axisOf(n.Int("axis", 1), len(s)); !ok {
				return nil
			}
			out = slices.Clone(s)
			continue
		}
		if len(s) != len(out) {
			return nil
		}
		for i, d := range s {
			switch {
			case i == axis && (out[i].Size < 0 || d.Size < 0):
				out[i] = open
			case i == axis:
				out[i].Size += d.Size
			case out[i].Size < 0 && (d.Size >= 0 || out[i].Param == ""):
				out[i] = d
			}
		}
	}
	return out
}

func (f *frame) split(n *graph.Node, x []graph.Dim) {
	axis, ok := axisOf(n.Int("axis", 0), len(x))
	if !ok {
		return
	}
	sizes, given, ok := f.attrOrInput(n, "split", 1)
	parts := n.Int("num_outputs", int64(len(n.Outputs)))
	for i := range n.Outputs {
		out := slices.Clone(x)
		switch {
		case given && (!ok || i >= len(sizes)):
			out[axis] = open
		case given:
			out[axis] = graph.Dim{Size: max(sizes[i], -1)}
		case x[axis].Size < 0 || parts <= 0:
			out[axis] = open
		default:
			// The last part takes what is left.
			each := (x[axis].Size + parts - 1) / parts
			out[axis] = graph.Dim{Size: max(min(each, x[axis].Size-int64(i)*each), 0)}
		}
		f.setShape(n, i, out)
	}
}

// cut is one axis of a Slice.
type cut struct {
	axis             int64
	start, end, step int64
	open             bool // start or end is not known
}

// over returns the first element and how many are taken of size.
func (c cut) over(size int64) (start, count int64) {
	clamp := func(v, low, high int64) int64 {
		if v < 0 {
			v += size
		}
		return min(max(v, low), high)
	}
	if c.step > 0 {
		start = clamp(c.start, 0, size)
		end := clamp(c.end, 0, size)
		return start, max(0, (end-start+c.step-1)/c.step)
	}
	start = clamp(c.start, 0, size-1)
	end := clamp(c.end, -1, size-1)
	if -c.step > size { // one step leads out, and adding it below could overflow
		return start, truthInt(start > end)
	}
	return start, max(0, (start-end-c.step-1)/-c.step)
}

func truthInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// clampRange holds a range from start to end within 0..size, counting negative
// ones from the end.
func clampRange(start, end, size int64) (int64, int64) {
	clamp := func(v int64) int64 {
		if v < 0 {
			v += size
		}
		return min(max(v, 0), size)
	}
	return clamp(start), clamp(end)
}

// sliceArgs reads a Slice's arguments, from attributes before opset 10. ok is
// false where not even the axes are known.
func (f *frame) sliceArgs(n *graph.Node) ([]cut, bool) {
	starts, _, okStart := f.attrOrInput(n, "starts", 1)
	ends, _, okEnd := f.attrOrInput(n, "ends", 2)
	axes, givenAxes, okAxes := f.attrOrInput(n, "axes", 3)
	var steps []int64
	okSteps := true
	if n.Input(4) != "" {
		steps, okSteps = f.ints(n, 4)
	}
	if !okAxes {
		return nil, false
	}
	count := max(len(starts), len(ends))
	if !givenAxes {
		if count == 0 {
			return nil, false
		}
		for i := range count {
			axes = append(axes, int64(i))
		}
	}
	cuts := make([]cut, len(axes))
	for i, axis := range axes {
		c := cut{axis: axis, step: 1}
		c.open = !okStart || !okEnd || !okSteps || i >= len(starts) || i >= len(ends) || steps != nil && i >= len(steps)
		if !c.open {
			c.start, c.end = starts[i], ends[i]
			if steps != nil {
				c.step = steps[i]
			}
			c.open = c.step == 0
		}
		cuts[i] = c
	}
	return cuts, true
}

func (f *frame) slice(n *graph.Node, x []graph.Dim) []graph.Dim {
	if x == nil {
		return nil
	}
	cuts, ok := f.sliceArgs(n)
	if !ok {
		return openShape(len(x))
	}
	out := slices.Clone(x)
	for _, c := range cuts {
		axis, ok := axisOf(c.axis, len(x))
		if !ok {
			return nil
		}
		// A slice of everything keeps an open dimension's name.
		whole := !c.open && c.start == 0 && c.step == 1 && c.end >= math.MaxInt32
		switch {
		case whole:
		case c.open || x[axis].Size < 0:
			out[axis] = open
		default:
			_, count := c.over(x[axis].Size)
			out[axis] = graph.Dim{Size: count}
		}
	}
	return out
}

func (f *frame) pad(n *graph.Node, x []graph.Dim) []graph.Dim {
	if x == nil {
		return nil
	}
	pads, given, ok := f.attrOrInput(n, "pads", 1)
	if !ok || !given {
		return openShape(len(x))
	}
	axes := make([]int64, len(x))
	for i := range axes {
		axes[i] = int64(i)
	}
	if n.Input(3) != "" {
		if axes, ok = f.ints(n, 3); !ok {
			return openShape(len(x))
		}
	}
	if len(pads) != 2*len(axes) {
		return nil
	}
	out := slices.Clone(x)
	for i, a := range axes {
		axis, ok := axisOf(a, len(x))
		if !ok {
			return nil
		}
		sum := pads[i] + pads[i+len(axes)]
		switch {
		case sum == 0:
		case out[axis].Size < 0:
			out[axis] = open
		default:
			out[axis] = graph.Dim{Size: max(out[axis].Size+sum, -1)}
		}
	}
	return out
}

// resize reads scales and sizes from where the operator set has them.
func (f *frame) resize(n *graph.Node, x []graph.Dim) []graph.Dim {
	if x == nil {
		return nil
	}
	scaleInput := 2
	if n.OpType == "Upsample" || f.opset == 10 {
		scaleInput = 1
	}
	axes := make([]int64, 0, len(x))
	if a := n.Ints("axes"); a != nil {
		axes = append(axes, a...)
	} else {
		for i := range x {
			axes = append(axes, int64(i))
		}
	}
	out := slices.Clone(x)
	if scaleInput == 2 && n.Input(3) != "" {
		sizes, ok := f.valueOf(n.Input(3))
		if !ok || len(sizes) != len(axes) {
			return openShape(len(x))
		}
		for i, a := range axes {
			axis, ok := axisOf(a, len(x))
			if !ok {
				return nil
			}
			out[axis] = sizes[i].dim()
		}
		if p := n.Str("keep_aspect_ratio_policy", "stretch"); p != "stretch" {
			return keepAspect(x, out, axes, p)
		}
		return out
	}
	var scales []elem
	if a := n.Attr("scales"); a != nil && a.Kind == graph.AttrFloats {
		for _, s := range a.Floats {
			scales = append(scales, num(float64(s)))
		}
	} else if v, ok := f.valueOf(n.Input(scaleInput)); ok {
		scales = v
	}
	if len(scales) != len(axes) {
		return openShape(len(x))
	}
	for i, a := range axes {
		axis, ok := axisOf(a, len(x))
		if !ok {
			return nil
		}
		switch s := scales[i]; {
		case s.known && s.v == 1:
		case !s.known || x[axis].Size < 0 || s.v < 0 || s.v > 1e6:
			out[axis] = open
		default:
			// Runtimes multiply in float32.
			out[axis] = graph.Dim{Size: int64(math.Floor(float64(float32(x[axis].Size) * float32(s.v))))}
		}
	}
	return out
}

// keepAspect shrinks or grows the asked sizes to one common scale.
func keepAspect(x, asked []graph.Dim, axes []int64, policy string) []graph.Dim {
	out := slices.Clone(asked)
	scale := math.Inf(1)
	if policy == "not_smaller" {
		scale = 0
	}
	for _, a := range axes {
		axis, _ := axisOf(a, len(x))
		if x[axis].Size <= 0 || asked[axis].Size < 0 {
			scale = math.NaN()
			continue
		}
		s := float64(asked[axis].Size) / float64(x[axis].Size)
		if policy == "not_smaller" {
			scale = math.Max(scale, s)
		} else {
			scale = math.Min(scale, s)
		}
	}
	for _, a := range axes {
		axis, _ := axisOf(a, len(x))
		out[axis] = open
		if !math.IsNaN(scale) && scale <= 1e6 {
			out[axis] = graph.Dim{Size: int64(math.Floor(scale*float64(x[axis].Size) + 0.5))}
		}
	}
	return out
}

func (f *frame) squeeze(n *graph.Node, x []graph.Dim) []graph.Dim {
	if x == nil {
		return nil
	}
	axes, given, ok := f.attrOrInput(n, "axes", 1)
	if !ok {
		return nil
	}
	if !given {
		out := []graph.Dim{}
		for _, d := range x {
			if d.Size < 0 {
				return nil
			}
			if d.Size != 1 {
				out = append(out, d)
			}
		}
		return out
	}
	return drop(x, axes, false)
}

// drop removes axes, or makes them 1 with keep.
func drop(x []graph.Dim, axes []int64, keep bool) []graph.Dim {
	if x == nil {
		return nil
	}
	gone := make([]bool, len(x))
	for _, a := range axes {
		axis, ok := axisOf(a, len(x))
		if !ok {
			return nil
		}
		gone[axis] = true
	}
	out := []graph.Dim{}
	for i, d := range x {
		switch {
		case !gone[i]:
			out = append(out, d)
		case keep:
			out = append(out, graph.Dim{Size: 1})
		}
	}
	return out
}

func (f *frame) unsqueeze(n *graph.Node, x []graph.Dim) []graph.Dim {
	axes, given, ok := f.attrOrInput(n, "axes", 1)
	if x == nil || !given || !ok || len(axes) > maxRank {
		return nil
	}
	rank := len(x) + len(axes)
	added := make([]bool, rank)
	for _, a := range axes {
		axis, ok := axisOf(a, rank)
		if !ok || added[axis] {
			return nil
		}
		added[axis] = true
	}
	out := make([]graph.Dim, 0, rank)
	for _, is := range added {
		if is {
			out = append(out, graph.Dim{Size: 1})
		} else {
			out = append(out, x[0])
			x = x[1:]
		}
	}
	return out
}

func (f *frame) reduce(n *graph.Node, x []graph.Dim) []graph.Dim {
	if x == nil {
		return nil
	}
	axes, given, ok := f.attrOrInput(n, "axes", 1)
	keep := n.Int("keepdims", 1) != 0
	if !ok {
		if keep {
			return openShape(len(x))
		}
		return nil
	}
	if !given || len(axes) == 0 {
		if n.Int("noop_with_empty_axes", 0) != 0 {
			return x
		}
		axes = nil
		for i := range x {
			axes = append(axes, int64(i))
		}
	}
	return drop(x, axes, keep)
}

func gatherND(n *graph.Node, x, index []graph.Dim) []graph.Dim {
	if len(x) == 0 || len(index) == 0 {
		return nil
	}
	last := index[len(index)-1].Size
	batch := n.Int("batch_dims", 0)
	if last < 0 || batch < 0 || batch+last > int64(len(x)) {
		return nil
	}
	return slices.Concat(index[:len(index)-1], x[batch+last:])
}

func (f *frame) tile(n *graph.Node, x []graph.Dim) []graph.Dim {
	if x == nil {
		return nil
	}
	repeats, ok := f.valueOf(n.Input(1))
	if !ok {
		return openShape(len(x))
	}
	if len(repeats) != len(x) {
		return nil
	}
	out := make([]graph.Dim, len(x))
	for i, d := range x {
		out[i] = times(d, repeats[i].dim())
	}
	return out
}

func (f *frame) rangeLen(n *graph.Node) graph.Dim {
	var v [3]elem
	for i := range v {
		e, ok := f.valueOf(n.Input(i))
		if !ok || len(e) != 1 {
			return open
		}
		v[i] = e[0]
	}
	start, limit, step := v[0], v[1], v[2]
	switch {
	case start.known && start.v == 0 && step.known && step.v == 1 && !limit.known:
		return limit.dim()
	case !start.known || !limit.known || !step.known || step.v == 0:
		return open
	}
	count := math.Ceil((limit.v - start.v) / step.v)
	if math.IsNaN(count) || count > maxDim {
		return open
	}
	return graph.Dim{Size: int64(math.Max(0, count))}
}

func (f *frame) topK(n *graph.Node, x []graph.Dim) {
	axis, ok := axisOf(n.Int("axis", -1), len(x))
	if !ok {
		return
	}
	out := slices.Clone(x)
	out[axis] = open
	if k, given, ok := f.attrOrInput(n, "k", 1); given && ok && len(k) == 1 && k[0] >= 0 {
		out[axis] = graph.Dim{Size: k[0]}
	}
	f.setShape(n, 0, out)
	f.setShape(n, 1, out)
}

func (f *frame) oneHot(n *graph.Node, x []graph.Dim) {
	if x == nil {
		return
	}
	axis, ok := axisOf(n.Int("axis", -1), len(x)+1)
	if !ok {
		return
	}
	depth := open
	if d, ok := f.valueOf(n.Input(1)); ok && len(d) == 1 {
		depth = d[0].dim()
	}
	f.setShape(n, 0, slices.Concat(x[:axis], []graph.Dim{depth}, x[axis:]))
}

func depthSpace(n *graph.Node, x []graph.Dim) []graph.Dim {
	b := n.Int("blocksize", 0)
	if len(x) != 4 || b <= 0 || b > 1<<15 {
		return nil
	}
	out := slices.Clone(x)
	scale := func(d graph.Dim, up bool, by int64) graph.Dim {
		switch {
		case d.Size < 0 || up && d.Size > maxDim/by:
			return open
		case up:
			return graph.Dim{Size: d.Size * by}
		}
		return graph.Dim{Size: d.Size / by}
	}
	up := n.OpType == "DepthToSpace"
	out[1] = scale(x[1], !up, b*b)
	out[2] = scale(x[2], up, b)
	out[3] = scale(x[3], up, b)
	return out
}

func (f *frame) recurrent(n *graph.Node, x []graph.Dim) {
	if len(x) != 3 {
		return
	}
	directions := graph.Dim{Size: 1}
	if n.Str("direction", "forward") == "bidirectional" {
		directions.Size = 2
	}
	hidden := graph.Dim{Size: n.Int("hidden_size", -1)}
	if r := f.shapeOf(n.Input(2)); hidden.Size < 0 && len(r) == 3 {
		hidden = r[2]
	}
	length, batch := x[0], x[1]
	if n.Int("layout", 0) != 0 {
		length, batch = batch, length
		f.setShape(n, 0, []graph.Dim{batch, length, directions, hidden})
		f.setShape(n, 1, []graph.Dim{batch, directions, hidden})
		f.setShape(n, 2, []graph.Dim{batch, directions, hidden})
		return
	}
	f.setShape(n, 0, []graph.Dim{length, directions, batch, hidden})
	f.setShape(n, 1, []graph.Dim{directions, batch, hidden})
	f.setShape(n, 2, []graph.Dim{directions, batch, hidden})
}

// attention shapes the output of the standard Attention operator.
func (f *frame) attention(n *graph.Node, q []graph.Dim) {
	v := f.shapeOf(n.Input(2))
	switch {
	case len(q) == 4 && len(v) == 4:
		f.setShape(n, 0, []graph.Dim{q[0], q[1], q[2], v[3]})
	case len(q) == 3 && len(v) == 3:
		heads, kv := n.Int("q_num_heads", 0), n.Int("kv_num_heads", 0)
		last := open
		if v[2].Size >= 0 && heads > 0 && kv > 0 && heads < 1<<20 && v[2].Size < 1<<40 {
			last = graph.Dim{Size: v[2].Size / kv * heads}
		}
		f.setShape(n, 0, []graph.Dim{q[0], q[1], last})
	}
}
