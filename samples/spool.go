package samples

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"runtime"
	"slices"
	"sync"
	"unsafe"

	"narrow/diag"
	"narrow/engine"
	"narrow/graph"
)

// Spool collects batches that a program hands over one by one, and yields them
// again as often as asked: in memory up to a limit, beyond it in a file without
// a name, which is gone when the process is.
type Spool struct {
	specs  []InputSpec
	memory int64

	batches []spooled
	samples int
	held    int64 // bytes in memory
	file    *os.File
	path    string // of file where the system cannot take its name away
	end     int64  // bytes in file
}

// spooled is one batch.
type spooled struct {
	first, count int
	inputs       []spooledArray // one per spec
}

// spooledArray is one input of a batch: in memory, or in the file.
type spooledArray struct {
	shape  []int64
	shared bool // one value for all samples of the batch
	data   []byte
	at     int64
	size   int64
}

// NewSpool returns a spool for a network with the given inputs that keeps at
// most memory bytes of elements in memory.
func NewSpool(inputs []InputSpec, memory int64) *Spool {
	return &Spool{specs: slices.Clone(inputs), memory: memory}
}

// SpoolArray is an input of a batch that is added: elements in C order,
// little-endian, at an address that suits their type.
type SpoolArray struct {
	Type  graph.DataType
	Shape []int64
	Data  []byte
	// Shared says that the array has no axis for samples: it is one value for the
	// whole batch.
	Shared bool
}

// Add adds a batch of count samples: an array for each input, by name. Where kept
// is true the spool holds on to the arrays' data, which must stay as they are;
// else they may be used again.
func (s *Spool) Add(count int, arrays map[string]SpoolArray) (kept bool, err error) {
	if count < 1 {
		return false, diag.Errorf("a batch without samples cannot be calibrated on: leave it out")
	}
	b := spooled{first: s.samples, count: count}
	total := int64(0)
	for _, spec := range s.specs {
		a, ok := arrays[spec.Name]
		if !ok {
			return false, diag.Errorf("the batch has no input %q", spec.Name)
		}
		switch {
		case a.Type != spec.Type:
			return false, diag.Errorf("input %q takes %v, not %v", spec.Name, spec.Type, a.Type)
		case !a.Shared && (len(a.Shape) == 0 || a.Shape[0] != int64(count)):
			return false, diag.Errorf("input %q has the shape %s: its first axis must count the batch's %d samples", spec.Name, shapeString(a.Shape), count)
		case !takes(spec.Dims, a):
			return false, diag.Errorf("input %q takes the shape %s, not %s", spec.Name, shapeString(spec.Dims), shapeString(a.Shape))
		case product(a.Shape)*int64(sizeOf(a.Type)) != int64(len(a.Data)):
			return false, diag.Errorf("input %q of shape %s has %d bytes", spec.Name, shapeString(a.Shape), len(a.Data))
		}
		b.inputs = append(b.inputs, spooledArray{shape: slices.Clone(a.Shape), shared: a.Shared, data: a.Data, size: int64(len(a.Data))})
		total += int64(len(a.Data))
	}
	if len(arrays) > len(s.specs) {
		for name := range arrays {
			if !slices.ContainsFunc(s.specs, func(i InputSpec) bool { return i.Name == name }) {
				return false, diag.Errorf("the network has no input %q", name)
			}
		}
	}
	if kept = s.held+total <= s.memory; kept {
		s.held += total
	} else if err := s.write(&b); err != nil {
		return false, err
	}
	s.batches = append(s.batches, b)
	s.samples += count
	return kept, nil
}

// takes reports whether an input with dims takes a; a batch of another size than
// the network's is cut and padded.
func takes(dims []int64, a SpoolArray) bool {
	switch {
	case dims == nil:
		return true
	case a.Shared:
		return accepts(dims, a.Shape)
	}
	return len(dims) == len(a.Shape) && accepts(dims[1:], a.Shape[1:])
}

// write moves a batch into the file.
func (s *Spool) write(b *spooled) error {
	if s.file == nil {
		f, err := os.CreateTemp("", "narrow-samples-*")
		if err != nil {
			return diag.Errorf("keeping the samples on disk: %w", err)
		}
		s.file = f
		if os.Remove(f.Name()) != nil { // where open files cannot be removed
			s.path = f.Name()
		}
	}
	at := s.end
	for i := range b.inputs {
		a := &b.inputs[i]
		if _, err := s.file.WriteAt(a.data, at); err != nil {
			return diag.Errorf("keeping the samples on disk (TMPDIR names another place): %w", err)
		}
		a.at, a.data = at, nil
		at += a.size
	}
	s.end = at
	return nil
}

