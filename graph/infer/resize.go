package infer

import (
	"math"
	"slices"

	"narrow/graph"
)

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
