package plan

import (
	"fmt"

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
		Message: "no tensor of the model is quantized",
		Fix:     "\"narrow explain\" tells the reason for each",
	}
	if len(b.p.Left) == 0 {
		f.Fix = ""
		f.Message += ": none of its values is a float32 that depends on an input"
		for _, v := range b.p.Model.Graph.Inputs {
			if v.Type == graph.Float16 || v.Type == graph.BFloat16 || v.Type == graph.Float64 {
				f.Message = fmt.Sprintf("no tensor of the model is quantized: it computes in %v (input %q)", v.Type, v.Name)
				f.Fix = "export it in float32"
			}
		}
	}
	b.list = append(b.list, f)
}
