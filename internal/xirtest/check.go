package xirtest

import (
	"fmt"
	"math"
	"regexp"
	"slices"

	"narrow/export/xmodel"
)

// definition is what XIR's table says of an operator: its arguments in order,
// how many operators each takes, and the types of its attributes.
type definition struct {
	args  []argument
	attrs map[string]any // a value of the type; every one is required here
}

type argument struct {
	name     string
	min, max int
}

var (
	one      = []argument{{"input", 1, 1}}
	two      = []argument{{"input", 2, 2}}
	weighted = []argument{{"input", 1, 1}, {"weights", 1, 1}, {"bias", 0, 1}}
	window   = map[string]any{"kernel": []int32{}, "stride": []int32{}, "dilation": []int32{}, "pad": []int32{}, "pad_mode": "",
		"group": int32(0), "in_dim": int32(0), "out_dim": int32(0), "bias_term": false}
	maxpool = map[string]any{"kernel": []int32{}, "stride": []int32{}, "pad": []int32{}, "pad_mode": "", "global": false}
	reduced = map[string]any{"axis": []int32{}, "keep_dims": false}
	axis    = map[string]any{"axis": int32(0)}
)

// definitions are those of the operators that narrow writes. (XIR, built_in_ops;
// and, for what is optional there, what vai_q_pytorch 3.5 writes.)
var definitions = map[string]definition{
	"data":  {nil, map[string]any{"shape": []int32{}, "data_type": ""}},
	"const": {nil, map[string]any{"shape": []int32{}, "data_type": "", "data": []byte{}}},
	"fix":   {one, map[string]any{"fix_point": int32(0), "bit_width": int32(0), "round_mode": "", "if_signed": false}},

	"conv1d": {weighted, window}, "conv2d": {weighted, window}, "conv3d": {weighted, window},
	"depthwise-conv2d": {weighted, window}, "depthwise-conv3d": {weighted, window},
	"transposed-conv2d": {weighted, window}, "transposed-conv3d": {weighted, window},
	"transposed-depthwise-conv2d": {weighted, window}, "transposed-depthwise-conv3d": {weighted, window},
	"maxpool1d": {one, maxpool}, "maxpool2d": {one, maxpool},
	"avgpool2d": {one, map[string]any{"kernel": []int32{}, "stride": []int32{}, "pad": []int32{}, "pad_mode": "", "global": false,
		"count_include_pad": false, "count_include_invalid": false}},
	"relu": {one, nil}, "relu6": {one, nil}, "sigmoid": {one, nil}, "tanh": {one, nil}, "hard-sigmoid": {one, nil}, "neg": {one, nil},
	"leaky-relu": {one, map[string]any{"alpha": float32(0)}},
	"prelu":      {[]argument{{"input", 1, 1}, {"weight", 1, 1}}, map[string]any{"num_parameters": int32(0)}},
	"scale":      {[]argument{{"input", 1, 1}, {"scale", 1, 1}, {"bias", 0, 1}}, axis},
	"softmax":    {one, axis},
	"add":        {two, nil}, "sub": {two, nil}, "mul": {two, nil}, "div": {two, nil}, "min": {two, nil}, "max": {two, nil},
	"concat":  {[]argument{{"input", 1, math.MaxInt}}, axis},
	"stack":   {[]argument{{"input", 1, math.MaxInt}}, axis},
	"matmul":  {[]argument{{"input", 2, 2}, {"bias", 0, 1}}, map[string]any{"transpose_a": false, "transpose_b": false}},
	"reshape": {[]argument{{"input", 1, 1}, {"shape", 1, 1}}, map[string]any{"shape": []int32{}}},
	"resize": {[]argument{{"input", 1, 1}, {"size", 0, 1}}, map[string]any{"mode": "", "align_corners": false,
		"half_pixel_centers": false, "scale": []float32{}}},
	"transpose": {one, map[string]any{"order": []int32{}}},
	"strided_slice": {one, map[string]any{"begin": []int32{}, "end": []int32{}, "strides": []int32{}, "begin_mask": int32(0),
		"end_mask": int32(0), "ellipsis_mask": int32(0), "new_axis_mask": int32(0), "shrink_axis_mask": int32(0)}},
	"pad":           {one, map[string]any{"paddings": []int32{}, "mode": "", "constant_values": []float32{}}},
	"pixel-shuffle": {one, map[string]any{"scale": int32(0), "upscale": false}},
	"reduction_max": {one, reduced}, "reduction_sum": {one, reduced}, "reduction_mean": {one, reduced},
}

var plain = regexp.MustCompile(`^[0-9A-Za-z_]+$`)

// Check returns the first operator of g that AMD's library would stop at, or
// whose stored shape is not the one that it infers.
func Check(g *xmodel.Graph) error {
	for _, o := range g.Ops {
		if err := check(o); err != nil {
			return fmt.Errorf("%s (%s): %w", o.Name, o.Type, err)
		}
	}
	return nil
}

