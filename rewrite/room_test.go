package rewrite_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"narrow/graph/graphtext"
	"narrow/rewrite"
)

// TestFoldingEnds: constants that double in every step are computed as long as
// they are small, and left to the runtime from there on.
func TestFoldingEnds(t *testing.T) {
	var b strings.Builder
	b.WriteString("g (float[N, 1] x) => (float[] y) <float[1, 1] c0 = {1}> {\n")
	for i := range 40 {
		fmt.Fprintf(&b, "c%d = Concat <axis = 1> (c%d, c%d)\n", i+1, i, i)
	}
	b.WriteString("y = Add (x, c40) }")
	m := graphtext.MustParse(b.String())
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	out, report, err := rewrite.Apply(m, rewrite.FoldConstants(nil))
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 128<<20 {
		t.Errorf("%d MiB were allocated", used>>20)
	}
	if n := len(out.Graph.Nodes); report.Count("fold-constants") != 1 || n < 15 || n > 25 {
		t.Errorf("%d nodes of 41 are left", n)
	}
	if len(report.Refusals) == 0 {
		t.Errorf("nothing was left alone:\n%s", report)
	}
}
