package search

import (
	"cmp"
	"math"
	"slices"
)

// step moves one layer to another rung.
type step struct{ layer, rung int }

// front returns the way from the cheapest to the most accurate choice of rungs:
// start, and the steps that each buy the most for what they cost, the best first.
//
// extra[l][r] is what layer l on rung r adds to the network's cost, and
// noise[l][r] what it adds to the power of the output's noise; rungs that a
// layer cannot take have no finite cost. Noises of layers are taken to add up,
// as independent ones do. Then the choice that is best for a price of noise is
// best for each layer alone: the corners of the convex hull of its points
// (Shoham and Gersho 1988, "Efficient bit allocation for an arbitrary set of
// quantizers").
func front(extra, noise [][]float64) (start []int, steps []step) {
	type priced struct {
		step
		gain float64 // noise taken away per cost
	}
	var all []priced
	for l := range extra {
		hull := hull(extra[l], noise[l])
		start = append(start, hull[0])
		for i := 1; i < len(hull); i++ {
			a, b := hull[i-1], hull[i]
			all = append(all, priced{step{l, b}, (noise[l][a] - noise[l][b]) / (extra[l][b] - extra[l][a])})
		}
	}
	// Gains along one hull fall, so that a layer's steps stay in order.
	slices.SortStableFunc(all, func(a, b priced) int { return cmp.Compare(b.gain, a.gain) })
	for _, p := range all {
		steps = append(steps, p.step)
	}
	return start, steps
}

// hull returns the rungs on the lower convex hull of (cost, noise), from the
// cheapest to the one with the least noise. Of rungs with the same cost and
// noise, the first one counts.
func hull(cost, noise []float64) []int {
	var order []int
	for i, c := range cost {
		if !math.IsInf(c, 0) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(cost[a], cost[b]), cmp.Compare(noise[a], noise[b]))
	})
	var out []int
	for _, i := range order {
		if len(out) > 0 && noise[i] >= noise[out[len(out)-1]] {
			continue // dearer and no better
		}
		for len(out) > 1 {
			a, b := out[len(out)-2], out[len(out)-1]
			// b is above the line from a to i.
			if (noise[a]-noise[b])*(cost[i]-cost[a]) > (noise[a]-noise[i])*(cost[b]-cost[a]) {
				break
			}
			out = out[:len(out)-1]
		}
		out = append(out, i)
	}
	return out
}

// climb returns the rungs after the first n steps.
func climb(start []int, steps []step, n int) []int {
	rungs := slices.Clone(start)
	for _, s := range steps[:n] {
		rungs[s.layer] = s.rung
	}
	return rungs
}
