package calibrate

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"math"
	"slices"

	"narrow/engine"
)

const (
	// KeptSamples is how many samples a calibration in float propagation keeps, those
	// of the smallest digests: over them ties are counted, and package refine chooses.
	KeptSamples = 256
	// keptBytes is how much memory they take at most, as they are stored. Fewer are
	// kept where they take more, but at least keptLeast.
	keptBytes = 256 << 20
	keptLeast = 32
)

// Digest is the SHA-256 of what a sample feeds to the network.
type Digest [sha256.Size]byte

// A Keeper copies some of the samples that pass: those of the smallest digests, so
// that neither their order nor how they are cut into batches, or shared among
// keepers that are then merged, decides. The zero value keeps [KeptSamples].
type Keeper struct {
	// Most is how many to keep at most; 0 means [KeptSamples].
	Most int

	units []unit
	bytes int
	// bound is the smallest digest that was left out for want of room, if any was.
	bound *Digest
	// tags hold the last byte of every digest, by the index of the sample; next is
	// the index behind the last one that was looked at.
	tags []byte
	next int
	buf  []byte
}

// unit is a sample, or a batch that must stay whole.
type unit struct {
	digest Digest
	stored
}

func (k *Keeper) most() int {
	if k.Most == 0 {
		return KeptSamples
	}
	return k.Most
}

// Watch returns in, each sample being looked at on its way. Another pass begins anew.
func (k *Keeper) Watch(in engine.Batches) engine.Batches {
	return func(yield func(*engine.Batch, error) bool) {
		k.reset()
		k.watch(in)(yield)
	}
}

func (k *Keeper) reset() { *k = Keeper{Most: k.Most} }

// watch is Watch without a new beginning: samples that were looked at are not again.
func (k *Keeper) watch(in engine.Batches) engine.Batches {
	return func(yield func(*engine.Batch, error) bool) {
		for b, err := range in {
			if err == nil {
				k.take(b)
			}
			if !yield(b, err) {
				return
			}
		}
	}
}

func (k *Keeper) take(b *engine.Batch) {
	end := b.First + b.Count
	if end <= k.next {
		return
	}
	for len(k.tags) < end {
		k.tags = append(k.tags, 0)
	}
	if b.Size > 0 || b.Count == 1 {
		d := k.digest(b)
		for i := b.First; i < end; i++ {
			k.tags[i] = d[len(d)-1]
		}
		k.add(d, b)
	} else {
		for i := max(k.next-b.First, 0); i < b.Count; i++ {
			one := b.View(i)
			d := k.digest(one)
			k.tags[b.First+i] = d[len(d)-1]
			k.add(d, one)
		}
	}
	k.next = end
}

// Tag returns the last byte of the digest of a sample that has passed.
func (k *Keeper) Tag(sample int) byte {
	if sample >= len(k.tags) {
		return 0
	}
	return k.tags[sample]
}

func (k *Keeper) add(d Digest, b *engine.Batch) {
	if at, ok := k.place(d); ok {
		k.insert(at, unit{d, store(b)})
	}
}

// place returns where a digest belongs, and whether there is room for it.
func (k *Keeper) place(d Digest) (int, bool) {
	if k.bound != nil && bytes.Compare(d[:], k.bound[:]) >= 0 {
		return 0, false
	}
	at, _ := slices.BinarySearchFunc(k.units, d, func(u unit, d Digest) int { return bytes.Compare(u.digest[:], d[:]) })
	return at, true
}

func (k *Keeper) insert(at int, u unit) {
	k.units = slices.Insert(k.units, at, u)
	k.bytes += u.size()
	for n := len(k.units); n > k.most() || n > keptLeast && k.bytes > keptBytes; n = len(k.units) {
		last := k.units[n-1]
		k.bytes -= last.size()
		k.bound = &last.digest
		k.units[n-1] = unit{}
		k.units = k.units[:n-1]
	}
}

// Merge keeps what is to be kept of both, as if all samples had passed k. Tags are
// not merged.
func (k *Keeper) Merge(o *Keeper) {
	if o.bound != nil && (k.bound == nil || bytes.Compare(o.bound[:], k.bound[:]) < 0) {
		k.bound = o.bound
		for len(k.units) > 0 && bytes.Compare(k.units[len(k.units)-1].digest[:], k.bound[:]) >= 0 {
			k.bytes -= k.units[len(k.units)-1].size()
			k.units = k.units[:len(k.units)-1]
		}
	}
	for _, u := range o.units {
		if at, ok := k.place(u.digest); ok {
			k.insert(at, u)
		}
	}
}

// A Kept is a sample that was kept, or a batch that must stay whole.
type Kept struct {
	Digest Digest
	Batch  *engine.Batch
}

