package refine

import (
	"bytes"
	"slices"

	"narrow/calibrate"
	"narrow/engine"
)

// judging is the share of samples that judge, of 256: whether one chooses or judges is
// told by its digest too.
const judging = 64

func isJudge(u calibrate.Kept) bool { return byDigest(u.Digest) }

func byDigest(d calibrate.Digest) bool { return d[len(d)-1] < judging }

// inFolds returns the first samples of each fold, at most so many.
func inFolds(kept []calibrate.Kept, most int) [][]*engine.Batch {
	out, n := make([][]*engine.Batch, folds), [folds]int{}
	for _, u := range kept {
		f := foldOf(u.Digest[len(u.Digest)-1])
		if n[f]+u.Batch.Count <= max(most, u.Batch.Count) {
			out[f], n[f] = append(out[f], u.Batch), n[f]+u.Batch.Count
		}
	}
	return out
}

// unitsOf returns the batches of what was kept.
func unitsOf(kept []calibrate.Kept) []*engine.Batch {
	out := make([]*engine.Batch, len(kept))
	for i, u := range kept {
		out[i] = u.Batch
	}
	return out
}

// split returns the kept samples that choose and those that judge, at most so
// many, as batches to be cut anew; half of them choose at most. Where fewer judge than
// may, those that were not needed to choose do too.
func split(kept []calibrate.Kept, choosing, judges int) (choose, judge []*engine.Batch) {
	var c, j []calibrate.Kept
	all := 0
	for _, u := range kept {
		if all += u.Batch.Count; isJudge(u) {
			j = append(j, u)
		} else {
			c = append(c, u)
		}
	}
	least := (len(kept) + 7) / 8
	for len(c) < least && len(j) > least {
		c, j = append(c, j[len(j)-1]), j[:len(j)-1]
	}
	slices.SortFunc(c, func(a, b calibrate.Kept) int { return bytes.Compare(a.Digest[:], b.Digest[:]) })
	part := func(us []calibrate.Kept, most int) (out []*engine.Batch) {
		n := 0
		for _, u := range us {
			if n > 0 && n+u.Batch.Count > most {
				break
			}
			n += u.Batch.Count
			out = append(out, u.Batch)
		}
		return out
	}
	choose = part(c, min(choosing, max(all/2, 1)))
	return choose, part(append(j, c[len(choose):]...), judges)
}

// batches yields them.
func batches(units ...[]*engine.Batch) engine.Batches {
	return func(yield func(*engine.Batch, error) bool) {
		for _, us := range units {
			for _, b := range us {
				if !yield(b, nil) {
					return
				}
			}
		}
	}
}

func count(units []*engine.Batch) (n int) {
	for _, b := range units {
		n += b.Count
	}
	return n
}
