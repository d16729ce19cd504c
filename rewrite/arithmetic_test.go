package rewrite_test

import (
	"fmt"
	"testing"

	"narrow/graph/graphtext"
	"narrow/rewrite"
)

// TestFoldArithmetic: what is computed of two constants is what ONNX Runtime
// computes, of float32 and int64, broadcast too; integers are not divided by 0.
func TestFoldArithmetic(t *testing.T) {
	for _, op := range []string{"Add", "Sub", "Mul", "Div"} {
		for typ, constants := range map[string]string{
			"float": "float[2, 1] a = {1.5, -3}, float[1, 3] b = {0.25, -7, 3}",
			"int64": "int64[2, 1] a = {7, -9}, int64[1, 3] b = {2, -4, 3}",
		} {
			m := graphtext.MustParse(fmt.Sprintf(`g (float[N, 2, 3] x) => (float[N, 2, 3] y) <%s> {
				k = %s (a, b)
				f = Cast <to = 1> (k)
				y = Mul (x, f) }`, constants, op))
			out, report := apply(t, m, rewrite.FoldConstants(nil))
			if len(out.Graph.Nodes) != 1 {
				t.Errorf("%s of %s is not computed:\n%s", op, typ, report)
			}
			same(t, m, out, 2)
		}
	}
	m := graphtext.MustParse(`g (float[N, 2] x) => (float[N, 2] y) <int64[2] a = {7, -9}, int64[2] b = {2, 0}> {
		k = Div (a, b)
		f = Cast <to = 1> (k)
		y = Mul (x, f) }`)
	_, report, err := rewrite.Apply(m, rewrite.FoldConstants(nil))
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Changes) != 0 || len(report.Refusals) != 1 || report.Refusals[0].Reason != "it may divide integers by 0" {
		t.Errorf("a division by 0:\n%s", report)
	}
}
