package calibrate

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"narrow/diag"
	"narrow/engine"
	"narrow/graph"
	"narrow/internal/kernel"
	"narrow/plan"
)

// Origin is what made a value NaN or infinite.
type Origin int

// The origins. The zero value says that nobody looked.
const (
	FromSample    Origin = iota + 1 // it entered with a sample
	FromModel                       // the float network makes it of finite samples
	FromQuantizer                   // the float network is finite there: a quantizer before it is at fault
)

// NotFiniteError says that calibration met a value of the network that is NaN or
// infinite.
type NotFiniteError struct {
	// Layer and Tensor are where it is, Sample how to call the sample.
	Layer, Tensor, Sample string
	Value                 float32
	// Origin is what made it. By are, for [FromSample], the inputs that hold such a
	// value, for [FromModel] the other layers at which the float network makes such
	// values of this batch, and for [FromQuantizer] the layers whose quantizers stand
	// before it.
	Origin Origin
	By     []string
	// Spoilt, for [FromModel], says that outputs of the float network are NaN for this
	// batch: what it makes of such a sample tells nothing.
	Spoilt bool
}

// Error says where it is, what made it, and the way out.
func (e *NotFiniteError) Error() string { return e.Text().String() }

// Text is Error in words that can be translated.
func (e *NotFiniteError) Text() diag.Text {
	at := diag.Textf("layer %s: tensor %q holds %v in sample %s", e.Layer, e.Tensor, e.Value, e.Sample)
	switch e.Origin {
	case FromSample:
		return diag.Textf("%s: the sample itself holds NaN or Inf, in input %s: fix it, leave it out, or skip such tensors", at, quotedNames(e.By))
	case FromModel:
		if e.Spoilt {
			return diag.Textf("%s: the float network makes it, of a finite sample, and its outputs are NaN: leave the sample out, or skip such tensors", at)
		}
		if len(e.By) > 0 {
			return diag.Textf("%s: the float network makes it, of a finite sample, and such values at %d other layers: leave them all in float with the layer rule %s",
				at, len(e.By), floatRule(append([]string{e.Layer}, e.By...)))
		}
		return diag.Textf("%s: the float network makes it, of a finite sample: leave the layer in float with the layer rule %s", at, floatRule([]string{e.Layer}))
	case FromQuantizer:
		if len(e.By) == 0 {
			return diag.Textf("%s, where the float network is finite: quantizing what comes before it makes it; plan for high accuracy", at)
		}
		return diag.Textf("%s, where the float network is finite: a quantizer before it makes it (layer %s), such as 0 of a small value; plan for high accuracy, or leave it in float with the layer rule %s",
			at, strings.Join(e.By, ", "), floatRule(e.By))
	}
	return diag.Textf("%s: fix the sample or the model, or skip such tensors", at)
}

func quotedNames(names []string) string {
	q := make([]string, len(names))
	for i, n := range names {
		q[i] = strconv.Quote(n)
	}
	return strings.Join(q, ", ")
}

// floatRule writes the layer rule that leaves the results of layers in float.
func floatRule(layers []string) string {
	names := quotedNames(layers)
	if len(layers) > 1 {
		names = "[" + names + "]"
	}
	return `{"layer_type": null, "layer_name": ` + names + `, "quantizable_data_type": ["activation"], "overall_quantize_config": {"datatype": "float32"}}`
}

// traced finds out what made the value that err tells of, where it is a
// [NotFiniteError]: it runs the float network over the batch.
func (c *calibration) traced(ctx context.Context, run engine.Runner, b *engine.Batch, err error) error {
	var bad *NotFiniteError
	if !errors.As(err, &bad) || bad.Origin != 0 {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(b.Inputs)) {
		if kernel.FirstNonFinite(b.Inputs[name].Floats) >= 0 {
			bad.By = append(bad.By, name)
		}
	}
	if len(bad.By) > 0 {
		bad.Origin = FromSample
		return err
	}
	made, spoilt, failed := c.madeInFloat(ctx, run, b)
	if failed != nil {
		return err // which tells where the value is
	}
	if made[bad.Tensor] {
		bad.Origin, bad.Spoilt = FromModel, spoilt
		for _, t := range c.plan.Activations() {
			if made[t.Name] && t.Layer.Name != bad.Layer && !slices.Contains(bad.By, t.Layer.Name) {
				bad.By = append(bad.By, t.Layer.Name)
			}
		}
		return err
	}
	bad.Origin, bad.By = FromQuantizer, quantizersBefore(c.plan, bad.Tensor)
	return err
}

// madeInFloat runs the float network over a batch, and returns which of the values that
// are to be quantized hold NaN or infinity; spoilt is true where an output holds NaN.
func (c *calibration) madeInFloat(ctx context.Context, run engine.Runner, b *engine.Batch) (made map[string]bool, spoilt bool, err error) {
	sim, err := c.plan.Simulation(plan.SimulationOptions{})
	if err != nil {
		return nil, false, err
	}
	s, err := run.Load(ctx, sim.Model, engine.LoadOptions{Threads: c.opts.Threads})
	if err != nil {
		return nil, false, err
	}
	defer s.Close()
	var m sync.Mutex
	made = map[string]bool{}
	out, err := engine.Run(ctx, s, b.Inputs, func(tap int, dst, src []float32, _ []int64) error {
		copy(dst, src)
		if kernel.FirstNonFinite(src) >= 0 {
			m.Lock()
			defer m.Unlock()
			made[sim.Taps[tap].Tensor.Name] = true
		}
		return nil
	})
	for _, t := range out {
		spoilt = spoilt || slices.ContainsFunc(t.Floats, func(x float32) bool { return x != x })
	}
	return made, spoilt, err
}

// quantizersBefore returns the layers whose quantizers stand nearest before a
// value, those behind operators first: a network's inputs are seldom at fault.
func quantizersBefore(p *plan.Plan, value string) []string {
	at := map[string]*plan.Tensor{}
	for _, t := range p.Tensors {
		if t.Constant == nil && t.Uses == nil {
			at[t.Name] = t
		}
	}
	ix := graph.NewIndex(p.Model.Graph)
	var layers, inputs []string
	seen := map[string]bool{}
	next := []string{value}
	for len(next) > 0 {
		v := next[0]
		next = next[1:]
		if t := at[v]; t != nil && v != value {
			if t.NetworkInput {
				inputs = append(inputs, t.Layer.Name)
			} else if !slices.Contains(layers, t.Layer.Name) {
				layers = append(layers, t.Layer.Name)
			}
			continue
		}
		n := ix.Producer[v]
		if n == nil {
			continue
		}
		for _, in := range graph.Reads(n) {
			if !seen[in] {
				seen[in] = true
				next = append(next, in)
			}
		}
	}
	return append(layers, inputs...)
}
