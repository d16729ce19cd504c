package ort

import (
	"context"
	"maps"
	"runtime"
	"runtime/debug"

	"narrow/diag"
	"narrow/engine"
	"narrow/engine/ort/internal/capi"
	"narrow/graph"
	"narrow/graph/onnx"
)

// Load makes a session of m. See [engine.Runner].
func (r *Runner) Load(ctx context.Context, m *graph.Model, opts engine.LoadOptions) (engine.Session, error) {
	type loaded struct {
		s   *session
		err error
	}
	done := make(chan loaded, 1)
	go func() {
		s, err := r.load(ctx, m, opts)
		done <- loaded{s, err}
	}()
	select {
	case l := <-done:
		if l.err != nil {
			return nil, diag.Errorf("load model %q: %w", m.Graph.Name, r.clean(l.err, m))
		}
		return l.s, nil
	case <-ctx.Done():
		// ONNX Runtime cannot be stopped while it optimizes a network, which
		// takes seconds for a large one. It is left to end by itself.
		go func() {
			if l := <-done; l.s != nil {
				_ = l.s.Close() // of no use to anybody
			}
		}()
		return nil, diag.Errorf("load model %q: %w", m.Graph.Name, ctx.Err())
	}
}

func (r *Runner) load(ctx context.Context, m *graph.Model, opts engine.LoadOptions) (*session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p, err := prepare(m, opts)
	if err != nil {
		return nil, err
	}
	if weights(m.Graph) >= collectFrom {
		// What an earlier version of the network left behind would still be
		// there while ONNX Runtime makes its copies.
		debug.FreeOSMemory()
	}
	cfg := config(opts)
	s := &session{name: m.Graph.Name, prepared: p}
	if len(m.Graph.Nodes) == 0 {
		return s, nil
	}
	if opts.InBlocks != nil {
		if s.block = r.blockSize(ctx); s.block == 1 {
			opts.InBlocks = nil
		}
	}
	if opts.AnyOrder != nil || opts.InBlocks != nil {
		// Whatever goes wrong here goes wrong below too, and is told there, or
		// concerns the layout alone.
		s.ort, s.inBlocks, _ = r.loadBlocked(ctx, p, opts, cfg)
		s.blocked = s.ort != nil
		maps.DeleteFunc(s.inBlocks, func(tap int, in bool) bool { return !in || opts.InBlocks == nil || !opts.InBlocks(tap) })
	}
	if s.ort == nil {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if s.ort, err = r.newSession(p.model, cfg); err != nil {
			return nil, err
		}
	}
	p.model = nil
	return s, nil
}

// collectFrom is the size in bytes of a network's weights from which collecting
// garbage before it is loaded pays: it takes some milliseconds.
const collectFrom = 16 << 20

func weights(g *graph.Graph) int {
	n := 0
	for _, t := range g.Initializers {
		n += len(t.Raw)
	}
	return n
}

// detachFrom is the size in bytes from which weights are handed to ONNX
// Runtime beside the model. Small ones must be inside: its shape inference
// reads them.
const detachFrom = 1024

// newSession hands m and its weights to ONNX Runtime without copying them.
func (r *Runner) newSession(m *graph.Model, cfg capi.Config) (*capi.Session, error) {
	data, detached, err := onnx.EncodeDetached(m, detachFrom)
	if err != nil {
		return nil, err
	}
	cfg.Weights = make(map[string]capi.Tensor, len(detached))
	for _, t := range detached {
		cfg.Weights[t.Name] = capi.Tensor{Type: int(t.Type), Shape: t.Dims, Data: t.Raw}
	}
	return r.lib.NewSession(data, cfg)
}

func config(opts engine.LoadOptions) capi.Config {
	threads := opts.Threads
	if threads <= 0 {
		threads = runtime.NumCPU()
	}
	level := capi.LevelAll
	if opts.Unoptimized {
		level = capi.LevelNone
	}
	return capi.Config{
		Threads: threads,
		Level:   level,
		Entries: map[string]string{
			// A thread that spins takes a core from the hooks' own threads; one
			// that sleeps takes 50 us to wake. Two layers lie closer together.
			"session.intra_op.spin_duration_us": "50",
		},
	}
}
