package capi

/*
#include "glue.h"
*/
import "C"

import (
	"fmt"
	"runtime/cgo"
	"sync/atomic"
)

// share is work that several threads do together: f(0) to f(n-1), each taking
// the next that nobody has taken.
type share struct {
	next  atomic.Int64
	n     int
	f     func(int)
	panic atomic.Pointer[any]
}

func (s *share) work() {
	for {
		i := int(s.next.Add(1)) - 1
		if i >= s.n {
			return
		}
		s.f(i)
	}
}

// Share calls f(i) once for each i in 0..n-1 and returns when all are done.
// Called from a [TapFunc], on its goroutine, it uses the session's threads, up
// to the given number: they are awake, while a goroutine's would have to be
// woken. Called from elsewhere it works in the caller's goroutine.
func Share(threads, n int, f func(i int)) {
	s := &share{n: n, f: f}
	threads = min(threads, n)
	if threads < 2 || C.nw_in_tap() == 0 {
		s.work()
		return
	}
	h := cgo.NewHandle(s)
	st := C.nw_parallel(C.size_t(threads), C.uintptr_t(h))
	h.Delete()
	if p := s.panic.Load(); p != nil {
		panic(*p)
	}
	if st != nil {
		// Not started, or not all of it: what is left is done here. The status
		// is a few bytes that nobody can free without its library; ONNX Runtime
		// reports none here in practice.
		s.work()
	}
}

//export narrowShare
func narrowShare(handle C.uintptr_t) {
	s := cgo.Handle(handle).Value().(*share)
	// A panic must not unwind ONNX Runtime's frames; the caller goes on with it.
	defer func() {
		if p := recover(); p != nil {
			var v any = fmt.Sprint(p)
			s.panic.Store(&v)
		}
	}()
	s.work()
}
