package xirtest

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"narrow/export/xmodel"
)

// Run computes every operator of g from its definition; inputs are the elements
// of the data operators by name, in the file's layout. Sums are taken in float64,
// which is exact for a DPU's integers, and each result is rounded to float32, but
// that of hard-sigmoid: only its product with the DPU's constant is a number
// that there is.
func Run(g *xmodel.Graph, inputs map[string][]float32) (map[string][]float64, error) {
	all := map[string][]float64{}
	for _, o := range g.Ops {
		r := &runner{o: o, all: all}
		v, err := r.run(inputs)
		if err != nil {
			return nil, fmt.Errorf("%s (%s): %w", o.Name, o.Type, err)
		}
		if int64(len(v)) != count(o.Dims) {
			return nil, fmt.Errorf("%s (%s): %d elements for %v", o.Name, o.Type, len(v), o.Dims)
		}
		if o.Type != "hard-sigmoid" {
			for i, x := range v {
				v[i] = float64(float32(x))
			}
		}
		all[o.Name] = v
	}
	return all, nil
}

// FixInts returns the integers of a fix operator's result.
func FixInts(o *xmodel.Op, v []float64) []int32 {
	p := int(o.Attr("fix_point").(int32))
	out := make([]int32, len(v))
	for i, x := range v {
		out[i] = int32(math.Round(math.Ldexp(x, p)))
	}
	return out
}

type runner struct {
	o   *xmodel.Op
	all map[string][]float64
}

// in returns the i-th operator of an argument and its values.
func (r *runner) in(arg string, i int) (*xmodel.Op, []float64) {
	ops := r.o.Arg(arg)
	if i >= len(ops) {
		return nil, nil
	}
	return ops[i], r.all[ops[i].Name]
}

func (r *runner) ints(name string) []int {
	var out []int
	for _, v := range r.o.Attr(name).([]int32) {
		out = append(out, int(v))
	}
	return out
}

func (r *runner) int(name string) int { return int(r.o.Attr(name).(int32)) }

func count(dims []int64) int64 {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	return n
}

func each(x []float64, f func(float64) float64) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = f(v)
	}
	return out
}

