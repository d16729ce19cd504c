package samples

import (
	"slices"

	"narrow/diag"
	"narrow/graph"
)

// row is the room for one sample in a batch: one of the two is set.
type row struct {
	floats []float32
	raw    []byte
}

// scratch is one worker's memory.
type scratch struct {
	file     []byte
	row      []byte
	a, b     pixels
	resample resampler
	floats   []float32
}

func (sc *scratch) bytes(n int64) []byte {
	sc.row = slices.Grow(sc.row[:0], int(n))[:n]
	return sc.row
}

// fromElements fills dst with a sample read from an array.
func (p *plan) fromElements(dst row, raw []byte, shape []int64, sc *scratch) error {
	if p.pixels {
		p.unpack(&sc.a, raw)
		return p.fromPixels(dst, sc)
	}
	if p.moved != asIs {
		sc.b.pix = slices.Grow(sc.b.pix[:0], len(raw))[:len(raw)]
		moveAxes(sc.b.pix, raw, shape, sizeOf(p.from), p.moved)
		raw = sc.b.pix
	}
	to := p.spec.Type
	switch {
	case p.from == graph.Uint8 && to == graph.Float32:
		for i, v := range raw {
			dst.floats[i] = p.tables[0][v]
		}
	case p.from == graph.Uint8 && isFloat(to):
		for i, v := range raw {
			putFloat(dst.raw, to, i, float64(p.tables[0][v]))
		}
	case to == graph.Float32:
		toFloats(dst.floats, raw, p.from)
	case to == p.from:
		copy(dst.raw, raw)
	case isFloat(to):
		for i := range int(p.width()) {
			putFloat(dst.raw, to, i, get(raw, p.from, i))
		}
	default:
		return toInts(dst.raw, to, raw, p.from)
	}
	return nil
}

// moveAxes transposes H,W,C to C,H,W or back.
func moveAxes(dst, src []byte, shape []int64, width int, m move) {
	// Either way it is a transposition of a matrix of rows x cols.
	rows, cols := int(shape[0]*shape[1]), int(shape[2])
	if m == firstToLast {
		rows, cols = int(shape[0]), int(shape[1]*shape[2])
	}
	for r := range rows {
		for c := range cols {
			copy(dst[(c*rows+r)*width:][:width], src[(r*cols+c)*width:])
		}
	}
}

// unpack makes an image of a uint8 sample.
func (p *plan) unpack(px *pixels, raw []byte) {
	in := p.in
	px.reshape(in.w, in.h, in.c)
	if !in.planar || in.c == 1 {
		copy(px.pix, raw)
		return
	}
	n := in.w * in.h
	for c := range in.c {
		for i, v := range raw[c*n : (c+1)*n] {
			px.pix[i*in.c+c] = v
		}
	}
}

// fromPixels preprocesses the image in sc.a into dst.
func (p *plan) fromPixels(dst row, sc *scratch) error {
	px := &sc.a
	if !px.toChannels(p.c) {
		return diag.Errorf("%d channels do not become %d", px.c, p.c)
	}
	rh, rw, h, w := p.recipe.resized(px.h, px.w)
	if rh < 1 || rw < 1 || rh > maxPixels/rw {
		return diag.Errorf("an image of %d x %d (height x width) cannot be resized to %d x %d", px.h, px.w, rh, rw)
	}
	if h != p.h || w != p.w {
		return p.wrongSize(px, h, w)
	}
	if h != px.h || w != px.w || rh != px.h || rw != px.w {
		sc.resample.resize(&sc.b, px, rw, rh, cropStart(rw, w), cropStart(rh, h), w, h)
		px = &sc.b
	}
	p.write(dst, px, sc)
	return nil
}

func (p *plan) wrongSize(px *pixels, h, w int) error {
	got := diag.Textf("it is %d x %d (height x width)", px.h, px.w)
	if h != px.h || w != px.w {
		got = diag.Textf("it is %d x %d (height x width), %d x %d once preprocessed", px.h, px.w, h, w)
	}
	if p.ofNet {
		return diag.Errorf("%s, but %s: %s", got, p.want(), sizeAdvice(int64(p.h), int64(p.w)))
	}
	return diag.Errorf("%s, but the first one made %d x %d, and all must be of one size: %s", got, p.h, p.w, sizeAdvice(int64(p.h), int64(p.w)))
}

// write puts the values of an image where the network wants them.
func (p *plan) write(dst row, px *pixels, sc *scratch) {
	n := px.w * px.h
	flip := p.recipe.bgr && p.c == 3
	if isInt(p.spec.Type) { // values stay as they are
		width := sizeOf(p.spec.Type)
		clear(dst.raw)
		for c := range p.c {
			from := c
			if flip {
				from = 2 - c
			}
			for i := range n {
				dst.raw[p.at(i, c, n)*width] = px.pix[i*p.c+from]
			}
		}
		return
	}
	out := dst.floats
	if p.spec.Type != graph.Float32 {
		sc.floats = slices.Grow(sc.floats[:0], n*p.c)[:n*p.c]
		out = sc.floats
	}
	for c := range p.c {
		from := c
		if flip {
			from = 2 - c
		}
		table := &p.tables[c]
		pix := px.pix[from:]
		if p.hwc {
			for i := range n {
				out[i*p.c+c] = table[pix[i*p.c]]
			}
			continue
		}
		plane := out[c*n : (c+1)*n]
		for i := range plane {
			plane[i] = table[pix[i*p.c]]
		}
	}
	if p.spec.Type != graph.Float32 {
		putFloats(dst.raw, p.spec.Type, out)
	}
}

// at is the index of pixel i's channel c among an image's elements.
func (p *plan) at(i, c, n int) int {
	if p.hwc {
		return i*p.c + c
	}
	return c*n + i
}
