package refine

import (
	"context"
	"errors"
	"math"

	"narrow/calibrate/observe"
	"narrow/diag"
	"narrow/engine"
	"narrow/internal/footprint"
	"narrow/internal/kernel"
	"narrow/plan"
	"narrow/scheme"
)

// Largest returns the largest element of each channel (axis 1) of values of p's
// network over the samples, by the value's name. A value that no sample gives as
// finite numbers is missing.
func Largest(ctx context.Context, run engine.Runner, p *plan.Plan, values []string, in engine.Batches, threads int) (map[string][]float32, error) {
	watched := *p
	watched.Tensors = nil
	for _, v := range values {
		watched.Tensors = append(watched.Tensors, &plan.Tensor{Name: v, Kind: scheme.Activation, Layer: &plan.Layer{Name: v}, Axis: -1})
	}
	sim, err := watched.Simulation(plan.SimulationOptions{})
	if err != nil {
		return nil, diag.Errorf("building the network to equalize: %w", err)
	}
	s, err := run.Load(ctx, sim.Model, engine.LoadOptions{Threads: footprint.Threads(p.Model, threads), Outputs: []string{}, Unoptimized: footprint.Unoptimized(p.Model)})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	out := map[string][]float32{}
	samples := 0
	for b, err := range engine.Fit(in, p.Model, batch) {
		if err != nil {
			return nil, err
		}
		samples += b.Count
		if _, err := engine.Run(ctx, s, b.Inputs, func(tap int, dst, src []float32, shape []int64) error {
			if !engine.SameMemory(dst, src) {
				copy(dst, src)
			}
			if x, shape, _ := b.Samples(src, shape); len(shape) > 1 && len(x) > 0 {
				v := sim.Taps[tap].Tensor.Name
				out[v] = most(out[v], x, shape)
			}
			return nil
		}); err != nil {
			return nil, err
		}
	}
	if samples == 0 {
		return nil, diag.Errorf("there are no samples to calibrate with")
	}
	return out, nil
}

// most raises the largest elements of the channels by those of x.
func most(largest, x []float32, shape []int64) []float32 {
	if largest == nil {
		largest = make([]float32, shape[1]) // a ReLU6 puts out nothing below 0
	}
	plane := len(x) / int(shape[0]*shape[1])
	for i := 0; i*plane < len(x); i++ {
		c := i % len(largest)
		if e := kernel.MinMax(x[i*plane : (i+1)*plane]); e.Finite {
			largest[c] = max(largest[c], e.Max)
		} else {
			largest[c] = float32(math.Inf(1)) // keeps its scale
		}
	}
	return largest
}

// WeightError estimates what rounding the weights of p costs: the mean over its
// layers of the mean square of the rounding errors of an output channel's weights, by
// that of the weights.
func WeightError(p *plan.Plan) (float64, error) {
	sum, layers := 0.0, 0
	for _, o := range p.Operations {
		t := o.Weights
		if t == nil || t.Settings.Settings.Datatype != scheme.Int || len(t.Uses) == 0 {
			continue
		}
		form := weightedOf(t.Uses[0].Node, t.Constant, t.Uses[0].Input)
		if form == nil {
			continue
		}
		x, err := t.Constant.Floats()
		if err != nil {
			return 0, err
		}
		set := t.Settings.Settings
		if t.Axis < 0 {
			set.PerChannel = false
		}
		e, err := encode(observe.Config{Name: t.Name, Settings: set, Kind: t.Kind, Axis: t.Axis, Target: p.Strategy.Target}, x, t.Constant.Dims)
		var bad *observe.InvalidError
		if errors.As(err, &bad) {
			continue // calibration tells of it
		}
		if err != nil {
			return 0, diag.Errorf("layer %s: %w", t.Layer.Name, err)
		}
		rows := form.groups * form.rows
		for k := range rows {
			square := 0.0
			for col := range form.cols {
				v := float64(x[form.index(k/form.rows, k%form.rows, col)])
				square += float64(v * v)
			}
			step := float64(e.Scale[min(k, len(e.Scale)-1)])
			noise := float64(step*step) / 12 * float64(form.cols)
			sum += min(noise/max(square, 1e-30), 1) / float64(rows)
		}
		layers++
	}
	return sum / float64(max(layers, 1)), nil
}

// Gains reports whether the equalized plan rounds its weights so much better than
// the plain one that this is worth what it does to activations.
func Gains(plain, equalized *plan.Plan) (bool, error) {
	a, err := WeightError(plain)
	if err != nil {
		return false, err
	}
	b, err := WeightError(equalized)
	if err != nil {
		return false, err
	}
	return b < gain*a, nil
}

// gain is which part of the error of the plain weights equalized ones may have.
const gain = 0.8
