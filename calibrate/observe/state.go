package observe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

var errState = errors.New("damaged observer state")

// AppendBinary appends what the observer saw, for UnmarshalBinary and Merge in
// another process: batches, channels, and per channel the sorted scales and
// zero points, at most 8 and 5 bytes a batch. The configuration is not in it.
func (o *Observer) AppendBinary(b []byte) ([]byte, error) {
	b = binary.AppendUvarint(b, uint64(o.batches))
	b = binary.AppendUvarint(b, uint64(len(o.channels)))
	for _, c := range o.channels {
		for _, v := range c.scales {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
		}
		for _, z := range c.zeros {
			b = binary.AppendVarint(b, z)
		}
	}
	return b, nil
}

// MarshalBinary is AppendBinary to nothing.
func (o *Observer) MarshalBinary() ([]byte, error) { return o.AppendBinary(nil) }

// UnmarshalBinary replaces what the observer saw by what MarshalBinary wrote of
// an observer with the same configuration.
func (o *Observer) UnmarshalBinary(b []byte) error {
	if err := o.unmarshal(b); err != nil {
		return fmt.Errorf("tensor %q: %w", o.cfg.Name, err)
	}
	return nil
}

func (o *Observer) unmarshal(b []byte) error {
	size := len(b)
	next := func() (int, bool) {
		v, n := binary.Uvarint(b)
		// Nothing of a state is counted in fewer bytes than there are of it.
		if n <= 0 || v > uint64(size) {
			return 0, false
		}
		b = b[n:]
		return int(v), true
	}
	batches, ok := next()
	n, ok2 := next()
	if !ok || !ok2 || (n == 0) != (batches == 0) || n > 0 && batches > len(b)/9/n {
		return errState
	}
	channels := make([]samples, n)
	for i := range channels {
		c := samples{make([]float64, batches), make([]int64, batches)}
		for j := range c.scales {
			if len(b) < 8 {
				return errState
			}
			c.scales[j] = math.Float64frombits(binary.LittleEndian.Uint64(b))
			b = b[8:]
			if !(c.scales[j] >= 0) || math.IsInf(c.scales[j], 0) {
				return errState
			}
		}
		for j := range c.zeros {
			z, k := binary.Varint(b)
			if k <= 0 {
				return errState
			}
			c.zeros[j] = z
			b = b[k:]
		}
		if !slices.IsSorted(c.scales) || !slices.IsSorted(c.zeros) {
			return errState
		}
		channels[i] = c
	}
	if len(b) != 0 {
		return errState
	}
	if n == 0 {
		channels = nil
	}
	o.batches, o.channels = batches, channels
	return nil
}
