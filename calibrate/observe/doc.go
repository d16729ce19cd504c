// Package observe turns the values of one tensor into the encoding it is
// quantized with, and quantizes with it.
//
// In come batches of float32 values, out comes a scheme.Encoding: each batch
// gives a scale and a zero point by the tensor's method, and the tensor's
// statistic joins those of all batches. The rule of the house: what an
// observer keeps does not depend on the order of the batches (how often a scale
// came, the largest, an exact sum, all of them sorted), so that neither this nor
// merges nor the number of workers reach an encoding.
package observe

import (
	"narrow/internal/kernel"
	"narrow/scheme"
)

// Config says what is observed and how.
type Config struct {
	// Name is the tensor's name, for errors.
	Name     string
	Settings scheme.Settings
	Kind     scheme.Kind
	// GraphInput marks what enters the network: there diffs means maxmin, as in
	// the reference.
	GraphInput bool
	// Low and High are between which values the tensor's differ to what reads it: beyond,
	// they are taken for the nearer of the two. Both are 0 where all count.
	Low, High float32
	// Target breaks ties of the modal statistic between fix positions: for the
	// CPU and the GPU the smaller scale wins, as for float scales; otherwise the
	// smaller fix position does. Both are what the reference does there.
	Target scheme.Target
	// Axis is the channel axis; it counts only where Settings.PerChannel holds.
	Axis int
	// Pool shares the work on large tensors; nil means the caller's goroutine
	// only. Results do not depend on it.
	Pool *kernel.Pool
}

// perChannel reports whether there is one scale per channel.
func (c Config) perChannel() bool {
	return c.Settings.Datatype == scheme.Int && c.Settings.PerChannel
}
