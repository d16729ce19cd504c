package ort

import (
	"context"
	"os"
	"path/filepath"

	"narrow/diag"
	"narrow/engine"
	"narrow/graph"
	"narrow/graph/onnx"
)

// FileOptions say how [Runner.LoadFile] loads.
type FileOptions struct {
	// Threads is how many threads share one run's work; 0 means one per core.
	Threads int
	// Unoptimized turns off ONNX Runtime's graph optimizations.
	Unoptimized bool
	// Optimized is a file to leave the network at as ONNX Runtime optimized it,
	// or "". Its operators are partly ONNX Runtime's own.
	Optimized string
}

// LoadFile makes a session of a model file just as any other program that uses
// ONNX Runtime would: from the file's bytes, weights inside. It is for looking
// at what others will see; [Runner.Load] is faster. The file must hold no taps
// and no external data.
func (r *Runner) LoadFile(ctx context.Context, path string, o FileOptions) (engine.Session, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, diag.Errorf("load model: %w", err)
	}
	m, err := onnx.Load(path)
	if err != nil {
		return nil, diag.Errorf("load model %s: %w", path, err)
	}
	p, err := prepare(m, engine.LoadOptions{})
	if err != nil {
		return nil, diag.Errorf("load model %s: %w", path, err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	cfg := config(engine.LoadOptions{Threads: o.Threads, Unoptimized: o.Unoptimized})
	cfg.Optimized = o.Optimized
	s := &session{name: path, prepared: p}
	if s.ort, err = r.lib.NewSession(data, cfg); err != nil {
		return nil, diag.Errorf("load model %s: %w", path, r.clean(err, m))
	}
	p.model = nil
	return s, nil
}

// Optimized returns the network of a model file as ONNX Runtime's optimizer
// leaves it for this machine's processor: its operators are partly ONNX
// Runtime's own. scratch is a folder for a file that is gone afterwards. What
// [Runner.LoadFile] says of the file holds.
func (r *Runner) Optimized(ctx context.Context, path, scratch string) (*graph.Model, error) {
	file := filepath.Join(scratch, "optimized.onnx")
	defer os.Remove(file)
	s, err := r.LoadFile(ctx, path, FileOptions{Threads: 1, Optimized: file})
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, diag.Errorf("optimize model %s: %w", path, err)
	}
	m, err := onnx.Load(file)
	if err != nil {
		return nil, diag.Errorf("optimize model %s: %w", path, err)
	}
	return m, nil
}
