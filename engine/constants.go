package engine

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"narrow/graph"
	"narrow/graph/infer"
)

// Constants computes values of m's outermost graph that no input reaches (see
// [infer.FindConstants]): the nodes that lead to them run once, on one thread and
// without the engine's optimizations, so that their bits depend on the nodes
// alone.
func Constants(ctx context.Context, run Runner, m *graph.Model, names []string) (map[string]*graph.Tensor, error) {
	if len(names) == 0 {
		return nil, nil
	}
	part, err := leadingTo(m, names)
	if err != nil {
		return nil, fmt.Errorf("computing constants: %w", err)
	}
	s, err := run.Load(ctx, part, LoadOptions{Threads: 1, Outputs: names, Unoptimized: true})
	if err != nil {
		return nil, fmt.Errorf("computing constants: %w", err)
	}
	defer s.Close()
	values, err := s.Run(ctx, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("computing constants: %w", err)
	}
	out := make(map[string]*graph.Tensor, len(names))
	for _, name := range names {
		v, ok := values[name]
		if !ok {
			return nil, fmt.Errorf("computing constants: the engine did not return %q", name)
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

// leadingTo returns the part of m that leads to values without an input of m.
// What is known of the inputs' shapes stands in it as constants.
func leadingTo(m *graph.Model, names []string) (*graph.Model, error) {
	known := infer.FindConstants(m, math.MaxInt).Values
	g := &graph.Graph{Name: m.Graph.Name}
	needed := map[string]bool{}
	for _, name := range names {
		c := known[name]
		if c == nil {
			return nil, fmt.Errorf("%q is no constant that a node makes", name)
		}
		needed[name] = true
		g.Outputs = append(g.Outputs, &graph.Value{Name: name, Type: c.Type})
	}
	for _, n := range slices.Backward(m.Graph.Nodes) {
		runs := slices.ContainsFunc(n.Outputs, func(o string) bool {
			return needed[o] && (known[o] == nil || known[o].Known == nil)
		})
		for _, o := range n.Outputs {
			if !runs && needed[o] {
				g.Initializers = append(g.Initializers, &graph.Tensor{Name: o, Type: known[o].Type, Dims: known[o].Dims, Raw: known[o].Known.Raw})
			}
		}
		if runs {
			g.Nodes = append(g.Nodes, n.Clone())
			for _, in := range graph.Reads(n) {
				needed[in] = true
			}
		}
	}
	slices.Reverse(g.Nodes)
	for _, t := range m.Graph.Initializers {
		if needed[t.Name] {
			g.Initializers = append(g.Initializers, t)
		}
	}
	part := m.Clone()
	part.Graph = g
	return part, nil
}
