package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// collectAt is how much the heap may grow before garbage is collected, in per
	// cent of what is in use.
	collectAt = 20
	// choosingGarbage is by how many bytes it may grow where high chooses weights and
	// ranges, which makes much garbage over little that stays.
	choosingGarbage = 64 << 20
)

// allowGarbage lets the heap grow by at least so many bytes before garbage is collected,
// from the next collection on.
func allowGarbage(bytes uint64) {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	// A value that nothing refers to tells of each collection.
	type told struct{ _ [16]byte }
	var tune func(*told)
	tune = func(t *told) {
		metrics.Read(live)
		debug.SetGCPercent(percentFor(live[0].Value.Uint64(), bytes))
		runtime.SetFinalizer(t, tune)
	}
	tune(&told{})
}

// percentFor is how many per cent a heap with that much in use may grow to hold so much
// garbage, but at least [collectAt].
func percentFor(live, garbage uint64) int {
	return int(max(collectAt, min(100*garbage/max(live, 1), 1000)))
}
