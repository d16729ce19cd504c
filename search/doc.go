// Package search finds the cheapest strategy that keeps a network's accuracy.
//
// In go a [Space] of strategies for a device, an [Evaluator] that measures one
// of them (a [Network] does, by calibrating and running it), and how much top-1
// may drop; out comes an [Outcome]: the strategy, what it promises, and every
// trial on the way. What a network costs is package cost's: the bits of weights
// and activations, weighted by multiply-adds.
//
// Three sets of samples are kept apart. Those that calibrate set the scales and
// rank the layers; on the search split, two thirds of the test samples,
// strategies are compared; the held-out rest is looked at only when a strategy
// has been chosen, and can only refuse it.
//
// Rule of the house: which trial comes next follows from the results of those
// before and from nothing else, neither the clock nor the number of threads. So
// a search that was broken off is done again from its [Log], where results that
// are known need no measuring, and ends where it would have ended; a budget of
// time only cuts off.
package search
