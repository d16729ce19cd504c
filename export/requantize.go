package export

import "math"

// requantized reports whether ONNX Runtime would make integers of float constants
// of the operator that value comes from, through Relu and Clip: it does so (its
// transformer is called WeightBiasQuantization) for weights and biases of Conv,
// ConvTranspose and Gemm whose input is dequantized and whose result is
// quantized. Float weights become int8 with one scale, whatever that costs; a
// float bias becomes int32 in units of the products, which is harmless where it
// fits and they are small next to step, the scale of the result.
func (q *qdq) requantized(l *links, value string, step float32) bool {
	n := l.inner(value)
	for n != nil && n.Is("Relu", "Clip") {
		n = l.inner(n.Input(0))
	}
	if n == nil || !n.Is("Conv", "ConvTranspose", "Gemm") {
		return false
	}
	in, ok := q.inputEncoding(l.producedBy, n.Input(0))
	if !ok {
		return false
	}
	w := l.producer[n.Input(1)]
	if w == nil || w.OpType != "DequantizeLinear" {
		return l.constant[n.Input(1)] != nil || w != nil && w.Is("Cast") && l.constant[w.Input(0)] != nil
	}
	bias := l.constant[n.Input(2)]
	if bias == nil {
		return false
	}
	if q.opts.KeepBias {
		return true
	}
	scale := l.constant[w.Input(1)]
	values, err := bias.Floats()
	if err != nil || scale == nil {
		return true
	}
	scales, err := scale.Floats()
	if err != nil || len(scales) == 0 {
		return true
	}
	for i, v := range values {
		unit := float64(scales[min(i, len(scales)-1)]) * float64(in.Scale[0])
		if !(math.Abs(float64(v)) <= unit*math.MaxInt32) || unit > float64(step)/16 {
			return true
		}
	}
	return false
}
