package rewrite

import (
	"fmt"
	"math"

	"narrow/diag"
	"narrow/graph"
	"narrow/graph/op"
	"narrow/plan"
)

// Numbers of the DPU's arithmetic, as vai_q_pytorch 3.5 simulates it (its
// modules avgpool.py, adaptive_avg_pool.py, mean.py, leaky_relu.py,
// hardsigmoid.py and hardswish.py).
const (
	// leakySlope is the only slope of the DPU's leaky ReLU.
	leakySlope = 26.0 / 256
	// sixth stands for 1/6.
	sixth = 2731.0 / 16384
	// gateScale is the inverse of HardSwish's gate's scale.
	gateScale = 128
)

// DeviceArithmetic replaces average pooling, leaky ReLU, HardSigmoid and
// HardSwish by the fixed-point forms that vai_q_pytorch simulates, for every
// target device. With spare, the means inside of normalizations that are written
// out stay as they are: no DPU computes these.
func DeviceArithmetic(spare bool) Rule {
	return Rule{
		Name:   "device-arithmetic",
		Doc:    "Computes average pooling, LeakyRelu, HardSigmoid and HardSwish with the DPU's fixed-point constants, as vai_q_pytorch does.",
		passes: 1,
		find: func(w *work, n *graph.Node) *site {
			if n.Whole != nil || n.Rule == w.rule {
				return nil
			}
			switch {
			case n.Is("LeakyRelu"):
				return w.deviceLeaky(n)
			case n.Is("AveragePool", "GlobalAveragePool", "ReduceMean"):
				if spare && w.normalizes(n) {
					return nil
				}
				return w.deviceMean(n)
			case n.Is("HardSwish"):
				return w.deviceHardSwish(n, n.Input(0), nil)
			case n.Is("Mul"):
				if x, gate := w.hardSwishAt(n); gate != nil {
					return w.deviceHardSwish(n, x, gate)
				}
			case n.Is("HardSigmoid") && sixthAndHalf(n):
				for _, u := range w.ix.Consumers[n.Outputs[0]] {
					if _, gate := w.hardSwishAt(u); gate == n {
						return nil
					}
				}
				return w.deviceHardSigmoid(n)
			}
			return nil
		},
	}
}

// normalizes reports whether n stands in a normalization that is written out.
func (w *work) normalizes(n *graph.Node) bool {
	if w.normals == nil {
		w.normals = plan.Normalizations(w.ix)
	}
	return w.normals[n]
}

func (w *work) deviceLeaky(n *graph.Node) *site {
	if n.Float("alpha", 0.01) == leakySlope {
		return nil
	}
	return &site{apply: func() diag.Text {
		old := n.Float("alpha", 0.01)
		n.SetAttr(&graph.Attr{Name: "alpha", Kind: graph.AttrFloat, Float: leakySlope})
		return diag.Textf("slope %v becomes 26/256", old)
	}}
}

// deviceMean multiplies a mean by what the DPU's multiply-and-shift makes of it.
func (w *work) deviceMean(n *graph.Node) *site {
	var scale float64
	switch n.OpType {
	case "AveragePool":
		k := op.Kernel(n, nil)
		if len(k) != 2 {
			return nil // only pooling over two dimensions is approximated
		}
		scale = poolScale(k[0], k[1])
	case "GlobalAveragePool":
		shape, known := w.shapes[n.Input(0)]
		if !known || len(shape) != 4 || shape[2].Size < 0 || shape[3].Size < 0 {
			return refuse("the size of its input is not known")
		}
		scale = poolScale(shape[2].Size, shape[3].Size)
	case "ReduceMean":
		size, ok := w.reducedSize(n)
		if !ok {
			return refuse("the size of what it reduces is not known")
		}
		scale = 1
		if size&(size-1) != 0 {
			scale = shiftScale(size)
		}
	}
	if scale == 1 {
		return nil
	}
	return &site{apply: func() diag.Text {
		whole := &graph.Whole{OpType: n.OpType}
		out := n.Outputs[0]
		mean := w.fresh(out + "_mean")
		n.Outputs[0] = mean
		n.Whole = whole
		w.ix.Producer[mean] = n
		c := w.storeScalar(n.Label()+"/device_scale", float32(scale))
		w.insertAfter(n, &graph.Node{Name: w.fresh(n.Label() + "/device_scale"), OpType: "Mul", Inputs: []string{mean, c}, Outputs: []string{out}, Whole: whole})
		return diag.Textf("mean times %.9g", scale)
	}}
}

// reducedSize returns the product of the sizes that a ReduceMean reduces.
func (w *work) reducedSize(n *graph.Node) (int64, bool) {
	shape, known := w.shapes[n.Input(0)]
	if !known {
		return 0, false
	}
	axes := n.Ints("axes")
	if n.Input(1) != "" {
		var ok bool
		if axes, ok = w.ints(n.Input(1)); !ok {
			return 0, false
		}
	}
	if len(axes) == 0 {
		for i := range shape {
			axes = append(axes, int64(i))
		}
	}
	size := int64(1)
	for _, a := range axes {
		if a < 0 {
			a += int64(len(shape))
		}
		if a < 0 || a >= int64(len(shape)) || shape[a].Size < 1 {
			return 0, false
		}
		size *= shape[a].Size
	}
	return size, true
}

// poolScale returns the factor by which the DPU's mean over h x w values
// differs from the true one.
func poolScale(h, w int64) float64 {
	switch [2]int64{h, w} {
	case [2]int64{3, 3}:
		return 9.0 * 7.0 / 64.0
	case [2]int64{5, 5}:
		return 25.0 * 10.0 / 256.0
	case [2]int64{6, 6}, [2]int64{3, 6}, [2]int64{6, 3}:
		return 36.0 * 7.0 / 256.0
	case [2]int64{7, 7}:
		return 49.0 * 21.0 / 1024.0
	case [2]int64{14, 14}:
		return 196.0 * 21.0 / 4096.0
	}
	return shiftScale(h * w)
}