func (r *runner) run(inputs map[string][]float32) ([]float64, error) {
	o := r.o
	src, x := r.in("input", 0)
	switch o.Type {
	case "data":
		v, ok := inputs[o.Name]
		if !ok {
			return nil, fmt.Errorf("no input is given")
		}
		out := make([]float64, len(v))
		for i := range v {
			out[i] = float64(v[i])
		}
		return out, nil
	case "const":
		raw := o.Attr("data").([]byte)
		out := make([]float64, len(raw)/4)
		for i := range out {
			out[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:])))
		}
		return out, nil
	case "fix":
		bits, p := r.int("bit_width"), r.int("fix_point")
		lo, hi := -math.Ldexp(1, bits-1), math.Ldexp(1, bits-1)-1
		return each(x, func(v float64) float64 {
			q := math.Floor(math.Ldexp(float64(float32(v)), p) + 0.5)
			return math.Ldexp(min(max(q, lo), hi), -p)
		}), nil
	case "relu":
		return each(x, func(v float64) float64 { return max(v, 0) }), nil
	case "relu6":
		return each(x, func(v float64) float64 { return min(max(v, 0), 6) }), nil
	case "leaky-relu":
		a := float64(o.Attr("alpha").(float32))
		return each(x, func(v float64) float64 {
			if v < 0 {
				return v * a
			}
			return v
		}), nil
	case "prelu":
		_, w := r.in("weight", 0)
		out := slices.Clone(x)
		for i, v := range out {
			if v < 0 {
				out[i] = v * w[i%len(w)]
			}
		}
		return out, nil
	case "sigmoid":
		return each(x, func(v float64) float64 { return 1 / (1 + math.Exp(-v)) }), nil
	case "tanh":
		return each(x, math.Tanh), nil
	case "hard-sigmoid":
		return each(x, func(v float64) float64 { return min(max(v+3, 0), 6) / 6 }), nil
	case "neg":
		return each(x, func(v float64) float64 { return -v }), nil
	case "add", "sub", "mul", "div", "min", "max":
		return r.binary()
	case "scale":
		_, s := r.in("scale", 0)
		_, b := r.in("bias", 0)
		out := slices.Clone(x)
		for i := range out {
			out[i] = float64(float32(out[i]*s[i%len(s)])) + b[i%len(b)]
		}
		return out, nil
	case "softmax":
		return r.softmax(src, x), nil
	case "reshape", "squeeze":
		return slices.Clone(x), nil
	case "stack":
		var out []float64
		for i := range o.Arg("input") {
			_, v := r.in("input", i)
			out = append(out, v...)
		}
		return out, nil
	case "concat":
		return r.concat(), nil
	case "transpose":
		return permute(x, src.Dims, r.ints("order")), nil
	case "strided_slice":
		return r.slice(src, x), nil
	case "pad":
		return r.pad(src, x)
	case "pixel-shuffle":
		return r.shuffle(src, x), nil
	case "reduction_max", "reduction_sum", "reduction_mean":
		return r.reduce(src, x), nil
	case "maxpool1d", "maxpool2d", "avgpool2d":
		return r.pool(src, x), nil
	case "resize":
		return r.resize(src, x)
	case "matmul":
		return r.matmul(), nil
	case "conv1d", "conv2d", "depthwise-conv2d", "conv3d", "depthwise-conv3d":
		return r.conv(src, x), nil
	case "transposed-conv2d", "transposed-depthwise-conv2d", "transposed-conv3d", "transposed-depthwise-conv3d":
		return r.convTranspose(src, x), nil
	}
	return nil, fmt.Errorf("XIR's operator is not known here")
}

// strides returns how far apart neighbours of each axis lie.
func strides(dims []int64) []int {
	out := make([]int, len(dims))
	step := 1
	for i := len(dims) - 1; i >= 0; i-- {
		out[i] = step
		step *= int(dims[i])
	}
	return out
}

// walk calls f for each place of a tensor, in order.
func walk(dims []int64, f func(at []int)) {
	at := make([]int, len(dims))
	for range count(dims) {
		f(at)
		for a := len(dims) - 1; a >= 0; a-- {
			at[a]++
			if at[a] < int(dims[a]) {
				break
			}
			at[a] = 0
		}
	}
}

func dot(at, steps []int) int {
	n := 0
	for i := range at {
		n += at[i] * steps[i]
	}
	return n
}

func permute(x []float64, dims []int64, order []int) []float64 {
	s := strides(dims)
	out := make([]int64, len(dims))
	by := make([]int, len(dims))
	for i, p := range order {
		out[i], by[i] = dims[p], s[p]
	}
	y := make([]float64, 0, len(x))
	walk(out, func(at []int) { y = append(y, x[dot(at, by)]) })
	return y
}

// broadcast returns the strides by which a tensor is read in the shape to.
func broadcast(dims, to []int64) []int {
	s := strides(dims)
	out := make([]int, len(to))
	for i := range dims {
		if dims[i] != 1 {
			out[i+len(to)-len(dims)] = s[i]
		}
	}
	return out
}

func (r *runner) binary() ([]float64, error) {
	a, x := r.in("input", 0)
	b, y := r.in("input", 1)
	sa, sb := broadcast(a.Dims, r.o.Dims), broadcast(b.Dims, r.o.Dims)
	out := make([]float64, 0, count(r.o.Dims))
	walk(r.o.Dims, func(at []int) {
		u, v := x[dot(at, sa)], y[dot(at, sb)]
		switch r.o.Type {
		case "add":
			u += v
		case "sub":
			u -= v
		case "mul":
			u *= v
		case "div":
			u /= v
		case "min":
			u = min(u, v)
		case "max":
			u = max(u, v)
		}
		out = append(out, u)
	})
	return out, nil
}

