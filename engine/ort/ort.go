// Package ort runs networks with taps on ONNX Runtime.
//
// In go models (package graph), tensors and a hook; out come tensors. A tap is
// an operator of our own in one ONNX Runtime session, whose kernel calls the
// hook on the tensor where it lies (docs/engine.md says what the other ways
// cost). Rules of the house: this package and what is below it are the only
// cgo; the library is opened at run time, never linked; a crash of native
// code is a crash of the process, which no Go program can catch (the command
// narrow works in a child process for that reason); ONNX Runtime's threads
// do not spin while a hook works; every C object is counted until it is freed.
package ort

import (
	"sync"

	"narrow/engine"
	"narrow/engine/ort/internal/capi"
	"narrow/internal/ortlib"
)

// Runner is a [engine.Runner] on one opened ONNX Runtime library. It needs
// no closing; its sessions do.
type Runner struct {
	lib *capi.Lib

	blockOnce sync.Once
	block     int
}

var _ engine.Runner = (*Runner)(nil)

// Open loads the ONNX Runtime shared library (1.18 or newer) at path. With ""
// it looks at the variable NARROW_ORT_LIB, the program's folder, the cache that
// narrow's `make setup` fills, and the system's library path, in this order. A
// process should open it once. The error names the path, or all places looked
// at, and the reason.
func Open(path string) (*Runner, error) {
	if path == "" {
		var err error
		if path, err = ortlib.Find(""); err != nil {
			return nil, err
		}
	}
	// A library that was cut off ends the process while it is loaded.
	if err := ortlib.Check(path, false); err != nil {
		return nil, err
	}
	lib, err := capi.Open(path)
	if err != nil {
		return nil, err
	}
	return &Runner{lib: lib}, nil
}

// Version returns the version of the library, such as "1.30.0".
func (r *Runner) Version() string { return r.lib.Version() }

// Live is how many objects of ONNX Runtime's exist on this runner's behalf.
type Live struct{ Sessions, Values, Runs int64 }

// Live counts the objects that exist now, for leak tests: all are 0 once every
// session is closed.
func (r *Runner) Live() Live {
	l := r.lib.Live()
	return Live{Sessions: l.Sessions.Load(), Values: l.Values.Load(), Runs: l.Runs.Load()}
}
