package refine

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"math"
	"slices"

	"narrow/engine"
)

// keeper copies some of the samples that pass: those of the smallest digests, so
// that neither their order nor how they are cut into batches decides. Whether a
// sample chooses or judges is told by its digest too.
type keeper struct {
	most  int
	units []unit
	// judges tells of every sample that passed, by its index.
	judges []bool
	buf    []byte
}

// unit is a sample, or a batch that must stay whole.
type unit struct {
	digest [sha256.Size]byte
	batch  *engine.Batch
}

func order(a, b unit) int { return bytes.Compare(a.digest[:], b.digest[:]) }

// judging is the share of samples that judge, of 256.
const judging = 64

func (u unit) judges() bool { return int(u.digest[sha256.Size-1]) < judging }

// watch returns in, each sample being looked at on its way.
func (k *keeper) watch(in engine.Batches) engine.Batches {
	return func(yield func(*engine.Batch, error) bool) {
		k.units, k.judges = nil, nil
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

func (k *keeper) take(b *engine.Batch) {
	for len(k.judges) < b.First+b.Count {
		k.judges = append(k.judges, false)
	}
	if b.Size > 0 || b.Count == 1 {
		u := unit{digest: k.digest(b)}
		for i := range b.Count {
			k.judges[b.First+i] = u.judges()
		}
		k.add(u, b.Clone)
		return
	}
	for i := range b.Count {
		s := b.Sample(i)
		u := unit{digest: k.digest(s)}
		k.judges[b.First+i] = u.judges()
		k.add(u, func() *engine.Batch { return s })
	}
}

func (k *keeper) add(u unit, batch func() *engine.Batch) {
	if len(k.units) == 0 {
		// All samples of a set are as large as the first, or nearly.
		k.most = max(min(k.most, keptBytes/max(bytesOf(batch()), 1)), fewest)
	}
	at, _ := slices.BinarySearchFunc(k.units, u, order)
	if at >= k.most {
		return
	}
	u.batch = batch()
	k.units = slices.Insert(k.units, at, u)
	if len(k.units) > k.most {
		k.units[k.most] = unit{}
		k.units = k.units[:k.most]
	}
}

// bytesOf returns how many bytes the inputs of b take.
func bytesOf(b *engine.Batch) (n int) {
	for _, t := range b.Inputs {
		n += 4*len(t.Floats) + len(t.Raw)
	}
	return n
}

// digest hashes the inputs of b.
func (k *keeper) digest(b *engine.Batch) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(b.Inputs)) {
		t := b.Inputs[name]
		k.buf = append(append(k.buf[:0], name...), 0)
		for _, d := range t.Shape {
			k.buf = binary.LittleEndian.AppendUint64(k.buf, uint64(d))
		}
		h.Write(k.buf)
		for x := t.Floats; len(x) > 0; {
			k.buf = k.buf[:0]
			for _, v := range x[:min(len(x), 4096)] {
				k.buf = binary.LittleEndian.AppendUint32(k.buf, math.Float32bits(v))
			}
			h.Write(k.buf)
			x = x[min(len(x), 4096):]
		}
		h.Write(t.Raw)
		for _, s := range t.Strings {
			k.buf = append(append(k.buf[:0], s...), 0)
			h.Write(k.buf)
		}
	}
	h.Sum(sum[:0])
	return sum
}

// split returns the kept samples that choose and those that judge, at most so
// many, as batches to be cut anew. Where chance gave one side too few, the
// others of the largest digests change sides.
func (k *keeper) split(choosing, judges int) (choose, judge []*engine.Batch) {
	var c, j []unit
	for _, u := range k.units {
		if u.judges() {
			j = append(j, u)
		} else {
			c = append(c, u)
		}
	}
	least := (len(k.units) + 7) / 8
	for len(j) < least && len(c) > least {
		j, c = append(j, c[len(c)-1]), c[:len(c)-1]
	}
	for len(c) < least && len(j) > least {
		c, j = append(c, j[len(j)-1]), j[:len(j)-1]
	}
	part := func(us []unit, most int) (out []*engine.Batch) {
		n := 0
		for _, u := range us {
			if n > 0 && n+u.batch.Count > most {
				break
			}
			n += u.batch.Count
			out = append(out, u.batch)
		}
		return out
	}
	slices.SortFunc(j, order)
	slices.SortFunc(c, order)
	k.units = nil // what takes no part is not kept any longer
	return part(c, choosing), part(j, judges)
}

// batches yields them.
func batches(units ...[]*engine.Batch) engine.Batches {
	return func(yield func(*engine.Batch, error) bool) {
		for _, us := range units {
			for _, b := range us {
				if !yield(b, nil) {
					return
				}
			}
		}
	}
}

func count(units []*engine.Batch) (n int) {
	for _, b := range units {
		n += b.Count
	}
	return n
}
