package graph_test

import (
	"slices"
	"testing"

	"narrow/graph"
	"narrow/graph/graphtext"
)

func TestUniqueNames(t *testing.T) {
	g := graphtext.MustParse(`g (x) => (y) {
		[n] a = A (x) [n] b = B (a) [n_1] c = C (b) [n] d = D (c) e = E (d) f = F (e)
		[n] y = If <then_branch = t () => (v) { [n] u = G (f) [n] v = H (u) }> (f)
	}`).Graph
	labels := func(g *graph.Graph) (names []string) {
		for _, n := range g.Nodes {
			names = append(names, n.Name)
		}
		return names
	}
	g.UniqueNames()
	if got, want := labels(g), []string{"n", "n_2", "n_1", "n_3", "", "", "n_4"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	inner := g.Nodes[6].Subgraphs()[0]
	if got, want := labels(inner), []string{"n", "n_1"}; !slices.Equal(got, want) {
		t.Errorf("inner graph: %q, want %q", got, want)
	}
	again := labels(g)
	g.UniqueNames()
	if !slices.Equal(labels(g), again) {
		t.Errorf("%q, and %q when asked again", again, labels(g))
	}
}
