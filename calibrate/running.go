package calibrate

import (
	"context"

	"narrow/graph"
)

// What packages share that run networks over samples themselves.

// Fit cuts the samples into the batches that m takes: padded by repeating the
// last sample where m fixes their size, else of size, where that is not 0.
func Fit(in Batches, m *graph.Model, size int) Batches { return fit(in, m, size) }

// Samples returns the elements of a value that a run of b gave which belong to
// samples, without those that pad the batch, their shape, and how many samples
// they are; a value without an axis for samples counts as one. Each sample's
// elements stay together, in whatever order.
func (b *Batch) Samples(x []float32, shape []int64) (own []float32, ownShape []int64, n int) {
	return samplesOf(b, x, shape)
}

// Outputs runs s over a batch of [Fit] and returns its outputs in the given order, cut to
// the samples that are real. An error of the hook comes back as it is.
func Outputs(ctx context.Context, s Session, b *Batch, hook Hook, order []*graph.Value) ([]Tensor, error) {
	return outputsOf(ctx, s, b, hook, order)
}

// A Score adds up the outputs of a tested network against a reference's, batch
// by batch. The zero value has no labels.
type Score struct{ s scorer }

// NewScore returns a score that has seen nothing; labels are the samples'
// classes, from the first sample of all, or nil.
func NewScore(labels []int) *Score { return &Score{scorer{labels: labels}} }

// Add adds a batch's [Outputs], of count samples from first on, which have
// labels where there are any. What is of the reference is called float in the
// result.
func (s *Score) Add(first, count int, reference, tested []Tensor) {
	s.s.add(first, count, reference, tested)
}

// Result returns what was added up.
func (s *Score) Result() *Result { return s.s.result() }

// Rows returns how many samples the inputs of a batch of [Fit] hold, those that
// pad it too.
func (b *Batch) Rows() int { return padded(b) }

// Clone returns a copy of t that shares no memory with it.
func (t Tensor) Clone() Tensor { return Tensor{}.push(t) }

// Align makes scales agree anew where the hardware needs it, after some have
// been chosen otherwise.
func (c *Calibrated) Align() {
	clear(c.Aligned)
	c.align()
}
