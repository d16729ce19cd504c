package serve

import (
	"context"
	"fmt"

	"narrow/graph"
	"narrow/internal/kernel"
	"narrow/scheme"
)

// nodeResult is a node of the quantized network.
type nodeResult struct {
	Op      string         `json:"op"`
	Domain  string         `json:"domain,omitempty"`
	Name    string         `json:"name"`
	Inputs  []string       `json:"inputs"`
	Outputs []string       `json:"outputs"`
	Attrs   map[string]any `json:"attrs,omitempty"`
	// Quantize says how a Tap node quantizes.
	Quantize *quantizer `json:"quantize,omitempty"`
}

// quantizer is how a value is quantized and dequantized.
type quantizer struct {
	Tensor    string    `json:"tensor"`
	Layer     string    `json:"layer"`
	Datatype  string    `json:"datatype"`
	RoundMode string    `json:"round_mode"`
	Axis      int       `json:"axis"`
	Scale     []float32 `json:"scale"`
	ZeroPoint []int64   `json:"zero_point"`
	Min       int64     `json:"quant_min"`
	Max       int64     `json:"quant_max"`
}

// network returns the quantized network as it is tested: constants quantized, a
// Tap node at every quantized input and activation. The constants are the
// arrays.
func network(_ context.Context, c *call) (any, []Array, error) {
	var p struct {
		Calibration int `json:"calibration"`
	}
	if err := c.parse(&p); err != nil {
		return nil, nil, err
	}
	cal, err := get[*calibration](c.s, p.Calibration, "calibration")
	if err != nil {
		return nil, nil, err
	}
	sim, err := cal.Result.Simulation(kernel.NewPool(max(c.s.cfg.Threads, 1)), nil)
	if err != nil {
		return nil, nil, err
	}
	g := sim.Model.Graph
	var arrays []Array
	constant := func(name string, t *graph.Tensor) error {
		a, err := fromConstant(name, t)
		arrays = append(arrays, a)
		return err
	}
	for _, t := range g.Initializers {
		if err := constant(t.Name, t); err != nil {
			return nil, nil, err
		}
	}
	var nodes []nodeResult
	taps := 0
	for _, n := range g.Nodes {
		r := nodeResult{Op: n.OpType, Domain: n.Domain, Name: n.Label(), Inputs: n.Inputs, Outputs: n.Outputs, Attrs: map[string]any{}}
		if r.Inputs == nil {
			r.Inputs = []string{}
		}
		if n.IsTap() {
			t := sim.Taps[taps].Tensor
			taps++
			s, e := t.Settings.Settings, cal.Result.Encodings[t]
			q := &quantizer{Tensor: t.Name, Layer: t.Layer.Name, Datatype: s.Datatype.String(), RoundMode: s.RoundMode.String(), Axis: -1}
			if s.Datatype == scheme.Int {
				q.Axis, q.Scale, q.ZeroPoint, q.Min, q.Max = e.Axis, e.Scale, e.ZeroPoint, e.Min, e.Max
			}
			r.Quantize = q
		}
		for _, a := range n.Attrs {
			switch a.Kind {
			case graph.AttrInt:
				r.Attrs[a.Name] = a.Int
			case graph.AttrFloat:
				r.Attrs[a.Name] = a.Float
			case graph.AttrString:
				r.Attrs[a.Name] = a.String
			case graph.AttrInts:
				r.Attrs[a.Name] = a.Ints
			case graph.AttrFloats:
				r.Attrs[a.Name] = a.Floats
			case graph.AttrStrings:
				r.Attrs[a.Name] = a.Strings
			case graph.AttrTensor:
				name := fmt.Sprintf("%s of %s", a.Name, n.Label())
				r.Attrs[a.Name] = map[string]string{"array": name}
				if err := constant(name, a.Tensor); err != nil {
					return nil, nil, err
				}
			default:
				return nil, nil, usagef("node %s (%s) has the attribute %s, a network within the network: it cannot be told in this form", n.Label(), n.OpType, a.Name)
			}
		}
		nodes = append(nodes, r)
	}
	ix := graph.NewIndex(g)
	inputs, outputs := []port{}, []port{}
	for _, v := range g.Inputs {
		if ix.IsInput(v.Name) {
			inputs = append(inputs, portOf(v))
		}
	}
	for _, v := range g.Outputs {
		outputs = append(outputs, portOf(v))
	}
	return map[string]any{"nodes": nodes, "inputs": inputs, "outputs": outputs, "opset": sim.Model.Opsets[""]}, arrays, nil
}
