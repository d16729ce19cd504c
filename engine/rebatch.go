package engine

import (
	"slices"

	"narrow/graph"
)

// Rebatch cuts the samples anew into batches of size; the last one may be
// smaller, and so may one before samples of another shape. Batches that must stay as they are ([Batch.Size]) do. A batch is
// valid until the next one is asked for.
func Rebatch(in Batches, size int) Batches {
	return func(yield func(*Batch, error) bool) {
		next := &Batch{Inputs: map[string]Tensor{}}
		for b, err := range in {
			if err != nil {
				yield(nil, err)
				return
			}
			if b.Size > 0 {
				if !yield(b, nil) {
					return
				}
				continue
			}
			if !next.alike(b) {
				if next.Count > 0 && !yield(next, nil) {
					return
				}
				next = &Batch{Inputs: map[string]Tensor{}}
			}
			next.Shared = b.Shared
			for at := 0; at < b.Count; {
				n := min(size-next.Count, b.Count-at)
				if next.Count == 0 {
					next.First = b.First + at
				}
				for name, t := range b.Inputs {
					if b.shared(name) {
						next.Inputs[name] = t.Clone()
					} else {
						next.Inputs[name] = next.Inputs[name].push(t.rows(at, at+n))
					}
				}
				for i := at; i < at+n && i < len(b.Names); i++ {
					next.Names = append(next.Names, b.Names[i])
				}
				next.Count += n
				at += n
				if next.Count == size {
					if !yield(next, nil) {
						return
					}
					next = next.empty()
				}
			}
		}
		if next.Count > 0 {
			yield(next, nil)
		}
	}
}

// alike reports whether the samples of both have the same shapes.
func (b *Batch) alike(o *Batch) bool {
	for name, t := range o.Inputs {
		if own, ok := b.Inputs[name]; ok && !o.shared(name) && len(own.Shape) > 0 && len(t.Shape) > 0 && !slices.Equal(own.Shape[1:], t.Shape[1:]) {
			return false
		}
	}
	return true
}

// Fit cuts the samples into the batches that m takes: padded by repeating the
// last sample where m fixes their size, else of size, where that is not 0.
func Fit(in Batches, m *graph.Model, size int) Batches {
	fixed := FixedBatch(m)
	if n := max(fixed, size); n > 0 {
		if fixed > 0 {
			n = fixed
		}
		in = Rebatch(in, n)
	}
	return func(yield func(*Batch, error) bool) {
		for b, err := range in {
			if err == nil {
				n := fixed
				if b.Size > 0 {
					n = b.Size
				}
				b = b.pad(n)
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

// FixedBatch returns the size of the first axis of m's inputs when the model
// fixes it, else 0. An input of another size than the first one's has no axis
// for samples; one whose first axis is open says that the model fixes nothing, unless
// every output has one for one sample: exporters leave inputs open of networks that then
// take one sample only.
func FixedBatch(m *graph.Model) int {
	ix := graph.NewIndex(m.Graph)
	fixed := 0
	for _, v := range m.Graph.Inputs {
		if !ix.IsInput(v.Name) || len(v.Shape) == 0 {
			continue
		}
		switch n := v.Shape[0].Size; {
		case n < 0:
			if onePerRun(m.Graph.Outputs) {
				return 1
			}
			return 0
		case fixed == 0:
			fixed = int(n)
		}
	}
	return fixed
}

// onePerRun reports whether the first axis of every output has the size 1.
func onePerRun(outputs []*graph.Value) bool {
	return len(outputs) > 0 && !slices.ContainsFunc(outputs, func(v *graph.Value) bool {
		return len(v.Shape) < 2 || v.Shape[0].Size != 1
	})
}
