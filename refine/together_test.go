package refine

import (
	"errors"
	"slices"
	"testing"

	"narrow/engine"
)

func counted(n int) engine.Batches {
	return func(yield func(*engine.Batch, error) bool) {
		for i := range n {
			if !yield(&engine.Batch{First: i, Count: 1}, nil) {
				return
			}
		}
	}
}

// Every use sees every batch, in their order; one that has seen enough does not
// stop the others.
func TestTogether(t *testing.T) {
	var seen [3][]int
	use := func(i, most int) func(engine.Batches) error {
		return func(in engine.Batches) error {
			for b, err := range in {
				if err != nil {
					return err
				}
				if seen[i] = append(seen[i], b.First); len(seen[i]) == most {
					break
				}
			}
			return nil
		}
	}
	if err := Together(counted(5), use(0, 9), use(1, 2), use(2, 9)); err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]int{{0, 1, 2, 3, 4}, {0, 1}, {0, 1, 2, 3, 4}} {
		if !slices.Equal(seen[i], want) {
			t.Errorf("use %d saw %v, want %v", i, seen[i], want)
		}
	}
}

// The first error ends all, and is told.
func TestTogetherFails(t *testing.T) {
	broken := errors.New("broken")
	seen := 0
	err := Together(counted(1000),
		func(in engine.Batches) error {
			for b := range in {
				if b.First == 3 {
					return broken
				}
			}
			return nil
		},
		func(in engine.Batches) error {
			for range in {
				seen++
			}
			return nil
		})
	if !errors.Is(err, broken) || seen > 4 {
		t.Errorf("%v after %d batches", err, seen)
	}
}
