package refine

import (
	"slices"
	"testing"

	"narrow/calibrate"
	"narrow/engine"
	"narrow/graph"
)

// samples yields n samples of two elements in that order, in batches of size.
func samples(order []int, size int) engine.Batches {
	return engine.Rebatch(func(yield func(*engine.Batch, error) bool) {
		for i, k := range order {
			x := engine.Tensor{Type: graph.Float32, Shape: []int64{1, 2}, Floats: []float32{float32(k), 1}}
			if !yield(&engine.Batch{First: i, Count: 1, Inputs: map[string]engine.Tensor{"x": x}}, nil) {
				return
			}
		}
	}, size)
}

// TestKeeperAnyOrder: which samples choose and which judge is told by the samples
// alone, and no sample does both.
func TestKeeperAnyOrder(t *testing.T) {
	order := make([]int, 200)
	for i := range order {
		order[i] = i
	}
	var first [2][]float32
	for round, size := range []int{1, 7, 200} {
		k := &calibrate.Keeper{Most: 100}
		for _, err := range k.Watch(samples(order, size)) {
			if err != nil {
				t.Fatal(err)
			}
		}
		choose, judge := split(k.Kept(100, 0), 64, 16)
		var got [2][]float32
		for side, units := range [][]*engine.Batch{choose, judge} {
			for _, b := range units {
				got[side] = append(got[side], b.Inputs["x"].Floats[0])
			}
		}
		if len(got[0]) < 50 || len(got[0]) > 64 || len(got[1]) != 16 {
			t.Fatalf("%d choose, %d judge", len(got[0]), len(got[1]))
		}
		for _, v := range got[0] {
			if slices.Contains(got[1], v) {
				t.Errorf("sample %v chooses and judges", v)
			}
		}
		if round == 0 {
			first = got
		} else if !slices.Equal(got[0], first[0]) || !slices.Equal(got[1], first[1]) {
			t.Error("other samples in another order")
		}
		slices.Reverse(order)
	}
}
