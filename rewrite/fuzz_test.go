package rewrite_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"narrow/graph/graphtext"
	"narrow/rewrite"
)

// FuzzApply: whatever the network, rules end without a panic, leave what came
// in alone, and what comes out is in order: sorted, each value made once, each
// output still there.
func FuzzApply(f *testing.F) {
	files, err := filepath.Glob("testdata/rules/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds")
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		text, _, _ := strings.Cut(string(src), wantMark)
		f.Add(text)
	}
	rules := rewrite.Before(rewrite.Options{ConvertSilu: true, Equalize: true, Relu6: rewrite.Relu6Bounds, Rounds: 2})
	f.Fuzz(func(t *testing.T, text string) {
		m, err := graphtext.Parse(text)
		if err != nil {
			t.Skip()
		}
		before := graphtext.Format(m)
		out, _, err := rewrite.Apply(m, rules...)
		if graphtext.Format(m) != before {
			t.Error("the model that came in was changed")
		}
		if err != nil {
			return
		}
		if _, _, err := rewrite.Apply(out); err != nil {
			t.Errorf("what came out is not in order: %v", err)
		}
		made := map[string]bool{}
		for _, v := range out.Graph.Inputs {
			made[v.Name] = true
		}
		for _, c := range out.Graph.Initializers {
			made[c.Name] = true
		}
		for _, n := range out.Graph.Nodes {
			for _, o := range n.Outputs {
				made[o] = true
			}
		}
		had := map[string]bool{}
		for _, v := range m.Graph.Inputs {
			had[v.Name] = true
		}
		for _, c := range m.Graph.Initializers {
			had[c.Name] = true
		}
		for _, n := range m.Graph.Nodes {
			for _, o := range n.Outputs {
				had[o] = true
			}
		}
		for _, v := range m.Graph.Outputs {
			if had[v.Name] && !made[v.Name] {
				t.Errorf("output %q is gone", v.Name)
			}
		}
		for _, n := range out.Graph.Nodes {
			for _, in := range n.Inputs {
				if in != "" && had[in] && !made[in] {
					t.Errorf("%q reads %q, which is gone", n.Label(), in)
				}
			}
		}
	})
}
