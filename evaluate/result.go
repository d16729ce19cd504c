package evaluate

import (
	"encoding/json"
	"math"
)

// Accuracy is the share of labels, in 0..1, that are the highest class (Top1)
// or among the five highest (Top5) of a network's output.
type Accuracy struct {
	Top1 float64 `json:"top1"`
	Top5 float64 `json:"top5"`
}

// Decibel is a ratio of powers in dB. +Inf (no difference at all), -Inf and NaN
// (not defined) are written as null in JSON.
type Decibel float64

// MarshalJSON writes the number, or null where it is infinite or NaN.
func (d Decibel) MarshalJSON() ([]byte, error) { return finite(float64(d)) }

// Number is written as null in JSON where it is infinite or NaN.
type Number float64

// MarshalJSON writes the number, or null where it is infinite or NaN.
func (n Number) MarshalJSON() ([]byte, error) { return finite(float64(n)) }

func finite(x float64) ([]byte, error) {
	if math.IsInf(x, 0) || math.IsNaN(x) {
		return []byte("null"), nil
	}
	return json.Marshal(x)
}

// Result compares the quantized with the float network over the same samples.
type Result struct {
	Samples int `json:"samples"`
	// Float and Quantized are of the output that the labels fit; nil where there
	// are no labels.
	Float     *Accuracy `json:"float,omitempty"`
	Quantized *Accuracy `json:"quantized,omitempty"`
	// Agreement is the lowest of the outputs' that have one, else nil.
	Agreement *float64 `json:"agreement"`
	// SQNR is that of the worst output ([Result.Worst]), by which networks are
	// compared: NaN where it puts out NaN, where every sample was left out, and
	// where there is no output of numbers to compare.
	SQNR Decibel `json:"sqnr_db"`
	// Exact reports that nothing differs in any output: SQNR is then +Inf.
	Exact bool `json:"exact,omitempty"`
	// Invalid counts the samples for which the float network puts out NaN or
	// Inf. They are left out of the figures; for Top1 and Top5 NaN is a wrong
	// answer.
	Invalid int `json:"invalid,omitempty"`
	// Outside counts the labels that are no classes of the output: one a sample
	// counts as wrong, one a position (such as 255 for "ignore") is left out.
	Outside int `json:"labels_outside,omitempty"`
	// Unfit reports that there were labels which nobody gave by name
	// ([engine.Labels.Implied]), and that they fit no output.
	Unfit bool `json:"-"`
	// Outputs are the network's, in its order.
	Outputs []Output `json:"outputs"`
	// Metric is what a metric of the user's tells; nil where there is none.
	Metric *Metric `json:"metric,omitempty"`
}

// Output says how far one output is from the float network's.
type Output struct {
	Name string `json:"name"`
	// Shape is that of one sample; -1 where it differs.
	Shape []int64 `json:"shape"`
	// SQNR is 10*log10(sum(f^2) / sum((f-q)^2)) in dB: +Inf where nothing differs,
	// -Inf where the float network puts out zeros alone, NaN where the quantized
	// network puts out NaN and where nothing could be compared.
	SQNR Decibel `json:"sqnr_db"`
	// Exact reports that nothing differs: SQNR is then +Inf.
	Exact bool `json:"exact,omitempty"`
	// Cosine is of the angle between the two, in -1..1.
	Cosine Number `json:"cosine"`
	// MaxError is the largest difference of two values.
	MaxError Number `json:"max_error"`
	// Equal is the share of equal elements, in 0..1, of an output that is no
	// number of a scale, such as the index of a class; nil for floats.
	Equal *float64 `json:"equal,omitempty"`
	// Classes is how many classes the output tells apart, 0 where it is no
	// classification: one row of classes a sample, or a position where labels say
	// so.
	Classes int `json:"classes,omitempty"`
	// Agreement is the share of samples (or positions) with the same highest
	// class; nil where the output is no classification.
	Agreement *float64 `json:"agreement"`
	// Float and Quantized are nil where there are no labels for this output.
	Float     *Accuracy `json:"float,omitempty"`
	Quantized *Accuracy `json:"quantized,omitempty"`
	// Unlike counts the samples for which the two networks put out different
	// numbers of values, as where boxes are chosen: nothing is compared there.
	Unlike int `json:"unlike,omitempty"`
	// Min and Max are the float network's smallest and largest values, 0 where
	// there are none.
	Min float32 `json:"-"`
	Max float32 `json:"-"`
	// floats: it holds numbers of a scale. empty: none was compared.
	floats, empty, zeros bool
	positions            int
	// ranker is the TopK in whose order its rows stand, "" for none.
	ranker string
}

// Worst returns the output that is farthest from the float network's, or nil
// where none holds numbers to compare. One whose float values are all 0 counts
// only where there is no other.
func (r *Result) Worst() *Output {
	var worst *Output
	for i := range r.Outputs {
		o := &r.Outputs[i]
		if o.floats && !o.empty && (worst == nil || o.worse(worst)) {
			worst = o
		}
	}
	return worst
}

func (o *Output) worse(p *Output) bool {
	a, b := float64(o.SQNR), float64(p.SQNR)
	switch {
	case o.zeros != p.zeros:
		return p.zeros
	case math.IsNaN(b):
		return false
	}
	return math.IsNaN(a) || a < b
}

// Labelled returns the output that the labels fit, or nil.
func (r *Result) Labelled() *Output {
	for i := range r.Outputs {
		if r.Outputs[i].Float != nil || r.Outputs[i].Quantized != nil {
			return &r.Outputs[i]
		}
	}
	return nil
}

// Classes is how many classes the first classification among the outputs tells
// apart, 0 where there is none.
func (r *Result) Classes() int {
	for _, o := range r.Outputs {
		if o.Classes > 0 {
			return o.Classes
		}
	}
	return 0
}