// Kept returns what was kept, by ascending digest, at most so many and, but for the
// first 32, no more than take that many bytes as batches; 0 bytes mean no bound.
func (k *Keeper) Kept(most, bytes int) []Kept {
	var out []Kept
	left := bytes
	for i, u := range k.units[:min(most, len(k.units))] {
		if left -= u.raw; bytes > 0 && i >= keptLeast && left < 0 {
			break
		}
		out = append(out, Kept{u.digest, u.batch()})
	}
	return out
}

// A Waiting is a sample that was kept, or a batch that must stay whole, as it is stored.
type Waiting struct {
	Digest Digest
	Count  int
	stored stored
}

// Batch returns it in memory of its own.
func (w Waiting) Batch() *engine.Batch { return w.stored.batch() }

// Bytes is how much memory that takes.
func (w Waiting) Bytes() int { return w.stored.raw }

// Stored is how much memory w takes.
func (w Waiting) Stored() int { return w.stored.size() }

// Waiting returns what was kept but for the first n, by ascending digest.
func (k *Keeper) Waiting(n int) []Waiting {
	var out []Waiting
	for _, u := range k.units[min(n, len(k.units)):] {
		out = append(out, Waiting{u.digest, u.head.Count, u.stored})
	}
	return out
}

// InOrder yields at most [KeptSamples] of what was kept, those of the smallest digests,
// in the order in which they came.
func (k *Keeper) InOrder() engine.Batches {
	units := slices.Clone(k.units[:min(KeptSamples, len(k.units))])
	slices.SortStableFunc(units, func(a, b unit) int { return a.head.First - b.head.First })
	return yielding(units)
}

// InOrderSamples is how many samples [Keeper.InOrder] yields.
func (k *Keeper) InOrderSamples() (n int) {
	for _, u := range k.units[:min(KeptSamples, len(k.units))] {
		n += u.head.Count
	}
	return n
}

// yielding yields units one by one, as batches in memory of their own.
func yielding(units []unit) engine.Batches {
	return func(yield func(*engine.Batch, error) bool) {
		for i := range units {
			if !yield(units[i].batch(), nil) {
				return
			}
		}
	}
}

// Some yields the first n of what was kept, or all, and tells how many samples they are.
func (k *Keeper) Some(n int) (engine.Batches, int) {
	kept, samples := k.Kept(n, 0), 0
	for _, u := range kept {
		samples += u.Batch.Count
	}
	return func(yield func(*engine.Batch, error) bool) {
		for _, u := range kept {
			if !yield(u.Batch, nil) {
				return
			}
		}
	}, samples
}

// first yields the first n of what was kept, by ascending digest.
func (k *Keeper) first(n int) engine.Batches { return yielding(k.units[:min(n, len(k.units))]) }

// digest hashes the inputs of b.
func (k *Keeper) digest(b *engine.Batch) (d Digest) {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(b.Inputs)) {
		t := b.Inputs[name]
		k.buf = append(append(k.buf[:0], name...), 0)
		for _, d := range t.Shape {
			k.buf = binary.LittleEndian.AppendUint64(k.buf, uint64(d))
		}
		h.Write(k.buf)
		for x := t.Floats; len(x) > 0; {
			k.buf = appendFloats(k.buf[:0], x[:min(len(x), 4096)])
			h.Write(k.buf)
			x = x[min(len(x), 4096):]
		}
		h.Write(t.Raw)
		for _, s := range t.Strings {
			k.buf = append(append(k.buf[:0], s...), 0)
			h.Write(k.buf)
		}
	}
	h.Sum(d[:0])
	return d
}

func appendFloats(b []byte, x []float32) []byte {
	for _, v := range x {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// appendBinary appends what was kept, and how far k has looked.
func (k *Keeper) appendBinary(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(k.next))
	b = append(b, flag(k.bound != nil))
	if k.bound != nil {
		b = append(b, k.bound[:]...)
	}
	b = binary.AppendUvarint(b, uint64(len(k.units)))
	for i := range k.units {
		b = append(b, k.units[i].digest[:]...)
		b = k.units[i].appendBinary(b)
	}
	return b
}

// keeper takes what appendBinary wrote, for a Keeper that keeps as many.
func (r *cursor) keeper(k *Keeper) error {
	*k = Keeper{Most: k.Most, next: r.uint()}
	if r.byte() == 1 {
		k.bound = &Digest{}
		copy(k.bound[:], r.take(len(k.bound)))
	}
	var last Digest
	for n := r.count(); n > 0; n-- {
		var u unit
		copy(u.digest[:], r.take(len(u.digest)))
		var err error
		if u.stored, err = r.stored(); err != nil {
			return err
		}
		if bytes.Compare(u.digest[:], last[:]) < 0 {
			return errStored
		}
		last = u.digest
		k.units = append(k.units, u)
		k.bytes += u.size()
	}
	if r.bad {
		return errStored
	}
	return nil
}
