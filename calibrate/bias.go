package calibrate

import (
	"math"

	"narrow/diag"
	"narrow/engine"
	"narrow/graph"
	"narrow/graph/op"
	"narrow/internal/exact"
	"narrow/internal/kernel"
	"narrow/plan"
	"narrow/scheme"
)

// corrector does bias correction: what quantizing a layer's weights adds to
// its output on the average, per output channel, is taken from its bias.
//
// In progressive propagation it follows vai_q_pytorch 3.5 (quant_noise.py, and
// the forward functions of its convolutions): after every batch a small part
// of the batch's mean error is taken off, until the layer's signal to noise
// ratio has settled; the noise includes that of the output's own quantizer
// where no activation function stands between. In float propagation the
// mean difference over all samples between the layer with quantized and with
// float weights is taken off as a whole (Nagel et al. 2019, section 4.2, from
// data). It follows from the mean of what each weight is multiplied with, see
// input means, without running the layer twice.
type corrector struct {
	c      *calibration
	layers []*correction
	byOp   map[*plan.Operation]*correction
	byEnd  map[*plan.Tensor]*correction
}

// correction is the state of one layer.
type correction struct {
	op *plan.Operation
	// axis is the channel axis of the output.
	axis int
	// float is the bias before quantization, now the one that holds, baked the
	// one that the loaded network adds.
	float, now, baked []float32
	// inputMeans gathers what enters (float propagation); nil where its form is not
	// known, and the layer runs twice.
	inputMeans *inputMeans
	// sum is then the summed mean error of each sample so far.
	sum     []exact.Sum
	samples int
	// side are the side version's values, the engine's, between the two calls
	// of a Compare tap.
	side []float32
	// ref are the float version's values, kept until the quantizer right
	// behind the layer has run.
	ref []float32

	efficiency, deviation float64
	stopped               bool
}

// Constants of the reference's schedule.
const (
	biasRate     = 0.05
	qualityGood  = 4.0
	qualityEnd   = 4.3
	settledShare = 0.05
)

// compareWhole is up to how many samples a batch is compared as a whole.
const compareWhole = 4

// compareSamples returns on how many samples of a batch of rows a convolution
// is compared with its float version, 0 for all. Of large batches an eighth
// tells: each sample gives a mean over all positions of its channels, and the
// comparison runs the convolution once more. The reference compares them all.
func compareSamples(rows int) int {
	if rows <= compareWhole {
		return 0
	}
	return (rows + 7) / 8
}

// newCorrector prepares the layers whose bias is to be corrected.
func newCorrector(c *calibration) (*corrector, error) {
	k := &corrector{c: c, byOp: map[*plan.Operation]*correction{}, byEnd: map[*plan.Tensor]*correction{}}
	if !c.plan.Strategy.IncludeBiasCorr {
		return k, nil
	}
	for _, op := range c.plan.Operations {
		switch op.Op {
		case "Conv", "ConvTranspose", "Gemm", "Linear":
		default:
			continue
		}
		if op.Weights == nil || op.Bias == nil || op.Weights.Settings.Settings.Datatype != scheme.Int {
			continue
		}
		float, err := op.Bias.Constant.Floats()
		if err != nil {
			return nil, err
		}
		p, ok := productOf(op)
		if !ok || len(float) != p.Out {
			continue // one number for all of Gemm's channels, say
		}
		l := &correction{op: op, axis: p.ResultAxis, float: float}
		l.now = append(l.now, float...)
		if c.opts.Propagate == Progressive {
			q, err := c.out.QuantizedConstant(c.pool, op.Bias)
			if err != nil {
				return nil, err
			}
			l.now = q
		}
		if f := c.float; f != nil {
			if l.inputMeans = inputMeansOf(f.means, f.nodes, op); l.inputMeans != nil {
				f.gather(l.inputMeans)
			}
		}
		k.layers = append(k.layers, l)
		k.byOp[op] = l
		if op.Ends && c.opts.Propagate == Progressive {
			k.byEnd[op.Output] = l
		}
	}
	return k, nil
}

// productOf returns how a weighted operation multiplies its weights.
func productOf(o *plan.Operation) (op.Product, bool) {
	for _, u := range o.Weights.Uses {
		if u.Node == o.Node {
			return op.ProductOf(o.Node, u.Input, o.Weights.Constant.Dims)
		}
	}
	return op.Product{}, false
}

// active returns the operations whose correction continues.
func (k *corrector) active() []*plan.Operation {
	var ops []*plan.Operation
	for _, l := range k.layers {
		if !l.stopped && l.inputMeans == nil {
			ops = append(ops, l.op)
		}
	}
	return ops
}

