package infer

import (
	"math"
	"slices"

	"narrow/graph"
)

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
		case x[axis].Size < 0 || parts <= 0 || parts > maxDim:
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
		if c.step > size { // as below
			return start, truthInt(end > start)
		}
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
		begin, end := pads[i], pads[i+len(axes)]
		sum := begin + end
		switch {
		case max(begin, -begin, end, -end) > maxDim || min(begin, end) < -maxDim:
			out[axis] = open
		case sum == 0:
		case out[axis].Size < 0:
			out[axis] = open
		default:
			out[axis] = graph.Dim{Size: max(out[axis].Size+sum, -1)}
		}
	}
	return out
}
