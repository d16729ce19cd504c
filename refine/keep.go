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

func isJudge(u calibrate.Kept) bool { return u.Digest[len(u.Digest)-1] < judging }

// split returns the kept samples that choose and those that judge, at most so
// many, as batches to be cut anew. Where chance gave one side too few, the
// others of the largest digests change sides.
func split(kept []calibrate.Kept, choosing, judging int) (choose, judge []*engine.Batch) {
	var c, j []calibrate.Kept
	for _, u := range kept {
		if isJudge(u) {
			j = append(j, u)
		} else {
			c = append(c, u)
		}
	}
	least := (len(kept) + 7) / 8
	for len(j) < least && len(c) > least {
		j, c = append(j, c[len(c)-1]), c[:len(c)-1]
	}
	for len(c) < least && len(j) > least {
		c, j = append(c, j[len(j)-1]), j[:len(j)-1]
	}
	part := func(us []calibrate.Kept, most int) (out []*engine.Batch) {
		slices.SortFunc(us, func(a, b calibrate.Kept) int { return bytes.Compare(a.Digest[:], b.Digest[:]) })
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
	return part(c, choosing), part(j, judging)
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
