package samples

import (
	"fmt"
	"slices"
	"strings"

	"narrow/diag"
	"narrow/graph"
)

// plan says how one sample of a source becomes one row of an input.
type plan struct {
	spec  InputSpec
	shape []int64 // of one sample, the batch axis left out
	// whole: the input has no batch axis (a state, a scalar); a sample is all
	// of it, and a batch is one sample.
	whole bool

	// For pixels:
	pixels bool
	recipe recipe
	c      int  // channels that the network sees
	hwc    bool // and it sees them last
	tables [][256]float32
	h, w   int  // size of every sample; 0 until the first one tells
	ofNet  bool // h and w are the network's, not the first sample's
	in     inLayout

	// For all else:
	from  graph.DataType
	moved move
}

// inLayout is how a uint8 array holds an image.
type inLayout struct {
	h, w, c int
	planar  bool // channels first
}

// move is a transposition of a sample's three axes.
type move int

const (
	asIs move = iota
	lastToFirst
	firstToLast
)

// width is the number of elements of one sample.
func (p *plan) width() int64 { return product(p.shape) }

// want describes the input for messages.
func (p *plan) want() diag.Text { return describe(p.spec) }

func describe(s InputSpec) diag.Text {
	if s.Dims == nil {
		return diag.Textf("input %q takes %v", s.Name, s.Type)
	}
	return diag.Textf("input %q takes %v of shape %s", s.Name, s.Type, shapeString(s.Dims))
}

func isChannels(d int64) bool { return d == 1 || d == 3 || d == 4 }

// accepts reports whether a shape is one of those that dims describe.
func accepts(dims, shape []int64) bool {
	return slices.EqualFunc(dims, shape, func(d, s int64) bool { return d < 0 || d == s })
}

// fitPixels plans for images of a folder, of any size.
func fitPixels(spec InputSpec, r recipe) (*plan, error) {
	p := &plan{spec: spec, pixels: true, recipe: r, c: 3}
	h, w := int64(-1), int64(-1)
	switch d := spec.Dims; {
	case d == nil:
	case len(d) == 3: // N,H,W
		p.c, h, w = 1, d[1], d[2]
	case len(d) == 4:
		c := d[1]
		h, w = d[2], d[3]
		if p.hwc = channelsLast(d); p.hwc {
			c, h, w = d[3], d[1], d[2]
		}
		if c > 0 {
			p.c = int(c)
		}
		if p.c != 1 && p.c != 3 {
			return nil, diag.Errorf("%s, which is no image of 1 or 3 channels; give an .npy array", describe(spec))
		}
	default:
		return nil, diag.Errorf("%s, which is not the shape of images (N,C,H,W); give an .npy array", describe(spec))
	}
	r = r.uncropped(h, w)
	p.recipe = r
	if err := p.values(); err != nil {
		return nil, err
	}
	fh, fw, ok := r.fixed()
	if ok && (h > 0 && h != int64(fh) || w > 0 && w != int64(fw)) {
		return nil, diag.Errorf("preprocessing makes images of %d x %d (height x width), but %s: %s", fh, fw, describe(spec), sizeAdvice(h, w))
	}
	switch {
	case ok:
		p.setSize(fh, fw)
	case h > 0 && w > 0:
		p.ofNet = true
		p.setSize(int(h), int(w))
	}
	return p, nil
}

// sizeAdvice tells what makes images of a size.
func sizeAdvice(h, w int64) diag.Text {
	if h <= 0 || w <= 0 {
		return diag.Textf("resizing to height x width makes every image one size")
	}
	if h == w {
		return diag.Textf("resizing to %d with a crop of %d, or to %dx%d with the crop none, makes them so", h, h, h, w)
	}
	return diag.Textf("resizing to %dx%d with the crop none makes them so", h, w)
}

// channelsLast tells whether an input of rank 4 is N,H,W,C.
func channelsLast(d []int64) bool { return isChannels(d[3]) && !isChannels(d[1]) }

// values readies the table of values and checks the element type.
func (p *plan) values() error {
	var err error
	if p.tables, err = p.recipe.tables(p.c); err != nil {
		return err
	}
	switch {
	case isFloat(p.spec.Type):
		return nil
	case !isInt(p.spec.Type):
		return diag.Errorf("%s, which pixels cannot be", describe(p.spec))
	case !p.recipe.plain():
		return diag.Errorf("%s, but preprocessing makes fractions: use the preset none", describe(p.spec))
	case p.spec.Type == graph.Int8:
		return diag.Errorf("%s, which does not hold pixels of 0 to 255", describe(p.spec))
	}
	return nil
}

