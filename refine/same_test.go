package refine

import (
	"testing"

	"narrow/calibrate"
)

// TestSameSamples: samples that are all the same are told, others and a single one
// are not.
func TestSameSamples(t *testing.T) {
	kept := func(first ...byte) (out []calibrate.Kept) {
		for _, b := range first {
			out = append(out, calibrate.Kept{Digest: calibrate.Digest{b}})
		}
		return out
	}
	for _, c := range []struct {
		kept []calibrate.Kept
		want int
	}{{kept(7, 7, 7), 1}, {kept(7, 7, 8), 0}, {kept(7), 0}, {nil, 0}} {
		list := sameSamples(c.kept)
		if len(list) != c.want || c.want == 1 && list[0].Code != "same-samples" {
			t.Errorf("%d samples: %v", len(c.kept), list)
		}
	}
	if got := tooFew(1).String(); got != "one sample is too few to choose weights and ranges by: they stay as calibrated" {
		t.Error(got)
	}
}
