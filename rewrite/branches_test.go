package rewrite_test

import (
	"slices"
	"strings"
	"testing"

	"narrow/graph"
	"narrow/graph/graphtext"
	"narrow/rewrite"
)

func TestInlineBranches(t *testing.T) {
	const both = `<then_branch = yes () => (float[N, 2] t) <float[2, 2] w = {1, 2, 3, 4}> { [fc] t = MatMul (h, w) }, else_branch = no () => (float[N, 2] e) { [id] e = Identity (h) }>`
	for name, c := range map[string]struct {
		text, want string // the operators that are left
		inlined    int
	}{
		"a stored condition": {`g (float[N, 2] x) => (float[N, 2] y) <bool c = {1}> { h = Relu (x) [if] y = If ` + both + ` (c) }`, "Relu MatMul", 1},
		"the other one, an outer value": {`g (float[N, 2] x) => (float[N, 2] y) <bool c = {0}> {
			h = Relu (x) [if] y = If <then_branch = yes () => (float[N, 2] t) { t = Neg (h) }, else_branch = no () => (float[N, 2] h) { }> (c) }`, "Relu Identity", 1},
		"what a shape comes to": {`g (float[N, 2] x) => (float[N, 2] y) <int64 two = {2}, int64 one = {1}> {
			h = Relu (x) s = Shape (h) d = Gather (s, one) c = Equal (d, two) [if] y = If ` + both + ` (c) }`, "Relu MatMul", 1},
		"an open shape": {`g (float[N, 2] x) => (float[N, 2] y) <int64 two = {2}, int64 zero = {0}> {
			h = Relu (x) s = Shape (h) d = Gather (s, zero) c = Equal (d, two) [if] y = If ` + both + ` (c) }`, "Relu Shape Gather Equal If", 0},
		"an input": {`g (float[N, 2] x, bool c) => (float[N, 2] y) { h = Relu (x) [if] y = If ` + both + ` (c) }`, "Relu If", 0},
		"names twice, and one in the other": {`g (float[N, 2] x) => (float[N, 2] y) <bool c = {1}> {
			h = Relu (x) [if] k = If ` + both + ` (c)
			[outer] y = If <then_branch = a () => (float[N, 2] t) {
				t = If <then_branch = b () => (float[N, 2] t2) <float[2, 2] w = {5, 6, 7, 8}> { [fc] t2 = MatMul (k, w) }, else_branch = d () => (float[N, 2] e) { e = Neg (k) }> (c)
			}, else_branch = f () => (float[N, 2] e) { e = Neg (k) }> (c) }`, "Relu MatMul MatMul", 3},
	} {
		t.Run(name, func(t *testing.T) {
			m := graphtext.MustParse(c.text)
			before := graphtext.Format(m)
			out, n := rewrite.InlineBranches(m)
			if graphtext.Format(m) != before {
				t.Error("the network that was given is another one")
			}
			var ops []string
			made := map[string]bool{}
			for _, v := range out.Graph.Inputs {
				made[v.Name] = true
			}
			for _, x := range out.Graph.Initializers {
				if made[x.Name] {
					t.Errorf("%s is made twice", x.Name)
				}
				made[x.Name] = true
			}
			for _, x := range out.Graph.Nodes {
				ops = append(ops, x.OpType)
				for _, in := range graph.Reads(x) {
					if !made[in] {
						t.Errorf("%s reads %q, which nothing made before", x.OpType, in)
					}
				}
				for _, o := range x.Outputs {
					if made[o] {
						t.Errorf("%s is made twice", o)
					}
					made[o] = true
				}
			}
			if !made["y"] || strings.Join(ops, " ") != c.want || n != c.inlined {
				t.Errorf("%d inlined, left are %v, want %s", n, ops, c.want)
			}
			if slices.Contains(ops, "MatMul") && len(out.Graph.Initializers) == 0 {
				t.Error("the weights of the branch are gone")
			}
		})
	}
}
