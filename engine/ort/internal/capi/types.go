// Package capi is a thin binding to ONNX Runtime's C API: a shared library
// opened at run time, sessions, runs, and the one thing other bindings leave
// out: an operator ("Tap" of the domain "narrow") whose kernel calls Go.
//
// In go model bytes and tensors, out come tensors. Rules of the house: every
// C object made here is counted in [Lib.Live] until it is freed; memory that
// ONNX Runtime reads is Go's own, pinned for the call; nothing here knows
// graphs or quantization.
package capi

import "sync/atomic"

// Live counts the C objects that exist, for leak tests.
type Live struct {
	Sessions, Values, Runs atomic.Int64
}

// Status is an error that ONNX Runtime reported.
type Status struct {
	// Code is ONNX Runtime's error code (OrtErrorCode).
	Code int
	// Message is its text.
	Message string
}

// Error returns ONNX Runtime's text.
func (s *Status) Error() string { return s.Message }

// Level is how far ONNX Runtime rewrites a graph before running it.
type Level int

// The levels, as GraphOptimizationLevel numbers them.
const (
	LevelNone     Level = 0
	LevelBasic    Level = 1
	LevelExtended Level = 2
	LevelAll      Level = 99
)

// Config says how a session is to be made.
type Config struct {
	// Threads share one run's work; at least 1.
	Threads int
	// Level is the graph optimization level.
	Level Level
	// Optimized is a path to leave the optimized model at, or "".
	Optimized string
	// Entries are session config entries.
	Entries map[string]string
	// Weights stand in for the initializers of the same name that the model
	// declares as external data. Read while the session is made only.
	Weights map[string]Tensor
}

// Tensor is a value on its way in or out.
type Tensor struct {
	// Type is the element type as ONNX numbers it.
	Type  int
	Shape []int64
	// Data are the elements as they lie in memory; nil for strings.
	Data []byte
	// Strings are the elements of a string tensor.
	Strings []string
}

// Port is an input or output of a session.
type Port struct {
	Name string
	// Type is the element type as ONNX numbers it, -1 for what is no tensor.
	Type int
}

// TapFunc is called by each tap that a run passes, on the goroutine that
// called [Session.Run]. dst and src may be the same memory; all three slices
// are ONNX Runtime's and end with the call. A tap
// with a second input calls first with that as src, and dst nil: this src ends
// with the second call.
type TapFunc func(tap int, dst, src []float32, shape []int64) error

// elementBits returns the size of an element type as ONNX numbers it.
func elementBits(t int) int {
	switch t {
	case 21, 22, 23: // uint4, int4, float4e2m1
		return 4
	case 2, 3, 9, 17, 18, 19, 20, 24: // 8-bit integers, bool, the float8 types
		return 8
	case 4, 5, 10, 16:
		return 16
	case 1, 6, 12:
		return 32
	case 7, 11, 13, 14:
		return 64
	case 15: // complex128
		return 128
	}
	return 0
}
