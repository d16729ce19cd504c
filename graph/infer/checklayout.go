package infer

import (
	"math"
	"slices"

	"narrow/diag"
)

// concat: inputs that differ along one axis alone.
func (a asked) concat() error {
	first := a.shape(0)
	if err := a.axis(false); err != nil || first == nil {
		return err
	}
	axis, ok := axisOf(a.n.Int("axis", 1), len(first))
	for i := 1; i < len(a.n.Inputs); i++ {
		s := a.shape(i)
		if s == nil {
			continue
		}
		if len(s) != len(first) {
			return diag.Errorf("%s and %s must have the same rank", a.input(0), a.input(i))
		}
		for k := range s {
			if ok && k != axis && differ(s[k], first[k]) {
				return diag.Errorf("%s and %s differ in dimension %d, and are joined along dimension %d", a.input(0), a.input(i), k, axis)
			}
		}
	}
	return nil
}

// split: parts that make up an axis.
func (a asked) split() error {
	x := a.shape(0)
	if err := a.axis(false); err != nil || x == nil {
		return err
	}
	sizes, given, ok := a.f.attrOrInput(a.n, "split", 1)
	axis, found := axisOf(a.n.Int("axis", 0), len(x))
	if !given || !ok || !found || x[axis].Size < 0 {
		return nil
	}
	sum := int64(0)
	for _, v := range sizes {
		if v < 0 || v > math.MaxInt64-sum {
			sum = -1
			break
		}
		sum += v
	}
	if sum != x[axis].Size || len(sizes) != len(a.n.Outputs) {
		return diag.Errorf("it is to split dimension %d of %s into %d parts of %v", axis, a.input(0), len(a.n.Outputs), sizes)
	}
	return nil
}

// gather: indices that there are.
func (a asked) gather() error {
	x := a.shape(0)
	if err := a.axis(false); err != nil || len(x) == 0 {
		return err
	}
	at, ok := a.f.ints(a.n, 1)
	axis, found := axisOf(a.n.Int("axis", 0), len(x))
	if !ok || !found || x[axis].Size < 0 {
		return nil
	}
	for _, v := range at {
		if v < -x[axis].Size || v >= x[axis].Size {
			return diag.Errorf("it is to pick element %d of dimension %d of %s", v, axis, a.input(0))
		}
	}
	return nil
}

// reshape: as many elements as before.
func (a asked) reshape() error {
	x := a.shape(0)
	want, ok := a.f.ints(a.n, 1)
	if !ok {
		return nil
	}
	wrong := diag.Errorf("it cannot make the shape %v of %s", want, a.input(0))
	rest, known, zero := 0, int64(1), false
	for i, v := range want {
		switch {
		case v == -1:
			rest++
			continue
		case v < -1:
			return wrong
		case v == 0 && a.n.Int("allowzero", 0) == 0:
			if x == nil {
				known = -1
				continue
			}
			if i >= len(x) {
				return wrong
			}
			v = x[i].Size
		}
		zero = zero || v == 0
		switch {
		case v < 0 || known < 0:
			known = -1
		case v > 0 && known > math.MaxInt64/v:
			return wrong
		default:
			known *= v
		}
	}
	if rest > 1 {
		return diag.Errorf("it is asked for the shape %v, of which only one dimension may be -1", want)
	}
	have, all := Elements(x)
	if !all || known < 0 {
		return nil
	}
	if rest == 0 && have != known || rest == 1 && !zero && have%known != 0 {
		return wrong
	}
	return nil
}

// expand: a shape that the input stretches to.
func (a asked) expand() error {
	want, ok := a.f.ints(a.n, 1)
	if !ok {
		return nil
	}
	if slices.ContainsFunc(want, negative) {
		return diag.Errorf("it is asked for the shape %v, in which a dimension is negative", want)
	}
	if x := a.shape(0); x != nil && clash(x, fixed(want)) {
		return diag.Errorf("%s cannot be stretched to the shape %v", a.input(0), want)
	}
	return nil
}

// resize: lists, and a scale above 0 for each dimension.
func (a asked) resize() error {
	x, at := a.shape(0), 2
	if a.f.opset == 10 {
		at = 1
	}
	for i := 1; i < len(a.n.Inputs); i++ {
		if s := a.shape(i); s != nil && len(s) != 1 {
			return diag.Errorf("its input %s must be a list", a.input(i))
		}
	}
	scales, ok := a.f.valueOf(a.n.Input(at))
	if !ok || len(scales) == 0 {
		return nil
	}
	want := len(x)
	if axes := a.n.Ints("axes"); axes != nil {
		want = len(axes)
	}
	if x != nil && len(scales) != want {
		return diag.Errorf("it has %d scales %q, and %s takes %d", len(scales), a.n.Input(at), a.input(0), want)
	}
	for _, s := range scales {
		if s.known && (!(s.v > 0) || math.IsInf(s.v, 0)) {
			return diag.Errorf("its scales %q hold %v: each must be a number above 0", a.n.Input(at), s.v)
		}
	}
	return nil
}

// pad: two numbers for each dimension, which leave something.
func (a asked) pad() error {
	x := a.shape(0)
	pads, given, ok := a.f.attrOrInput(a.n, "pads", 1)
	if !given || !ok || x == nil {
		return nil
	}
	if a.n.Input(3) == "" && len(pads) != 2*len(x) {
		return diag.Errorf("it has %d pads, and %s takes %d", len(pads), a.input(0), 2*len(x))
	}
	for i, d := range x {
		if a.n.Input(3) != "" || d.Size < 0 {
			continue
		}
		if begin, end := pads[i], pads[len(x)+i]; max(begin, end) < maxDim && min(begin, end) > -maxDim && d.Size+begin+end < 0 {
			return diag.Errorf("its pads %v take more away from dimension %d of %s than there is", pads, i, a.input(0))
		}
	}
	return nil
}

// slice: as many starts as ends and axes.
func (a asked) slice() error {
	x := a.shape(0)
	starts, givenStarts, okStarts := a.f.attrOrInput(a.n, "starts", 1)
	ends, givenEnds, okEnds := a.f.attrOrInput(a.n, "ends", 2)
	axes, givenAxes, okAxes := a.f.attrOrInput(a.n, "axes", 3)
	switch {
	case !givenStarts || !givenEnds:
		return diag.Errorf("it is not told where to start or to end")
	case okStarts && okEnds && len(starts) != len(ends):
		return diag.Errorf("it has %d starts and %d ends", len(starts), len(ends))
	case givenAxes && okAxes && okStarts && len(axes) != len(starts):
		return diag.Errorf("it has %d starts and %d axes", len(starts), len(axes))
	case !givenAxes || !okAxes || len(x) == 0:
		return nil
	}
	for _, v := range axes {
		if _, ok := axisOf(v, len(x)); !ok {
			return diag.Errorf("it is asked for the axes %v, and %s has rank %d", axes, a.input(0), len(x))
		}
	}
	return nil
}
