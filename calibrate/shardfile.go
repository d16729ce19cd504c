package calibrate

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"

	"narrow/calibrate/observe"
	"narrow/diag"
	"narrow/internal/atomicfile"
)

// ShardFormat is the format of the file that holds a [Shard]: a line of JSON, which
// tells what it is of, where it was computed and of which samples; then what was
// observed; then the SHA-256 of all that. See docs/clusters.md for its size.
const ShardFormat = "narrow.shard/1"

// shardHead is the first line of the file.
type shardHead struct {
	Format string `json:"format"`
	ShardOf
	Machine  string   `json:"machine"`
	Spans    []Span   `json:"spans"`
	Networks []string `json:"networks"`
	Canaries []string `json:"canaries"`
}

// pieces returns the shard as its file holds it, in three pieces.
func (s *Shard) pieces() (pieces [3][]byte, err error) {
	body, err := s.body()
	if err != nil {
		return pieces, diag.Errorf("writing a shard: %w", err)
	}
	if len(s.Spans) == 1 && s.Spans[0].Sum == "" {
		sum := sha256.Sum256(body)
		s.Spans[0].Sum = hex.EncodeToString(sum[:])
	}
	head := shardHead{Format: ShardFormat, ShardOf: s.ShardOf, Machine: s.Machine, Spans: s.Spans}
	for _, p := range s.parts {
		head.Networks = append(head.Networks, p.network)
		head.Canaries = append(head.Canaries, hex.EncodeToString(p.canary[:]))
	}
	line, err := json.Marshal(head)
	if err != nil {
		return pieces, diag.Errorf("writing a shard: %w", err)
	}
	line = append(line, '\n')
	h := sha256.New()
	h.Write(line)
	h.Write(body)
	return [3][]byte{line, body, h.Sum(nil)}, nil
}

// Bytes returns the shard as its file holds it.
func (s *Shard) Bytes() ([]byte, error) {
	pieces, err := s.pieces()
	return bytes.Join(pieces[:], nil), err
}

// Write writes the shard to a file, whole or not at all, and returns how many bytes it
// has.
func (s *Shard) Write(file string) (n int, err error) {
	pieces, err := s.pieces()
	if err != nil {
		return 0, err
	}
	if err := atomicfile.Write(filepath.Dir(file), atomicfile.File{Name: filepath.Base(file), Write: func(w io.Writer) error {
		for _, p := range pieces {
			k, err := w.Write(p)
			if n += k; err != nil {
				return err
			}
		}
		return nil
	}}); err != nil {
		return 0, diag.Errorf("writing the shard %s: %w", file, err)
	}
	return n, nil
}

// OpenShard reads a shard that [Shard.Write] wrote. The error names the file.
func OpenShard(file string) (*Shard, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, diag.Errorf("reading a shard: %w", err)
	}
	s, err := ReadShard(data)
	if err != nil {
		return nil, diag.Errorf("%s: %w", file, err)
	}
	s.File = file
	return s, nil
}

// OpenShards reads shards, one after the other, and merges them. The error names the
// files that it is about, or what samples none of them holds.
func OpenShards(files []string) (*Shard, error) {
	var all *Shard
	for _, f := range files {
		s, err := OpenShard(f)
		if err != nil {
			return nil, err
		}
		if all == nil {
			all = s
		} else if err := all.Merge(s); err != nil {
			return nil, err
		}
	}
	if all == nil {
		return nil, diag.Errorf("no shard was given")
	}
	return all, all.Complete()
}

// body returns what was observed.
func (s *Shard) body() ([]byte, error) {
	size := 1 << 20
	if s.keep != nil {
		size += s.keep.bytes + s.keep.bytes/16
	}
	b := binary.AppendUvarint(make([]byte, 0, size), uint64(len(s.digests)))
	for _, d := range s.digests {
		b = binary.AppendUvarint(b, uint64(d.first))
		b = binary.AppendUvarint(b, uint64(len(d.sums)))
		for _, sum := range d.sums {
			b = append(b, sum[:]...)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(s.parts)))
	var err error
	for i := range s.parts {
		if b, err = s.parts[i].appendBinary(b); err != nil {
			return nil, err
		}
	}
	b = binary.AppendUvarint(b, uint64(len(s.Tallies)))
	for _, t := range s.Tallies {
		if b, err = t.AppendBinary(b); err != nil {
			return nil, err
		}
	}
	b = binary.AppendUvarint(b, uint64(s.Largest))
	if s.keep != nil {
		b = s.keep.appendBinary(b)
	}
	b = binary.AppendUvarint(b, uint64(len(s.first)))
	for i := range s.first {
		b = s.first[i].appendBinary(b)
	}
	return b, nil
}

