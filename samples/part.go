package samples

import (
	"narrow/diag"
)

// cut is what parts are cut at multiples of, besides whole batches.
const cut = 8

// Part returns the i-th, from 1, of n contiguous parts of the samples in use, nearly
// alike in size and cut at multiples of 8 and of batches of size: its first sample
// and how many there are. Where there is not a batch for each part, that is an error.
func (s *Set) Part(i, n, size int) (first, count int, err error) {
	unit := s.BatchSize(size)
	for unit%cut != 0 {
		unit += s.BatchSize(size)
	}
	units := (s.count + unit - 1) / unit
	if n > units {
		return 0, 0, diag.Errorf("%s: %d samples make at most %d parts, since they are cut at multiples of %d: ask for fewer than %d", s.path, s.count, units, unit, n)
	}
	first = units * (i - 1) / n * unit
	return first, min(units*i/n*unit, s.count) - first, nil
}
