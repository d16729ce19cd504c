package evaluate

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"narrow/engine"
	"narrow/graph"
)

// tensor is a float output of the given shape.
func tensor(shape []int64, x ...float32) engine.Tensor {
	return engine.Tensor{Type: graph.Float32, Shape: shape, Floats: x}
}

func rowsOf(per int, x ...float32) []engine.Tensor {
	return []engine.Tensor{tensor([]int64{int64(len(x) / per), int64(per)}, x...)}
}

// outputs are the names of a network's outputs.
func outputs(names ...string) []*graph.Value {
	var out []*graph.Value
	for _, n := range names {
		out = append(out, &graph.Value{Name: n})
	}
	return out
}

// scored returns the result of one batch.
func scored(t *testing.T, names string, labels engine.Labels, count int, f, q []engine.Tensor) *Result {
	t.Helper()
	s := NewScore(outputs(strings.Fields(names)...), labels)
	if err := s.Add(0, count, f, q); err != nil {
		t.Fatal(err)
	}
	return s.Result()
}

func near(got float64, want float64) bool { return math.Abs(got-want) < 1e-9 }

// TestScore: by hand. Three samples of six classes; the second output's tie
// falls to the lower class.
func TestScore(t *testing.T) {
	f := rowsOf(6,
		0, 1, 2, 3, 4, 5,
		9, 8, 7, 6, 5, 4,
		0, 0, 1, 0, 0, 0)
	q := rowsOf(6,
		0, 1, 2, 3, 5, 4,
		9, 9, 7, 6, 5, 4,
		0, 0, 1, 0, 0, 0)
	s := NewScore(outputs("y"), engine.Labels{Classes: []int{9, 5, 0, 4}})
	for _, b := range [][2]int{{0, 2}, {2, 3}} {
		if err := s.Add(b[0]+1, b[1]-b[0], rowsOf(6, f[0].Floats[6*b[0]:6*b[1]]...), rowsOf(6, q[0].Floats[6*b[0]:6*b[1]]...)); err != nil {
			t.Fatal(err)
		}
	}
	r := s.Result()
	third := 1.0 / 3
	if r.Samples != 3 || *r.Agreement != 2*third {
		t.Errorf("%d samples, agreement %v", r.Samples, *r.Agreement)
	}
	// Labels 5, 0, 4: the float network is right twice; class 4 of the last
	// sample is the fifth in both.
	if *r.Float != (Accuracy{2 * third, 1}) {
		t.Errorf("float %+v", *r.Float)
	}
	if *r.Quantized != (Accuracy{third, 1}) {
		t.Errorf("quantized %+v", *r.Quantized)
	}
	// Signal 55 + 271 + 1, noise 1 + 1 + 1.
	o := r.Outputs[0]
	if want := 10 * math.Log10(327.0/3); !near(float64(r.SQNR), want) || o.SQNR != r.SQNR {
		t.Errorf("SQNR %v and %v, want %v", r.SQNR, o.SQNR, want)
	}
	if o.Name != "y" || !slices.Equal(o.Shape, []int64{6}) || o.Classes != 6 || o.MaxError != 1 || o.Min != 0 || o.Max != 9 ||
		*o.Agreement != 2*third || *o.Float != *r.Float || *o.Quantized != *r.Quantized {
		t.Errorf("output %+v", o)
	}
	// The products of the rows over the roots of their squares.
	if want := (54. + 279 + 1) / math.Sqrt(327*(55+288+1)); !near(float64(o.Cosine), want) {
		t.Errorf("cosine %v, want %v", o.Cosine, want)
	}
}

