//go:build !cgo

package capi

import (
	"context"
	"errors"
)

// Lib is an opened ONNX Runtime; without cgo there is none.
type Lib struct{ live Live }

// Session is a loaded model; without cgo there is none.
type Session struct{ Inputs, Outputs []Port }

var errNoCgo = errors.New("this program was built without cgo, which ONNX Runtime needs: build it with CGO_ENABLED=1 and a C compiler")

// Open fails.
func Open(string) (*Lib, error) { return nil, errNoCgo }

// Version returns "".
func (*Lib) Version() string { return "" }

// Live returns counters that stay 0.
func (l *Lib) Live() *Live { return &l.live }

// NewSession fails.
func (*Lib) NewSession([]byte, Config) (*Session, error) { return nil, errNoCgo }

// Close does nothing.
func (*Session) Close() {}

// Run fails.
func (*Session) Run(context.Context, map[string]Tensor, []string, int, TapFunc) ([]Tensor, error) {
	return nil, errNoCgo
}
