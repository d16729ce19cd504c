package evaluate

import (
	"bytes"
	"fmt"
	"math"
	"slices"

	"narrow/calibrate/observe"
	"narrow/diag"
	"narrow/engine"
	"narrow/graph"
	"narrow/internal/kernel"
)

// A Score adds up the outputs of a tested network against a reference's, batch
// by batch.
type Score struct {
	labels  engine.Labels
	outputs []output
	// labelled is the output that the labels fit; -1 before the first batch and
	// where there is none.
	labelled int
	started  bool
	unfit    bool
	n        int
	invalid  int
	outside  int
	// logs says that outputs keep every batch's sums.
	logs bool
}

// output is what is added up of one output.
type output struct {
	name     string
	shape    []int64
	floats   bool
	quality  observe.Quality
	log      []kernel.ErrorSums // what quality adds up, in order
	skipped  bool               // samples were left out of quality, as not finite
	unlike   int
	same     int // equal elements of what is no float, of all
	all      int
	seen     bool
	min, max float32 // of the float network's values
	layout   layout  // no classes where it is no classification
	agree    int
	compared int
	hits     [2][2]int // float, quantized; top-1, top-5
	judged   int
}

// NewScore returns a score that has seen nothing, of a network with the given
// outputs.
func NewScore(outputs []*graph.Value, labels engine.Labels) *Score {
	s := &Score{labels: labels, labelled: -1, outputs: make([]output, len(outputs))}
	for i, v := range outputs {
		s.outputs[i].name = v.Name
	}
	return s
}

// Add adds a batch's [engine.Outputs], of count samples from first on. What is
// of the reference (f) is called float in the result, what is of the tested
// network (q) quantized. The error is a [*LabelsError], or tells of too few
// labels.
func (s *Score) Add(first, count int, f, q []engine.Tensor) error {
	if per := s.labels.PerSample(); s.labels.Classes != nil && (first+count)*per > len(s.labels.Classes) {
		return diag.Errorf("there are %d labels, but at least %d samples", len(s.labels.Classes)/per, first+count)
	}
	if err := s.start(count, f); err != nil {
		return err
	}
	invalid := make([]bool, count)
	for i := range s.outputs {
		o := &s.outputs[i]
		o.see(count, f[i])
		ref, refs := f[i].Float32s()
		test, tests := q[i].Float32s()
		switch {
		case !slices.Equal(f[i].Shape, q[i].Shape):
			o.unlike += count
		case !refs || !tests:
			o.compare(f[i], q[i])
		case len(ref) > 0:
			o.addQuality(count, ref, test, invalid, s.logs)
			s.addClasses(i, first, count, ref, test)
		}
	}
	for _, bad := range invalid {
		if bad {
			s.invalid++
		}
	}
	s.n += count
	return nil
}

// start looks at the first batch: which outputs are classifications, and which
// one the labels are for.
func (s *Score) start(count int, f []engine.Tensor) error {
	if s.started {
		return nil
	}
	s.started = true
	for i := range s.outputs {
		_, s.outputs[i].floats = f[i].Float32s()
		s.outputs[i].layout, _ = classification(f[i], count, nil, false)
	}
	if s.labels.Classes != nil {
		if s.labelled = Labelled(f, count, s.labels); s.labelled >= 0 {
			s.outputs[s.labelled].layout, _ = classification(f[s.labelled], count, s.labels.Shape, !s.labels.Implied)
		}
	}
	if s.labels.Classes == nil || s.labelled >= 0 {
		return nil
	}
	if s.labels.Implied {
		s.unfit, s.labels = true, engine.Labels{}
		return nil
	}
	e := &LabelsError{Shape: s.labels.Shape}
	for i := range s.outputs {
		e.Outputs = append(e.Outputs, fmt.Sprintf("%q: %v", s.outputs[i].name, f[i].Shape[min(1, len(f[i].Shape)):]))
	}
	return e
}

// see takes the shape and the range of a batch of the float network's output.
func (o *output) see(count int, t engine.Tensor) {
	shape := t.Shape
	if len(shape) > 0 && int(shape[0]) == count {
		shape = shape[1:]
	}
	switch {
	case o.shape == nil:
		o.shape = append([]int64{}, shape...)
	case len(o.shape) != len(shape):
		o.shape = slices.Repeat([]int64{-1}, len(shape))
	default:
		for i, d := range shape {
			if o.shape[i] != d {
				o.shape[i] = -1
			}
		}
	}
	x, _ := t.Float32s()
	for _, v := range x {
		switch { // neither holds for NaN
		case !o.seen:
			o.seen, o.min, o.max = !isNaN(v), v, v
		case v < o.min:
			o.min = v
		case v > o.max:
			o.max = v
		}
	}
}

// compare counts the equal elements of what is no float.
func (o *output) compare(f, q engine.Tensor) {
	if f.Strings != nil {
		for i, s := range f.Strings {
			o.all++
			if s == q.Strings[i] {
				o.same++
			}
		}
		return
	}
	size := f.Type.Bits() / 8
	if size == 0 || len(f.Raw) != len(q.Raw) {
		return
	}
	for i := 0; i+size <= len(f.Raw); i += size {
		o.all++
		if bytes.Equal(f.Raw[i:i+size], q.Raw[i:i+size]) {
			o.same++
		}
	}
}

