package rewrite_test

import (
	"bytes"
	"path/filepath"
	"slices"
	"testing"

	"narrow/graph"
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

// TestEqualizeSharedBound: a channel that reaches the bound of a ReLU6 keeps its
// scale, one that does not grows at most up to it, and the network keeps its one bound.
func TestEqualizeSharedBound(t *testing.T) {
	m := load(t, filepath.Join(models, "tinymobile", "model.onnx"))
	plain, _ := apply(t, m, rewrite.Before(rewrite.Options{})...)
	values, err := rewrite.Relu6Values(plain)
	if err != nil || len(values) == 0 {
		t.Fatal(values, err)
	}
	clips := func(m *graph.Model) int {
		n := 0
		for _, u := range m.Graph.Nodes {
			if u.Is("Clip") {
				n++
			}
			if u.Is("Min") {
				t.Errorf("a bound per channel: %s", u.Label())
			}
		}
		return n
	}
	o := rewrite.Options{Equalize: true, Relu6: rewrite.Relu6Shared, Rounds: 3, Largest: map[string][]float32{}}
	held, _ := apply(t, m, rewrite.Before(o)...)
	if w := weights(held); !slices.EqualFunc(w, weights(plain), bytes.Equal) {
		t.Error("equalized through a ReLU6 that nothing is known of")
	}
	for _, v := range values {
		o.Largest[v] = slices.Repeat([]float32{6}, 512)
	}
	held, _ = apply(t, m, rewrite.Before(o)...)
	if w := weights(held); !slices.EqualFunc(w, weights(plain), bytes.Equal) {
		t.Error("channels that reach the bound were scaled")
	}
	for _, v := range values {
		o.Largest[v] = slices.Repeat([]float32{3}, 512)
	}
	free, _ := apply(t, m, rewrite.Before(o)...)
	if slices.EqualFunc(weights(free), weights(plain), bytes.Equal) {
		t.Error("channels that stay below the bound were not scaled")
	}
	if clips(free) != clips(plain) {
		t.Errorf("%d ReLU6, before %d", clips(free), clips(plain))
	}
	for _, v := range values {
		if x := o.Largest[v]; x[0] != 3 {
			t.Fatal("the caller's maxima changed")
		}
	}
}

// weights returns the bytes of what convolutions multiply with.
func weights(m *graph.Model) [][]byte {
	var out [][]byte
	for _, n := range m.Graph.Nodes {
		if n.Is("Conv") {
			out = append(out, m.Graph.Initializer(n.Inputs[1]).Raw)
		}
	}
	return out
}
