package refine

import (
	"math"

	"narrow/calibrate"
	"narrow/diag"
	"narrow/scheme"
)

// biasRoom is how large a bias may be in units of the products that it is added to.
// Integer kernels take 2^31; the rest is for what choosing changes yet.
const biasRoom = 1 << 28

// floors returns the least scales that the weights of a layer need so that its bias
// fits the 32 bits of an integer kernel's sum: one, or one for each output channel. Nil
// where nothing is to be added up in integers.
func floors(c *calibrate.Calibrated, l layer) []float64 {
	w, b := l.op.Weights, l.op.Bias
	in := l.op.Input(0)
	if w == nil || b == nil || in == nil || b.Settings.Settings.Datatype != scheme.Int || in.Settings.Settings.Datatype != scheme.Int {
		return nil
	}
	e := c.Encodings[w]
	if e.FixPosition != nil || len(c.Encodings[in].Scale) != 1 {
		return nil
	}
	bias, err := c.FloatConstant(b)
	if err != nil {
		return nil
	}
	step := float64(c.Encodings[in].Scale[0])
	out := make([]float64, len(e.Scale))
	for k, v := range bias {
		at := min(k, len(out)-1)
		out[at] = max(out[at], math.Abs(float64(v))/(step*biasRoom))
	}
	return out
}

// hold raises the scales of e to their floors and returns how many needed that.
func hold(e *scheme.Encoding, least []float64) (raised int) {
	for i, f := range least {
		if float64(e.Scale[i]) < f {
			e.Scale[i] = math.Nextafter32(float32(f), math.MaxFloat32)
			raised++
		}
	}
	return raised
}

// holdAll gives the weights of c scales such that their biases fit.
func (f *refiner) holdAll() {
	channels, layers, first := 0, 0, ""
	for _, l := range f.layers() {
		e := f.c.Encodings[l.op.Weights]
		e.Scale = append([]float32(nil), e.Scale...)
		n := hold(&e, floors(f.c, l))
		if n == 0 {
			continue
		}
		f.c.Encodings[l.op.Weights] = e
		channels += n
		if layers++; layers == 1 {
			first = l.op.Weights.Layer.Name
		}
	}
	if channels > 0 {
		f.c.Findings = append(f.c.Findings, diag.Finding{
			Severity: diag.Note, Code: "scale-floor",
			Message: diag.Textf("the scales of %d channels of weights were raised, in %d layers (the first is %q): their weights are so small that their biases would not fit 32 bits", channels, layers, first),
		})
	}
}
