package inspect

import (
	"strings"
	"testing"

	"narrow/scheme"
)

// TestUnclip: nobody is told to take the method that is taken already.
func TestUnclip(t *testing.T) {
	for want, s := range map[string]scheme.Settings{
		"the method maxmin":      {Method: scheme.Entropy, Symmetry: true},
		"symmetry true":          {Method: scheme.MaxMin},
		"is taken there already": {Method: scheme.MaxMin, Symmetry: true},
	} {
		for _, high := range []bool{true, false} {
			got := unclip(s, high).String()
			if !strings.Contains(got, want) {
				t.Errorf("%+v: %q, want %q", s, got, want)
			}
			if strings.Contains(got, "accuracy high") != (high && !s.Symmetry) {
				t.Errorf("%+v, high %v: %q", s, high, got)
			}
		}
	}
}
