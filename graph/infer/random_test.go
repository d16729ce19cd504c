package infer_test

import (
	"math/rand/v2"
	"testing"

	"narrow/graph"
	"narrow/graph/infer"
	"narrow/internal/broken"
)

// holds looks at a random network in every way that this package offers. It
// must not panic, and what comes out is no absurd shape.
func holds(t *testing.T, draw *broken.Random, seed uint64, op int) (accepted bool) {
	t.Helper()
	m := draw.Model(rand.New(rand.NewPCG(seed, 16)), op)
	defer func() {
		if p := recover(); p != nil {
			n := m.Graph.Nodes[len(m.Graph.Nodes)-1]
			t.Errorf("seed %d, operator %d (%s): panic: %v", seed, op, n.OpType, p)
			panic(p)
		}
	}()
	accepted = infer.Check(m) == nil
	fixed := map[string][]graph.Dim{}
	for _, v := range m.Graph.Inputs {
		if v.Shape != nil {
			fixed[v.Name] = infer.Fixed(v.Shape, "", 3)
		}
	}
	for _, in := range []map[string][]graph.Dim{nil, fixed} {
		for name, shape := range infer.Infer(m, in).Shapes {
			for _, d := range shape {
				if d.Size < -1 || d.Size > 1<<40 {
					t.Errorf("seed %d, operator %d: %q is of shape %v", seed, op, name, shape)
				}
			}
		}
	}
	return accepted
}

// TestRandomOperators goes through all standard operators, with every attribute
// at its extremes.
func TestRandomOperators(t *testing.T) {
	draw := broken.NewRandom()
	accepted := 0
	const each = 400
	for op := range draw.Operators() {
		for seed := range each {
			if holds(t, draw, uint64(seed), op) {
				accepted++
			}
		}
	}
	// Were none accepted, most rules would never be come to.
	if all := draw.Operators() * each; accepted < all/50 || accepted > all*9/10 {
		t.Errorf("%d of %d networks are accepted", accepted, all)
	}
}

// FuzzOperators draws networks of standard operators.
func FuzzOperators(f *testing.F) {
	draw := broken.NewRandom()
	for op := range draw.Operators() {
		f.Add(uint64(op), op)
	}
	f.Fuzz(func(t *testing.T, seed uint64, op int) { holds(t, draw, seed, op) })
}