func check(o *xmodel.Op) error {
	d, ok := definitions[o.Type]
	if !ok {
		return fmt.Errorf("XIR has no such operator")
	}
	if !plain.MatchString(o.Name) {
		return fmt.Errorf("its name has other characters than letters, digits and underscores")
	}
	for name, want := range d.attrs {
		if got := o.Attr(name); fmt.Sprintf("%T", got) != fmt.Sprintf("%T", want) {
			return fmt.Errorf("attribute %s is of type %T, not %T", name, got, want)
		}
	}
	if len(o.Attrs) != len(d.attrs) {
		return fmt.Errorf("it has %d attributes, not %d", len(o.Attrs), len(d.attrs))
	}
	if len(o.Args) != len(d.args) {
		return fmt.Errorf("it has %d arguments, not %d", len(o.Args), len(d.args))
	}
	for i, a := range d.args {
		if got := o.Args[i]; got.Name != a.name || len(got.Ops) < a.min || len(got.Ops) > a.max {
			return fmt.Errorf("argument %d is %s with %d operators", i, got.Name, len(got.Ops))
		}
	}
	dims, err := infer(o)
	if err != nil {
		return err
	}
	if !slices.Equal(dims, o.Dims) {
		return fmt.Errorf("its shape is stored as %v, and XIR infers %v", o.Dims, dims)
	}
	return nil
}

func attrInts(o *xmodel.Op, name string) []int64 {
	list, _ := o.Attr(name).([]int32)
	out := make([]int64, len(list))
	for i, v := range list {
		out[i] = int64(v)
	}
	return out
}

// infer returns the shape of o's result (XIR, shape_inference).
func infer(o *xmodel.Op) ([]int64, error) {
	var in []int64
	if ops := o.Arg("input"); len(ops) > 0 {
		in = ops[0].Dims
	}
	switch o.Type {
	case "data", "const":
		if o.Type == "const" && int64(len(o.Attr("data").([]byte))) != 4*count(attrInts(o, "shape")) {
			return nil, fmt.Errorf("%d bytes for the shape %v", len(o.Attr("data").([]byte)), attrInts(o, "shape"))
		}
		return attrInts(o, "shape"), nil
	case "conv1d", "conv2d", "conv3d", "depthwise-conv2d", "depthwise-conv3d":
		return inferConv(o, in)
	case "transposed-conv2d", "transposed-conv3d", "transposed-depthwise-conv2d", "transposed-depthwise-conv3d":
		return inferTransposed(o, in)
	case "maxpool1d", "maxpool2d", "avgpool2d":
		space := len(in) - 2
		out := slices.Clone(in)
		for i, k := range attrInts(o, "kernel") {
			axis := fileAxis(i, space)
			pad := attrInts(o, "pad")
			if o.Attr("global").(bool) {
				out[axis] = 1
				continue
			}
			out[axis] = slide(in[axis]+pad[2*i]+pad[2*i+1]-k, attrInts(o, "stride")[i], o.Attr("pad_mode").(string))
		}
		return out, nil
	case "add", "sub", "mul", "div", "min", "max":
		return stretch(in, o.Arg("input")[1].Dims)
	case "concat":
		out := slices.Clone(in)
		a := o.Attr("axis").(int32)
		out[a] = 0
		for _, p := range o.Arg("input") {
			for i, d := range p.Dims {
				if i != int(a) && d != in[i] {
					return nil, fmt.Errorf("%v does not go beside %v", p.Dims, in)
				}
			}
			out[a] += p.Dims[a]
		}
		return out, nil
	case "stack":
		return append([]int64{int64(len(o.Arg("input")))}, in...), nil
	case "matmul":
		return inferMatmul(o)
	case "reshape":
		info := o.Arg("shape")[0].ShapeInfo
		out, known, open := []int64{}, int64(1), -1
		for i, d := range info {
			out = append(out, int64(d))
			if d < 0 {
				open = i
			} else {
				known *= int64(d)
			}
		}
		if open >= 0 {
			out[open] = count(in) / known
		}
		if count(out) != count(in) {
			return nil, fmt.Errorf("%v does not become %v", in, info)
		}
		return out, nil
	case "resize":
		out := slices.Clone(in)
		if size := o.Arg("size"); len(size) == 1 {
			out[1], out[2] = int64(size[0].ShapeInfo[0]), int64(size[0].ShapeInfo[1])
			return out, nil
		}
		s := o.Attr("scale").([]float32)
		if len(s) != 2 {
			return nil, fmt.Errorf("it has %d scales and no size", len(s))
		}
		out[1], out[2] = int64(float32(in[1])*s[1]), int64(float32(in[2])*s[0])
		return out, nil
	case "transpose":
		var out []int64
		for _, p := range attrInts(o, "order") {
			out = append(out, in[p])
		}
		return out, nil
	case "strided_slice":
		_, _, out := spans(o, in)
		return out, nil
	case "pad":
		out := slices.Clone(in)
		p := attrInts(o, "paddings")
		if len(p) != 2*len(in) {
			return nil, fmt.Errorf("%d paddings for %v", len(p), in)
		}
		for i := range out {
			out[i] += p[2*i] + p[2*i+1]
		}
		return out, nil
	case "pixel-shuffle":
		s := int64(o.Attr("scale").(int32))
		if o.Attr("upscale").(bool) {
			return []int64{in[0], in[1] * s, in[2] * s, in[3] / (s * s)}, nil
		}
		return []int64{in[0], in[1] / s, in[2] / s, in[3] * s * s}, nil
	case "reduction_max", "reduction_sum", "reduction_mean":
		out := []int64{}
		for i, d := range in {
			switch {
			case !slices.Contains(attrInts(o, "axis"), int64(i)):
				out = append(out, d)
			case o.Attr("keep_dims").(bool):
				out = append(out, 1)
			}
		}
		return out, nil
	}
	return in, nil
}

