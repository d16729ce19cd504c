package inspect

import (
	"math"

	"narrow"
	"narrow/diag"
	"narrow/evaluate"
	"narrow/graph"
	"narrow/graph/op"
	"narrow/plan"
)

// beyondRange is how far beyond its calibrated range, as a part of it, an output
// reaches before that is told: every method keeps at least three quarters of the
// largest magnitude it saw.
const beyondRange = 0.35

// OutputRanges warns of outputs that reach far beyond what was calibrated for
// them on the samples that r was tested on.
func OutputRanges(c *narrow.Calibrated, r *evaluate.Result) diag.List {
	ix := graph.NewIndex(c.Plan.Model.Graph)
	behind := map[string]*plan.Tensor{}
	for _, t := range c.Plan.Tensors {
		if t.Constant == nil && t.Uses == nil {
			behind[t.Name] = t
		}
	}
	var list diag.List
	for _, o := range r.Outputs {
		value := o.Name
		for behind[value] == nil && ix.Producer[value] != nil && op.Moves(ix.Producer[value]) {
			value = ix.Producer[value].Input(0)
		}
		t := behind[value]
		if t == nil {
			continue
		}
		g := quantizer{t.Settings.Settings, c.Result.Encodings[t]}.grids()
		if len(g) != 1 {
			continue
		}
		reach := math.Max(math.Abs(g[0].Low), math.Abs(g[0].High))
		if beyond := math.Max(float64(o.Max)-g[0].High, g[0].Low-float64(o.Min)); beyond > beyondRange*reach {
			list = append(list, diag.Finding{
				Severity: diag.Warning, Code: "output-range",
				Message: diag.Textf("output %q reaches from %.3g to %.3g on these samples, but its range was calibrated as %.3g to %.3g: what lies beyond is clipped", o.Name, o.Min, o.Max, g[0].Low, g[0].High),
				Fix:     diag.Textf("calibrate on more samples, and on some like these"),
			})
		}
	}
	return list
}
