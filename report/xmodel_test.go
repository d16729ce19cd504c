package report

import (
	"slices"
	"strings"
	"testing"

	"narrow/internal/testnet"
)

// TestXModel: a report of a strategy for the DPU tells what each layer becomes in
// an .xmodel, or why it cannot be written; one for other devices does not.
func TestXModel(t *testing.T) {
	m := testnet.Parse(t, `<ir_version: 8, opset_import: ["": 17]>
g (float[N, 3, 8, 8] x) => (float[N, 4, 8, 8] y) <float[4, 3, 3, 3] w = {0.5, ...}, float[4] b = {0.25, ...}>
{
	[c] a = Conv<pads=[3,3,3,3], kernel_shape=[3,3]>(x, w, b)
	[r] d = Relu(a)
	[e] y = Elu(d)
}`)
	p := testnet.Plan(t, m, "{}").Plan
	all := xmodelOf(p)
	for _, l := range p.Layers {
		x := all[l]
		switch l.Name {
		case "c":
			if x == nil || !slices.Equal(x.Operators, []string{"conv2d", "relu", "fix"}) || len(x.Notes) != 1 || !strings.Contains(x.Notes[0].String(), "padding of 3") {
				t.Errorf("c becomes %+v", x)
			}
		case "e":
			if x == nil || len(x.Refused) != 1 || !strings.Contains(x.Refused[0].String(), "Elu") {
				t.Errorf("e becomes %+v", x)
			}
		}
	}
	if other := xmodelOf(testnet.Plan(t, m, `{"target_device": "CPU"}`).Plan); other != nil {
		t.Errorf("for the CPU: %v", other)
	}
}