func (r *runner) softmax(src *xmodel.Op, x []float64) []float64 {
	axis := r.int("axis")
	n := int(src.Dims[axis])
	inner := int(count(src.Dims[axis+1:]))
	out := make([]float64, len(x))
	for base := 0; base < len(x); base += n * inner {
		for j := range inner {
			at := func(i int) int { return base + i*inner + j }
			top, sum := math.Inf(-1), 0.0
			for i := range n {
				top = max(top, x[at(i)])
			}
			for i := range n {
				sum += math.Exp(x[at(i)] - top)
			}
			for i := range n {
				out[at(i)] = math.Exp(x[at(i)]-top) / sum
			}
		}
	}
	return out
}

func (r *runner) concat() []float64 {
	axis := r.int("axis")
	outer := int(count(r.o.Dims[:axis]))
	var out []float64
	for k := range outer {
		for i := range r.o.Arg("input") {
			p, v := r.in("input", i)
			size := int(count(p.Dims[axis:]))
			out = append(out, v[k*size:(k+1)*size]...)
		}
	}
	return out
}

// spans returns where a slice begins along each axis and how far it steps.
func spans(o *xmodel.Op, dims []int64) (begin, step []int, out []int64) {
	list := func(name string) []int32 { return o.Attr(name).([]int32) }
	beginMask, endMask := o.Attr("begin_mask").(int32), o.Attr("end_mask").(int32)
	for i, d := range dims {
		b, e, s := int64(list("begin")[i]), int64(list("end")[i]), int64(list("strides")[i])
		clamp := func(v int64) int64 {
			if v < 0 {
				v += d
			}
			return min(max(v, 0), d)
		}
		b, e = clamp(b), clamp(e)
		if beginMask>>i&1 != 0 {
			b = 0
		}
		if endMask>>i&1 != 0 {
			e = d
		}
		begin, step, out = append(begin, int(b)), append(step, int(s)), append(out, max(0, (e-b+s-1)/s))
	}
	return begin, step, out
}

func (r *runner) slice(src *xmodel.Op, x []float64) []float64 {
	begin, step, dims := spans(r.o, src.Dims)
	s := strides(src.Dims)
	base := dot(begin, s)
	for i := range s {
		s[i] *= step[i]
	}
	out := make([]float64, 0, count(dims))
	walk(dims, func(at []int) { out = append(out, x[base+dot(at, s)]) })
	return out
}

func (r *runner) pad(src *xmodel.Op, x []float64) ([]float64, error) {
	pads, mode := r.ints("paddings"), r.o.Attr("mode").(string)
	value := float64(r.o.Attr("constant_values").([]float32)[0])
	s := strides(src.Dims)
	out := make([]float64, 0, count(r.o.Dims))
	walk(r.o.Dims, func(at []int) {
		pos, inside := 0, true
		for i, a := range at {
			k, n := a-pads[2*i], int(src.Dims[i])
			if k < 0 || k >= n {
				switch mode {
				case "CONSTANT":
					inside = false
				case "REFLECT":
					if k < 0 {
						k = -k
					} else {
						k = 2*n - 2 - k
					}
				default:
					if k < 0 {
						k = -k - 1
					} else {
						k = 2*n - 1 - k
					}
				}
			}
			if inside {
				pos += k * s[i]
			}
		}
		if inside {
			out = append(out, x[pos])
		} else {
			out = append(out, value)
		}
	})
	return out, nil
}

