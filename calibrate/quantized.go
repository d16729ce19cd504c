package calibrate

import (
	"narrow/calibrate/observe"
	"narrow/diag"
	"narrow/engine"
	"narrow/graph"
	"narrow/internal/kernel"
	"narrow/plan"
	"narrow/scheme"
)

// Network returns the quantized network, ready to run: constants quantized but
// for those given (such as biases in the form that an export stores), and every
// input and activation at its tap. threads is how many share a tap's work; 0
// means one per core.
func (c *Calibrated) Network(threads int, constants map[*plan.Tensor][]float32) (engine.Network, error) {
	pool := kernel.NewPool(Options{Threads: threads}.threads())
	sim, err := c.Simulation(pool, constants)
	if err != nil {
		return engine.Network{}, err
	}
	return engine.Network{Model: sim.Model, Hook: c.Quantizer(sim, pool), AnyOrder: true}, nil
}

// Simulation returns the quantized network as it is tested: constants
// quantized but for those given, a tap at every quantized input and activation.
func (c *Calibrated) Simulation(pool *kernel.Pool, constants map[*plan.Tensor][]float32) (*plan.Simulation, error) {
	replace, err := c.QuantizedConstants(pool)
	if err != nil {
		return nil, err
	}
	for t, x := range constants {
		replace[t] = graph.NewFloats(t.Name, t.Constant.Dims, x)
	}
	sim, err := c.Plan.Simulation(plan.SimulationOptions{Replace: replace})
	if err != nil {
		return nil, diag.Errorf("building the quantized network: %w", err)
	}
	return sim, nil
}

// Quantizer quantizes at every tap of sim, which [Calibrated.Simulation] made.
func (c *Calibrated) Quantizer(sim *plan.Simulation, pool *kernel.Pool) engine.Hook {
	type quantizer struct {
		s scheme.Settings
		e scheme.Encoding
		t *plan.Tensor
	}
	qs := make([]quantizer, len(sim.Taps))
	for i, t := range sim.Taps {
		qs[i] = quantizer{t.Tensor.Settings.Settings, c.Encodings[t.Tensor], t.Tensor}
	}
	return func(tap int, dst, src []float32, shape []int64) error {
		q := &qs[tap]
		if err := observe.Apply(pool, dst, src, q.s, q.e, shape); err != nil {
			return diag.Errorf("layer %s: tensor %q: %w", q.t.Layer.Name, q.t.Name, err)
		}
		return nil
	}
}
