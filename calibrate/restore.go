package calibrate

import (
	"fmt"

	"narrow/plan"
	"narrow/scheme"
)

// BiasCorrection returns, by layer name, what bias correction takes from each
// element of the layer's bias.
func (c *Calibrated) BiasCorrection() (map[string][]float32, error) {
	out := map[string][]float32{}
	for t, now := range c.Bias {
		float, err := t.Constant.Floats()
		if err != nil {
			return nil, err
		}
		corr := make([]float32, len(float))
		for i := range corr {
			corr[i] = float[i] - now[i]
		}
		out[t.Layer.Name] = corr
	}
	return out, nil
}

// Restored is what a saved calibration says.
type Restored struct {
	Encodings        map[*plan.Tensor]scheme.Encoding
	BiasCorrection   map[string][]float32
	Weights          map[*plan.Tensor][]float32 // see [Calibrated.Weights]
	Ties             map[*plan.Tensor]Ties
	Samples, Batches int
	Propagate        Propagation
}

// Restore makes a Calibrated from a saved calibration of the same plan. The
// error names the layer that does not fit.
func Restore(p *plan.Plan, r Restored) (*Calibrated, error) {
	c := &Calibrated{
		Plan: p, Encodings: map[*plan.Tensor]scheme.Encoding{}, Bias: map[*plan.Tensor][]float32{}, Aligned: map[*plan.Tensor]string{},
		Weights: r.Weights, Ties: r.Ties, Samples: r.Samples, Batches: r.Batches, Propagate: r.Propagate,
	}
	left := make(map[string]bool, len(r.BiasCorrection))
	for name := range r.BiasCorrection {
		left[name] = true
	}
	for _, t := range p.Tensors {
		if e, ok := r.Encodings[t]; ok {
			c.Encodings[t] = e
		} else if t.Settings.Settings.Datatype != scheme.Int {
			c.Encodings[t] = scheme.Encoding{Axis: -1, Batches: r.Batches}
		} else {
			return nil, fmt.Errorf("layer %s: the %v %q has no encoding", t.Layer.Name, t.Kind, t.Name)
		}
		corr, ok := r.BiasCorrection[t.Layer.Name]
		if !ok || t.Kind != scheme.Bias {
			continue
		}
		delete(left, t.Layer.Name)
		float, err := t.Constant.Floats()
		if err != nil {
			return nil, err
		}
		if len(corr) != len(float) {
			return nil, fmt.Errorf("layer %s: the bias correction has %d values, the bias %d", t.Layer.Name, len(corr), len(float))
		}
		for i := range float {
			float[i] -= corr[i]
		}
		c.Bias[t] = float
	}
	for name := range left {
		return nil, fmt.Errorf("the bias correction of layer %q is of no layer of this model", name)
	}
	return c, nil
}