func (p *shardPart) appendBinary(b []byte) ([]byte, error) {
	b = binary.AppendUvarint(b, uint64(p.batches))
	b = binary.AppendUvarint(b, uint64(p.invalid))
	b = binary.AppendUvarint(b, uint64(len(p.observers)))
	for i := range p.observers {
		state, err := p.observers[i].AppendBinary(nil)
		if err != nil {
			return nil, err
		}
		b = appendString(b, string(state))
		b = append(b, flag(p.empty[i]))
	}
	b = binary.AppendUvarint(b, uint64(len(p.means)))
	for _, node := range slices.Sorted(maps.Keys(p.means)) {
		m := p.means[node]
		b = binary.AppendUvarint(b, uint64(node))
		b = binary.AppendUvarint(b, uint64(m.samples))
		b = binary.AppendUvarint(b, uint64(m.invalid))
		b = appendSums(b, m.sum)
	}
	b = binary.AppendUvarint(b, uint64(len(p.layers)))
	for _, l := range p.layers {
		b = binary.AppendUvarint(b, uint64(l.samples))
		b = appendSums(b, l.sum)
	}
	return b, nil
}

// ReadShard reads the bytes of a shard's file. The error says what is wrong with them.
func ReadShard(data []byte) (*Shard, error) {
	line, _, _ := bytes.Cut(data, []byte("\n"))
	var head shardHead
	if err := json.Unmarshal(line, &head); err != nil || head.Format == "" {
		return nil, diag.Errorf("it is no shard of a calibration, or cut in its first line")
	}
	if head.Format != ShardFormat {
		return nil, diag.Errorf("its format is %q; this version reads %q: compute the shard again", head.Format, ShardFormat)
	}
	damaged := diag.Errorf("the shard is damaged or cut off: compute it again")
	end := len(data) - sha256.Size
	if end <= len(line) {
		return nil, damaged
	}
	if sum := sha256.Sum256(data[:end]); !bytes.Equal(sum[:], data[end:]) {
		return nil, damaged
	}
	s := &Shard{ShardOf: head.ShardOf, Machine: head.Machine, Spans: head.Spans}
	r := &cursor{b: data[len(line)+1 : end]}
	if err := s.take(r); err != nil || r.bad || len(r.b) > 0 || len(s.parts) != len(head.Networks) || len(s.parts) != len(head.Canaries) || !s.spanned() {
		return nil, damaged
	}
	for i := range s.parts {
		s.parts[i].network = head.Networks[i]
		c, err := hex.DecodeString(head.Canaries[i])
		if err != nil || len(c) != len(s.parts[i].canary) {
			return nil, damaged
		}
		copy(s.parts[i].canary[:], c)
	}
	return s, nil
}

// spanned reports whether the spans are such, ascending, and the digests those of them.
func (s *Shard) spanned() bool {
	at := 0
	for _, p := range s.Spans {
		if p.First < at || p.Count < 1 || p.First > math.MaxInt32 || p.Count > math.MaxInt32 || p.end() > s.Samples {
			return false
		}
		at = p.end()
	}
	if len(s.digests) > 0 && len(s.digests) != len(s.Spans) {
		return false
	}
	for i, d := range s.digests {
		if d.first != s.Spans[i].First || len(d.sums) != s.Spans[i].Count {
			return false
		}
	}
	return len(s.Spans) > 0
}

// take reads what body wrote.
func (s *Shard) take(r *cursor) error {
	for n := r.count(); n > 0 && !r.bad; n-- {
		d := digests{first: r.uint()}
		for raw := r.take(sha256.Size * r.count()); len(raw) > 0; raw = raw[sha256.Size:] {
			d.sums = append(d.sums, [sha256.Size]byte(raw))
		}
		s.digests = append(s.digests, d)
	}
	for n := r.count(); n > 0 && !r.bad; n-- {
		p, err := r.part()
		if err != nil {
			return err
		}
		s.parts = append(s.parts, p)
	}
	tallies := r.count()
	if tallies > 1024+len(r.b)/64 {
		return errStored // each tally takes 64 KiB, and zeros next to nothing here
	}
	for n := tallies; n > 0 && !r.bad; n-- {
		t, rest, err := observe.DecodeTally(r.b)
		if err != nil {
			return err
		}
		s.Tallies, r.b = append(s.Tallies, t), rest
	}
	s.Largest = int64(r.uint())
	if s.Keeps {
		s.keep = &Keeper{}
		if err := r.keeper(s.keep); err != nil {
			return err
		}
	}
	for n := r.count(); n > 0 && !r.bad; n-- {
		b, err := r.stored()
		if err != nil {
			return err
		}
		s.first = append(s.first, b)
	}
	return nil
}

func (r *cursor) part() (shardPart, error) {
	p := shardPart{batches: r.uint(), invalid: r.uint(), means: map[int]partMeans{}}
	for n := r.count(); n > 0 && !r.bad; n-- {
		var o observe.State
		if err := o.UnmarshalBinary(r.take(r.uint())); err != nil {
			return p, err
		}
		p.observers, p.empty = append(p.observers, o), append(p.empty, r.byte() == 1)
	}
	for n := r.count(); n > 0 && !r.bad; n-- {
		node := r.uint()
		m := partMeans{samples: r.uint(), invalid: r.uint()}
		m.sum = r.sums()
		p.means[node] = m
	}
	for n := r.count(); n > 0 && !r.bad; n-- {
		l := partSum{samples: r.uint()}
		l.sum = r.sums()
		p.layers = append(p.layers, l)
	}
	return p, nil
}
