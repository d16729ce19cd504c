package calibrate

import (
	"context"
	"slices"

	"narrow/calibrate/observe"
	"narrow/diag"
	"narrow/engine"
	"narrow/internal/footprint"
	"narrow/internal/kernel"
	"narrow/plan"
	"narrow/scheme"
)

// Ties counts, over samples, the elements of a tensor, and those that its round mode
// quantizes to another integer than half_even does. In progressive propagation these
// are all samples, a batch being counted with the scale that held when it had been
// observed; in float propagation the kept ones (see [Keeper]) with the final scales, of
// which package refine takes fewer.
type Ties struct{ Elements, Differing int64 }

// Plus returns the sum of both.
func (t Ties) Plus(o Ties) Ties { return Ties{t.Elements + o.Elements, t.Differing + o.Differing} }

// audit quantizes the elements of a batch that belong to samples, and counts
// them; it returns how many they are, or 0 for tensors that are not audited.
func (c *calibration) audit(t *plan.Tensor, b *engine.Batch, dst, src []float32, shape []int64, e scheme.Encoding) int {
	s := t.Settings.Settings
	if !observe.Audits(s, e) {
		return 0
	}
	n := ofSamples(b, len(src), shape)
	c.count(t, n, observe.ApplyTies(c.pool, dst[:n], src[:n], s, e))
	return n
}

func (c *calibration) count(t *plan.Tensor, elements int, differing int64) {
	c.out.Ties[t] = c.out.Ties[t].Plus(Ties{int64(elements), differing})
}

// CountTies counts the ties of calibrations whose plans have one network, over the first
// of what k kept, by ascending digest, with their scales as they are: the float network
// runs over these samples.
func CountTies(ctx context.Context, run engine.Runner, k *Keeper, samples, threads int, cs ...*Calibrated) error {
	audited := map[string][]*Calibrated{}
	watched := *cs[0].Plan
	watched.Tensors = nil
	for _, c := range cs {
		clear(c.Ties)
		for _, t := range c.Plan.Activations() {
			if !observe.Audits(t.Settings.Settings, c.Encodings[t]) {
				continue
			}
			if audited[t.Name] == nil {
				watched.Tensors = append(watched.Tensors, &plan.Tensor{Name: t.Name, Kind: t.Kind, Layer: t.Layer, Axis: -1, Where: t.Where})
			}
			if !slices.Contains(audited[t.Name], c) {
				audited[t.Name] = append(audited[t.Name], c)
			}
		}
	}
	if len(audited) == 0 || len(k.units) == 0 {
		return nil
	}
	sim, err := watched.Simulation(plan.SimulationOptions{})
	if err != nil {
		return diag.Errorf("building the network to count ties: %w", err)
	}
	s, err := run.Load(ctx, sim.Model, engine.LoadOptions{Threads: footprint.Threads(watched.Model, threads), Outputs: []string{}, Unoptimized: footprint.Unoptimized(watched.Model)})
	if err != nil {
		return err
	}
	defer s.Close()
	pool := kernel.NewPool(Options{Threads: threads}.threads())
	for b, err := range engine.Fit(k.first(samples), watched.Model, floatChunk) {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := engine.Run(ctx, s, b.Inputs, func(tap int, dst, src []float32, shape []int64) error {
			if !engine.SameMemory(dst, src) {
				copy(dst, src)
			}
			x, _, _ := b.Samples(src, shape)
			name := sim.Taps[tap].Tensor.Name
			for _, c := range audited[name] {
				c.addTies(pool, name, x)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// addTies counts the elements x of a value.
func (c *Calibrated) addTies(pool *kernel.Pool, value string, x []float32) {
	if len(x) == 0 {
		return
	}
	for _, t := range c.Plan.Activations() {
		if s, e := t.Settings.Settings, c.Encodings[t]; t.Name == value && observe.Audits(s, e) {
			c.Ties[t] = c.Ties[t].Plus(Ties{int64(len(x)), observe.Ties(pool, x, s, e)})
		}
	}
}

// ofSamples returns how many of a tensor's n elements, from the first, belong
// to samples; the others are of rows that pad the batch.
func ofSamples(b *engine.Batch, n int, shape []int64) int {
	rows := b.Rows()
	if rows > b.Count && len(shape) > 0 && int(shape[0])%rows == 0 {
		return n / rows * b.Count
	}
	return n
}
