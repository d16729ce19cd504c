package plan_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"narrow/graph/onnx"
	"narrow/plan"
	"narrow/strategy"
)

// TestSingles: rules written out one a layer mean what patterns, lists and
// reused modules meant, and name exact layers only.
func TestSingles(t *testing.T) {
	names := []string{
		`"layer*.0.*"`, `"/layer1/**"`, `"**/Conv"`, `"/layer2/layer2.0/*/Conv"`, `"layer1.0.relu"`, `"layer2.0.relu"`, `["conv1", "layer1.0.conv2", "layer3.**"]`,
		`["/layer1/layer1.0/conv1/Conv"]`, `"/layer1/layer1.0/relu/Relu"`, `"layer1.0.conv1"`, `"/layer3/layer3.0/Add"`, `"in*"`, `"**relu_1/Relu"`,
	}
	types := []string{`"Conv2d"`, `"ReLU"`, `"add"`}
	m, err := onnx.Load(filepath.Join("..", "internal", "parity", "testdata", "models", "tinyresnet", "model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	settings := func(s *strategy.Strategy) string {
		p, list, err := plan.Build(m, s)
		if err != nil || list.HasErrors() {
			t.Fatalf("%v, %v\n%s", err, list, s.Format())
		}
		var b strings.Builder
		for _, x := range p.Tensors {
			fmt.Fprintln(&b, x.Name, x.Kind, x.Settings.Settings)
		}
		for _, x := range p.FloatTensors {
			fmt.Fprintln(&b, x.Name, x.Kind)
		}
		return b.String()
	}
	r := rand.New(rand.NewPCG(3, 4))
	wrote := 0
	for range 200 {
		var rules []string
		for i := range 1 + r.IntN(5) {
			which := `"layer_name": ` + names[r.IntN(len(names))]
			if r.IntN(4) == 0 {
				which = `"layer_type": ` + types[r.IntN(len(types))]
			}
			rules = append(rules, fmt.Sprintf(`{%s, "quantizable_data_type": ["weights", "bias", "activation"], "overall_quantize_config": {"bit_width": %d}}`, which, 2+i))
		}
		s, list := strategy.Parse("s.json", []byte(`{"target_device": "CPU", "layer_quantize_config": [`+strings.Join(rules, ", ")+`]}`))
		if list.HasErrors() {
			t.Fatal(list)
		}
		p, list, err := plan.Build(m, s)
		if err != nil || list.HasErrors() {
			t.Fatal(err, list)
		}
		single, list := strategy.Parse("single.json", s.Expand(p.Singles()).Format())
		if list.HasErrors() {
			t.Fatal(list)
		}
		for _, x := range single.Rules {
			if x.Many() {
				t.Errorf("%v is still for many layers", x)
			}
			wrote++
		}
		if got, want := settings(single), settings(s); got != want {
			t.Fatalf("%s\nbecame\n%s\nwhich gives\n%s\nnot\n%s", s.Format(), single.Format(), got, want)
		}
	}
	if wrote < 500 {
		t.Errorf("only %d rules came out", wrote)
	}
}
