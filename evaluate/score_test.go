package evaluate

import (
	"encoding/json"
	"math"
	"testing"

	"narrow/engine"
	"narrow/graph"
)

func rowsOf(per int, x ...float32) []engine.Tensor {
	return []engine.Tensor{{Type: graph.Float32, Shape: []int64{int64(len(x) / per), int64(per)}, Floats: x}}
}

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
	s := &Score{labels: []int{9, 5, 0, 4}}
	s.Add(1, 2, []engine.Tensor{{Type: graph.Float32, Shape: []int64{2, 6}, Floats: f[0].Floats[:12]}}, []engine.Tensor{{Type: graph.Float32, Shape: []int64{2, 6}, Floats: q[0].Floats[:12]}})
	s.Add(3, 1, rowsOf(6, f[0].Floats[12:]...), rowsOf(6, q[0].Floats[12:]...))
	r := s.Result()
	third := 1.0 / 3
	if r.Samples != 3 || r.Agreement != 2*third {
		t.Errorf("%d samples, agreement %v", r.Samples, r.Agreement)
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
	if want := 10 * math.Log10(327.0/3); math.Abs(float64(r.SQNR)-want) > 1e-9 {
		t.Errorf("SQNR %v, want %v", r.SQNR, want)
	}
}

func TestScoreWithoutClasses(t *testing.T) {
	s := &Score{}
	s.Add(0, 1, rowsOf(2, 1, 2), rowsOf(2, 1, 2))
	r := s.Result()
	if r.Float != nil || r.Quantized != nil || r.Agreement != 1 || !math.IsInf(float64(r.SQNR), 1) {
		t.Errorf("%+v", r)
	}
	if b, err := json.Marshal(r); err != nil || string(b) != `{"samples":1,"agreement":1,"sqnr_db":null}` {
		t.Errorf("%s, %v", b, err)
	}
	// Outputs that do not divide into samples count for the ratio alone.
	s = &Score{labels: []int{0, 0}}
	s.Add(0, 2, rowsOf(3, 1, 2, 3), rowsOf(3, 1, 2, 4))
	if r := s.Result(); r.Samples != 2 || r.Float != nil || math.IsInf(float64(r.SQNR), 0) {
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
