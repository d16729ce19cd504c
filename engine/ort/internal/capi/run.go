package capi

/*
#include "glue.h"
*/
import "C"

import (
	"context"
	"fmt"
	"runtime"
	"runtime/cgo"
	"sync"
	"unsafe"
)

// run is what the taps of one run find behind their handle.
type run struct {
	ctx context.Context
	tap TapFunc
	err error
}

// Run runs the session over the inputs, for the named outputs, and returns the
// first want of them. When ctx is done it breaks off between two nodes.
func (s *Session) Run(ctx context.Context, inputs map[string]Tensor, outputs []string, want int, tap TapFunc) ([]Tensor, error) {
	l := s.lib
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	a := &arena{}
	defer a.free()

	names := make([]string, 0, len(inputs))
	in := a.values(len(inputs))
	for name, t := range inputs {
		v, err := l.newValue(a, &pin, t)
		if err != nil {
			return nil, fmt.Errorf("input %q: %w", name, err)
		}
		defer l.release(v)
		in[len(names)] = v
		names = append(names, name)
	}
	out := a.values(len(outputs))

	var opts *C.OrtRunOptions
	if err := l.status(C.nw_run_options(l.env, &opts)); err != nil {
		return nil, err
	}
	l.live.Runs.Add(1)
	defer func() {
		C.nw_release_run_options(l.env, opts)
		l.live.Runs.Add(-1)
	}()

	r := &run{ctx: ctx, tap: tap}
	var handle cgo.Handle
	if tap != nil {
		handle = cgo.NewHandle(r)
		defer handle.Delete()
	}

	// The options must outlive the goroutine that may set their flag.
	var terminating sync.WaitGroup
	terminating.Add(1)
	stop := context.AfterFunc(ctx, func() {
		defer terminating.Done()
		if s := C.nw_terminate(l.env, opts); s != nil {
			C.nw_release_status(l.env, s)
		}
	})

	var inPtr, outPtr **C.OrtValue
	if len(in) > 0 {
		inPtr = &in[0]
	}
	if len(out) > 0 {
		outPtr = &out[0]
	}
	err := l.status(C.nw_run(l.env, s.c, opts, a.strs(names), inPtr, C.size_t(len(in)),
		a.strs(outputs), C.size_t(len(out)), outPtr, C.uintptr_t(handle)))
	if !stop() {
		terminating.Wait()
	}
	for _, v := range out {
		if v != nil {
			l.live.Values.Add(1)
			defer l.release(v)
		}
	}
	switch {
	case r.err != nil:
		return nil, r.err
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, err
	}
	tensors := make([]Tensor, want)
	for i, v := range out[:want] {
		if tensors[i], err = l.read(v); err != nil {
			return nil, fmt.Errorf("output %q: %w", outputs[i], err)
		}
	}
	return tensors, nil
}

// narrowTap is the kernel of the tap operator. It returns 0, or 1 with the
// error left in the run.
//
//export narrowTap
func narrowTap(handle C.uintptr_t, tap C.int64_t, dst, src *C.float, count C.size_t, shape *C.int64_t, rank C.size_t) (failed C.int) {
	r := cgo.Handle(handle).Value().(*run)
	// A panic must not unwind ONNX Runtime's frames.
	defer func() {
		if p := recover(); p != nil {
			buf := make([]byte, 4096)
			r.err = fmt.Errorf("the hook panicked: %v\n%s", p, buf[:runtime.Stack(buf, false)])
			failed = 1
		}
	}()
	if r.err = r.ctx.Err(); r.err != nil {
		return 1
	}
	r.err = r.tap(int(tap), floats(dst, count), floats(src, count),
		unsafe.Slice((*int64)(unsafe.Pointer(shape)), int(rank)))
	if r.err != nil {
		return 1
	}
	return 0
}

func floats(p *C.float, n C.size_t) []float32 {
	if p == nil {
		return nil
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(p)), int(n))
}
