package narrow

import (
	"bytes"
	"fmt"

	"narrow/graph"
	"narrow/rewrite"
)

// FloatPartner returns the float network whose inner values can be compared
// with the quantized one's, name by name: the network as read, changed by exact
// rules only. Where the strategy equalizes it is equalized by the same scales,
// through ReLU6 where the quantized network has ReLU.
//
// Exact is false where that leads to other weights than the plan has (a ReLU6
// that equalization cannot pass); the network returned is then the plan's, in
// float, with all that the strategy changed in it.
func (r *Resolved) FloatPartner() (m *graph.Model, exact bool, err error) {
	o := r.Model.rewrites(r.Plan.Strategy, r.Accuracy)
	o.ConvertRelu6, o.ConvertSilu, o.DeviceArithmetic = false, false, false
	o.Relu6 = rewrite.Relu6Bounds
	m, _, err = rewrite.Apply(r.Model.Graph, rewrite.Before(o)...)
	if err != nil {
		return nil, false, fmt.Errorf("model %s: %w", r.Model.Path, err)
	}
	constants := graph.NewIndex(m.Graph).Constant
	for name, t := range graph.NewIndex(r.Plan.Model.Graph).Constant {
		if c := constants[name]; c != nil && !bytes.Equal(c.Raw, t.Raw) {
			return r.Plan.Model, false, nil
		}
	}
	for _, t := range r.Plan.Tensors {
		if t.Constant != nil && constants[t.Name] == nil {
			return r.Plan.Model, false, nil
		}
	}
	return m, true, nil
}
