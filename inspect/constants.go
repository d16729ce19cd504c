package inspect

import (
	"math"
	"slices"

	"narrow/diag"
	"narrow/evaluate"
	"narrow/graph"
	"narrow/internal/kernel"
	"narrow/plan"
	"narrow/scheme"
)

// constants takes the statistics of weights and biases: quantized holds what is
// computed with.
func (m *measurement) constants(quantized map[*plan.Tensor]*graph.Tensor) error {
	for i, t := range m.c.Plan.Tensors {
		if t.Constant == nil {
			continue
		}
		if err := m.constant(i, t, quantized[t]); err != nil {
			return m.named(i, err)
		}
	}
	return nil
}

func (m *measurement) constant(i int, t *plan.Tensor, quantized *graph.Tensor) error {
	float, err := t.Constant.Floats()
	if err != nil {
		return err
	}
	used, err := quantized.Floats()
	if err != nil {
		return err
	}
	s := &m.tensors[i]
	s.accumulated.add(m.pool, float, used)
	// What is stored are the corrected values; weights that were chosen anew are
	// stored in the place of the float ones.
	stored := float
	if m.c.Result.Weights[t] == nil {
		if stored, err = m.c.Result.FloatConstant(t); err != nil {
			return err
		}
	}
	grids := m.quantizer(i).grids()
	if t.Axis < 0 {
		var grid *Grid
		if grids != nil {
			grid = &grids[0]
		}
		if err := s.add(m.pool, stored, grid, from(used)); err != nil {
			return err
		}
	}
	axis := t.ChannelAxis()
	if t.Axis >= 0 {
		axis = t.Axis
	}
	if t.Kind != scheme.Weights || axis < 0 {
		return nil
	}
	l := kernel.NewLayout(t.Constant.Dims, axis)
	for c := range l.Channels {
		x, y := channel(stored, l, c), channel(used, l, c)
		e := kernel.MinMax(x)
		ch := Channel{Min: e.Min, Max: e.Max}
		if grids != nil {
			ch.Grid = &grids[min(c, len(grids)-1)]
		}
		var p pairs
		p.add(nil, x, y)
		ch.SQNR = infinite()
		if e := p.error(); e != nil {
			ch.SQNR = e.SQNR
		}
		s.channels = append(s.channels, ch)
		if t.Axis >= 0 {
			if err := s.add(m.pool, x, ch.Grid, from(y)); err != nil {
				return diag.Errorf("channel %d: %w", c, err)
			}
		}
	}
	return nil
}

// from hands out stored values.
func from(stored []float32) func(at int, dst, x []float32) error {
	return func(at int, dst, _ []float32) error {
		copy(dst, stored[at:])
		return nil
	}
}

// channel gathers the elements of one channel.
func channel(x []float32, l kernel.Layout, c int) []float32 {
	out := make([]float32, 0, l.Outer*l.Inner)
	for o := range l.Outer {
		at := (o*l.Channels + c) * l.Inner
		out = append(out, x[at:at+l.Inner]...)
	}
	return slices.Clip(out)
}

// infinite is the SQNR of what does not differ.
func infinite() evaluate.Decibel { return evaluate.Decibel(math.Inf(1)) }
