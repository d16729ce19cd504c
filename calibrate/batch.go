package calibrate

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"

	"narrow/graph"
)

// Batch is some samples, one after the other along the first axis of every
// input.
type Batch struct {
	// First is the index of the batch's first sample, Count how many there are.
	First, Count int
	// Inputs are the network's inputs by name.
	Inputs map[string]Tensor
	// Names tell the samples' files or other names; may be nil.
	Names []string
}

// Name returns how to call the i-th sample of the batch in a message.
func (b *Batch) Name(i int) string {
	if i < len(b.Names) && b.Names[i] != "" && b.Names[i] != strconv.Itoa(b.First+i) {
		return fmt.Sprintf("sample %d (%s)", b.First+i, b.Names[i])
	}
	return fmt.Sprintf("sample %d", b.First+i)
}

// Batches yields the samples in order.
type Batches = iter.Seq2[*Batch, error]

// elementSize returns the bytes of one element of t.Raw, or 0.
func elementSize(t graph.DataType) int { return t.Bits() / 8 }

// rows returns samples [from, to) of t, sharing its memory.
func (t Tensor) rows(from, to int) Tensor {
	per := 1
	for _, d := range t.Shape[1:] {
		per *= int(d)
	}
	out := Tensor{Type: t.Type, Shape: slices.Clone(t.Shape)}
	out.Shape[0] = int64(to - from)
	switch {
	case t.Floats != nil:
		out.Floats = t.Floats[from*per : to*per]
	case t.Strings != nil:
		out.Strings = t.Strings[from*per : to*per]
	default:
		size := per * elementSize(t.Type)
		out.Raw = t.Raw[from*size : to*size]
	}
	return out
}

// push appends u's samples to t, copying them.
func (t Tensor) push(u Tensor) Tensor {
	if t.Shape == nil {
		t = Tensor{Type: u.Type, Shape: slices.Clone(u.Shape)}
		t.Shape[0] = 0
	}
	t.Floats = append(t.Floats, u.Floats...)
	t.Raw = append(t.Raw, u.Raw...)
	t.Strings = append(t.Strings, u.Strings...)
	t.Shape[0] += u.Shape[0]
	return t
}

// Rebatch cuts the samples anew into batches of size; the last one may be
// smaller. A batch is valid until the next one is asked for.
func Rebatch(in Batches, size int) Batches {
	return func(yield func(*Batch, error) bool) {
		next := &Batch{Inputs: map[string]Tensor{}}
		for b, err := range in {
			if err != nil {
				yield(nil, err)
				return
			}
			for at := 0; at < b.Count; {
				n := min(size-next.Count, b.Count-at)
				if next.Count == 0 {
					next.First = b.First + at
				}
				for name, t := range b.Inputs {
					next.Inputs[name] = next.Inputs[name].push(t.rows(at, at+n))
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

// empty returns a batch without samples in b's memory.
func (b *Batch) empty() *Batch {
	e := &Batch{Inputs: maps.Clone(b.Inputs), Names: b.Names[:0]}
	for name, t := range e.Inputs {
		t.Shape = slices.Clone(t.Shape)
		t.Shape[0] = 0
		t.Floats, t.Raw, t.Strings = t.Floats[:0], t.Raw[:0], t.Strings[:0]
		e.Inputs[name] = t
	}
	return e
}

// pad returns b with its last sample repeated until it holds size samples, for
// networks whose batch is fixed. Count still tells how many are real.
func (b *Batch) pad(size int) *Batch {
	if b.Count >= size {
		return b
	}
	p := &Batch{First: b.First, Count: b.Count, Names: b.Names, Inputs: map[string]Tensor{}}
	for name, t := range b.Inputs {
		full := Tensor{}.push(t)
		last := t.rows(b.Count-1, b.Count)
		for range size - b.Count {
			full = full.push(last)
		}
		p.Inputs[name] = full
	}
	return p
}

// FixedBatch returns the size of the first axis of m's inputs when the model
// fixes it, else 0.
func FixedBatch(m *graph.Model) int {
	ix := graph.NewIndex(m.Graph)
	for _, v := range m.Graph.Inputs {
		if ix.IsInput(v.Name) && len(v.Shape) > 0 && v.Shape[0].Size > 0 {
			return int(v.Shape[0].Size)
		}
	}
	return 0
}