// fileAxis returns the axis of the file that number i of [w,h,d] belongs to.
func fileAxis(i, space int) int {
	switch {
	case space == 1:
		return 1
	case i == 0:
		return 2
	case i == 1:
		return 1
	}
	return 3
}

func slide(reach, stride int64, mode string) int64 {
	if mode == "CEIL" {
		return int64(math.Ceil(float64(reach+stride) / float64(stride)))
	}
	return int64(math.Floor(float64(reach+stride) / float64(stride)))
}

func inferConv(o *xmodel.Op, in []int64) ([]int64, error) {
	w := o.Arg("weights")[0].Dims
	if len(w) != len(in) {
		return nil, fmt.Errorf("weights %v for %v", w, in)
	}
	space := len(in) - 2
	c := len(in) - 1
	out := slices.Clone(in)
	kernel, pad := attrInts(o, "kernel"), attrInts(o, "pad")
	for i, k := range kernel {
		axis := fileAxis(i, space)
		if w[axis] != k {
			return nil, fmt.Errorf("weights %v for the kernel %v", w, kernel)
		}
		out[axis] = slide(in[axis]+pad[2*i]+pad[2*i+1]-(k-1)*attrInts(o, "dilation")[i]-1, attrInts(o, "stride")[i], o.Attr("pad_mode").(string))
	}
	group := int64(o.Attr("group").(int32))
	switch o.Type {
	case "depthwise-conv2d":
		out[c] = w[0] * w[c]
	case "depthwise-conv3d":
		out[c] = w[c]
	case "conv2d":
		if w[c] != in[c]/group || in[c]%group != 0 || w[0]%group != 0 {
			return nil, fmt.Errorf("weights %v for %v in %d groups", w, in, group)
		}
		out[c] = w[0]
	default:
		if w[c] != in[c] {
			return nil, fmt.Errorf("weights %v for %v", w, in)
		}
		out[c] = w[0]
	}
	return out, nil
}

func inferTransposed(o *xmodel.Op, in []int64) ([]int64, error) {
	w := o.Arg("weights")[0].Dims
	c := len(in) - 1
	out := slices.Clone(in)
	pad := attrInts(o, "pad")
	for i, k := range attrInts(o, "kernel") {
		axis := fileAxis(i, len(in)-2)
		out[axis] = (in[axis]-1)*attrInts(o, "stride")[i] + attrInts(o, "dilation")[i]*(k-1) + 1 - pad[2*i] - pad[2*i+1]
		if w[axis] != k || pad[2*i] < 0 || pad[2*i+1] < 0 {
			return nil, fmt.Errorf("weights %v for a kernel of %d, padding %v", w, k, pad)
		}
	}
	if w[c] != in[c] {
		return nil, fmt.Errorf("weights %v for %v", w, in)
	}
	if o.Type == "transposed-conv2d" || o.Type == "transposed-conv3d" {
		out[c] = w[0]
	}
	return out, nil
}

// stretch is XIR's size_broadcast.
func stretch(a, b []int64) ([]int64, error) {
	if len(a) < len(b) {
		a, b = b, a
	}
	out := slices.Clone(a)
	for i := range b {
		k := i + len(a) - len(b)
		switch {
		case b[i] == a[k] || b[i] == 1:
		case a[k] == 1:
			out[k] = b[i]
		default:
			return nil, fmt.Errorf("%v and %v do not go together", a, b)
		}
	}
	return out, nil
}

func inferMatmul(o *xmodel.Op) ([]int64, error) {
	a, b := slices.Clone(o.Arg("input")[0].Dims), slices.Clone(o.Arg("input")[1].Dims)
	if len(a) < 2 || len(b) < 2 {
		return nil, fmt.Errorf("%v and %v are no matrices", a, b)
	}
	swap := func(d []int64, name string) {
		if o.Attr(name).(bool) {
			d[len(d)-1], d[len(d)-2] = d[len(d)-2], d[len(d)-1]
		}
	}
	swap(a, "transpose_a")
	swap(b, "transpose_b")
	if a[len(a)-1] != b[len(b)-2] {
		return nil, fmt.Errorf("%v and %v do not multiply", a, b)
	}
	outer, err := stretch(a[:len(a)-2], b[:len(b)-2])
	if err != nil {
		return nil, err
	}
	if bias := o.Arg("bias"); len(bias) == 1 && !slices.Equal(bias[0].Dims, b[len(b)-1:]) {
		return nil, fmt.Errorf("a bias of %v", bias[0].Dims)
	}
	return append(outer, a[len(a)-2], b[len(b)-1]), nil
}
