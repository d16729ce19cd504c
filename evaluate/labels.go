package evaluate

import (
	"slices"
	"strings"

	"narrow/diag"
	"narrow/engine"
)

// LabelsError says that labels fit no output of the network.
type LabelsError struct {
	// Shape is that of one sample's labels.
	Shape []int64
	// Outputs tell the network's outputs and their shapes by sample.
	Outputs []string
}

// Error names the outputs and says what labels each kind of network takes.
func (e *LabelsError) Error() string { return e.Text().String() }

// Text is Error in words that can be translated.
func (e *LabelsError) Text() diag.Text {
	what := diag.Textf("one label a sample fits")
	if len(e.Shape) > 0 {
		what = diag.Textf("labels of the shape %v a sample fit", e.Shape)
	}
	return diag.Textf("%s no output of the network (%s): an output of the shape [N, classes] takes one label a sample, one of [N, classes, ...] labels of the shape [N, ...]",
		what, strings.Join(e.Outputs, ", "))
}

// layout is where the classes of an output lie: those of position p of a
// sample begin at p%inner + p/inner*classes*inner and are inner apart.
type layout struct {
	classes, positions, inner int
}

// Labelled returns the first of a batch's outputs, of count samples, that the
// labels are for, or -1.
func Labelled(outputs []engine.Tensor, count int, labels engine.Labels) int {
	return slices.IndexFunc(outputs, func(t engine.Tensor) bool {
		_, ok := classification(t, count, labels.Shape, !labels.Implied)
		return ok
	})
}

// classification returns the layout of an output of count samples, for labels
// of the given shape a sample (nil: one a sample, or none at all). A row of
// classes is [N, C], or what a convolution makes of it, [N, C, 1, 1]; given
// labels say that other axes of length 1 do not count either.
func classification(t engine.Tensor, count int, labels []int64, given bool) (layout, bool) {
	if _, floats := t.Float32s(); !floats || len(t.Shape) == 0 || int(t.Shape[0]) != count {
		return layout{}, false
	}
	shape := t.Shape[1:]
	if len(labels) == 0 {
		if len(shape) == 3 && shape[1] == 1 && shape[2] == 1 {
			shape = shape[:1]
		}
		if given {
			shape = slices.DeleteFunc(slices.Clone(shape), func(d int64) bool { return d == 1 })
		}
		if len(shape) != 1 || shape[0] < 2 {
			return layout{}, false
		}
		return layout{int(shape[0]), 1, 1}, true
	}
	n := 1
	for _, d := range labels {
		n *= int(d)
	}
	if len(shape) != len(labels)+1 || n == 0 {
		return layout{}, false
	}
	last := len(shape) - 1
	switch {
	case shape[0] >= 2 && slices.Equal(shape[1:], labels):
		return layout{int(shape[0]), n, n}, true
	case shape[last] >= 2 && slices.Equal(shape[:last], labels):
		return layout{int(shape[last]), n, 1}, true
	}
	return layout{}, false
}

// row copies the classes of one position of a sample's values into dst.
func (l layout) row(dst, sample []float32, position int) []float32 {
	if l.positions == 1 {
		return sample
	}
	at := position%l.inner + position/l.inner*l.classes*l.inner
	dst = dst[:l.classes]
	for c := range dst {
		dst[c] = sample[at+c*l.inner]
	}
	return dst
}
