package xmodel

import (
	"math"

	"narrow/diag"
	"narrow/graph"
)

// resize turns a Resize or Upsample of the two axes of an image.
func (b *builder) resize(n *graph.Node) {
	x, value := b.at(n, 0), n.Outputs[0]
	out := b.shape(value)
	if len(x.shape) != 4 || out[0] != x.shape[0] || out[1] != x.shape[1] {
		b.refuse(diag.Textf("XIR resizes the height and width of images, nothing else"), cutFix())
		return
	}
	scaleInput, sizeInput := 2, 3
	if n.Is("Upsample") || b.m.Opsets[""] < 11 {
		scaleInput, sizeInput = 1, -1
	}
	var scales []float64
	if s := b.values[n.Input(scaleInput)]; len(s) == 4 {
		scales = s
	} else if a := n.Attr("scales"); a != nil && len(a.Floats) == 4 {
		for _, f := range a.Floats {
			scales = append(scales, float64(f))
		}
	}
	sized := scales == nil && sizeInput > 0 && n.Input(sizeInput) != ""
	if scales == nil && !sized {
		b.refuse(computed(n.Input(scaleInput)), cutFix())
		return
	}
	how, ok := b.resampling(n, x.shape, out, scales)
	if !ok {
		return
	}
	r := &node{op: "resize", in: []*node{x}, images: true}
	var scale []float32
	if sized {
		r.target = []int64{out[2], out[3]}
	} else {
		scale = []float32{float32(scales[3]), float32(scales[2])}
		// XIR cuts the product of size and scale off.
		if int64(float32(x.shape[2])*scale[1]) != out[2] || int64(float32(x.shape[3])*scale[0]) != out[3] {
			scale, r.target = nil, []int64{out[2], out[3]}
		}
	}
	if scale == nil {
		scale = []float32{}
	}
	r.attrs = attrsOf("mode", how.mode, "align_corners", how.align, "half_pixel_centers", how.half, "scale", scale)
	b.ownInputs(r, n, 0)
	b.add(r, value)
}

// resampling is how XIR's resize finds the places between which it picks.
type resampling struct {
	mode        string
	align, half bool
}

// resampling returns what of XIR picks the same places as n.
func (b *builder) resampling(n *graph.Node, in, out []int64, scales []float64) (resampling, bool) {
	mode := n.Str("mode", "nearest")
	coords := n.Str("coordinate_transformation_mode", "half_pixel")
	if n.Is("Upsample") || b.m.Opsets[""] < 11 {
		coords = "asymmetric"
	}
	if n.Int("antialias", 0) != 0 || n.Attr("axes") != nil && len(n.Ints("axes")) != 4 {
		b.refuse(diag.Textf("it smooths (antialias), which XIR's resize does not"), cutFix())
		return resampling{}, false
	}
	ratio := func(axis int) float64 {
		if scales != nil {
			return scales[axis]
		}
		return float64(out[axis]) / float64(in[axis])
	}
	// place is where the ONNX operator reads for the result's element i.
	place := func(axis int, i float64) float64 {
		switch coords {
		case "asymmetric":
			return i / ratio(axis)
		case "align_corners":
			if out[axis] == 1 {
				return 0
			}
			return i * float64(in[axis]-1) / float64(out[axis]-1)
		case "pytorch_half_pixel":
			if out[axis] == 1 {
				return 0
			}
		}
		return (i+0.5)/ratio(axis) - 0.5
	}
	switch coords {
	case "asymmetric", "align_corners", "half_pixel", "pytorch_half_pixel":
	default:
		b.refuse(diag.Textf("the coordinates %s have no word in XIR", coords), diag.Textf("export the model with half_pixel or align_corners"))
		return resampling{}, false
	}
	// xir is where XIR reads: by the sizes, whatever the scales are.
	xir := func(r resampling, axis int, i float64) float64 {
		switch {
		case r.align && out[axis] > 1:
			return i * float64(in[axis]-1) / float64(out[axis]-1)
		case r.half && r.mode == "NEAREST":
			return math.Floor((i + 0.5) * float64(in[axis]) / float64(out[axis]))
		case r.half:
			return (i+0.5)*float64(in[axis])/float64(out[axis]) - 0.5
		}
		return i * float64(in[axis]) / float64(out[axis])
	}
	picks := func(axis int, at float64) float64 {
		switch n.Str("nearest_mode", "round_prefer_floor") {
		case "floor":
			at = math.Floor(at)
		case "ceil":
			at = math.Ceil(at)
		case "round_prefer_ceil":
			at = math.Floor(at + 0.5)
		default:
			at = math.Ceil(at - 0.5)
		}
		return min(max(at, 0), float64(in[axis]-1))
	}
	try := []resampling{{"NEAREST", false, false}, {"NEAREST", false, true}}
	switch mode {
	case "nearest":
		if n.Is("Upsample") || b.m.Opsets[""] < 11 {
			picks = func(_ int, at float64) float64 { return math.Floor(at) }
		}
	case "linear", "bilinear":
		try = []resampling{{"BILINEAR", false, true}, {"BILINEAR", true, false}, {"BILINEAR", false, false}}
		if coords == "align_corners" {
			try[0], try[1] = try[1], try[0]
		}
	default:
		b.refuse(diag.Textf("the mode %s has no word in XIR: it has nearest and bilinear", mode), diag.Textf("resize by nearest or bilinear in the model"))
		return resampling{}, false
	}
	for _, r := range try {
		if b.agrees(r, in, out, place, xir, picks) {
			return r, true
		}
	}
	b.refuse(diag.Textf("it picks other places (%s, %s) than any resize of XIR", mode, coords), diag.Textf("resize by an integer scale, or export the model with half_pixel or align_corners"))
	return resampling{}, false
}

// agrees reports whether r reads the same places as the operator for every
// element of the result.
func (b *builder) agrees(r resampling, in, out []int64, place func(int, float64) float64, xir func(resampling, int, float64) float64, picks func(int, float64) float64) bool {
	for axis := 2; axis < 4; axis++ {
		for i := range out[axis] {
			want, got := place(axis, float64(i)), xir(r, axis, float64(i))
			last := float64(in[axis] - 1)
			if r.mode == "NEAREST" {
				if picks(axis, want) != min(math.Floor(got), last) {
					return false
				}
				continue
			}
			want, got = min(max(want, 0), last), min(max(got, 0), last)
			if math.Abs(want-got) > 1e-6*math.Max(1, last) {
				return false
			}
		}
	}
	return true
}
