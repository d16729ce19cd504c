package serve

import (
	"encoding/json"
	"slices"
	"strings"

	"narrow/diag"
	"narrow/graph/names"
	"narrow/scheme"
	"narrow/strategy"
)

// keepFloat returns the strategy with a rule behind the others that leaves in float
// what the modules of the given names do, wherever they stand in the network. It
// is the same strategy where there are no such modules.
func keepFloat(m *model, st *strategy.Strategy, modules []string) (*strategy.Strategy, diag.List, error) {
	var nodes []string
	for _, e := range names.New(m.Graph).Entries {
		if e.Node.Is("Constant", "ConstantOfShape", "Shape", "Size", "Range") {
			continue // nothing of theirs could be quantized
		}
		parts := strings.Split(e.Name, "/")
		if slices.ContainsFunc(parts[:len(parts)-1], func(p string) bool { return slices.Contains(modules, trimCall(p)) }) {
			nodes = append(nodes, e.Name)
		}
	}
	if len(nodes) == 0 {
		return st, nil, nil
	}
	var doc map[string]any
	if err := json.Unmarshal(st.Format(), &doc); err != nil {
		return nil, nil, diag.Errorf("adding rules for custom operators: %w", err)
	}
	rules, _ := doc["layer_quantize_config"].([]any)
	doc["layer_quantize_config"] = append(rules, map[string]any{
		"layer_type": nil, "layer_name": nodes,
		"quantizable_data_type":   []string{scheme.Input.String(), scheme.Weights.String(), scheme.Bias.String(), scheme.Activation.String()},
		"overall_quantize_config": map[string]string{"datatype": scheme.Float32.String()},
	})
	text, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return nil, nil, diag.Errorf("adding rules for custom operators: %w", err)
	}
	own, list := strategy.Parse(st.File, text)
	return own, list, nil
}