func (r *runner) shuffle(src *xmodel.Op, x []float64) []float64 {
	s, up := r.int("scale"), r.o.Attr("upscale").(bool)
	from := strides(src.Dims)
	out := make([]float64, 0, len(x))
	walk(r.o.Dims, func(at []int) {
		n, h, w, c := at[0], at[1], at[2], at[3]
		if up {
			out = append(out, x[dot([]int{n, h / s, w / s, c*s*s + h%s*s + w%s}, from)])
		} else {
			out = append(out, x[dot([]int{n, h*s + c/s%s, w*s + c%s, c / (s * s)}, from)])
		}
	})
	return out
}

func (r *runner) reduce(src *xmodel.Op, x []float64) []float64 {
	axes := r.ints("axis")
	var keep []int64
	by := make([]int, len(src.Dims))
	size := 1.0
	for i, d := range src.Dims {
		if slices.Contains(axes, i) {
			size *= float64(d)
			keep = append(keep, 1)
		} else {
			keep = append(keep, d)
		}
	}
	step := strides(keep)
	for i := range by {
		if !slices.Contains(axes, i) {
			by[i] = step[i]
		}
	}
	out := make([]float64, count(keep))
	if r.o.Type == "reduction_max" {
		for i := range out {
			out[i] = math.Inf(-1)
		}
	}
	k := 0
	walk(src.Dims, func(at []int) {
		p := dot(at, by)
		if r.o.Type == "reduction_max" {
			out[p] = max(out[p], x[k])
		} else {
			out[p] += x[k]
		}
		k++
	})
	if r.o.Type == "reduction_mean" {
		for i := range out {
			out[i] /= size
		}
	}
	return out
}

// planes returns a window's numbers for the axes of space in the file's order,
// which are [h,w], [l] or [h,w,d], from attributes in the order [w,h,d].
func (r *runner) planes(name string, space int) []int {
	v := r.ints(name)
	per := len(v) / space
	out := make([]int, 0, len(v))
	order := []int{0}
	switch space {
	case 2:
		order = []int{1, 0}
	case 3:
		order = []int{1, 0, 2}
	}
	for _, i := range order {
		out = append(out, v[i*per:(i+1)*per]...)
	}
	return out
}

func (r *runner) pool(src *xmodel.Op, x []float64) []float64 {
	space := len(src.Dims) - 2
	kernel, stride, pad := r.planes("kernel", space), r.planes("stride", space), r.planes("pad", space)
	average := r.o.Type == "avgpool2d"
	include := average && r.o.Attr("count_include_pad").(bool)
	s := strides(src.Dims)
	area := make([]int64, space)
	for i := range area {
		area[i] = int64(kernel[i])
	}
	out := make([]float64, 0, count(r.o.Dims))
	walk(r.o.Dims, func(at []int) {
		best, sum, n := math.Inf(-1), 0.0, 0
		walk(area, func(k []int) {
			pos, inside, padded := at[0]*s[0]+at[space+1], true, true
			for i := range k {
				p := at[1+i]*stride[i] + k[i] - pad[2*i]
				size := int(src.Dims[1+i])
				inside = inside && p >= 0 && p < size
				padded = padded && p >= -pad[2*i] && p < size+pad[2*i+1]
				pos += p * s[1+i]
			}
			if inside {
				best = max(best, x[pos])
				sum += x[pos]
			}
			if inside || include && padded {
				n++
			}
		})
		if average {
			out = append(out, sum/float64(n))
		} else {
			out = append(out, best)
		}
	})
	return out
}

