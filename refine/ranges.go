package refine

import (
	"context"
	"fmt"
	"math"
	"slices"

	"narrow/engine"
	"narrow/internal/kernel"
	"narrow/plan"
	"narrow/scheme"
)

// rangeSamples is how many samples the scales of activations are searched on.
const rangeSamples = 64

// parts are the parts of its calibrated scale that an activation's scale is
// tried with; fixesDown is how far below its fix position the search begins.
var parts = [...]float64{1.6, 1.25, 1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3}

const fixesDown = 2

// search is the search for the scale of one tensor.
type search struct {
	t     *plan.Tensor
	tried []scheme.Encoding
	sums  []float64
}

// ranges gives inputs and activations the scales that change their values
// least in the mean square over the samples, the network computing in float.
// Only symmetric integers take part.
func (f *refiner) ranges(ctx context.Context, run engine.Runner, batches []map[string]engine.Tensor, spans []span, threads int) error {
	sim, err := f.c.Plan.Simulation(plan.SimulationOptions{})
	if err != nil {
		return fmt.Errorf("building the network to search the scales of activations: %w", err)
	}
	searches := make([]*search, len(sim.Taps))
	for i, tap := range sim.Taps {
		searches[i] = f.newSearch(tap.Tensor)
	}
	session, err := run.Load(ctx, sim.Model, engine.LoadOptions{Threads: threads, Outputs: []string{}})
	if err != nil {
		return err
	}
	defer session.Close()
	seen := 0
	for i, in := range batches {
		s := span{min(spans[i].count, rangeSamples-seen), spans[i].rows}
		if s.count <= 0 {
			break
		}
		seen += s.count
		if _, err := session.Run(ctx, in, func(tap int, dst, src []float32, shape []int64) error {
			if found := searches[tap]; found != nil {
				found.add(f.pool, src[:s.of(len(src), shape)])
			}
			if !engine.SameMemory(dst, src) {
				copy(dst, src)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	for _, s := range searches {
		if s == nil {
			continue
		}
		best := slices.Index(s.sums, slices.Min(s.sums))
		if best >= 0 && !math.IsNaN(s.sums[best]) {
			f.c.Encodings[s.t] = s.tried[best]
		}
	}
	f.c.Align()
	return nil
}

// newSearch returns the search for t's scale, or nil where there is none.
func (f *refiner) newSearch(t *plan.Tensor) *search {
	s, e := t.Settings.Settings, f.c.Encodings[t]
	if s.Datatype != scheme.Int || !s.Symmetry || s.BitWidth > 16 || len(e.Scale) != 1 {
		return nil
	}
	out := &search{t: t}
	if e.FixPosition != nil {
		for k := range kernel.MaxDiffs {
			if p := e.FixPosition[0] - fixesDown + k; p <= max(maxFix(s.BitWidth), e.FixPosition[0]) {
				out.tried = append(out.tried, withFix(e, []int{p}))
			}
		}
	} else {
		for _, part := range parts {
			c := e
			c.Scale = []float32{max(float32(float64(e.Scale[0])*part), 0x1p-126)}
			out.tried = append(out.tried, c)
		}
	}
	out.sums = make([]float64, len(out.tried))
	return out
}

// maxFix is the largest fix position of a bit width, as while calibrating.
func maxFix(bits int) int {
	if bits <= 8 {
		return 12
	}
	return 15
}

// add measures what every scale does to a batch's values.
func (s *search) add(pool *kernel.Pool, x []float32) {
	if s.t.Settings.Settings.ScaleType == scheme.PowerOfTwo {
		e := s.tried[0]
		for i, d := range pool.SquaredDiffs(x, e.FixPosition[0], len(s.tried), e.Min, e.Max) {
			if i < len(s.sums) {
				s.sums[i] += d
			}
		}
		return
	}
	pool.Run(len(s.tried), func(i int) {
		e := s.tried[i]
		a := kernel.Affine{Scale: e.Scale[0], ZeroPoint: e.ZeroPoint[0], Lo: e.Min, Hi: e.Max, Round: kernel.Round(s.t.Settings.Settings.RoundMode)}
		var q [4096]float32
		for at := 0; at < len(x); at += len(q) {
			piece := x[at:min(at+len(q), len(x))]
			(*kernel.Pool)(nil).FakeQuantize(q[:len(piece)], piece, a)
			s.sums[i] += squaredError(piece, q[:len(piece)])
		}
	})
}

func squaredError(x, y []float32) float64 {
	y = y[:len(x)]
	var s [4]float64
	for i, v := range x {
		d := float64(v) - float64(y[i])
		s[i&3] += float64(d * d)
	}
	return s[0] + s[1] + (s[2] + s[3])
}
