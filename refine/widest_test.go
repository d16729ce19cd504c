package refine

import (
	"testing"

	"narrow/calibrate"
	"narrow/graph/graphtext"
	"narrow/plan"
	"narrow/strategy"
)

// TestWidest: layers whose moments would fill memory are not chosen anew.
func TestWidest(t *testing.T) {
	m := graphtext.MustParse(`net (float[N, 2600] x) => (float[N, 2] y)
		<float[2600, 2] w = {0.5, -0.25, ...}, float[2, 2] v = {1, 0.5, ...}> { [wide] h = MatMul (x, w) [narrow] y = MatMul (h, v) }`)
	p, _, err := plan.BuildWith(m, strategy.Default(), plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	layers := (&refiner{c: &calibrate.Calibrated{Plan: p}}).layers()
	if len(layers) != 1 || layers[0].op.Node.Label() != "narrow" {
		t.Errorf("%d layers, the first %s", len(layers), layers[0].op.Node.Label())
	}
}
