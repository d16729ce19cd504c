package inspect

import (
	"iter"

	"narrow/engine"
	"narrow/graph"
	"narrow/graph/infer"
)

// chunk is how many samples run at once, whatever the batch size: an engine may
// sum in another order for another one.
const chunk = 8

// memory is how many bytes of the float network's values Measure holds, if it
// can do with less samples at once than chunk.
const memory = 512 << 20

// chunkOf returns how many samples of the size of b's run at once through m,
// where the named values of all of them are to be held. Values of unknown size
// do not count.
func chunkOf(m *graph.Model, values []string, b *engine.Batch) int {
	inputs := map[string][]graph.Dim{}
	for name, t := range b.Inputs {
		for _, d := range t.Shape {
			inputs[name] = append(inputs[name], graph.Dim{Size: d})
		}
	}
	shapes := infer.Shapes(m, inputs)
	bytes := 0.0
	for _, v := range values {
		n := 4.0
		for _, d := range shapes[v] {
			n *= float64(max(d.Size, 0))
		}
		if len(shapes[v]) > 0 {
			bytes += n
		}
	}
	if bytes <= 0 {
		return chunk
	}
	return int(min(max(memory*float64(b.Count)/bytes, 1), chunk))
}

// peek returns the first batch of in, nil where there is none, and all of them
// from the first on, which are to be gone through once.
func peek(in engine.Batches) (*engine.Batch, engine.Batches, error) {
	next, stop := iter.Pull2(in)
	first, err, ok := next()
	if !ok || err != nil {
		stop()
		return nil, func(func(*engine.Batch, error) bool) {}, err
	}
	return first, func(yield func(*engine.Batch, error) bool) {
		defer stop()
		for b, err, ok := first, error(nil), true; ok; b, err, ok = next() {
			if !yield(b, err) {
				return
			}
		}
	}, nil
}
