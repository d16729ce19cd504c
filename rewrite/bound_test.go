package rewrite_test

import (
	"path/filepath"
	"testing"

	"narrow/plan"
	"narrow/rewrite"
	"narrow/scheme"
	"narrow/strategy"
)

// TestBoundsKeepPlaces: a ReLU6 with a bound per channel is one function to the
// plan, as the Clip was, so that the same values get quantizers.
func TestBoundsKeepPlaces(t *testing.T) {
	m := load(t, filepath.Join(models, "tinymobile", "model.onnx"))
	names := func(o rewrite.Options) []string {
		out, report := apply(t, m, rewrite.Before(o)...)
		if o.Equalize && report.Count("equalize") == 0 {
			t.Fatalf("nothing equalized:\n%s", report)
		}
		s, list := strategy.Parse("test.json", []byte(`{"include_cle": false}`))
		if err := list.Err(); err != nil {
			t.Fatal(err)
		}
		p, _, err := plan.Build(out, s)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, x := range p.Tensors {
			if x.Kind == scheme.Activation || x.Kind == scheme.Input {
				names = append(names, x.Name)
			}
		}
		return names
	}
	want := names(rewrite.Options{})
	got := names(rewrite.Options{Equalize: true, Relu6: rewrite.Relu6Bounds, Rounds: 3, WeightsOnly: true})
	if len(want) < 16 || len(got) != len(want) {
		t.Fatalf("quantizers stand at %q, before equalization at %q", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("quantizer %d stands at %q, before equalization at %q", i, got[i], want[i])
		}
	}
}
