package samples

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"hash"
	"slices"
	"strconv"

	"narrow/diag"
	"narrow/graph"
)

// arraySource feeds each input from an array.
type arraySource struct {
	c      *container
	count  int
	arrays []*arrayFile // one per plan
	fits   []*plan
	fixed  []bool // the array is the same for all samples
}

// openArraysOrList opens a file of arrays: one for each input, or, for a network of
// one input, one for each sample.
func openArraysOrList(path string, specs []InputSpec, r recipe) (source, error) {
	c, err := openContainer(path)
	if err != nil {
		return nil, err
	}
	if len(specs) == 1 {
		if l := asList(c, specs[0], r); l != nil {
			return l, nil
		}
	}
	s, err := c.match(specs, r)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// match matches the arrays of a file with the network's inputs; on an error the
// file is closed.
func (c *container) match(specs []InputSpec, r recipe) (s *arraySource, err error) {
	path := c.path
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	s = &arraySource{c: c}
	for _, spec := range specs {
		a, err := c.find(spec, len(specs))
		if err != nil {
			return nil, diag.Errorf("%s: %w", path, err)
		}
		s.arrays = append(s.arrays, a)
	}
	if err := s.fit(specs, r); err != nil {
		return nil, diag.Errorf("%s: %w", path, err)
	}
	for i, p := range s.fits {
		if p.width() == 0 {
			return nil, diag.Errorf("%s: samples of shape %s have no elements", path, shapeString(s.arrays[i].shape))
		}
	}
	return s, nil
}

// find picks the array for an input.
func (c *container) find(spec InputSpec, inputs int) (*arrayFile, error) {
	for _, a := range c.arrays {
		if c.npz && a.key == spec.Name {
			return a, nil
		}
	}
	if inputs == 1 && len(c.arrays) == 1 {
		return c.arrays[0], nil
	}
	if !c.npz {
		return nil, diag.Errorf("the network has %d inputs: give an .npz with one array for each (np.savez(file, **{name: array}))", inputs)
	}
	var have []string
	for _, a := range c.arrays {
		have = append(have, fmt.Sprintf("%q", a.key))
	}
	return nil, diag.Errorf("it has no array for input %q: it holds %s", spec.Name, diag.Commas(have))
}

// candidate is one way to read an array.
type candidate struct {
	rows int64 // -1: the same for any number
	plan *plan
}

// fit decides for each array whether its first axis is the sample.
func (s *arraySource) fit(specs []InputSpec, r recipe) error {
	options := make([][]candidate, len(specs))
	votes := map[int64]int{}
	for i, spec := range specs {
		a := s.arrays[i]
		var why error
		if p := fitAlong(spec, a.typ, a.shape); p != nil {
			options[i] = append(options[i], candidate{a.rows(), p})
			votes[a.rows()]++
			continue
		}
		if len(a.shape) > 0 {
			p, err := fitArray(spec, r, a.typ, a.rowShape())
			why = err
			if err == nil && len(a.shape) > 1 && len(a.shape) == len(spec.Dims)-1 && a.shape[0] > 1 && spec.Dims[1] > 0 && accepts(spec.Dims[1:], a.shape) {
				// Three images of one channel, or one image of three?
				err = diag.Errorf("shape %s is that of one sample; give it a first axis for samples (x[None])", shapeString(a.shape))
				p, why = nil, err
			}
			if p != nil {
				options[i] = append(options[i], candidate{a.rows(), p})
			} else if p := fitWhole(spec, a.typ, a.rowShape()); p != nil {
				options[i] = append(options[i], candidate{a.rows(), p})
			}
		}
		// One value for all samples: never where the first axis may be the batch.
		if p := fitWhole(spec, a.typ, a.shape); p != nil && s.c.npz && (len(spec.Dims) == 0 || spec.Dims[0] > 0) {
			options[i] = append(options[i], candidate{-1, p})
		}
		if len(options[i]) == 0 {
			if why == nil {
				why = diag.Errorf("it has shape (), without a first axis for samples, but %s", describe(spec))
			}
			if s.c.npz {
				return diag.Errorf("array %q: %w", a.key, why)
			}
			return why
		}
		for _, o := range options[i] {
			if o.rows >= 0 {
				votes[o.rows]++
			}
		}
	}
	counts := make([]int64, 0, len(votes))
	for n := range votes {
		counts = append(counts, n)
	}
	slices.SortFunc(counts, func(a, b int64) int { return cmp.Or(cmp.Compare(votes[b], votes[a]), cmp.Compare(b, a)) })
	for _, n := range counts {
		var chosen []candidate
		for _, list := range options {
			for _, o := range list {
				if o.rows == n || o.rows < 0 {
					chosen = append(chosen, o)
					break
				}
			}
		}
		if len(chosen) < len(specs) {
			continue
		}
		if n > 1<<31-1 {
			return diag.Errorf("%d samples are more than narrow counts", n)
		}
		s.count = int(n)
		for _, o := range chosen {
			s.fits = append(s.fits, o.plan)
			s.fixed = append(s.fixed, o.rows < 0)
		}
		return nil
	}
	var lengths []string
	for i, a := range s.arrays {
		lengths = append(lengths, fmt.Sprintf("%q %s", specs[i].Name, shapeString(a.shape)))
	}
	return diag.Errorf("its arrays have different numbers of samples (the first axis): %s", diag.Commas(lengths))
}

// fitWhole plans for a sample that is all of an input, which has no batch axis
// in front; nil when it does not fit so.
func fitWhole(spec InputSpec, from graph.DataType, shape []int64) *plan {
	if spec.Dims == nil || !accepts(spec.Dims, shape) || sizeOf(spec.Type) == 0 {
		return nil
	}
	p := &plan{spec: spec, from: from, shape: shape, whole: true}
	if from == graph.Uint8 && isFloat(spec.Type) || p.types(recipe{scale: 1}) != nil {
		return nil
	}
	return p
}

// fitAlong plans for samples that lie along another axis than the first, as
// their own shape has it, without that axis; nil where that is not so.
func fitAlong(spec InputSpec, from graph.DataType, shape []int64) *plan {
	if spec.Axis < 1 || spec.Axis >= len(spec.Dims) || len(shape) < 1 {
		return nil
	}
	return fitWhole(spec, from, slices.Insert(slices.Clone(shape[1:]), min(spec.Axis, len(shape)-1), 1))
}

func (s *arraySource) total() int        { return s.count }
func (s *arraySource) name(i int) string { return strconv.Itoa(i) }
func (s *arraySource) where(i int) diag.Text {
	return diag.Textf("%s, sample %d", s.c.path, i)
}
func (s *arraySource) plans() []*plan                  { return s.fits }
func (s *arraySource) close() error                    { return s.c.close() }
func (s *arraySource) choose(int, func(int) int) error { return nil }

// check reports whether the file is still the one that was opened.
func (s *arraySource) check() error { return s.c.seen.check(s.c.path) }

// chunk is how many samples make a piece of work worth handing over.
func (s *arraySource) chunk() int {
	bytes := int64(0)
	for _, p := range s.fits {
		bytes += 4 * p.width()
	}
	return int(max(1, 1<<18/max(bytes, 1)))
}

// read fetches sample i of the k-th array.
func (s *arraySource) read(k, i int, sc *scratch) ([]byte, []int64, error) {
	a := s.arrays[k]
	shape, at := a.shape, int64(0)
	if !s.fixed[k] {
		shape, at = a.rowShape(), int64(i)
	}
	raw := sc.bytes(product(shape) * int64(sizeOf(a.typ)))
	if err := a.readRow(at, raw); err != nil {
		if err := s.check(); err != nil {
			return nil, nil, err
		}
		return nil, nil, diag.Errorf("%s: %w", s.where(i), err)
	}
	return raw, shape, nil
}

func (s *arraySource) load(i int, dst []row, sc *scratch, known *[sha256.Size]byte) error {
	h := sha256.New()
	for k, p := range s.fits {
		raw, shape, err := s.read(k, i, sc)
		if err != nil {
			return err
		}
		if known != nil {
			s.hash(h, k, raw, shape)
		}
		if err := p.fromElements(dst[k], raw, shape, sc); err != nil {
			return diag.Errorf("%s: input %q: %w", s.where(i), p.spec.Name, err)
		}
	}
	if known != nil && !bytes.Equal(h.Sum(nil), known[:]) {
		return changed(s.c.path)
	}
	return nil
}

func (s *arraySource) digest(i int, sc *scratch) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	for k := range s.fits {
		raw, shape, err := s.read(k, i, sc)
		if err != nil {
			return sum, err
		}
		s.hash(h, k, raw, shape)
	}
	h.Sum(sum[:0])
	return sum, nil
}

// hash adds a sample of the k-th array to a digest.
func (s *arraySource) hash(h hash.Hash, k int, raw []byte, shape []int64) {
	hashArray(h, s.fits[k].spec.Name, s.arrays[k].typ, shape, raw)
}

// hashArray adds one sample of an input to a digest.
func hashArray(h hash.Hash, input string, typ graph.DataType, shape []int64, raw []byte) {
	fmt.Fprintf(h, "%q %v %v\n", input, typ, shape)
	h.Write(raw)
}
