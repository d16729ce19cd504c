package inspect

import (
	"context"
	"maps"
	"slices"

	"narrow/diag"
	"narrow/engine"
	"narrow/plan"
	"narrow/scheme"
)

// relu6 is the bound of ReLU6.
const relu6 = 6

// replaced tells what the rewrites made another function of: ReLU6 that became
// ReLU, with how many values the samples have beyond its bound, and functions
// with the DPU's constants for another target.
func (m *measurement) replaced(ctx context.Context, run engine.Runner, in engine.Batches, opts Options) (diag.List, error) {
	list := m.deviceArithmetic()
	names := map[string]bool{}
	for _, c := range m.c.Rewrites.Changes {
		if c.Rule == "convert-relu6-to-relu" {
			names[c.Node] = true
		}
	}
	if len(names) == 0 {
		return list, nil
	}
	float := m.c.Model.Graph
	p := plan.Plan{Model: float}
	var labels []string
	for _, n := range float.Graph.Nodes {
		if names[n.Label()] && n.Is("Clip", "Min") {
			p.Tensors = append(p.Tensors, watcher(n.Outputs[0], &plan.Layer{Name: n.Label(), Node: n}))
			labels = append(labels, n.Label())
		}
	}
	if len(labels) == 0 {
		return list, nil
	}
	sim, err := p.Simulation(plan.SimulationOptions{})
	if err != nil {
		return nil, diag.Errorf("building the network to count what ReLU6 clips: %w", err)
	}
	s, err := run.Load(ctx, sim.Model, engine.LoadOptions{Threads: opts.Threads, Outputs: []string{}, AnyOrder: func(int) bool { return true }})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	all, beyond := make([]int, len(sim.Taps)), make([]int, len(sim.Taps))
	for b, err := range engine.Fit(in, float, chunk) {
		if err != nil {
			return nil, err
		}
		if _, err := engine.Run(ctx, s, b.Inputs, func(tap int, dst, src []float32, shape []int64) error {
			x, _, _ := b.Samples(src, shape)
			all[tap] += len(x)
			for _, v := range x {
				if v >= relu6 {
					beyond[tap]++
				}
			}
			if !engine.SameMemory(dst, src) {
				copy(dst, src)
			}
			return nil
		}); err != nil {
			return nil, err
		}
	}
	total, clipped, worst := 0, 0, 0
	for i := range all {
		total, clipped = total+all[i], clipped+beyond[i]
		if float64(beyond[i])/float64(max(all[i], 1)) > float64(beyond[worst])/float64(max(all[worst], 1)) {
			worst = i
		}
	}
	if worstShare := float64(beyond[worst]) / float64(max(all[worst], 1)); worstShare < clippedShare && float64(clipped) < 0.001*float64(total) {
		return list, nil
	}
	at := sim.Taps[worst].Tensor.Layer.Name
	return append(list, diag.Finding{
		Severity: diag.Warning, Code: "relu6-replaced",
		Message: diag.Textf("ReLU6 became ReLU in %d places, as in vai_q_pytorch, where the samples clip %.2g %% of the values (most at %q: %.2g %%)",
			len(labels), 100*float64(clipped)/float64(total), at, 100*float64(beyond[worst])/float64(all[worst])),
		Fix: keepRelu6(MayGain(m.c)),
	}), nil
}

// keepRelu6 says how to keep ReLU6, where accuracy high is a way.
func keepRelu6(high bool) diag.Text {
	if !high {
		return diag.Textf("set include_cle and convert_relu6_to_relu to false")
	}
	return diag.Textf("set include_cle and convert_relu6_to_relu to false, or choose the accuracy high, which keeps ReLU6")
}

// deviceArithmetic warns where a function has the DPU's constants for a target
// that computes it as it is.
func (m *measurement) deviceArithmetic() diag.List {
	target := m.c.Plan.Strategy.Target
	if target == scheme.DPU {
		return nil
	}
	kinds := map[string]string{}
	for _, n := range m.c.Plan.Model.Graph.Nodes {
		switch {
		case n.Whole != nil:
			kinds[n.Label()] = n.Whole.OpType
		case n.Is("LeakyRelu"):
			kinds[n.Label()] = n.OpType
		}
	}
	count, first := map[string]int{}, map[string]diag.Text{} // by operator
	for _, c := range m.c.Rewrites.Changes {
		if k := kinds[c.Node]; c.Rule == "device-arithmetic" && k != "" {
			if count[k]++; count[k] == 1 {
				first[k] = diag.Textf("%s: %s", c.Node, c.Note)
			}
		}
	}
	if len(count) == 0 {
		return nil
	}
	var replaced []diag.Text
	for _, k := range slices.Sorted(maps.Keys(count)) {
		replaced = append(replaced, diag.Textf("%d %s (%s)", count[k], k, first[k]))
	}
	var fix diag.Text
	if MayGain(m.c) {
		fix = diag.Textf("choose the accuracy high, which keeps the network's own functions there")
	}
	return diag.List{{
		Severity: diag.Warning, Code: "device-arithmetic",
		Message: diag.Textf("functions have the DPU's constants although the target is %v, as vai_q_pytorch simulates every target: %s", target, diag.Commas(replaced)),
		Fix:     fix,
	}}
}
