package plan_test

import (
	"testing"

	"narrow/graph"
	"narrow/plan"
	"narrow/strategy"
)

// TestSimulationOfOldFiles: files of IR version 3 list constants among the
// graph's inputs; one whose constant was replaced must not ask to be fed.
func TestSimulationOfOldFiles(t *testing.T) {
	w := graph.NewFloats("w", []int64{2, 2}, []float32{1, 2, 3, 4})
	dims := []graph.Dim{{Size: -1, Param: "N"}, {Size: 2}}
	m := &graph.Model{IRVersion: 3, Opsets: map[string]int64{"": 9}, Graph: &graph.Graph{
		Name: "old",
		Inputs: []*graph.Value{
			{Name: "x", Type: graph.Float32, Shape: dims},
			{Name: "w", Type: graph.Float32, Shape: []graph.Dim{{Size: 2}, {Size: 2}}},
		},
		Initializers: []*graph.Tensor{w},
		Nodes:        []*graph.Node{{Name: "fc", OpType: "MatMul", Inputs: []string{"x", "w"}, Outputs: []string{"y"}}},
		Outputs:      []*graph.Value{{Name: "y", Type: graph.Float32, Shape: dims}},
	}}
	p, list, err := plan.Build(m, strategy.Default())
	if err != nil || list.HasErrors() {
		t.Fatal(err, list)
	}
	replace := map[*plan.Tensor]*graph.Tensor{}
	for _, tensor := range p.Tensors {
		if tensor.Constant != nil {
			replace[tensor] = tensor.Constant
		}
	}
	if len(replace) != 1 {
		t.Fatalf("%d constants are quantized, want 1", len(replace))
	}
	sim, err := p.Simulation(plan.SimulationOptions{Replace: replace})
	if err != nil {
		t.Fatal(err)
	}
	if in := sim.Model.Graph.Inputs; len(in) != 1 || in[0].Name != "x" {
		t.Errorf("the simulation takes %d inputs, want x alone", len(in))
	}
	if len(m.Graph.Inputs) != 2 {
		t.Error("the model itself was changed")
	}
}