func (r *runner) resize(src *xmodel.Op, x []float64) ([]float64, error) {
	mode := r.o.Attr("mode").(string)
	align, half := r.o.Attr("align_corners").(bool), r.o.Attr("half_pixel_centers").(bool)
	place := func(axis, i int) float64 {
		in, out := float64(src.Dims[axis]), float64(r.o.Dims[axis])
		v := float64(i)
		switch {
		case align && out > 1:
			return float64(float32(v) * float32(in-1) / float32(out-1))
		case half && mode == "NEAREST":
			return math.Floor((v + 0.5) * in / out)
		case half:
			return float64((float32(v)+0.5)/(float32(out)/float32(in)) - 0.5)
		case mode == "NEAREST":
			return v * in / out
		}
		return float64(float32(v) / (float32(out) / float32(in)))
	}
	s := strides(src.Dims)
	out := make([]float64, 0, count(r.o.Dims))
	clamp := func(v float64, axis int) int { return int(min(max(v, 0), float64(src.Dims[axis]-1))) }
	walk(r.o.Dims, func(at []int) {
		v := func(y, z int) float64 { return x[dot([]int{at[0], y, z, at[3]}, s)] }
		ph, pw := place(1, at[1]), place(2, at[2])
		if mode == "NEAREST" {
			out = append(out, v(clamp(math.Floor(ph), 1), clamp(math.Floor(pw), 2)))
			return
		}
		// In float32, as runtimes compute it: a DPU's does not differ by more
		// than a step, which fixes would show.
		y, fy := between(float32(ph), src.Dims[1])
		z, fz := between(float32(pw), src.Dims[2])
		a, b := float32(v(y[0], z[0])), float32(v(y[0], z[1]))
		c, d := float32(v(y[1], z[0])), float32(v(y[1], z[1]))
		w := [4]float32{fz[1] * fy[1], fz[0] * fy[1], fz[1] * fy[0], fz[0] * fy[0]}
		sum := float32(w[0] * a)
		sum += float32(w[1] * b)
		sum += float32(w[2] * c)
		sum += float32(w[3] * d)
		out = append(out, float64(sum))
	})
	return out, nil
}

// between returns the two places around p and how far p is from each.
func between(p float32, size int64) (at [2]int, far [2]float32) {
	p = min(max(p, 0), float32(size-1))
	at[0] = int(p)
	at[1] = min(at[0]+1, int(size-1))
	if at[0] == at[1] {
		return at, [2]float32{0.5, 0.5}
	}
	return at, [2]float32{p - float32(at[0]), float32(at[1]) - p}
}

func (r *runner) matmul() []float64 {
	a, x := r.in("input", 0)
	b, y := r.in("input", 1)
	_, bias := r.in("bias", 0)
	rank := len(r.o.Dims)
	m, n := int(r.o.Dims[rank-2]), int(r.o.Dims[rank-1])
	sa, sb := strides(a.Dims), strides(b.Dims)
	la, lb := len(a.Dims), len(b.Dims)
	k := int(a.Dims[la-1])
	ra, ca := sa[la-2], sa[la-1]
	if r.o.Attr("transpose_a").(bool) {
		k = int(a.Dims[la-2])
		ra, ca = ca, ra
	}
	rb, cb := sb[lb-2], sb[lb-1]
	if r.o.Attr("transpose_b").(bool) {
		rb, cb = cb, rb
	}
	outer := r.o.Dims[:rank-2]
	oa, ob := broadcastOuter(a.Dims, outer), broadcastOuter(b.Dims, outer)
	out := make([]float64, 0, count(r.o.Dims))
	walk(outer, func(at []int) {
		pa, pb := dot(at, oa), dot(at, ob)
		for i := range m {
			for j := range n {
				sum := 0.0
				for l := range k {
					sum += x[pa+i*ra+l*ca] * y[pb+l*rb+j*cb]
				}
				if bias != nil {
					sum += bias[j]
				}
				out = append(out, sum)
			}
		}
	})
	return out
}

func broadcastOuter(dims, outer []int64) []int {
	s := strides(dims)
	out := make([]int, len(outer))
	own := dims[:len(dims)-2]
	for i := range own {
		if own[i] != 1 {
			out[i+len(outer)-len(own)] = s[i]
		}
	}
	return out
}

