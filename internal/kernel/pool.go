package kernel

import (
	"sync"
	"sync/atomic"
)

// Pool says how many goroutines may share the work on one tensor. A nil pool
// works in the caller's goroutine. A pool holds no goroutines between calls and
// may be used by several callers at once.
type Pool struct{ workers int }

// NewPool returns a pool of that many workers; one or fewer means none besides
// the caller.
func NewPool(workers int) *Pool { return &Pool{workers: max(workers, 1)} }

// Run calls f(i) once for each i in 0..n-1, in any order and on any goroutine,
// and returns when all are done.
func (p *Pool) Run(n int, f func(i int)) {
	w := 1
	if p != nil {
		w = min(p.workers, n)
	}
	if w <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	var next atomic.Int64
	work := func() {
		for {
			i := int(next.Add(1)) - 1
			if i >= n {
				return
			}
			f(i)
		}
	}
	var wg sync.WaitGroup
	for range w - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
}
