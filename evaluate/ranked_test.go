package evaluate

import (
	"testing"

	"narrow/graph"
	"narrow/graph/graphtext"
)

func TestRanker(t *testing.T) {
	for body, want := range map[string]string{
		`v, i = TopK (x, k) y = Gather <axis = 1> (x, i)`:                "top",
		`v, i = TopK (x, k) u = Unsqueeze <axes = [2]> (v) y = Relu (u)`: "",
		`v, i = TopK (x, k) y = Concat <axis = 1> (v, x)`:                "top",
		`r = Relu (x) y = Concat <axis = 1> (r, x)`:                      "",
		`v, i = TopK (x, k) c = Cast <to = 1> (i) y = MatMul (c, w)`:     "",
		`v, i = TopK (x, k) c = Cast <to = 1> (i) y = Add (c, c)`:        "top",
	} {
		m := graphtext.MustParse(`<opset_import: ["": 12]> g (float[N, 8] x) => (float[] y) <int64[1] k = {4}, float[4, 4] w = {1, ...}> { ` + "[top] " + body + ` }`)
		got := ""
		if n := ranker(graph.NewIndex(m.Graph), "y"); n != nil {
			got = n.Label()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
}

func TestRankedIsTold(t *testing.T) {
	told := func(o Output) bool {
		r := Result{Outputs: []Output{o}}
		for _, f := range r.Findings() {
			if f.Code == "ranked" {
				return true
			}
		}
		return false
	}
	o := Output{Name: "rows", SQNR: 12, floats: true, ranker: "top"}
	if !told(o) {
		t.Error("rows in the order of a TopK are not told")
	}
	if o.Exact = true; told(o) {
		t.Error("told although nothing differs")
	}
	if told(Output{Name: "rows", SQNR: 12, floats: true}) {
		t.Error("told of an output that has no such order")
	}
}
