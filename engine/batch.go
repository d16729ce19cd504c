package engine

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
	// Padded is how many samples the inputs hold, those included that only pad
	// the batch; 0 where none do.
	Padded int
}

// Rows returns how many samples the inputs hold, real or not.
func (b *Batch) Rows() int { return max(b.Padded, b.Count) }

// shared reports whether an input holds one value for all samples.
func (b *Batch) shared(name string) bool {
	if b.Shared != nil {
		return b.Shared[name]
	}
	t := b.Inputs[name]
	return len(t.Shape) == 0 || t.Shape[0] != int64(b.Count)
}

// Name returns how to call the i-th sample of the batch in a message: its number among
// all samples, from 0, and the file's name, where it has one.
func (b *Batch) Name(i int) string {
	if i < len(b.Names) && b.Names[i] != "" && b.Names[i] != strconv.Itoa(b.First+i) {
		return fmt.Sprintf("%d (%s)", b.First+i, b.Names[i])
	}
	return strconv.Itoa(b.First + i)
}

// SampleShapes returns the shapes that one sample gives the network's inputs.
func (b *Batch) SampleShapes() map[string][]graph.Dim {
	shapes := map[string][]graph.Dim{}
	for name, t := range b.Inputs {
		shape := make([]graph.Dim, len(t.Shape))
		for i, d := range t.Shape {
			shape[i].Size = d
			if i == 0 && !b.shared(name) {
				shape[i].Size = 1
			}
		}
		shapes[name] = shape
	}
	return shapes
}

// Samples returns the elements of a value that a run of b gave which belong to
// samples, without those that pad the batch, their shape, and how many samples
// they are; a value without an axis for samples counts as one. Each sample's
// elements stay together, in whatever order.
func (b *Batch) Samples(x []float32, shape []int64) (own []float32, ownShape []int64, n int) {
	rows := b.Rows()
	if len(shape) == 0 || shape[0] == 0 || int(shape[0])%rows != 0 {
		return x, shape, 1
	}
	own = x[:len(x)/rows*b.Count]
	return own, append([]int64{shape[0] / int64(rows) * int64(b.Count)}, shape[1:]...), b.Count
}

// Batches yields the samples in order. A batch is valid until the next one is
// asked for; an error, with a nil batch, ends them.
type Batches = iter.Seq2[*Batch, error]

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
	p := &Batch{First: b.First, Count: b.Count, Names: b.Names, Inputs: map[string]Tensor{}, Shared: b.Shared, Size: b.Size, Padded: size}
	for name, t := range b.Inputs {
		if b.shared(name) {
			p.Inputs[name] = t
			continue
		}
		full := t.Clone()
		last := t.rows(b.Count-1, b.Count)
		for range size - b.Count {
			full = full.push(last)
		}
		p.Inputs[name] = full
	}
	return p
}

// View returns the i-th sample as a batch of its own, with what the samples share,
// in the memory of b. A batch that must stay as it is ([Batch.Size]) is not to be cut.
func (b *Batch) View(i int) *Batch {
	s := &Batch{First: b.First + i, Count: 1, Inputs: map[string]Tensor{}, Shared: b.Shared}
	if i < len(b.Names) {
		s.Names = []string{b.Names[i]}
	}
	for name, t := range b.Inputs {
		if !b.shared(name) {
			t = t.rows(i, i+1)
		}
		s.Inputs[name] = t
	}
	return s
}

// Sample returns a copy of [Batch.View] in memory of its own.
func (b *Batch) Sample(i int) *Batch { return b.View(i).Clone() }

// Clone returns a copy in memory of its own.
func (b *Batch) Clone() *Batch {
	c := *b
	c.Names, c.Inputs = slices.Clone(b.Names), map[string]Tensor{}
	for name, t := range b.Inputs {
		c.Inputs[name] = t.Clone()
	}
	return &c
}
