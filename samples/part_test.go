package samples

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"narrow/engine"
	"narrow/graph"
)

// counted opens n samples of one number each, its index.
func counted(t *testing.T, n, batch int) *Set {
	t.Helper()
	file := writeNPY(t, filepath.Join(t.TempDir(), "x.npy"), graph.Float32, []int64{int64(n), 1}, func(i int) float64 { return float64(i) })
	set, err := Open(file, []InputSpec{{Name: "x", Type: graph.Float32, Dims: []int64{int64(batch), 1}}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Close() })
	return set
}

// indices returns what batches hold, and how many batches there are.
func indices(t *testing.T, in engine.Batches) (out []int, batches int) {
	t.Helper()
	for b, err := range in {
		if err != nil {
			t.Fatal(err)
		}
		batches++
		for _, v := range b.Inputs["x"].Floats[:b.Count] {
			out = append(out, int(v))
		}
	}
	return out, batches
}

// TestPart: parts are contiguous, cut at multiples of 8 and of whole batches, nearly
// alike, and all samples are in one of them.
func TestPart(t *testing.T) {
	for _, c := range []struct{ n, batch, size, parts int }{
		{100, -1, 8, 1}, {100, -1, 8, 3}, {100, -1, 8, 13}, {100, -1, 16, 7}, {97, -1, 12, 4}, {5, -1, 8, 1}, {100, 3, 8, 4}, {64, 4, 8, 8},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			set := counted(t, c.n, c.batch)
			var all []int
			smallest, largest := c.n, 0
			for i := 1; i <= c.parts; i++ {
				first, count, err := set.Part(i, c.parts, c.size)
				if err != nil {
					t.Fatal(err)
				}
				size := set.BatchSize(c.size)
				if first != len(all) || first%8 != 0 || first%size != 0 {
					t.Errorf("part %d begins at %d after %d samples", i, first, len(all))
				}
				own, _ := indices(t, set.BatchesOf(context.Background(), size, first, first+count))
				all = append(all, own...)
				if i < c.parts {
					smallest, largest = min(smallest, count), max(largest, count)
				}
			}
			if want, _ := indices(t, set.Batches(context.Background(), c.size)); !slices.Equal(all, want) {
				t.Errorf("the parts are %v", all)
			}
			unit := set.BatchSize(c.size)
			for unit%8 != 0 {
				unit += set.BatchSize(c.size)
			}
			if largest > smallest+unit {
				t.Errorf("parts of %d and of %d samples", smallest, largest)
			}
			if _, _, err := set.Part(1, c.n, c.size); err == nil && c.n > 8 {
				t.Error("more parts than batches")
			}
		})
	}
}

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		n, batch, most int
		want           []int
	}{
		{5, -1, 8, []int{0, 1, 2, 3, 4}}, {8, -1, 8, []int{0, 1, 2, 3, 4, 5, 6, 7}}, {9, -1, 4, []int{0, 3, 6}}, {12, 2, 4, []int{0, 1, 6, 7}},
	} {
		if got, _ := indices(t, counted(t, c.n, c.batch).Spread(context.Background(), 4, c.most)); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