// shiftScale returns n times the best approximation of 1/n by factor/2^shift.
func shiftScale(n int64) float64 {
	rec := float64(n)
	best, factor, shift := 1.0, 0.0, 0.0
	for s := range int(math.Ceil(math.Log2(rec * 128))) {
		p := math.Ldexp(1, s)
		f := math.RoundToEven(p / rec)
		if d := math.Abs(f/p - 1/rec); d < best {
			best, factor, shift = d, f, p
		}
	}
	return rec * factor / shift
}

func sixthAndHalf(n *graph.Node) bool {
	return math.Abs(float64(n.Float("alpha", 0.2))-1.0/6) < 1e-5 && math.Abs(float64(n.Float("beta", 0.5))-0.5) < 1e-6
}

// hardSwishAt returns x and the HardSigmoid of x * HardSigmoid(x) at Mul n.
func (w *work) hardSwishAt(n *graph.Node) (string, *graph.Node) {
	if !n.Is("Mul") || len(n.Inputs) != 2 {
		return "", nil
	}
	for i, in := range n.Inputs {
		x := n.Inputs[1-i]
		g := w.ix.Producer[in]
		if g != nil && g.Is("HardSigmoid") && g.Input(0) == x && sixthAndHalf(g) && w.only(in, n) {
			return x, g
		}
	}
	return "", nil
}

// deviceHardSigmoid is relu6(x+3) * 2731/16384.
func (w *work) deviceHardSigmoid(n *graph.Node) *site {
	return &site{apply: func() diag.Text {
		whole := &graph.Whole{OpType: "HardSigmoid"}
		c := &chain{w: w, anchor: n, whole: whole, base: n.Label()}
		v := c.relu6(n.Input(0))
		w.replace(n, &graph.Node{Name: n.Name, OpType: "Mul", Inputs: []string{v, w.storeScalar(c.base+"/sixth", sixth)}, Outputs: n.Outputs, Metadata: n.Metadata, Whole: whole})
		return diag.Verbatim("relu6(x+3) * 2731/16384")
	}}
}

// deviceHardSwish is x times the gate relu6(x+3) * 2731/16384, which is
// rounded half up to 7 fractional bits and at most 127/128.
func (w *work) deviceHardSwish(n *graph.Node, x string, gate *graph.Node) *site {
	return &site{apply: func() diag.Text {
		whole := &graph.Whole{OpType: "HardSwish"}
		c := &chain{w: w, anchor: n, whole: whole, base: n.Label()}
		v := c.relu6(x)
		v = c.step("Mul", v, sixth)
		v = c.step("Mul", v, gateScale)
		v = c.step("Add", v, 0.5)
		v = c.unary("Floor", v)
		v = c.clip(v, -gateScale, gateScale-1)
		v = c.step("Mul", v, 1.0/gateScale)
		w.replace(n, &graph.Node{Name: n.Name, OpType: "Mul", Inputs: []string{x, v}, Outputs: n.Outputs, Metadata: n.Metadata, Whole: whole})
		if gate != nil {
			w.remove(gate)
		}
		return diag.Textf("gate of 7 fractional bits")
	}}
}

// chain writes nodes one after the other in front of anchor.
type chain struct {
	w      *work
	anchor *graph.Node
	whole  *graph.Whole
	base   string
	n      int
}

func (c *chain) put(op string, inputs []string, attrs ...*graph.Attr) string {
	c.n++
	out := c.w.fresh(fmt.Sprintf("%s_device_%d", c.anchor.Outputs[0], c.n))
	c.w.add(c.anchor, &graph.Node{
		Name: c.w.fresh(fmt.Sprintf("%s/device_%d", c.base, c.n)), OpType: op, Inputs: inputs, Outputs: []string{out}, Attrs: attrs, Whole: c.whole,
	})
	return out
}

func (c *chain) unary(op, v string) string { return c.put(op, []string{v}) }

func (c *chain) step(op, v string, by float32) string {
	return c.put(op, []string{v, c.w.storeScalar(fmt.Sprintf("%s/device_%d_by", c.base, c.n+1), by)})
}

// clip writes Clip in the form of the model's opset.
func (c *chain) clip(v string, lo, hi float32) string {
	if c.w.opset() < 11 {
		return c.put("Clip", []string{v},
			&graph.Attr{Name: "min", Kind: graph.AttrFloat, Float: lo}, &graph.Attr{Name: "max", Kind: graph.AttrFloat, Float: hi})
	}
	return c.put("Clip", []string{v,
		c.w.storeScalar(fmt.Sprintf("%s/device_%d_min", c.base, c.n+1), lo),
		c.w.storeScalar(fmt.Sprintf("%s/device_%d_max", c.base, c.n+1), hi)})
}

// relu6 is min(max(x+3, 0), 6).
func (c *chain) relu6(x string) string { return c.clip(c.step("Add", x, 3), 0, 6) }

// storeScalar stores a constant without dimensions and returns its name.
func (w *work) storeScalar(base string, v float32) string {
	name := w.fresh(base)
	w.setInitializer(graph.NewFloats(name, []int64{}, []float32{v}))
	return name
}

// insertAfter puts n, a node that the rule makes, right behind anchor, whose
// results n may take over.
func (w *work) insertAfter(anchor, n *graph.Node) {
	w.add(anchor, n)
	nodes := w.g.Nodes
	for i := range nodes {
		if nodes[i] == n {
			nodes[i], nodes[i+1] = nodes[i+1], nodes[i]
			return
		}
	}
}
