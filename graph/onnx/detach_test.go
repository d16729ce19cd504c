package onnx

import (
	"testing"

	"narrow/graph"
)

func TestEncodeDetached(t *testing.T) {
	big := graph.NewFloats("big", []int64{3}, []float32{1, 2, 3})
	small := graph.NewFloats("small", []int64{1}, []float32{4})
	m := &graph.Model{
		IRVersion: 8, Opsets: map[string]int64{"": 13},
		Graph: &graph.Graph{
			Name:         "g",
			Initializers: []*graph.Tensor{big, small},
			Nodes:        []*graph.Node{{OpType: "Add", Inputs: []string{"big", "small"}, Outputs: []string{"y"}}},
			Outputs:      []*graph.Value{{Name: "y", Type: graph.Float32}},
		},
	}
	data, detached, err := EncodeDetached(m, 8)
	if err != nil {
		t.Fatal(err)
	}
	if len(detached) != 1 || detached[0] != big {
		t.Errorf("detached %v, not the one large tensor", detached)
	}
	// Without a folder the declared file cannot be read: the tensor is really gone.
	if _, err := Decode(data, ""); err == nil {
		t.Error("the bytes hold the detached tensor")
	}
	inline, detached, err := EncodeDetached(m, 13)
	if err != nil || len(detached) != 0 {
		t.Fatalf("nothing is large enough, yet detached %v, error %v", detached, err)
	}
	whole, err := Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	if string(inline) != string(whole) {
		t.Error("without large tensors the bytes differ from Encode's")
	}
}
