// Package bounded holds readers of files to the memory that they may take.
//
// In comes a function that reads some bytes, and how many there are; a test
// fails where it allocates more than the bound says. Rule of the house: what
// counts is everything allocated on the way, garbage too, in the whole process.
package bounded

import (
	"runtime"
	"testing"
)

// Bound is how many bytes reading a file may allocate: Factor for each byte of
// the file, and Constant.
type Bound struct{ Factor, Constant int }

// Run runs f, which reads a file of size bytes, and fails t where it allocates
// more than b allows. Nothing else may run meanwhile.
func (b Bound) Run(t testing.TB, size int, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	used := after.TotalAlloc - before.TotalAlloc
	if most := uint64(b.Factor)*uint64(size) + uint64(b.Constant); used > most {
		t.Errorf("reading %d bytes allocated %d (%d for each), and may allocate %d", size, used, used/uint64(max(size, 1)), most)
	}
}
