package graph

import (
	"slices"
	"testing"
)

func TestDropUnused(t *testing.T) {
	tensor := func(name string) *Tensor { return NewFloats(name, []int64{1}, []float32{1}) }
	g := &Graph{
		Inputs:       []*Value{{Name: "x"}, {Name: "old"}, {Name: "idle"}},
		Outputs:      []*Value{{Name: "y"}, {Name: "stored"}},
		Initializers: []*Tensor{tensor("read"), tensor("old"), tensor("inner"), tensor("stored"), tensor("spare")},
		Values:       map[string]*Value{"y": {Name: "y"}, "spare": {Name: "spare"}, "gone": {Name: "gone"}},
		Nodes: []*Node{
			{OpType: "Add", Inputs: []string{"x", "read"}, Outputs: []string{"y"}},
			{OpType: "If", Inputs: []string{"x"}, Outputs: []string{"z"}, Attrs: []*Attr{{Name: "then_branch", Kind: AttrGraph, Graph: &Graph{
				Outputs: []*Value{{Name: "o"}},
				Nodes:   []*Node{{OpType: "Neg", Inputs: []string{"inner"}, Outputs: []string{"o"}}},
			}}}},
		},
	}
	if got := g.DropUnused(); !slices.Equal(got, []string{"old", "spare"}) {
		t.Errorf("dropped %q, want old and spare", got)
	}
	var kept, inputs []string
	for _, i := range g.Initializers {
		kept = append(kept, i.Name)
	}
	for _, v := range g.Inputs {
		inputs = append(inputs, v.Name)
	}
	if !slices.Equal(kept, []string{"read", "inner", "stored"}) {
		t.Errorf("kept %q", kept)
	}
	if !slices.Equal(inputs, []string{"x", "idle"}) {
		t.Errorf("the inputs are %q; that of a dropped constant goes, others stay", inputs)
	}
	if len(g.Values) != 1 || g.Values["y"] == nil {
		t.Errorf("the types of %d values are kept, want y's alone", len(g.Values))
	}
}