func (p *plan) setSize(h, w int) {
	p.h, p.w = h, w
	c := int64(p.c)
	switch {
	case len(p.spec.Dims) == 3 || p.in.h > 0 && len(p.spec.Dims) == 2:
		p.shape = []int64{int64(h), int64(w)}
		if len(p.spec.Dims) == 2 {
			p.shape = []int64{int64(h) * int64(w) * c}
		}
	case p.hwc:
		p.shape = []int64{int64(h), int64(w), c}
	default:
		p.shape = []int64{c, int64(h), int64(w)}
	}
}

// fitArray plans for an array whose samples have the given shape.
func fitArray(spec InputSpec, r recipe, from graph.DataType, shape []int64) (*plan, error) {
	if sizeOf(spec.Type) == 0 {
		return nil, diag.Errorf("input %q takes elements of %v, which no array holds", spec.Name, spec.Type)
	}
	if from == graph.Uint8 {
		if p, err := fitImageArray(spec, r, shape); p != nil || err != nil {
			return p, err
		}
	}
	p := &plan{spec: spec, from: from}
	if !p.place(shape) {
		return nil, diag.Errorf("its samples have shape %s, but %s: %s", shapeString(shape), describe(spec), shapeAdvice(spec))
	}
	if err := p.types(r); err != nil {
		return nil, err
	}
	return p, nil
}

// shapeAdvice tells the shape that an array must have.
func shapeAdvice(spec InputSpec) diag.Text {
	if len(spec.Dims) == 0 {
		return diag.Textf("save an array of one number a sample")
	}
	dims := make([]string, len(spec.Dims)-1)
	for i, d := range spec.Dims[1:] {
		if dims[i] = "?"; d >= 0 {
			dims[i] = fmt.Sprint(d)
		}
	}
	return diag.Textf("save it as %s", "("+strings.Join(append([]string{"samples"}, dims...), ", ")+")")
}

// place finds how samples of a shape fit the input: as they are, with the
// channels moved, with axes of length 1 added or dropped, or flattened.
func (p *plan) place(shape []int64) bool {
	d := p.spec.Dims
	if d == nil {
		p.shape = shape
		return true
	}
	if len(d) == 0 {
		return false
	}
	d = d[1:]
	if accepts(d, shape) {
		p.shape = shape
		return true
	}
	if len(shape) == 3 && len(d) == 3 {
		first := []int64{shape[2], shape[0], shape[1]}
		last := []int64{shape[1], shape[2], shape[0]}
		hwc := channelsLast(p.spec.Dims)
		if !hwc && accepts(d, first) {
			p.shape, p.moved = first, lastToFirst
			return true
		}
		if hwc && accepts(d, last) {
			p.shape, p.moved = last, firstToLast
			return true
		}
	}
	if slices.ContainsFunc(d, func(v int64) bool { return v < 0 }) {
		return false
	}
	ones := func(v int64) bool { return v == 1 }
	if slices.Equal(slices.DeleteFunc(slices.Clone(d), ones), slices.DeleteFunc(slices.Clone(shape), ones)) ||
		len(d) == 1 && d[0] == product(shape) {
		p.shape = d
		return true
	}
	return false
}

// types checks that elements can become the input's. A conversion that could
// change what the values mean is refused.
func (p *plan) types(r recipe) error {
	to, from := p.spec.Type, p.from
	switch {
	case from == graph.Uint8 && isFloat(to):
		c := 1
		if len(r.mean) > 1 && r.ownMean || len(r.std) > 1 && r.ownStd {
			// The channel axis of something that is no image: only the
			// network's second axis could be it.
			return diag.Errorf("a mean or standard deviation of several values is for images, but %s", describe(p.spec))
		}
		if r.own && (r.resize.Short+r.resize.H > 0 || r.crop.Short+r.crop.H > 0) {
			return diag.Errorf("resizing and cropping are for images, but %s", describe(p.spec))
		}
		p.recipe = r
		var err error
		p.tables, err = r.tables(c)
		return err
	case from == graph.Uint8 && isInt(to) && !r.plain():
		return diag.Errorf("%s, but preprocessing makes fractions: use the preset none", describe(p.spec))
	case from == to, isFloat(from) && isFloat(to), isInt(from) && isInt(to):
		return nil
	}
	advice := diag.Textf("save it as x.astype(%s)", fmt.Sprintf("np.%v", to))
	if to == graph.Bool {
		advice = diag.Textf("save it as x.astype(%s)", "bool")
	}
	return diag.Errorf("it holds %v, but %s: %s", from, describe(p.spec), advice)
}

