package calibrate

import "narrow/engine"

// Replay returns in for a first pass, and for another: what passed first is kept until
// then, where it takes no more than so many bytes (pictures take one for each element), so
// that nothing is read and decoded again. Where the first pass did not go to its end, or
// gave an error, the other one reads in, as do all after it.
func Replay(in engine.Batches, bytes int) (first, again engine.Batches) {
	var kept []stored
	whole := false
	first = func(yield func(*engine.Batch, error) bool) {
		kept, whole = nil, false
		all, left := []stored{}, bytes
		for b, err := range in {
			if err != nil {
				left = -1
			} else if left >= 0 {
				s := store(b)
				if left -= s.size(); left >= 0 {
					all = append(all, s)
				} else {
					all = nil
				}
			}
			if !yield(b, err) {
				return
			}
		}
		kept, whole = all, left >= 0
	}
	again = func(yield func(*engine.Batch, error) bool) {
		if !whole {
			in(yield)
			return
		}
		all := kept
		kept, whole = nil, false
		for i := range all {
			b := all[i].batch()
			all[i] = stored{}
			if !yield(b, nil) {
				return
			}
		}
	}
	return first, again
}
