package evaluate

import (
	"encoding/json"
	"math"
	"slices"

	"narrow/calibrate/observe"
	"narrow/engine"
	"narrow/internal/kernel"
)

// Accuracy is the share of samples, in 0..1, whose label is the highest
// (Top1) or among the five highest (Top5) of the network's first output.
type Accuracy struct {
	Top1 float64 `json:"top1"`
	Top5 float64 `json:"top5"`
}

// Decibel is a ratio of powers in dB. +Inf (no difference at all) and NaN (not
// defined) are written as null in JSON.
type Decibel float64

// MarshalJSON writes the number, or null where it is infinite.
func (d Decibel) MarshalJSON() ([]byte, error) {
	if math.IsInf(float64(d), 0) || math.IsNaN(float64(d)) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(d))
}

// Result compares the quantized with the float network over the same samples.
type Result struct {
	Samples int `json:"samples"`
	// Float and Quantized are nil where there are no labels.
	Float     *Accuracy `json:"float,omitempty"`
	Quantized *Accuracy `json:"quantized,omitempty"`
	// Agreement is the share of samples for which the largest element of the
	// first output stands in the same place in both.
	Agreement float64 `json:"agreement"`
	// SQNR is 10*log10(sum(f^2) / sum((f-q)^2)) over all float outputs: NaN where
	// the quantized network puts out NaN, and where every sample was left out.
	SQNR Decibel `json:"sqnr_db"`
	// Invalid counts the samples for which the float network puts out NaN or
	// Inf. They are left out of SQNR, and of Agreement where it is NaN in the
	// first output; for Top1 and Top5 NaN is a wrong answer.
	Invalid int `json:"invalid,omitempty"`
}

// A Score adds up the outputs of a tested network against a reference's, batch
// by batch.
type Score struct {
	labels   []int
	n, agree int
	compared int       // samples whose outputs could be told apart
	hits     [2][2]int // float, quantized; top-1, top-5
	quality  observe.Quality
	labelled int
	invalid  int
}

// NewScore returns a score that has seen nothing; labels are the samples'
// classes, from the first sample of all, or nil.
func NewScore(labels []int) *Score { return &Score{labels: labels} }

// Add adds a batch's [engine.Outputs], of count samples from first on. What is
// of the reference (f) is called float in the result, what is of the tested
// network (q) quantized.
func (s *Score) Add(first, count int, f, q []engine.Tensor) {
	s.addQuality(count, f, q)
	if len(f) == 0 || f[0].Floats == nil || len(f[0].Floats)%count != 0 || len(f[0].Floats) != len(q[0].Floats) || len(f[0].Floats) == 0 {
		s.n += count
		return
	}
	per := len(f[0].Floats) / count
	for i := range count {
		fr, qr := f[0].Floats[i*per:(i+1)*per], q[0].Floats[i*per:(i+1)*per]
		if !slices.ContainsFunc(fr, isNaN) {
			s.compared++
			if argmax(fr) == argmax(qr) {
				s.agree++
			}
		}
		if s.labels == nil {
			continue
		}
		s.labelled++
		for k, row := range [2][]float32{fr, qr} {
			r := rank(row, s.labels[first+i])
			if r < 1 {
				s.hits[k][0]++
			}
			if r < 5 {
				s.hits[k][1]++
			}
		}
	}
	s.n += count
}

// addQuality compares a batch's outputs, without the samples whose float
// outputs are not finite: one of them would be all that the ratio tells.
func (s *Score) addQuality(count int, f, q []engine.Tensor) {
	invalid := make([]bool, count)
	for i := range f {
		ref, test := f[i].Floats, q[i].Floats
		if ref == nil || test == nil || len(ref) != len(test) {
			continue
		}
		var all observe.Quality
		all.Add(nil, ref, test)
		if isFinite(all.Sums.RefSquares) && isFinite(all.Sums.DiffSquares) || len(ref)%count != 0 {
			s.quality.Merge(all)
			continue
		}
		per := len(ref) / count
		for k := range count {
			row := ref[k*per : (k+1)*per]
			if kernel.FirstNonFinite(row) >= 0 {
				invalid[k] = true
				continue
			}
			s.quality.Add(nil, row, test[k*per:(k+1)*per])
		}
	}
	for _, bad := range invalid {
		if bad {
			s.invalid++
		}
	}
}

func isNaN(x float32) bool    { return x != x }
func isFinite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// Result returns what was added up.
func (s *Score) Result() *Result {
	r := &Result{Samples: s.n, SQNR: Decibel(s.quality.SQNR()), Invalid: s.invalid}
	if s.invalid > 0 && s.quality.Sums.N == 0 {
		r.SQNR = Decibel(math.NaN())
	}
	if s.compared > 0 {
		r.Agreement = float64(s.agree) / float64(s.compared)
	}
	if s.labels != nil && s.labelled > 0 {
		share := func(hits int) float64 { return float64(hits) / float64(s.labelled) }
		r.Float = &Accuracy{share(s.hits[0][0]), share(s.hits[0][1])}
		r.Quantized = &Accuracy{share(s.hits[1][0]), share(s.hits[1][1])}
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
