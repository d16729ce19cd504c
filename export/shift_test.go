package export

import (
	"math"
	"slices"
	"testing"

	"narrow/graph"
)

// A bias takes a shift over only where half of int32 is left to the products,
// and where the shift is a whole number of its scales.
func TestShiftLeavesRoom(t *testing.T) {
	const most = math.MaxInt32 / 2
	for _, c := range []struct {
		name   string
		by     float64
		ints   []int64
		scales []float32
		want   []int64 // nil where it stays
	}{
		{"fits", 8, []int64{0, 100}, []float32{0.5}, []int64{16, 116}},
		{"fits to the last", 8, []int64{most - 16}, []float32{0.5}, []int64{most}},
		{"one too many", 8, []int64{most - 15}, []float32{0.5}, nil},
		{"below zero", -8, []int64{-most + 16}, []float32{0.5}, []int64{-most}},
		{"one too few", -8, []int64{-most + 15}, []float32{0.5}, nil},
		{"one channel of two", 8, []int64{0, 3 << 30}, []float32{0.5}, nil},
		{"a scale so small that int32 overflows", 1 << 10, []int64{0, 0}, []float32{0.5, 0x1p-21}, nil},
		{"no whole number", 8, []int64{0}, []float32{0.3}, nil},
		{"scales of channels", 8, []int64{1, 1}, []float32{0.5, 0.25}, []int64{17, 33}},
	} {
		n, of := &graph.Node{}, "x"
		q := &qdq{shifts: map[*graph.Node]shift{n: {of: of, by: c.by}}, shifted: map[string]bool{}}
		got := slices.Clone(c.ints)
		q.shiftInts(n, got, c.scales)
		want := c.want
		if want == nil {
			want = c.ints
		}
		if !slices.Equal(got, want) || q.shifted[of] != (c.want != nil) {
			t.Errorf("%s: %v, shifted %v; want %v", c.name, got, q.shifted[of], want)
		}
	}
}
