package engine

import (
	"context"

	"narrow/graph"
)

// A Runner is an engine that runs networks with taps. It may be used by
// several goroutines at once.
type Runner interface {
	// Load readies m, which may hold taps ([graph.TapOp]), for running. The
	// session keeps what it needs: m may be changed, and its tensors dropped,
	// after Load returned. When ctx is done Load returns its error, wrapped, at once; m must then
	// stay as it is, since the engine may not be done with it.
	//
	// The error names the model (its graph's name) and, where the engine
	// tells, the node or tensor at fault.
	Load(ctx context.Context, m *graph.Model, opts LoadOptions) (Session, error)
}

// LoadOptions say how a network is to be run.
type LoadOptions struct {
	// Threads is how many threads share one run's work; 0 means one per core.
	Threads int
	// Outputs are the values that Run returns, in any order; inner values and
	// graph inputs too. Nil means the graph's outputs, empty means none (all
	// taps run all the same).
	Outputs []string
	// Unoptimized runs the nodes as they are, each by itself.
	Unoptimized bool
	// AnyOrder reports whether the hook treats the elements of a tap alike,
	// wherever they stand (one scale for the tensor; a minimum, a histogram).
	// The engine may then hand the elements over in the order it computes in,
	// such as channels in blocks of 16, which spares it copies: a third of the
	// time of a small network. The number of elements and the shape stay as
	// they are, and each sample's elements (first dimension) stay together in
	// the samples' order. The order may differ between machines, so a float sum
	// over the elements may too. Nil means C order everywhere.
	AnyOrder func(tap int) bool
	// InBlocks reports whether the hook takes the elements of a tap with
	// channels in blocks, as [Blocked] tells of the session; a tap's second
	// input comes in C order all the same. Nil means never.
	InBlocks func(tap int) bool
}

// Blocked is what a [Session] may be besides: one that hands tensors over with
// channels in blocks.
type Blocked interface {
	// Block returns how many channels (axis 1) lie together at a tap: element
	// (n, c, ...) stands where (n, c/b, ..., c%b) does in C order. 1 means C
	// order. It is more than 1 only for taps for which [LoadOptions.InBlocks]
	// held.
	Block(tap int) int
}

// A Session is a network ready to run. Run may be called by several goroutines
// at once; Close waits for them and may be called twice.
type Session interface {
	// Run runs the network once over the named inputs and returns the values
	// asked for in [LoadOptions], by name. The dimensions that the model leaves
	// open may differ from run to run.
	//
	// Inputs are read during the call only and never written. The tensors
	// returned are the caller's: no later run touches them.
	//
	// When ctx is done the run is broken off between two nodes and Run returns
	// ctx's error, wrapped. An error of the hook breaks it off too and comes
	// back wrapped with the tap's name. Hook may be nil when the network holds
	// no taps; otherwise nil lets the values pass unchanged.
	Run(ctx context.Context, in map[string]Tensor, hook Hook) (map[string]Tensor, error)
	// Close frees the session. Errors do not need handling beyond reporting.
	Close() error
}

// A Hook is called once for each tap, each after those that its values depend
// on (otherwise in the engine's order, the same on every run), one call at a
// time within one run; concurrent runs call concurrently. tap counts the tap
// nodes in the graph's list from 0. src holds the values that arrive, and the hook
// must fill all of dst, of the same length, with those to pass on.
//
// dst and src may be the same memory (and are, wherever the engine can), never
// overlapping otherwise. All three slices belong to the engine and are valid
// until the hook returns: copy what is to be kept. shape is not to be written.
// A tensor without elements calls the hook with empty slices.
//
// A tap with two inputs makes two calls, one right after the other: the first
// with dst nil and the second input as src, to be read only, which stays valid
// until the second call returns; the second call is as for every tap.
type Hook func(tap int, dst, src []float32, shape []int64) error

// SameMemory reports whether a hook's dst and src are the same memory, so that
// a hook which changes nothing has nothing to do.
func SameMemory(dst, src []float32) bool {
	return len(dst) == len(src) && (len(dst) == 0 || &dst[0] == &src[0])
}
