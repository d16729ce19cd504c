package observe

import (
	"encoding/binary"
	"math"

	"narrow/diag"
	"narrow/internal/exact"
	"narrow/scheme"
)

// State is what an observer saw, without the settings that it was seen by. The
// zero value saw nothing.
type State struct {
	batches  int
	channels []samples
}

// Batches returns how many batches were observed.
func (s *State) Batches() int { return s.batches }

func (s *State) add(units []unit, st scheme.Statistic) error {
	if s.channels == nil {
		s.channels = make([]samples, len(units))
		for c := range s.channels {
			s.channels[c].st = st
		}
	}
	if len(units) != len(s.channels) {
		return diag.Errorf("there are %d channels, before there were %d", len(units), len(s.channels))
	}
	for c, u := range units {
		s.channels[c].add(u)
	}
	s.batches++
	return nil
}

// Fits says whether other merges with s: whether both are by the same statistic and
// of as many channels, as far as they have seen anything.
func (s *State) Fits(other *State) error {
	if s.batches == 0 || other.batches == 0 {
		return nil
	}
	if len(s.channels) != len(other.channels) {
		return diag.Errorf("observers of %d and %d channels do not merge", len(s.channels), len(other.channels))
	}
	for c := range s.channels {
		if s.channels[c].st != other.channels[c].st {
			return diag.Errorf("observers of the statistics %v and %v do not merge", s.channels[c].st, other.channels[c].st)
		}
	}
	return nil
}

// Merge adds what other saw, which must be by the same settings. Other stays as it
// is.
func (s *State) Merge(other *State) error {
	if err := s.Fits(other); err != nil || other.batches == 0 {
		return err
	}
	if s.channels == nil {
		s.channels = make([]samples, len(other.channels))
		for c := range s.channels {
			s.channels[c].st = other.channels[c].st
		}
	}
	for c := range s.channels {
		s.channels[c].merge(&other.channels[c])
	}
	s.batches += other.batches
	return nil
}

var errState = diag.Errorf("damaged observer state")

// AppendBinary appends the state's encoding: the numbers of batches and channels,
// then for each channel the statistic, how often every zero point came, and by the
// statistic (modal) how often every scale did, (max) the largest, (mean) their
// exact sum, (median) all of them in order, each by how much it is above the one
// before. For modal, max and mean it stays below 2 KB a channel with zero points of
// 8 bits, whatever the number of batches; for median it takes at most 9 bytes a
// batch, of many batches some 2 to 4.
func (s *State) AppendBinary(b []byte) ([]byte, error) {
	b = binary.AppendUvarint(b, uint64(s.batches))
	b = binary.AppendUvarint(b, uint64(len(s.channels)))
	var err error
	for i := range s.channels {
		c := &s.channels[i]
		b = append(b, byte(c.st))
		b = binary.AppendUvarint(b, uint64(len(c.zeros)))
		for _, z := range c.zeros.keys() {
			b = binary.AppendVarint(b, z)
			b = binary.AppendUvarint(b, uint64(c.zeros[z]))
		}
		switch c.st {
		case scheme.Max:
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(c.largest))
		case scheme.Mean:
			if b, err = c.sum.AppendBinary(b); err != nil {
				return nil, err
			}
		case scheme.Median:
			b = appendAscending(b, c.all.values())
		default:
			b = binary.AppendUvarint(b, uint64(len(c.scales)))
			for _, v := range c.scales.keys() {
				b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
				b = binary.AppendUvarint(b, uint64(c.scales[v]))
			}
		}
	}
	return b, nil
}

// appendAscending appends numbers that are not negative. All of them are multiples of
// one integer's reciprocal by float32 numbers in most cases, a range by the number of
// steps: then it is the float32 numbers that are written.
func appendAscending(b []byte, x []float64) []byte {
	steps := stepsOf(x)
	b = binary.AppendUvarint(b, uint64(steps))
	last := uint64(0)
	for _, v := range x {
		k := math.Float64bits(v)
		if steps > 0 {
			k = uint64(math.Float32bits(float32(v * float64(steps))))
		}
		b = binary.AppendUvarint(b, k-last)
		last = k
	}
	return b
}

// stepsOf returns the largest integer of a symmetric range whose quotients, of float32
// numbers, all of x are, or 0.
func stepsOf(x []float64) int {
	if len(x) == 0 {
		return 0
	}
	for bits := 1; bits <= 16; bits++ {
		steps := 1<<bits - 1
		fits := true
		for _, v := range x {
			if r := float32(v * float64(steps)); math.IsInf(float64(r), 0) || float64(r)/float64(steps) != v {
				fits = false
				break
			}
		}
		if fits {
			return steps
		}
	}
	return 0
}

