package xmodel

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"narrow/calibrate"
	"narrow/calibrate/observe"
	"narrow/diag"
	"narrow/engine"
	"narrow/internal/kernel"
)

// dumps lists what a deploy-check dump holds: every operator of which
// vai_q_pytorch's file has one too, in the order of the file.
func (e *emitter) dumps() []dumped {
	of := map[*Op]*node{}
	for n, o := range e.raw {
		of[o] = n
	}
	var all []dumped
	for _, o := range e.g.Ops {
		n := of[o]
		if n == nil || n.inner || n.op != "const" && n.value == "" {
			continue
		}
		d := dumped{origin: n.origin(), op: o, f: n.fix}
		if n.fix != nil {
			d.fix = e.made[n]
		}
		all = append(all, d)
	}
	return all
}

// DumpFolder is the folder of a deploy-check dump; the dump of a graph stands in
// one of the graph's name within.
const DumpFolder = "deploy_check_data_int"

// ShapeFile is the list of shapes in a dump.
const ShapeFile = "shape.txt"

// Dump runs the quantized network on one sample and hands write the files of
// vai_q_pytorch's deploy check, with which the results of a board are compared
// layer by layer: <operator>.bin with float32 and <operator>_fix.bin with the
// integers (two of 4 bits in a byte, the first in the high half), little-endian
// and in the file's layout, and shape.txt. c must be what f was made of.
func (f *File) Dump(ctx context.Context, run engine.Runner, c *calibrate.Calibrated, in map[string]engine.Tensor, write func(name string, data []byte) error) error {
	values, err := f.run(ctx, run, c, in)
	if err != nil {
		return err
	}
	var shapes strings.Builder
	for i := range f.values {
		d := &f.values[i]
		data := d.op.floats()
		if d.value != "" {
			v := values[side{d.value, d.behind}]
			if int64(len(v)) != count(d.shape) {
				return diag.Errorf("the engine gave %d elements of %q, whose shape is %v: one sample is needed", len(v), d.value, d.shape)
			}
			data = permuteFloats(v, d.shape, d.order)
		}
		if err := write(d.op.Name+".bin", bytesOf(data)); err != nil {
			return err
		}
		dims := make([]string, len(d.op.Dims))
		for k, n := range d.op.Dims {
			dims[k] = fmt.Sprint(n)
		}
		if d.value != "" {
			fmt.Fprintf(&shapes, "[%s]: %s\n", strings.Join(dims, ", "), d.op.Name)
		}
		if d.fix == nil {
			continue
		}
		ints, err := d.f.quantize(c, data)
		if err != nil {
			return diag.Errorf("%s: %w", d.fix.Name, err)
		}
		if err := write(d.fix.Name+".bin", pack(ints, int(d.f.bits))); err != nil {
			return err
		}
	}
	return write(ShapeFile, []byte(shapes.String()))
}

// side tells the two values of one name apart that stand around a quantizer.
type side struct {
	value  string
	behind bool
}

// run computes the values that a dump holds.
func (f *File) run(ctx context.Context, run engine.Runner, c *calibrate.Calibrated, in map[string]engine.Tensor) (map[side][]float32, error) {
	sim, err := c.Simulation((*kernel.Pool)(nil), nil)
	if err != nil {
		return nil, err
	}
	names := map[side]string{}
	for _, d := range f.values {
		if d.value != "" {
			names[side{d.value, d.behind}] = d.value
		}
	}
	// A quantized value keeps its name behind the tap, an input of the network
	// in front of it.
	for _, n := range sim.Model.Graph.Nodes {
		if !n.IsTap() {
			continue
		}
		raw, quantized := n.Inputs[0], n.Outputs[0]
		for _, v := range []string{raw, quantized} {
			if names[side{v, false}] == v {
				names[side{v, false}] = raw
			}
			if names[side{v, true}] == v {
				names[side{v, true}] = quantized
			}
		}
	}
	outputs := slices.Compact(slices.Sorted(maps.Values(names)))
	s, err := run.Load(ctx, sim.Model, engine.LoadOptions{Outputs: outputs, AnyOrder: func(int) bool { return true }})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	out, err := engine.Run(ctx, s, in, c.Quantizer(sim, nil))
	if err != nil {
		return nil, err
	}
	values := make(map[side][]float32, len(names))
	for v, name := range names {
		values[v] = out[name].Floats
	}
	return values, nil
}

// floats returns the elements of a constant.
func (o *Op) floats() []float32 {
	raw, _ := o.Attr("data").([]byte)
	out := make([]float32, len(raw)/4)
	for i := range out {
		out[i] = math.Float32frombits(uint32(raw[4*i]) | uint32(raw[4*i+1])<<8 | uint32(raw[4*i+2])<<16 | uint32(raw[4*i+3])<<24)
	}
	return out
}

// quantize returns the integers of data, rounded as the plan rounds the tensor.
func (f *fix) quantize(c *calibrate.Calibrated, data []float32) ([]int32, error) {
	if f.t != nil && f.t.Constant == nil {
		return observe.Quantize[int32](data, f.t.Settings.Settings, c.Encodings[f.t], nil)
	}
	lo, hi := -math.Ldexp(1, int(f.bits)-1), math.Ldexp(1, int(f.bits)-1)-1
	out := make([]int32, len(data))
	for i, v := range data {
		out[i] = int32(min(max(math.Floor(math.Ldexp(float64(v), int(f.point))+0.5), lo), hi))
	}
	return out, nil
}

// pack stores integers in bytes, little-endian.
func pack(ints []int32, bits int) []byte {
	var out []byte
	switch {
	case bits <= 4:
		for i := 0; i < len(ints); i += 2 {
			b := byte(ints[i]) << 4
			if i+1 < len(ints) {
				b |= byte(ints[i+1]) & 15
			}
			out = append(out, b)
		}
	case bits <= 8:
		for _, v := range ints {
			out = append(out, byte(v))
		}
	default:
		for _, v := range ints {
			out = append(out, byte(v), byte(v>>8))
		}
	}
	return out
}
