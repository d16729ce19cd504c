package samples

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"narrow/diag"
	"narrow/engine"
	"narrow/graph"
)

// pending is a batch that workers fill.
type pending struct {
	batch *engine.Batch
	rows  [][]row // by sample, by input
	left  atomic.Int64
	ready chan struct{}

	mu  sync.Mutex
	err error
	at  int // the sample that err is about
}

// fail keeps the error of the earliest sample, whoever comes first.
func (p *pending) fail(at int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil || at < p.at {
		p.err, p.at = err, at
	}
}

type job struct {
	p        *pending
	from, to int // rows
}

// Batches yields the samples in order, size at a time (see [Set.BatchSize]),
// the last batch holding what is left, also where the network fixes the batch
// size. Workers decode and preprocess a few batches ahead; they have stopped
// when the loop ends, however it ends. A batch's memory is used again once the
// next one is asked for.
//
// An error is yielded once, with a nil batch, and ends the sequence: ctx's
// when that is done, else one that names the file and the sample.
func (s *Set) Batches(ctx context.Context, size int) engine.Batches {
	return s.BatchesFrom(ctx, size, 0)
}

// BatchesFrom yields the batches that [Set.Batches] yields from sample start on,
// which must be the first of one of them. Those before are not read.
func (s *Set) BatchesFrom(ctx context.Context, size, start int) engine.Batches {
	return s.BatchesOf(ctx, size, start, s.count)
}

// BatchesOf yields the batches that [Set.Batches] yields of the samples from start to
// before end; a batch begins at either, or the samples end there. No others are read.
func (s *Set) BatchesOf(ctx context.Context, size, start, end int) engine.Batches {
	return func(yield func(*engine.Batch, error) bool) {
		size := s.BatchSize(size)
		if size < 1 {
			yield(nil, diag.Errorf("a batch of %d samples is impossible: give 1 or more", size))
			return
		}
		end := min(end, s.count)
		for _, at := range []int{start, end} {
			if at < 0 || at%size != 0 && at != s.count {
				yield(nil, diag.Errorf("no batch of %d samples begins at sample %d", size, at))
				return
			}
		}
		size = s.cap(size)
		work, stop := context.WithCancel(ctx)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer stop()

		jobs := make(chan job)
		// As many batches ahead as keep all workers busy, and one to spare.
		chunk := min(s.src.chunk(), size)
		perBatch := (size + chunk - 1) / chunk
		queue := make(chan *pending, 1+(s.workers+perBatch-1)/perBatch)
		wg.Go(func() {
			defer close(jobs)
			defer close(queue)
			for first := start; first < end; first += size {
				p := s.newPending(first, size)
				n := p.batch.Count
				p.left.Store(int64((n + chunk - 1) / chunk))
				select {
				case queue <- p:
				case <-work.Done():
					return
				}
				for from := 0; from < n; from += chunk {
					select {
					case jobs <- job{p, from, min(from+chunk, n)}:
					case <-work.Done():
						return
					}
				}
			}
		})
		for range s.workers {
			wg.Go(func() {
				sc := &scratch{}
				for j := range jobs {
					s.fill(work, j, sc)
				}
			})
		}

		for p := range queue {
			select {
			case <-p.ready:
			case <-ctx.Done():
			}
			err := ctx.Err()
			if err != nil {
				err = diag.Errorf("reading samples: %w", err)
			} else if err = p.err; err == nil {
				err = s.src.check()
			}
			if err != nil {
				yield(nil, err)
				return
			}
			more := yield(p.batch, nil)
			s.recycle(p.batch)
			if !more {
				return
			}
		}
		if err := ctx.Err(); err != nil { // the producer may have stopped between two batches
			yield(nil, diag.Errorf("reading samples: %w", err))
		}
	}
}

// recycle keeps the memory of a batch for a later one.
func (s *Set) recycle(b *engine.Batch) {
	select {
	case s.free <- b:
	default:
	}
}

// cap keeps an asked-for size that is larger than the set from reserving
// memory for samples that do not exist.
func (s *Set) cap(size int) int {
	if s.fixed > 0 {
		return size
	}
	return min(size, s.count)
}

// fill loads a job's samples.
func (s *Set) fill(ctx context.Context, j job, sc *scratch) {
	sums := s.sums.Load()
	for k := j.from; k < j.to && ctx.Err() == nil; k++ {
		known := sums.of(j.p.batch.First + k)
		if err := s.src.load(s.at(j.p.batch.First+k), j.p.rows[k], sc, known); err != nil {
			j.p.fail(k, err)
			break
		}
	}
	if j.p.left.Add(-1) == 0 {
		close(j.p.ready)
	}
}

// newPending makes room for the batch that begins at first.
func (s *Set) newPending(first, size int) *pending {
	count := min(size, s.count-first)
	var b *engine.Batch
	select {
	case b = <-s.free:
	default:
		b = &engine.Batch{}
	}
	plans := s.src.plans()
	if l, ok := s.src.(*list); ok {
		plans = []*plan{l.members[s.at(first)].plan}
	}
	old := b.Inputs
	*b = engine.Batch{First: first, Count: count, Names: make([]string, count), Inputs: make(map[string]engine.Tensor, len(plans)), Shared: map[string]bool{}, Size: s.fixed}
	p := &pending{batch: b, ready: make(chan struct{}), rows: make([][]row, count)}
	for k := range count {
		b.Names[k] = s.src.name(s.at(first + k))
	}
	backing := make([]row, count*len(plans))
	for k := range p.rows {
		p.rows[k] = backing[k*len(plans):][:len(plans)]
	}
	for k, pl := range plans {
		width := int(pl.width())
		lead := count
		shape := append([]int64{int64(count)}, pl.shape...)
		single := s.single(k)
		b.Shared[pl.spec.Name] = single
		if single {
			lead, shape = 1, slices.Clone(pl.shape)
		}
		a := engine.Tensor{Type: pl.spec.Type, Shape: shape}
		was := old[pl.spec.Name]
		if a.Type == graph.Float32 {
			a.Floats = resized(was.Floats, lead*width)
		} else {
			width *= sizeOf(a.Type)
			a.Raw = resized(was.Raw, lead*width)
		}
		for n := range p.rows {
			at := n * width
			if single {
				at = 0
			}
			if n > 0 && single {
				// All samples of a batch would write the same values to the
				// same place: only the first may.
				p.rows[n][k] = row{floats: make([]float32, min(width, len(a.Floats))), raw: make([]byte, min(width, len(a.Raw)))}
				continue
			}
			if a.Type == graph.Float32 {
				p.rows[n][k].floats = a.Floats[at : at+width]
			} else {
				p.rows[n][k].raw = a.Raw[at : at+width]
			}
		}
		b.Inputs[pl.spec.Name] = a
	}
	return p
}

func resized[T any](s []T, n int) []T {
	if cap(s) >= n {
		return s[:n]
	}
	return make([]T, n)
}
