package broken

import (
	"bytes"
	"testing"

	"narrow/graph/graphtext"
	"narrow/graph/onnx"
)

// TestCases: many cases, each with a name of its own and a model that differs
// from the one it was made of, and the same ones each time.
func TestCases(t *testing.T) {
	bases := Bases()
	sound := map[string][]byte{}
	before := map[string]string{}
	for _, b := range bases {
		data, err := onnx.Encode(b.Net)
		if err != nil {
			t.Fatal(err)
		}
		sound[b.Name], before[b.Name] = data, graphtext.Format(b.Net)
	}
	cases, err := Cases(bases)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Cases(bases)
	if err != nil || len(again) != len(cases) {
		t.Fatalf("%d cases, and %d when asked again, %v", len(cases), len(again), err)
	}
	seen := map[string]bool{}
	wrong := 0
	for i, c := range cases {
		if seen[c.Name()] {
			t.Errorf("two cases have the name %s", c.Name())
		}
		seen[c.Name()] = true
		if !c.Legal {
			wrong++
		}
		if c.Base != "external" && bytes.Equal(c.Files[ModelFile], sound[c.Base]) {
			t.Errorf("%s: nothing was changed", c.Name())
		}
		if again[i].Name() != c.Name() || !bytes.Equal(again[i].Files[ModelFile], c.Files[ModelFile]) {
			t.Errorf("%s: another one when asked again", c.Name())
		}
	}
	if wrong < 200 {
		t.Errorf("%d broken models only", wrong)
	}
	for _, b := range bases {
		if graphtext.Format(b.Net) != before[b.Name] {
			t.Errorf("%s: the network that came in was changed", b.Name)
		}
	}
}