// bake makes the biases of the moment those of the network to be loaded.
func (k *corrector) bake() {
	for _, l := range k.layers {
		l.baked = append([]float32(nil), l.now...)
	}
}

// baked puts the biases to load into the network's constants.
func (k *corrector) baked(replace map[*plan.Tensor]*graph.Tensor) {
	for _, l := range k.layers {
		replace[l.op.Bias] = graph.NewFloats(l.op.Bias.Name, l.op.Bias.Constant.Dims, l.baked)
	}
}

// endOf returns the active operation whose result's own quantizer is t.
func (k *corrector) endOf(t *plan.Tensor) *plan.Operation {
	if l := k.byEnd[t]; l != nil && !l.stopped {
		return l.op
	}
	return nil
}

// compare handles the two results of an operation, the side version's first
// (see [engine.Hook]): it adds what the bias changed since the network was loaded, and
// measures the error unless the quantizer right behind does. block says how many
// channels lie together in the own result.
func (k *corrector) compare(op *plan.Operation, b *engine.Batch, dst, src []float32, shape []int64, block int) {
	l := k.byOp[op]
	if dst == nil {
		l.side = src
		return
	}
	side := l.side
	l.side = nil
	if !engine.SameMemory(dst, src) {
		copy(dst, src)
	}
	if k.c.opts.Propagate == Float {
		l.average(side, dst, shape, b.Count)
		return
	}
	l.shift(k.c.pool, dst, shape, block)
	if k.byEnd[op.Output] == l {
		l.ref = append(l.ref[:0], side...)
		return
	}
	k.judge(op, dst, side, shape, block)
}

// judgeEnd judges a layer whose result's own quantizer has just run.
func (k *corrector) judgeEnd(op *plan.Operation, out []float32, shape []int64, block int) {
	k.judge(op, out, k.byOp[op].ref, shape, block)
}

// layout returns where the channels of an output lie.
func (l *correction) layout(shape []int64) kernel.Layout {
	axis := l.axis
	if axis < 0 {
		axis += len(shape)
	}
	return kernel.NewLayout(shape, axis)
}

// shift adds now-baked to every channel of x.
func (l *correction) shift(pool *kernel.Pool, x []float32, shape []int64, block int) {
	lay := l.layout(shape)
	delta := make([]float32, lay.Channels)
	changed := false
	for i := range delta {
		delta[i] = l.now[i] - l.baked[i]
		changed = changed || delta[i] != 0
	}
	if !changed {
		return
	}
	if block > 1 {
		blocks := lay.Channels / block
		pool.Run(lay.Outer*blocks, func(i int) {
			d := delta[i%blocks*block:][:block]
			rows := x[i*lay.Inner*block : (i+1)*lay.Inner*block]
			for ; len(rows) >= block; rows = rows[block:] {
				for j, v := range d {
					rows[j] += v
				}
			}
		})
		return
	}
	pool.Run(lay.Outer*lay.Channels, func(i int) {
		d := delta[i%lay.Channels]
		row := x[i*lay.Inner : (i+1)*lay.Inner]
		for j := range row {
			row[j] += d
		}
	})
}

// judge compares the result out, which has block channels together, with the
// float version's, ref, and corrects the bias or stops.
func (k *corrector) judge(op *plan.Operation, out, ref []float32, shape []int64, block int) {
	l := k.byOp[op]
	if l.stopped || len(ref) == 0 {
		return
	}
	if len(out) > len(ref) { // compared on the first samples only
		shape = append([]int64{int64(len(ref)) * shape[0] / int64(len(out))}, shape[1:]...)
		out = out[:len(ref)]
	}
	lay := l.layout(shape)
	if block > 1 {
		out = unblock(k.c.pool, lay, out, block)
	}
	means, noise, signal := channelErrors(k.c.pool, lay, out, ref)
	rate, stop := l.settle(noise, signal)
	if stop {
		l.stopped = true
		return
	}
	for i := range l.now {
		l.now[i] -= float32(rate * means[i])
	}
}

// settle follows the layer's quality (vai_q_pytorch: eval_qnoise) and returns
// the rate of the correction, or that it is over.
func (l *correction) settle(noise, signal float64) (rate float64, stop bool) {
	if !(noise > 0) {
		return 0, true
	}
	e := 1.25 * math.Log10(signal/noise)
	d := math.Abs(e - l.efficiency)
	if !(d > 0) {
		return 0, true
	}
	l.efficiency = (l.efficiency*4 + e) * 0.2
	l.deviation = (l.deviation*4 + d) * 0.2
	rate = biasRate
	if l.efficiency > qualityGood {
		rate *= 0.5
	}
	stop = l.efficiency > qualityEnd || l.deviation/l.efficiency < settledShare || math.Abs(d-l.deviation/d) < settledShare
	return rate, stop
}

