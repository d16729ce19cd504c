package engine

import (
	"context"
	"encoding/binary"
	"math"
	"slices"

	"narrow/diag"
	"narrow/graph"
)

// Constants runs m, a network without inputs, and returns its outputs by name. It
// runs once, on one thread and without the engine's optimizations, so that the
// bits depend on the nodes alone.
func Constants(ctx context.Context, run Runner, m *graph.Model) (map[string]*graph.Tensor, error) {
	s, err := run.Load(ctx, m, LoadOptions{Threads: 1, Unoptimized: true})
	if err != nil {
		return nil, diag.Errorf("computing constants: %w", err)
	}
	defer s.Close()
	values, err := s.Run(ctx, nil, nil)
	if err != nil {
		return nil, diag.Errorf("computing constants: %w", err)
	}
	out := make(map[string]*graph.Tensor, len(values))
	for _, o := range m.Graph.Outputs {
		name := o.Name
		v, ok := values[name]
		if !ok {
			return nil, diag.Errorf("computing constants: the engine did not return %q", name)
		}
		t := &graph.Tensor{Name: name, Type: v.Type, Dims: slices.Clone(v.Shape), Raw: v.Raw}
		if v.Type == graph.Float32 {
			t.Raw = make([]byte, 0, 4*len(v.Floats))
			for _, x := range v.Floats {
				t.Raw = binary.LittleEndian.AppendUint32(t.Raw, math.Float32bits(x))
			}
		}
		out[name] = t
	}
	return out, nil
}
