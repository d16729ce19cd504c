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
	// Shared are the inputs without an axis for samples: one value for the
	// whole batch. Nil means those whose first axis is not Count long.
	Shared map[string]bool
	// Size is how many samples the network takes at once where the batches
	// must stay as they are but for padding; 0 where they may be cut anew.
	Size int

	rows int // with padding; 0 where there is none
}

// shared reports whether an input holds one value for all samples.
func (b *Batch) shared(name string) bool {
	if b.Shared != nil {
		return b.Shared[name]
	}
	t := b.Inputs[name]
	return len(t.Shape) == 0 || t.Shape[0] != int64(b.Count)
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
	if t.Type == graph.Undefined {
		if len(u.Shape) == 0 {
			return Tensor{Type: u.Type, Shape: []int64{}, Floats: slices.Clone(u.Floats), Raw: slices.Clone(u.Raw), Strings: slices.Clone(u.Strings)}
		}
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
// smaller. Batches that must stay as they are ([Batch.Size]) do. A batch is
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
			next.Shared = b.Shared
			for at := 0; at < b.Count; {
				n := min(size-next.Count, b.Count-at)
				if next.Count == 0 {
					next.First = b.First + at
				}
				for name, t := range b.Inputs {
					if b.shared(name) {
						next.Inputs[name] = Tensor{}.push(t)
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

// empty returns a batch without samples in b's memory.
func (b *Batch) empty() *Batch {
	e := &Batch{Inputs: maps.Clone(b.Inputs), Names: b.Names[:0]}
	for name, t := range e.Inputs {
		if b.shared(name) {
			delete(e.Inputs, name)
			continue
		}
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
	p := &Batch{First: b.First, Count: b.Count, Names: b.Names, Inputs: map[string]Tensor{}, Shared: b.Shared, Size: b.Size, rows: size}
	for name, t := range b.Inputs {
		if b.shared(name) {
			p.Inputs[name] = t
			continue
		}
		full := Tensor{}.push(t)
		last := t.rows(b.Count-1, b.Count)
		for range size - b.Count {
			full = full.push(last)
		}
		p.Inputs[name] = full
	}
	return p
}

// padded returns how many samples the batch's inputs hold, real or not.
func padded(b *Batch) int { return max(b.rows, b.Count) }

// fit cuts the samples into the batches that m takes, padded where it fixes
// their size, and otherwise of size, where that is not 0.
func fit(in Batches, m *graph.Model, size int) Batches {
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
// for samples; one whose first axis is open says that the model fixes nothing.
func FixedBatch(m *graph.Model) int {
	ix := graph.NewIndex(m.Graph)
	fixed := 0
	for _, v := range m.Graph.Inputs {
		if !ix.IsInput(v.Name) || len(v.Shape) == 0 {
			continue
		}
		switch n := v.Shape[0].Size; {
		case n < 0:
			return 0
		case fixed == 0:
			fixed = int(n)
		}
	}
	return fixed
}
