package refine

import "narrow/engine"

// Together gives the batches of in to several uses, each of which goes through them
// once: so they are read and decoded once. One use works at a time. The error is that of
// the first one that has one.
func Together(in engine.Batches, uses ...func(engine.Batches) error) error {
	if len(uses) == 1 {
		return uses[0](in)
	}
	type item struct {
		batch *engine.Batch
		err   error
	}
	feeds, done, errs := make([]chan item, len(uses)), make([]chan bool, len(uses)), make([]error, len(uses))
	for i, use := range uses {
		feed, ready := make(chan item), make(chan bool)
		feeds[i], done[i] = feed, ready
		go func() {
			defer close(ready)
			errs[i] = use(func(yield func(*engine.Batch, error) bool) {
				for x := range feed {
					if !yield(x.batch, x.err) {
						return
					}
					ready <- true
				}
			})
		}()
	}
	left := len(uses)
	for b, err := range in {
		for i := range uses {
			if feeds[i] == nil {
				continue
			}
			// A use that has ended has closed done.
			going := false
			select {
			case feeds[i] <- item{b, err}:
				going = <-done[i]
			case <-done[i]:
			}
			if !going {
				feeds[i] = nil
				left--
			}
		}
		if left == 0 || failed(ended(feeds, errs)) != nil {
			break
		}
	}
	for i, feed := range feeds {
		if feed != nil {
			close(feed)
			for range done[i] {
			}
		}
	}
	return failed(errs)
}

// ended returns the errors of the uses that have ended.
func ended[T any](feeds []chan T, errs []error) (out []error) {
	for i, feed := range feeds {
		if feed == nil {
			out = append(out, errs[i])
		}
	}
	return out
}

// failed returns the first error.
func failed(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