// channelErrors returns each channel's mean of out-ref, and the means of
// (out-ref)^2 and ref^2 over all. Sums run in float64, row by row.
func channelErrors(pool *kernel.Pool, lay kernel.Layout, out, ref []float32) (means []float64, noise, signal float64) {
	rows := lay.Outer * lay.Channels
	parts := make([][3]float64, rows)
	pool.Run(rows, func(i int) {
		var s [3]float64
		a, b := out[i*lay.Inner:(i+1)*lay.Inner], ref[i*lay.Inner:(i+1)*lay.Inner]
		for j, r := range b {
			e := a[j] - r // float32, as the reference subtracts
			s[0] += float64(e)
			s[1] += float64(e) * float64(e)
			s[2] += float64(r) * float64(r)
		}
		parts[i] = s
	})
	means = make([]float64, lay.Channels)
	for i, s := range parts {
		means[i%lay.Channels] += s[0]
		noise += s[1]
		signal += s[2]
	}
	per := float64(lay.Outer * lay.Inner)
	for i := range means {
		means[i] /= per
	}
	n := float64(len(ref))
	return means, noise / n, signal / n
}

// unblock returns x, which has block channels together, in C order.
func unblock(pool *kernel.Pool, lay kernel.Layout, x []float32, block int) []float32 {
	out := make([]float32, len(x))
	pool.Run(lay.Outer*lay.Channels/block, func(i int) {
		from := x[i*lay.Inner*block : (i+1)*lay.Inner*block]
		to := out[i*lay.Inner*block : (i+1)*lay.Inner*block]
		for c := range block {
			row := to[c*lay.Inner : (c+1)*lay.Inner]
			for j := range row {
				row[j] = from[j*block+c]
			}
		}
	})
	return out
}

// average adds each sample's mean error (float propagation). quantized is the
// side version's result, float the network's own.
func (l *correction) average(quantized, float []float32, shape []int64, count int) {
	if len(shape) == 0 || int(shape[0]) < count || count == 0 {
		return
	}
	per := len(float) / int(shape[0])
	one := append([]int64{1}, shape[1:]...)
	if l.sum == nil {
		l.sum = make([]exact.Sum, len(l.float))
	}
	for i := range count {
		means, _, _ := channelErrors(nil, l.layout(one), quantized[i*per:(i+1)*per], float[i*per:(i+1)*per])
		for ch, m := range means {
			l.sum[ch].Add(m)
		}
	}
	l.samples += count
}

// settled reports whether layers stopped since the network was loaded, enough
// of them that loading it anew without their side versions pays.
func (k *corrector) settled(loaded int) bool {
	left := len(k.active())
	return left < loaded && (left == 0 || left <= loaded/2)
}

// finish returns the corrected biases.
func (k *corrector) finish(bias map[*plan.Tensor][]float32) error {
	for _, l := range k.layers {
		switch p := l.inputMeans; {
		case p != nil:
			if p.invalid > 0 && !k.c.opts.SkipInvalid {
				return diag.Errorf("layer %s: tensor %q holds NaN or Inf in %d samples: fix them or the model, or skip such tensors", l.op.Node.Label(), p.value, p.invalid)
			}
			if p.samples == 0 {
				continue
			}
			float, err := l.op.Weights.Constant.Floats()
			if err != nil {
				return err
			}
			quantized, err := k.c.out.QuantizedConstant(k.c.pool, l.op.Weights)
			if err != nil {
				return err
			}
			change := p.change(float, quantized)
			if len(change) != len(l.now) {
				return diag.Errorf("layer %s: %d output channels, but a bias of %d", l.op.Node.Label(), len(change), len(l.now))
			}
			for i := range l.now {
				l.now[i] = l.float[i] - float32(change[i])
			}
		case k.c.opts.Propagate == Float:
			if l.samples == 0 {
				continue
			}
			for i := range l.now {
				l.now[i] = l.float[i] - float32(l.sum[i].Float64()/float64(l.samples))
			}
		}
		// What is kept is the correction, as in vai_q_pytorch's file: the bias
		// is the float one less the correction, here as after reading it again.
		for i, b := range l.float {
			l.now[i] = b - (b - l.now[i])
		}
		bias[l.op.Bias] = l.now
	}
	return nil
}