// Len returns the number of samples, Count that of batches.
func (s *Spool) Len() int   { return s.samples }
func (s *Spool) Count() int { return len(s.batches) }

// Close gives memory and disk back.
func (s *Spool) Close() error {
	s.batches, s.held = nil, 0
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	if s.path != "" {
		err = errors.Join(err, os.Remove(s.path))
	}
	return err
}

// load returns an array's elements.
func (s *Spool) load(a *spooledArray) ([]byte, error) {
	if a.data != nil || a.size == 0 {
		return a.data, nil
	}
	words := make([]uint64, (a.size+7)/8)
	data := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), len(words)*8)[:a.size]
	if _, err := s.file.ReadAt(data, a.at); err != nil {
		return nil, diag.Errorf("reading the samples back: %w", err)
	}
	return data, nil
}

// Batches yields the batches as they were added. Where the network fixes how many
// samples it takes, fixed is that number, and 0 otherwise.
func (s *Spool) Batches(ctx context.Context, fixed int) engine.Batches {
	return func(yield func(*engine.Batch, error) bool) {
		for i := range s.batches {
			b, err := s.batch(ctx, &s.batches[i])
			if err != nil {
				yield(nil, err)
				return
			}
			if b.Count <= fixed {
				b.Size = fixed
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}

// batch loads a batch.
func (s *Spool) batch(ctx context.Context, b *spooled) (*engine.Batch, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	out := &engine.Batch{First: b.first, Count: b.count, Inputs: make(map[string]engine.Tensor, len(s.specs)), Shared: map[string]bool{}}
	for k, spec := range s.specs {
		data, err := s.load(&b.inputs[k])
		if err != nil {
			return nil, err
		}
		t := engine.Tensor{Type: spec.Type, Shape: slices.Clone(b.inputs[k].shape), Raw: data}
		if t.Type == graph.Float32 {
			t.Floats, t.Raw = unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(data))), len(data)/4), nil
		}
		out.Inputs[spec.Name], out.Shared[spec.Name] = t, b.inputs[k].shared
	}
	return out, nil
}

// Move takes all batches of another spool, of the same inputs, over into s,
// which must be empty; the other one is empty afterwards.
func (s *Spool) Move(from *Spool) error {
	if len(s.batches) > 0 || len(s.specs) != len(from.specs) {
		return diag.Errorf("samples of other inputs cannot be taken over")
	}
	for k, spec := range s.specs {
		if other := from.specs[k]; other.Name != spec.Name || other.Type != spec.Type {
			return diag.Errorf("samples of the input %q (%v) cannot be taken over for %q (%v)", other.Name, other.Type, spec.Name, spec.Type)
		}
	}
	own := s.specs
	*s = *from
	s.specs = own
	*from = Spool{specs: from.specs, memory: from.memory}
	return nil
}

// Hash returns what [Set.Hash] does for the same samples in an .npz file with an
// array for each input.
func (s *Spool) Hash(ctx context.Context) (string, error) {
	sums := make([][sha256.Size]byte, s.samples)
	workers := runtime.GOMAXPROCS(0)
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(s.batches); i += workers {
				if errs[w] = errors.Join(ctx.Err(), s.digests(&s.batches[i], sums)); errs[w] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return "", diag.Errorf("hashing the samples: %w", err)
	}
	plans := make([]*plan, len(s.specs))
	for k, spec := range s.specs {
		plans[k] = &plan{spec: spec, shape: s.rowShape(k)}
	}
	return hashSamples(hashHead(plans, len(sums)), sums), nil
}

// digests fills in the digests of a batch's samples.
func (s *Spool) digests(b *spooled, sums [][sha256.Size]byte) error {
	data := make([][]byte, len(b.inputs))
	for k := range b.inputs {
		var err error
		if data[k], err = s.load(&b.inputs[k]); err != nil {
			return err
		}
	}
	for i := range b.count {
		h := sha256.New()
		for k, a := range b.inputs {
			shape, raw := a.shape, data[k]
			if !a.shared {
				per := len(raw) / b.count
				shape, raw = shape[1:], raw[i*per:(i+1)*per]
			}
			hashArray(h, s.specs[k].Name, s.specs[k].Type, shape, raw)
		}
		h.Sum(sums[b.first+i][:0])
	}
	return nil
}

// rowShape returns the shape of one sample of the k-th input, with -1 where it
// is not the same in all batches.
func (s *Spool) rowShape(k int) []int64 {
	var shape []int64
	for i, b := range s.batches {
		own := b.inputs[k].shape
		if !b.inputs[k].shared {
			own = own[1:]
		}
		if i == 0 {
			shape = slices.Clone(own)
			continue
		}
		for d := range shape {
			if d < len(own) && own[d] != shape[d] {
				shape[d] = -1
			}
		}
	}
	return shape
}
