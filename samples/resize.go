package samples

import (
	"math"
	"slices"
)

// resampler shrinks and grows images by PIL's antialiased bilinear filter, bit
// for bit: a triangle as wide as the step between output pixels, 22-bit fixed
// point, horizontal before vertical with 8 bits between.
type resampler struct {
	h, v taps
	mid  []uint8
}

// taps hold, for each output pixel, which input pixels it is made of.
type taps struct {
	in, out int // sizes that the taps were made for; 0 for none
	from    []int
	count   []int
	size    int // weights kept per output pixel
	weight  []int32
}

const resampleBits = 32 - 8 - 2

func (t *taps) make(in, out int) {
	if t.in == in && t.out == out {
		return
	}
	t.in, t.out = in, out
	scale := float64(in) / float64(out)
	wide := max(scale, 1)
	t.size = int(math.Ceil(wide))*2 + 1
	t.from = slices.Grow(t.from[:0], out)[:out]
	t.count = slices.Grow(t.count[:0], out)[:out]
	t.weight = slices.Grow(t.weight[:0], out*t.size)[:out*t.size]
	k := make([]float64, t.size)
	for i := range out {
		center := (float64(i) + 0.5) * scale
		lo := max(int(center-wide+0.5), 0)
		n := min(int(center+wide+0.5), in) - lo
		sum := 0.0
		for x := range n {
			k[x] = max(1-math.Abs((float64(x+lo)-center+0.5)*(1/wide)), 0)
			sum += k[x]
		}
		t.from[i], t.count[i] = lo, n
		for x := range n {
			w := k[x]
			if sum != 0 {
				w /= sum
			}
			t.weight[i*t.size+x] = int32(0.5 + w*(1<<resampleBits))
		}
	}
}

// resize sets dst to the part [x0,x0+w) x [y0,y0+h) of src resized to width x
// height. The part may reach beyond the resized image; what lies there is 0.
func (r *resampler) resize(dst, src *pixels, width, height, x0, y0, w, h int) {
	dst.reshape(w, h, src.c)
	c := src.c
	// The visible part.
	vx0, vx1 := max(x0, 0), min(x0+w, width)
	vy0, vy1 := max(y0, 0), min(y0+h, height)
	if vx0 > x0 || vx1 < x0+w || vy0 > y0 || vy1 < y0+h {
		clear(dst.pix)
	}
	if vx0 >= vx1 || vy0 >= vy1 {
		return
	}
	if width == src.w && height == src.h {
		for y := vy0; y < vy1; y++ {
			copy(dst.pix[((y-y0)*w+vx0-x0)*c:][:(vx1-vx0)*c], src.pix[(y*src.w+vx0)*c:])
		}
		return
	}
	r.h.make(src.w, width)
	r.v.make(src.h, height)
	// Horizontal: only the rows that the vertical pass will read.
	first := r.v.from[vy0]
	last := r.v.from[vy1-1] + r.v.count[vy1-1]
	stride := (vx1 - vx0) * c
	r.mid = slices.Grow(r.mid[:0], (last-first)*stride)[:(last-first)*stride]
	for y := first; y < last; y++ {
		in := src.pix[y*src.w*c:][:src.w*c]
		out := r.mid[(y-first)*stride:][:stride]
		if c == 3 {
			r.row3(out, in, vx0)
			continue
		}
		for i := range out {
			x, ch := vx0+i/c, i%c
			k := r.h.weight[x*r.h.size:][:r.h.count[x]]
			acc := int32(1 << (resampleBits - 1))
			for j, wt := range k {
				acc += int32(in[(r.h.from[x]+j)*c+ch]) * wt
			}
			out[i] = clip8(acc >> resampleBits)
		}
	}
	acc := make([]int32, stride)
	for y := vy0; y < vy1; y++ {
		for i := range acc {
			acc[i] = 1 << (resampleBits - 1)
		}
		k := r.v.weight[y*r.v.size:][:r.v.count[y]]
		for j, wt := range k {
			in := r.mid[(r.v.from[y]-first+j)*stride:][:stride]
			for i, v := range in {
				acc[i] += int32(v) * wt
			}
		}
		out := dst.pix[((y-y0)*w+vx0-x0)*c:][:stride]
		for i, v := range acc {
			out[i] = clip8(v >> resampleBits)
		}
	}
}

// row3 is the horizontal skip one row of RGB.
func (r *resampler) row3(out, in []uint8, x0 int) {
	for x := x0; len(out) >= 3; x++ {
		k := r.h.weight[x*r.h.size:][:r.h.count[x]]
		px := in[3*r.h.from[x]:][:3*len(k)]
		var a, b, c int32 = 1 << (resampleBits - 1), 1 << (resampleBits - 1), 1 << (resampleBits - 1)
		for _, wt := range k {
			a += int32(px[0]) * wt
			b += int32(px[1]) * wt
			c += int32(px[2]) * wt
			px = px[3:]
		}
		out[0], out[1], out[2] = clip8(a>>resampleBits), clip8(b>>resampleBits), clip8(c>>resampleBits)
		out = out[3:]
	}
}
