package ort

import (
	"context"
	"fmt"
	"runtime"

	"narrow/calibrate"
	"narrow/calibrate/ort/internal/capi"
	"narrow/graph"
	"narrow/graph/onnx"
)

// Load makes a session of m. See [calibrate.Runner].
func (r *Runner) Load(ctx context.Context, m *graph.Model, opts calibrate.LoadOptions) (calibrate.Session, error) {
	s, err := r.load(ctx, m, opts)
	if err != nil {
		return nil, fmt.Errorf("load model %q: %w", m.Graph.Name, clean(err))
	}
	return s, nil
}

func (r *Runner) load(ctx context.Context, m *graph.Model, opts calibrate.LoadOptions) (*session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p, err := prepare(m, opts)
	if err != nil {
		return nil, err
	}
	s := &session{runner: r, model: m.Graph.Name, prepared: p}
	if len(m.Graph.Nodes) == 0 {
		return s, nil
	}
	cfg := config(opts)
	if opts.AnyOrder != nil {
		if s.ort, err = r.loadBlocked(ctx, p, opts.AnyOrder, cfg); err != nil {
			return nil, err
		}
	}
	if s.ort == nil {
		data, err := onnx.Encode(p.model)
		if err != nil {
			return nil, err
		}
		if s.ort, err = r.lib.NewSession(data, cfg); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func config(opts calibrate.LoadOptions) capi.Config {
	threads := opts.Threads
	if threads <= 0 {
		threads = runtime.NumCPU()
	}
	return capi.Config{
		Threads: threads,
		Level:   capi.LevelAll,
		Entries: map[string]string{
			// A thread that spins takes a core from the hooks.
			"session.intra_op.allow_spinning": "0",
		},
	}
}
