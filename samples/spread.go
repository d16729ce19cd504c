package samples

import (
	"context"

	"narrow/engine"
)

// Spread yields at most most of the samples in use, evenly spaced from the first one
// on, in batches of size; all of them where there are no more. Where the network fixes
// the batch size, whole batches are taken.
func (s *Set) Spread(ctx context.Context, size, most int) engine.Batches {
	unit := max(s.fixed, 1)
	units := (s.count + unit - 1) / unit
	stride := max((units*unit+most-1)/most, 1)
	if stride == 1 {
		return s.Batches(ctx, size)
	}
	some := &Set{path: s.path, src: s.src, fixed: s.fixed, recipe: s.recipe, workers: s.workers, free: make(chan *engine.Batch, 4)}
	for u := 0; u < units; u += stride {
		for k := u * unit; k < min((u+1)*unit, s.count); k++ {
			some.order = append(some.order, s.at(k))
		}
	}
	some.count = len(some.order)
	return some.Batches(ctx, size)
}