// TestWorstOutput: every output has its own figures, and the network's is that
// of the worst, however large the others' values are.
func TestWorstOutput(t *testing.T) {
	boxes := []engine.Tensor{tensor([]int64{2, 1, 2}, 300, 400, 500, 600), tensor([]int64{2, 3}, .1, .4, 0, .2, .1, .3)}
	lost := []engine.Tensor{tensor([]int64{2, 1, 2}, 301, 400, 500, 600), tensor([]int64{2, 3}, 0, 0, 0, 0, 0, 0)}
	r := scored(t, "boxes scores", engine.Labels{}, 2, boxes, lost)
	if w := r.Worst(); w == nil || w.Name != "scores" || r.SQNR != w.SQNR || float64(r.SQNR) > 1e-9 {
		t.Errorf("worst %+v of %+v", w, r)
	}
	if want := 10 * math.Log10(90000+160000+250000+360000); !near(float64(r.Outputs[0].SQNR), want) {
		t.Errorf("boxes %v, want %v", r.Outputs[0].SQNR, want)
	}
	// A [N, 1, 2] is no row of classes, a [N, 3] is one.
	if r.Outputs[0].Agreement != nil || *r.Outputs[1].Agreement != 0 || *r.Agreement != 0 || !r.Collapsed() {
		t.Errorf("agreement %v of %+v", *r.Agreement, r.Outputs)
	}
	list := r.Findings()
	if len(list) != 1 || list[0].Code != "lost-output" || !strings.Contains(list[0].Message.String(), `"scores"`) {
		t.Errorf("%v", list)
	}
	// One that the float network leaves at 0 does not count beside others.
	r = scored(t, "zero y", engine.Labels{}, 1, []engine.Tensor{tensor([]int64{1, 2}, 0, 0), tensor([]int64{1, 2}, 1, 2)},
		[]engine.Tensor{tensor([]int64{1, 2}, 0, 1), tensor([]int64{1, 2}, 1, 2.01)})
	if r.Worst().Name != "y" || !math.IsInf(float64(r.Outputs[0].SQNR), -1) || r.Exact {
		t.Errorf("%+v", r)
	}
	nan := float32(math.NaN())
	r = scored(t, "a b", engine.Labels{}, 1, []engine.Tensor{tensor([]int64{1, 2}, 1, 1), tensor([]int64{1, 2}, 1, 2)},
		[]engine.Tensor{tensor([]int64{1, 2}, 1, nan), tensor([]int64{1, 2}, 9, 9)})
	if r.Worst().Name != "a" || !math.IsNaN(float64(r.SQNR)) {
		t.Errorf("NaN is the worst: %+v", r)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

// TestNoClassifier: what is no row of classes has no agreement, and labels for
// it are refused unless nobody gave them.
func TestNoClassifier(t *testing.T) {
	map4 := []engine.Tensor{tensor([]int64{1, 2, 2, 2}, 1, 2, 3, 4, 5, 6, 7, 8)}
	off := []engine.Tensor{tensor([]int64{1, 2, 2, 2}, 1, 2, 3, 4, 5, 6, 7, 9)}
	r := scored(t, "seg", engine.Labels{}, 1, map4, off)
	if r.Agreement != nil || r.Outputs[0].Agreement != nil || r.Outputs[0].Classes != 0 || r.Collapsed() {
		t.Errorf("%+v", r)
	}
	b, err := json.Marshal(r)
	if err != nil || !strings.HasPrefix(string(b), `{"samples":1,"agreement":null,"sqnr_db":`) || !strings.Contains(string(b), `"agreement":null,"`[:16]) {
		t.Errorf("%s, %v", b, err)
	}
	for _, shape := range [][]int64{nil, {3, 3}} {
		labels := engine.Labels{Classes: make([]int, 9), Shape: shape}
		var unfit *LabelsError
		err = NewScore(outputs("seg"), labels).Add(0, 1, map4, off)
		if !errors.As(err, &unfit) || !strings.Contains(err.Error(), `"seg": [2 2 2]`) {
			t.Errorf("labels of %v: %v", shape, err)
		}
	}
	r = scored(t, "seg", engine.Labels{Classes: []int{1}, Implied: true}, 1, map4, off)
	if !r.Unfit || r.Float != nil || len(r.Findings()) != 1 || r.Findings()[0].Code != "labels-unused" {
		t.Errorf("%+v", r)
	}
	// Nor is a row of anchors, unless labels are given for it; a pooled one is.
	anchors := []engine.Tensor{tensor([]int64{1, 3, 1}, 1, 2, 3)}
	if r = scored(t, "y", engine.Labels{}, 1, anchors, anchors); r.Agreement != nil {
		t.Errorf("%+v", r)
	}
	if r = scored(t, "y", engine.Labels{Classes: []int{2}}, 1, anchors, anchors); r.Agreement == nil || r.Float.Top1 != 1 {
		t.Errorf("%+v", r)
	}
	pooled := []engine.Tensor{tensor([]int64{1, 3, 1, 1}, 1, 2, 3)}
	if r = scored(t, "y", engine.Labels{}, 1, pooled, pooled); r.Agreement == nil {
		t.Errorf("%+v", r)
	}
	// One value a sample is no classification either.
	if r = scored(t, "y", engine.Labels{}, 2, rowsOf(1, 1, 2), rowsOf(1, 2, 1)); r.Agreement != nil {
		t.Errorf("%+v", r)
	}
}

// TestPositions: labels of the shape [N, h, w] judge an output [N, C, h, w], or
// [N, h, w, C], position by position.
func TestPositions(t *testing.T) {
	// Classes by position: float 1 0 2, quantized 1 2 2; the last has no label.
	f := [][]float32{{0, 9, 0}, {9, 0, 0}, {0, 0, 9}, {9, 0, 0}}
	q := [][]float32{{0, 9, 0}, {0, 0, 9}, {0, 0, 9}, {9, 0, 0}}
	labels := engine.Labels{Classes: []int{1, 0, 1, 255}, Shape: []int64{2, 2}}
	for _, last := range []bool{false, true} {
		lay := func(rows [][]float32) []engine.Tensor {
			shape, x := []int64{1, 3, 2, 2}, make([]float32, 12)
			if last {
				shape = []int64{1, 2, 2, 3}
			}
			for p, row := range rows {
				for c, v := range row {
					if last {
						x[p*3+c] = v
					} else {
						x[c*4+p] = v
					}
				}
			}
			return []engine.Tensor{tensor(shape, x...)}
		}
		r := scored(t, "seg", labels, 1, lay(f), lay(q))
		third := 1. / 3
		if !near(*r.Agreement, 2*third) || !near(r.Float.Top1, 2*third) || !near(r.Quantized.Top1, third) || r.Outside != 1 || r.Outputs[0].Classes != 3 {
			t.Errorf("classes last %v: agreement %v, %+v, %+v, %d outside", last, *r.Agreement, r.Float, r.Quantized, r.Outside)
		}
		if l := r.Findings(); len(l) != 1 || l[0].Code != "label-range" || !strings.Contains(l[0].Message.String(), "left out") {
			t.Errorf("%v", l)
		}
	}
}

// TestLabelsFindTheirOutput: labels are for the first output that they fit.
func TestLabelsFindTheirOutput(t *testing.T) {
	f := []engine.Tensor{tensor([]int64{1, 2, 2}, 1, 2, 3, 4), tensor([]int64{1, 3, 1, 1}, 0, 1, 0)}
	r := scored(t, "features logits", engine.Labels{Classes: []int{1}}, 1, f, f)
	if r.Labelled() != &r.Outputs[1] || r.Float.Top1 != 1 || r.Classes() != 3 || !r.Exact {
		t.Errorf("%+v", r)
	}
	r = scored(t, "features logits", engine.Labels{Classes: []int{3}}, 1, f, f)
	if r.Float.Top1 != 0 || r.Outside != 1 || r.Findings()[0].Code != "label-range" {
		t.Errorf("%+v, %v", r.Float, r.Findings())
	}
	err := NewScore(outputs("features", "logits"), engine.Labels{Classes: []int{1}}).Add(1, 1, f, f)
	if err == nil || !strings.Contains(err.Error(), "there are 1 labels, but at least 2 samples") {
		t.Errorf("%v", err)
	}
}

// TestOtherOutputs: outputs that are no float32 numbers of the same count.
func TestOtherOutputs(t *testing.T) {
	index := func(b ...byte) engine.Tensor {
		return engine.Tensor{Type: graph.Int16, Shape: []int64{int64(len(b) / 2)}, Raw: b}
	}
	half := func(h ...byte) engine.Tensor {
		return engine.Tensor{Type: graph.Float16, Shape: []int64{1, int64(len(h) / 2)}, Raw: h}
	}
	f := []engine.Tensor{index(1, 0, 2, 0), half(0, 0x3c, 0, 0x40), tensor([]int64{3, 4}, make([]float32, 12)...)}
	q := []engine.Tensor{index(1, 0, 2, 1), half(0, 0x3c, 0, 0x40), tensor([]int64{2, 4}, make([]float32, 8)...)}
	r := scored(t, "index half boxes", engine.Labels{}, 2, f, q)
	if o := r.Outputs[0]; o.Equal == nil || *o.Equal != .5 || !math.IsNaN(float64(o.SQNR)) || o.Exact {
		t.Errorf("indices: %+v", o)
	}
	if o := r.Outputs[1]; !o.Exact || !math.IsInf(float64(o.SQNR), 1) || o.Max != 2 {
		t.Errorf("halves: %+v", o)
	}
	if o := r.Outputs[2]; o.Unlike != 2 || o.Exact {
		t.Errorf("boxes: %+v", o)
	}
	if r.Worst().Name != "half" || r.Exact || len(r.Findings()) != 1 || r.Findings()[0].Code != "unlike-outputs" {
		t.Errorf("%+v, %v", r, r.Findings())
	}
}

func TestExactAndUndivided(t *testing.T) {
	r := scored(t, "y", engine.Labels{}, 1, rowsOf(2, 1, 2), rowsOf(2, 1, 2))
	if r.Float != nil || r.Quantized != nil || *r.Agreement != 1 || !math.IsInf(float64(r.SQNR), 1) {
		t.Errorf("%+v", r)
	}
	want := `{"samples":1,"agreement":1,"sqnr_db":null,"exact":true,"outputs":[{"name":"y","shape":[2],"sqnr_db":null,"exact":true,"cosine":1,"max_error":0,"classes":2,"agreement":1}]}`
	if b, err := json.Marshal(r); err != nil || string(b) != want {
		t.Errorf("%s, %v", b, err)
	}
	// Outputs that do not divide into samples count for the ratio alone.
	r = scored(t, "y", engine.Labels{Classes: []int{0, 0}, Implied: true}, 2, rowsOf(3, 1, 2, 3), rowsOf(3, 1, 2, 4))
	if r.Samples != 2 || r.Float != nil || r.Agreement != nil || math.IsInf(float64(r.SQNR), 0) || math.IsNaN(float64(r.SQNR)) {
		t.Errorf("%+v", r)
	}
}

// TestInvalid: samples whose float outputs are not finite are left out.
func TestInvalid(t *testing.T) {
	inf := float32(math.Inf(1))
	r := scored(t, "y", engine.Labels{}, 2, rowsOf(2, inf, 2, 3, 4), rowsOf(2, 1, 2, 3, 5))
	if r.Invalid != 1 || !near(float64(r.SQNR), 10*math.Log10(25)) || r.Findings()[0].Code != "not-finite" {
		t.Errorf("%+v", r)
	}
	r = scored(t, "y", engine.Labels{}, 1, rowsOf(2, inf, 2), rowsOf(2, 1, 2))
	if r.Invalid != 1 || !math.IsNaN(float64(r.SQNR)) || r.Exact || r.Worst() != nil {
		t.Errorf("%+v", r)
	}
}

func TestRank(t *testing.T) {
	x := []float32{3, 1, 3, 2}
	for label, want := range map[int]int{0: 0, 2: 1, 3: 2, 1: 3, -1: 4, 4: 4} {
		if got := rank(x, label); got != want {
			t.Errorf("label %d ranks %d, want %d", label, got, want)
		}
	}
}

func ExampleOutput() {
	s := NewScore(outputs("y"), engine.Labels{})
	_ = s.Add(0, 1, rowsOf(2, 3, 4), rowsOf(2, 3, 3.5))
	o := s.Result().Outputs[0]
	fmt.Printf("%s: %.1f dB, largest error %.1f\n", o.Name, float64(o.SQNR), float64(o.MaxError))
	// Output: y: 20.0 dB, largest error 0.5
}
