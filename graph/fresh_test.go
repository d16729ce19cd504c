package graph_test

import (
	"slices"
	"testing"

	"narrow/graph"
	"narrow/graph/graphtext"
)

// TestFresh: no name that the network has anywhere is given out, nor one twice.
func TestFresh(t *testing.T) {
	g := graphtext.MustParse(`net (float[N, 4] x, bool yes) => (float[N, 4] y) <float[1] c = {1}> {
		[choose] h = If <then_branch = t () => (float[N, 4] a) { [deep] a = Relu (x) }, else_branch = e () => (float[N, 4] b) { b = Neg (x) }> (yes)
		[sum] y = Add (h, c) }`).Graph
	g.Values = map[string]*graph.Value{"typed": {Name: "typed", Type: graph.Float32}}
	fresh := graph.Fresh(g)
	for name, want := range map[string][]string{
		"free": {"free", "free_1", "free_2"},
		"x":    {"x_1", "x_2"}, "y": {"y_1"}, "c": {"c_1"}, "h": {"h_1"}, "sum": {"sum_1"}, "typed": {"typed_1"},
		"a": {"a_1"}, "deep": {"deep_1"}, // of an inner graph
		"": {"_1", "_2"},
	} {
		var got []string
		for range want {
			got = append(got, fresh(name))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	if first, again := fresh("h_2"), fresh("h"); first != "h_2" || again != "h_3" {
		t.Errorf("%q and %q", first, again)
	}
}
