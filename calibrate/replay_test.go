package calibrate

import (
	"errors"
	"reflect"
	"testing"

	"narrow/engine"
	"narrow/graph"
)

// What passes again equals what passed first, and is not read for that where it is kept.
func TestReplay(t *testing.T) {
	var batches []*engine.Batch
	for i := range 3 {
		x := engine.Tensor{Type: graph.Float32, Shape: []int64{2, 1, 2}, Floats: []float32{float32(i), 1, 2, 3}}
		batches = append(batches, &engine.Batch{First: 2 * i, Count: 2, Names: []string{"a", "b"}, Inputs: map[string]engine.Tensor{"x": x}})
	}
	broken := errors.New("broken")
	for _, c := range []struct {
		name  string
		bytes int
		upto  int // how many batches the first pass takes
		err   error
		read  int // passes over the batches in all
	}{
		{"kept", 48, 3, nil, 2},
		{"too much", 47, 3, nil, 3},
		{"not to its end", 48, 2, nil, 3},
		{"an error", 48, 9, broken, 3},
	} {
		passes := 0
		in := func(yield func(*engine.Batch, error) bool) {
			passes++
			for i, b := range batches {
				if !yield(b.Clone(), nil) {
					return
				}
				if i == 1 && c.err != nil && !yield(nil, c.err) {
					return
				}
			}
		}
		first, again := Replay(in, c.bytes)
		n := 0
		for b, err := range first {
			if err == nil && !reflect.DeepEqual(b, batches[n]) {
				t.Errorf("%s: another batch %d", c.name, n)
			}
			if err == nil {
				n++
			}
			if n == c.upto && c.upto < len(batches) {
				break
			}
		}
		for range 2 {
			n := 0
			for b, err := range again {
				if err != nil {
					continue
				}
				if !reflect.DeepEqual(b, batches[n]) {
					t.Errorf("%s: batch %d of another pass differs", c.name, n)
				}
				n++
			}
			if n != len(batches) {
				t.Errorf("%s: %d batches", c.name, n)
			}
		}
		if passes != c.read {
			t.Errorf("%s: read %d times, want %d", c.name, passes, c.read)
		}
	}
}
