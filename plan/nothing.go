package plan

import (
	"narrow/diag"
	"narrow/graph"
)

// nothing warns where no tensor is quantized, and says why where it shows.
func (b *builder) nothing() {
	if len(b.p.Tensors) > 0 {
		return
	}
	f := diag.Finding{
		Severity: diag.Warning, Code: "nothing-quantized",
		Message: diag.Textf("no tensor of the model is quantized"),
		Fix:     diag.Textf("\"narrow explain\" tells the reason for each"),
	}
	if len(b.p.FloatTensors) == 0 {
		f.Fix = diag.Text{}
		f.Message = diag.Textf("no tensor of the model is quantized: none of its values is a float32 that depends on an input")
		for _, v := range b.p.Model.Graph.Inputs {
			if v.Type == graph.Float16 || v.Type == graph.BFloat16 || v.Type == graph.Float64 {
				f.Message = diag.Textf("no tensor of the model is quantized: it computes in %v (input %q)", v.Type, v.Name)
				f.Fix = diag.Textf("export it in float32")
			}
		}
	}
	b.list = append(b.list, f)
}
