package rewrite

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
)

// TestRangesAsRecorded holds how the bias takes part in a channel's range
// against what vai_q_pytorch 3.5's _combine_weight_and_bias returned.
func TestRangesAsRecorded(t *testing.T) {
	src, err := os.ReadFile("testdata/ranges.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name   string
		Rows   [][]float32
		Bias   []float32
		Ranges []float32
		Shrink float32
	}
	if err := json.Unmarshal(src, &cases); err != nil {
		t.Fatal(err)
	}
	seen := map[float32]bool{}
	for _, c := range cases {
		// Against a second layer whose ranges are the inverse, the scale is the
		// range itself, unless r0+r1 is below 0.5, which x + 1/x never is.
		second := make([]float32, len(c.Ranges))
		want := slices.Clone(c.Ranges)
		for i, r := range c.Ranges {
			if r == 0 { // nothing to scale
				second[i], want[i] = 1, 1
				continue
			}
			second[i] = 1 / r
		}
		got := scaling{bias: c.Bias, least: 0.5}.scales(c.Rows, second)
		for i, r := range want {
			if !(math.Abs(float64(got[i]-r)) <= 1e-6*float64(r)) {
				t.Errorf("%s: channel %d has range %g, recorded %g", c.Name, i, got[i], r)
			}
		}
		if c.Bias != nil {
			_, by := shrunkBias(c.Rows, c.Bias)
			if math.Abs(float64(by-c.Shrink)) > 1e-3 {
				t.Errorf("%s: bias divided by %g, recorded %g", c.Name, by, c.Shrink)
			}
			seen[by] = true
		}
	}
	for _, by := range []float32{2, 5, 10, 20} {
		if !seen[by] {
			t.Errorf("no case divides by %g", by)
		}
	}
}

// TestMedian holds the selection against sorting.
func TestMedian(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := 1; n < 200; n++ {
		xs := make([]float32, n)
		for i := range xs {
			xs[i] = float32(r.IntN(1 + n/2)) // many equal ones
		}
		sorted := slices.Sorted(slices.Values(xs))
		want := sorted[n/2]
		if n%2 == 0 {
			want = (sorted[n/2-1] + sorted[n/2]) / 2
		}
		if got := medianOf(xs); got != want {
			t.Fatalf("median of %v is %g, want %g", sorted, got, want)
		}
	}
}