func (r *runner) conv(src *xmodel.Op, x []float64) []float64 {
	space := len(src.Dims) - 2
	kernel, stride, dilation, pad := r.planes("kernel", space), r.planes("stride", space), r.planes("dilation", space), r.planes("pad", space)
	wop, w := r.in("weights", 0)
	_, bias := r.in("bias", 0)
	depthwise := r.o.Type == "depthwise-conv2d" || r.o.Type == "depthwise-conv3d"
	channels := int(src.Dims[space+1])
	out := int(r.o.Dims[space+1])
	perGroup, group := channels, 1
	if g, ok := r.o.Attr("group").(int32); ok && !depthwise {
		group = int(g)
		perGroup = channels / group
	}
	sx, sw := strides(src.Dims), strides(wop.Dims)
	area := make([]int64, space)
	for i := range area {
		area[i] = int64(kernel[i])
	}
	// offsets lists, for a place of the result, where the window reads and which weights meet it.
	places := append([]int64{r.o.Dims[0]}, r.o.Dims[1:1+space]...)
	y := make([]float64, 0, count(r.o.Dims))
	walk(places, func(at []int) {
		acc := make([]float64, out)
		if bias != nil {
			copy(acc, bias)
		}
		walk(area, func(k []int) {
			px, pw := at[0]*sx[0], 0
			for i := range k {
				p := at[1+i]*stride[i] + k[i]*dilation[i] - pad[2*i]
				if p < 0 || p >= int(src.Dims[1+i]) {
					return
				}
				px += p * sx[1+i]
				pw += k[i] * sw[1+i]
			}
			if depthwise {
				times := int(wop.Dims[0])
				for c := range channels {
					for q := range times {
						acc[c*times+q] += x[px+c] * w[q*sw[0]+pw+c]
					}
				}
				return
			}
			for o := range out {
				g := o / (out / group)
				sum := 0.0
				xs, ws := x[px+g*perGroup:px+(g+1)*perGroup], w[o*sw[0]+pw:]
				for c, v := range xs {
					sum += v * ws[c]
				}
				acc[o] += sum
			}
		})
		y = append(y, acc...)
	})
	return y
}

// convTranspose spreads the input by the stride, pads it by what the kernel
// reaches over less the padding, and slides the kernel over it.
func (r *runner) convTranspose(src *xmodel.Op, x []float64) []float64 {
	space := len(src.Dims) - 2
	kernel, stride, dilation, pad := r.planes("kernel", space), r.planes("stride", space), r.planes("dilation", space), r.planes("pad", space)
	wop, w := r.in("weights", 0)
	_, bias := r.in("bias", 0)
	depthwise := r.o.Type == "transposed-depthwise-conv2d" || r.o.Type == "transposed-depthwise-conv3d"
	channels, out := int(src.Dims[space+1]), int(r.o.Dims[space+1])
	sx, sw := strides(src.Dims), strides(wop.Dims)
	area := make([]int64, space)
	for i := range area {
		area[i] = int64(kernel[i])
	}
	places := append([]int64{r.o.Dims[0]}, r.o.Dims[1:1+space]...)
	y := make([]float64, 0, count(r.o.Dims))
	walk(places, func(at []int) {
		acc := make([]float64, out)
		if bias != nil {
			copy(acc, bias)
		}
		walk(area, func(k []int) {
			px, pw := at[0]*sx[0], 0
			for i := range k {
				p := at[1+i] + k[i]*dilation[i] - (dilation[i]*(kernel[i]-1) - pad[2*i])
				if p < 0 || p%stride[i] != 0 || p/stride[i] >= int(src.Dims[1+i]) {
					return
				}
				px += p / stride[i] * sx[1+i]
				pw += k[i] * sw[1+i]
			}
			if depthwise {
				for c := range channels {
					acc[c] += x[px+c] * w[pw+c]
				}
				return
			}
			for o := range out {
				for c := range channels {
					acc[o] += x[px+c] * w[o*sw[0]+pw+c]
				}
			}
		})
		y = append(y, acc...)
	})
	return y
}
