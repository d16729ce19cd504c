package rewrite_test

import (
	"testing"

	"narrow/graph/graphtext"
	"narrow/rewrite"
)

// TestSpareNormalizations: the means inside of a normalization that is written
// out stay the network's own where that is asked for; any other mean over six
// values becomes the DPU's.
func TestSpareNormalizations(t *testing.T) {
	m := graphtext.MustParse(`<opset_import: ["": 12]> g (float[N, 5, 6] x) => (float[N, 5, 6] n, float[N, 5, 1] z) <float e = {1e-5}, float[6] lnw = {1, 2, ...}, float[6] lnb = {0.5, ...}> {` +
		normWritten + `[other] z = ReduceMean <axes = [-1]> (x) }`)
	for spare, want := range map[bool]int{false: 3, true: 1} {
		_, report := apply(t, m, rewrite.DeviceArithmetic(spare))
		if len(report.Changes) != want {
			t.Errorf("spare %v: %d means became the DPU's, want %d:\n%s", spare, len(report.Changes), want, report)
		}
	}
}
