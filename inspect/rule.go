package inspect

import (
	"encoding/json"

	"narrow/plan"
	"narrow/scheme"
)

// Rule returns the layer rule, as a strategy file has it, that leaves the given
// kinds of tensors of a layer in float.
func Rule(layer string, kinds ...scheme.Kind) string {
	r := struct {
		LayerType *string           `json:"layer_type"`
		LayerName string            `json:"layer_name"`
		Kinds     []string          `json:"quantizable_data_type"`
		Overall   map[string]string `json:"overall_quantize_config"`
	}{LayerName: layer, Overall: map[string]string{"datatype": scheme.Float32.String()}}
	for _, k := range kinds {
		r.Kinds = append(r.Kinds, k.String())
	}
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // strings are always written
	}
	return string(text)
}

// Spare returns the rule that leaves all of l that p quantizes in float.
func Spare(p *plan.Plan, l *plan.Layer) string {
	var kinds []scheme.Kind
	has := map[scheme.Kind]bool{}
	for _, t := range p.Tensors {
		if t.Layer == l && !has[t.Kind] {
			has[t.Kind] = true
			kinds = append(kinds, t.Kind)
		}
	}
	return Rule(l.Name, kinds...)
}
