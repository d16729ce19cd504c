package ort

import (
	"context"
	"maps"
	"slices"
	"sync"
	"unsafe"

	"narrow/diag"
	"narrow/engine"
	"narrow/engine/ort/internal/capi"
	"narrow/graph"
)

// session is a loaded network. Runs hold mu for reading, Close for writing.
type session struct {
	name string
	*prepared
	blocked bool // loaded in two steps, taps may see channels in blocks
	// inBlocks are the taps that see channels in blocks, of block channels.
	inBlocks map[int]bool
	block    int

	mu     sync.RWMutex
	ort    *capi.Session // nil where the graph has no nodes, and when closed
	closed bool
}

// Block returns how many channels lie together at a tap. See
// [engine.Blocked].
func (s *session) Block(tap int) int {
	if s.inBlocks[tap] {
		return s.block
	}
	return 1
}

// Close frees the session once the runs under way have ended.
func (s *session) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.ort != nil {
		s.ort.Close()
		s.ort = nil
	}
	return nil
}

// Run runs the network once. See [engine.Session].
func (s *session) Run(ctx context.Context, in map[string]engine.Tensor, hook engine.Hook) (map[string]engine.Tensor, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out, err := s.run(ctx, in, hook)
	if err != nil {
		return nil, diag.Errorf("run model %q: %w", s.name, tidyError(err))
	}
	return out, nil
}

func (s *session) run(ctx context.Context, in map[string]engine.Tensor, hook engine.Hook) (map[string]engine.Tensor, error) {
	if s.closed {
		return nil, diag.Errorf("the session is closed")
	}
	feeds, err := s.feeds(in)
	if err != nil {
		return nil, err
	}
	var tap capi.TapFunc
	if hook != nil {
		tap = func(i int, dst, src []float32, shape []int64) error {
			if err := hook(i, dst, src, shape); err != nil {
				return diag.Errorf("tap %q: %w", s.taps[i], err)
			}
			return nil
		}
	}
	var values []capi.Tensor
	if s.ort != nil {
		if values, err = s.ort.Run(ctx, feeds, s.outputs, s.returned, tap); err != nil {
			return nil, err
		}
	}
	out := make(map[string]engine.Tensor, len(s.wanted))
	for _, name := range s.wanted {
		if i := slices.Index(s.outputs, name); i >= 0 && i < s.returned {
			out[name] = fromORT(values[i])
		} else if c := s.constants[name]; c != nil {
			out[name] = fromConstant(c)
		} else {
			out[name] = in[name].Clone()
		}
	}
	return out, nil
}

// feeds checks the inputs against the graph's and turns them round.
func (s *session) feeds(in map[string]engine.Tensor) (map[string]capi.Tensor, error) {
	if s.ort != nil {
		for _, port := range s.ort.Inputs {
			if _, ok := in[port.Name]; !ok {
				return nil, diag.Errorf("input %q is missing", port.Name)
			}
		}
	}
	feeds := make(map[string]capi.Tensor, len(in))
	for _, name := range slices.Sorted(maps.Keys(in)) {
		v := s.inputs[name]
		if v == nil {
			return nil, diag.Errorf("there is no input %q; the inputs are %q", name, slices.Sorted(maps.Keys(s.inputs)))
		}
		t := in[name]
		if v.Type != graph.Undefined && v.Type != t.Type {
			return nil, diag.Errorf("input %q takes %v, not %v", name, v.Type, t.Type)
		}
		if err := checkShape(t.Shape, v.Shape); err != nil {
			return nil, diag.Errorf("input %q %w", name, err)
		}
		f, err := toORT(t)
		if err != nil {
			return nil, diag.Errorf("input %q %w", name, err)
		}
		feeds[name] = f
	}
	return feeds, nil
}

func checkShape(got []int64, want []graph.Dim) error {
	if slices.ContainsFunc(got, func(d int64) bool { return d < 0 }) {
		return diag.Errorf("has the shape %v: a dimension is negative", got)
	}
	ok := want == nil || len(got) == len(want)
	for i := 0; ok && i < len(want); i++ {
		ok = want[i].Size < 0 || want[i].Size == got[i]
	}
	if !ok {
		return diag.Errorf("takes the shape %v, not %v", want, got)
	}
	return nil
}

// toORT views t's memory as bytes.
func toORT(t engine.Tensor) (capi.Tensor, error) {
	n := t.Len()
	f := capi.Tensor{Type: int(t.Type), Shape: t.Shape}
	switch {
	case t.Type == graph.Float32:
		if len(t.Floats) != n {
			return f, diag.Errorf("of shape %v has %d elements, not %d", t.Shape, len(t.Floats), n)
		}
		f.Data = unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(t.Floats))), 4*n)
	case t.Type == graph.String:
		if len(t.Strings) != n {
			return f, diag.Errorf("of shape %v has %d elements, not %d", t.Shape, len(t.Strings), n)
		}
		f.Strings = t.Strings
	default:
		bits := t.Type.Bits()
		if bits == 0 {
			return f, diag.Errorf("has elements of %v, which are not supported", t.Type)
		}
		if size := (n*bits + 7) / 8; len(t.Raw) != size {
			return f, diag.Errorf("of %v and shape %v has %d bytes, not %d", t.Type, t.Shape, len(t.Raw), size)
		}
		f.Data = t.Raw
	}
	return f, nil
}

func fromORT(t capi.Tensor) engine.Tensor {
	out := engine.Tensor{Type: graph.DataType(t.Type), Shape: t.Shape, Raw: t.Data, Strings: t.Strings}
	if out.Type == graph.Float32 {
		out.Floats, out.Raw = floats(t.Data), nil
	}
	return out
}

// floats views bytes as floats; package capi aligns its tensors for that.
func floats(b []byte) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
}

func fromConstant(t *graph.Tensor) engine.Tensor {
	out := engine.Tensor{Type: t.Type, Shape: slices.Clone(t.Dims)}
	if t.Type == graph.Float32 {
		out.Floats, _ = t.Floats() // lengths were checked when the model was read
	} else {
		out.Raw = slices.Clone(t.Raw)
	}
	return out
}