// fitImageArray plans for uint8 arrays that hold images; nil, nil means that
// this one does not.
func fitImageArray(spec InputSpec, r recipe, shape []int64) (*plan, error) {
	d := spec.Dims
	if len(shape) != 2 && len(shape) != 3 || d != nil && (len(d) < 2 || len(d) > 4) || slices.Contains(shape, 0) {
		return nil, nil
	}
	p := &plan{spec: spec, pixels: true, from: graph.Uint8}
	netC, netH, netW := int64(-1), int64(-1), int64(-1)
	switch len(d) {
	case 4:
		p.hwc = channelsLast(d)
		netC, netH, netW = d[1], d[2], d[3]
		if p.hwc {
			netC, netH, netW = d[3], d[1], d[2]
		}
	case 3:
		if len(shape) == 3 && !isChannels(shape[0]) && !isChannels(shape[2]) {
			return nil, nil
		}
		netC, netH, netW = 1, d[1], d[2]
	case 2: // flattened images
		if d[1] != product(shape) {
			return nil, nil
		}
	}
	in, ok := imageLayout(shape, netC, netH, netW)
	if !ok {
		return nil, nil
	}
	p.in = in
	p.c = in.c
	if len(d) == 2 {
		p.hwc = !in.planar
	}
	if netC > 0 {
		p.c = int(netC)
	}
	if p.c != in.c && !(p.c == 1 || p.c == 3) {
		return nil, diag.Errorf("its samples have shape %s, but %s", shapeString(shape), describe(spec))
	}
	if p.c != in.c && in.c != 1 && in.c != 3 && in.c != 4 {
		return nil, diag.Errorf("its samples have shape %s, but %s", shapeString(shape), describe(spec))
	}
	if !r.own && int64(in.h) == netH && int64(in.w) == netW || len(d) == 2 && !r.own {
		r.resize, r.crop = Size{}, Size{} // it was laid out for this network
	}
	r = r.uncropped(netH, netW)
	p.recipe = r
	if err := p.values(); err != nil {
		return nil, err
	}
	_, _, h, w := r.resized(in.h, in.w)
	if netH > 0 && int64(h) != netH || netW > 0 && int64(w) != netW || len(d) == 2 && int64(h)*int64(w)*int64(p.c) != d[1] {
		if h == in.h && w == in.w {
			return nil, diag.Errorf("its samples have shape %s, but %s: %s", shapeString(shape), describe(spec), sizeAdvice(netH, netW))
		}
		return nil, diag.Errorf("preprocessing makes images of %d x %d (height x width) of it, but %s: %s", h, w, describe(spec), sizeAdvice(netH, netW))
	}
	if h > maxSide || w > maxSide {
		return nil, diag.Errorf("preprocessing makes images of %d x %d of it, which is too large", h, w)
	}
	p.setSize(h, w)
	return p, nil
}

// imageLayout tells which axes of a uint8 sample are height, width and
// channels. The network's own, where it tells them, settle what is in doubt.
func imageLayout(shape []int64, netC, netH, netW int64) (inLayout, bool) {
	if len(shape) == 2 {
		return inLayout{h: int(shape[0]), w: int(shape[1]), c: 1}, true
	}
	last := inLayout{h: int(shape[0]), w: int(shape[1]), c: int(shape[2])}
	first := inLayout{h: int(shape[1]), w: int(shape[2]), c: int(shape[0]), planar: true}
	fits := func(l inLayout) bool {
		return netC > 0 && int64(l.c) == netC && (netH < 0 || int64(l.h) == netH) && (netW < 0 || int64(l.w) == netW)
	}
	switch {
	case fits(last) && !(fits(first) && !isChannels(shape[2])):
		return last, true
	case fits(first):
		return first, true
	case isChannels(shape[2]):
		return last, true
	case isChannels(shape[0]):
		return first, true
	}
	return inLayout{}, false
}

// names lists the inputs for messages.
func names(specs []InputSpec) string {
	var out []string
	for _, s := range specs {
		out = append(out, fmt.Sprintf("%q", s.Name))
	}
	return strings.Join(out, ", ")
}