// reader takes numbers from the front of b; bad says that there were not enough, or
// not such.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uint(limit uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if r.bad || n <= 0 || v > limit {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.b)
	if r.bad || n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) byte() byte {
	if r.bad || len(r.b) == 0 {
		r.bad = true
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

// scale takes a finite number that is not negative.
func (r *reader) scale() float64 {
	if r.bad || len(r.b) < 8 {
		r.bad = true
		return 0
	}
	v := math.Float64frombits(binary.LittleEndian.Uint64(r.b))
	r.b = r.b[8:]
	r.bad = r.bad || !isScale(v)
	return v
}

func isScale(v float64) bool { return v >= 0 && !math.IsInf(v, 0) }

// UnmarshalBinary replaces the state by what AppendBinary wrote.
func (s *State) UnmarshalBinary(b []byte) error {
	r := &reader{b: b}
	n := State{batches: int(r.uint(math.MaxInt32))}
	channels := int(r.uint(uint64(len(b))))
	if r.bad || (channels == 0) != (n.batches == 0) {
		return errState
	}
	for range channels {
		n.channels = append(n.channels, r.samples(n.batches))
		if r.bad {
			return errState
		}
	}
	if len(r.b) != 0 {
		return errState
	}
	*s = n
	return nil
}

// samples takes one channel of so many batches.
func (r *reader) samples(batches int) samples {
	s := samples{st: scheme.Statistic(r.byte()), n: batches}
	left := batches
	for k := int(r.uint(uint64(len(r.b)))); k > 0 && !r.bad; k-- {
		z, n := r.int(), int(r.uint(uint64(left)))
		r.bad = r.bad || n == 0 || s.zeros[z] > 0
		s.zeros.add(z, n)
		left -= n
	}
	r.bad = r.bad || left != 0
	switch s.st {
	case scheme.Max:
		s.largest = r.scale()
	case scheme.Mean:
		sum, rest, err := exact.Decode(r.b)
		r.bad = r.bad || err != nil || !isScale(sum.Float64())
		s.sum, r.b = sum, rest
	case scheme.Median:
		s.all = r.ascending(batches)
	default:
		left := batches
		for k := int(r.uint(uint64(len(r.b)))); k > 0 && !r.bad; k-- {
			v, n := r.scale(), int(r.uint(uint64(left)))
			r.bad = r.bad || n == 0 || s.scales[v] > 0
			s.scales.add(v, n)
			left -= n
		}
		r.bad = r.bad || left != 0
	}
	return s
}

// ascending takes n numbers that appendAscending wrote.
func (r *reader) ascending(n int) sorted {
	steps := r.uint(1 << 16)
	if r.bad || n > len(r.b) {
		r.bad = true
		return sorted{}
	}
	s := sorted{x: make([]float64, n), done: n}
	k := uint64(0)
	for i := range s.x {
		k += r.uint(math.MaxInt64 - k)
		v := math.Float64frombits(k)
		if steps > 0 {
			if k > math.MaxUint32 {
				r.bad = true
			}
			v = float64(math.Float32frombits(uint32(k))) / float64(steps)
		}
		if r.bad = r.bad || !isScale(v); r.bad {
			return sorted{}
		}
		s.x[i] = v
	}
	return s
}

// MarshalBinary returns what the observer saw, as [State.AppendBinary] writes it.
func (o *Observer) MarshalBinary() ([]byte, error) { return o.state.AppendBinary(nil) }

// UnmarshalBinary replaces what the observer saw by what MarshalBinary wrote of an
// observer with the same configuration.
func (o *Observer) UnmarshalBinary(b []byte) error {
	var s State
	if err := s.UnmarshalBinary(b); err != nil {
		return diag.Errorf("tensor %q: %w", o.cfg.Name, err)
	}
	return o.Restore(&s)
}

// State returns what the observer saw so far.
func (o *Observer) State() *State { return &o.state }

// Restore replaces what the observer saw by what another one with the same
// configuration did. It takes s over.
func (o *Observer) Restore(s *State) error {
	for _, c := range s.channels {
		if c.st != o.cfg.Settings.Statistic {
			return diag.Errorf("tensor %q: %w: it is of the statistic %v", o.cfg.Name, errState, c.st)
		}
	}
	if len(s.channels) > 1 && !o.cfg.perChannel() {
		return diag.Errorf("tensor %q: %w: it has %d channels", o.cfg.Name, errState, len(s.channels))
	}
	o.state = *s
	return nil
}