// addQuality compares a batch's values, without the samples whose float
// outputs are not finite: one of them would be all that the ratio tells.
func (o *output) addQuality(count int, ref, test []float32, invalid []bool, log bool) {
	merge := func(q observe.Quality) {
		o.quality.Merge(q)
		if log {
			o.log = append(o.log, q.Sums)
		}
	}
	var all observe.Quality
	all.Add(nil, ref, test)
	if isFinite(all.Sums.RefSquares) && isFinite(all.Sums.DiffSquares) || len(ref)%count != 0 {
		merge(all)
		return
	}
	per := len(ref) / count
	for k := range count {
		row := ref[k*per : (k+1)*per]
		if kernel.FirstNonFinite(row) >= 0 {
			invalid[k], o.skipped = true, true
			continue
		}
		var one observe.Quality
		one.Add(nil, row, test[k*per:(k+1)*per])
		merge(one)
	}
}

// addClasses compares the highest classes, with each other and with the labels.
func (s *Score) addClasses(i, first, count int, f, q []float32) {
	o := &s.outputs[i]
	l := o.layout
	if l.classes == 0 || len(f) != count*l.positions*l.classes {
		return
	}
	per := l.positions * l.classes
	rows := [2][]float32{make([]float32, l.classes), make([]float32, l.classes)}
	for k := range count {
		for p := range l.positions {
			fr, qr := l.row(rows[0], f[k*per:(k+1)*per], p), l.row(rows[1], q[k*per:(k+1)*per], p)
			label := 0
			if i == s.labelled {
				label = s.labels.Classes[(first+k)*l.positions+p]
				if label < 0 || label >= l.classes {
					s.outside++
					if l.positions > 1 {
						continue
					}
				}
			}
			if !slices.ContainsFunc(fr, isNaN) {
				o.compared++
				if argmax(fr) == argmax(qr) {
					o.agree++
				}
			}
			if i != s.labelled {
				continue
			}
			o.judged++
			for n, row := range [2][]float32{fr, qr} {
				r := rank(row, label)
				if r < 1 {
					o.hits[n][0]++
				}
				if r < 5 {
					o.hits[n][1]++
				}
			}
		}
	}
}

func isNaN(x float32) bool    { return x != x }
func isFinite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// Result returns what was added up.
func (s *Score) Result() *Result {
	r := &Result{Samples: s.n, SQNR: Decibel(math.NaN()), Invalid: s.invalid, Outside: s.outside, Unfit: s.unfit, Outputs: make([]Output, len(s.outputs))}
	compared, exact := false, true
	for i := range s.outputs {
		o := s.outputs[i].result()
		r.Outputs[i] = o
		if i == s.labelled {
			r.Float, r.Quantized = o.Float, o.Quantized
		}
		if a := o.Agreement; a != nil && (r.Agreement == nil || *a < *r.Agreement) {
			r.Agreement = a
		}
		compared = compared || !o.empty
		exact = exact && (o.Exact || o.empty && o.Unlike == 0 && s.invalid == 0)
	}
	if w := r.Worst(); w != nil {
		r.SQNR = w.SQNR
	}
	r.Exact = compared && exact
	return r
}

func (o *output) result() Output {
	r := Output{
		Name: o.name, Shape: o.shape, Classes: o.layout.classes, positions: o.layout.positions, Unlike: o.unlike, Min: o.min, Max: o.max, floats: o.floats,
		empty: o.quality.Sums.N == 0 && o.all == 0, zeros: o.quality.Sums.RefSquares == 0,
	}
	nan := math.NaN()
	r.SQNR, r.Cosine, r.MaxError = Decibel(nan), Number(nan), Number(nan)
	if o.quality.Sums.N > 0 {
		r.SQNR, r.Cosine, r.MaxError = Decibel(o.quality.SQNR()), Number(o.quality.Cosine()), Number(o.quality.Sums.MaxDiff)
	}
	if o.all > 0 {
		equal := float64(o.same) / float64(o.all)
		r.Equal = &equal
	}
	if r.Exact = !r.empty && o.unlike == 0 && !o.skipped && o.quality.Sums.DiffSquares == 0 && o.same == o.all; r.Exact && o.floats {
		r.Cosine = 1 // not a bit less, as roots may have it
	}
	if o.compared > 0 {
		agreement := float64(o.agree) / float64(o.compared)
		r.Agreement = &agreement
	}
	if o.judged > 0 {
		share := func(hits int) float64 { return float64(hits) / float64(o.judged) }
		r.Float = &Accuracy{share(o.hits[0][0]), share(o.hits[0][1])}
		r.Quantized = &Accuracy{share(o.hits[1][0]), share(o.hits[1][1])}
	}
	return r
}

// argmax returns the index of the first largest element.
func argmax(x []float32) int {
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return best
}

// rank returns how many elements of x come before element label: those that
// are larger, and equal ones of lower index. A label outside x ranks last, and
// so does one at NaN.
func rank(x []float32, label int) int {
	if label < 0 || label >= len(x) || isNaN(x[label]) {
		return len(x)
	}
	n := 0
	for i, v := range x {
		if v > x[label] || v == x[label] && i < label {
			n++
		}
	}
	return n
}
