package report

import (
	"fmt"

	"narrow/cost"
	"narrow/plan"
)

// cost tells what the network takes, and notes in layers what each takes.
func (b *builder) cost(layers []Layer) *Cost {
	c := b.in.Cost
	if c == nil {
		return nil
	}
	d := &Cost{Bytes: c.Bytes, FloatBytes: c.FloatBytes, MACs: c.MACs, Pairs: Pairs(c), Relative: c.Relative(), Files: b.in.Files}
	for _, u := range c.Uncounted {
		d.Uncounted = append(d.Uncounted, fmt.Sprintf("%s (%s)", u.Name, u.Op))
	}
	at := map[*plan.Layer]int{}
	for i, l := range b.in.Calibrated.Plan.Layers {
		at[l] = i
	}
	var all float64
	for i := range c.Operations {
		all += c.Operations[i].BitOperations()
	}
	for i := range c.Operations {
		o := &c.Operations[i]
		if o.Layer == nil {
			continue
		}
		l := &layers[at[o.Layer]]
		l.MACs += o.MACs
		l.BitShare += Number(o.BitOperations() / all)
	}
	for _, s := range c.Stored {
		l := &layers[at[s.Layer]]
		l.Bytes += s.Bytes
		l.FloatBytes += s.FloatBytes
	}
	return d
}

// Pairs returns the multiply-adds of c by what they multiply.
func Pairs(c *cost.Cost) []MACs {
	out := []MACs{}
	for _, p := range c.Pairs {
		out = append(out, MACs{Bits: fmt.Sprintf("%v × %v", p.Weights, p.Activations), Count: p.MACs})
	}
	return out
}
