package names

import (
	"fmt"
	"strings"
	"testing"

	"narrow/strategy"
)

// TestClassesAreKnown: a type that finds layers is one that lint takes.
func TestClassesAreKnown(t *testing.T) {
	for class := range torchClasses() {
		src := fmt.Sprintf(`{"layer_quantize_config": [{"layer_type": "torch.nn.%s", "quantizable_data_type": [], "overall_quantize_config": {}}]}`, class)
		if _, list := strategy.Parse("s.json", []byte(src)); len(list) > 0 {
			t.Errorf("%v", list)
		}
	}
}

// TestGlob holds glob against a definition by recursion.
func TestGlob(t *testing.T) {
	alphabet := []string{"a", ".", "/", "*", "**"}
	var words func(n int, with int) []string
	words = func(n, with int) []string {
		if n == 0 {
			return []string{""}
		}
		out := []string{}
		for _, w := range words(n-1, with) {
			out = append(out, w)
			if len(w) >= n-1 {
				for _, c := range alphabet[:with] {
					out = append(out, w+c)
				}
			}
		}
		return out
	}
	names := words(5, 3)
	for _, p := range words(4, 5) {
		for _, s := range names {
			if got, want := glob(p, s), slowGlob(p, s, strings.Contains(p, "/")); got != want {
				t.Fatalf("%q matches %q: %v, want %v", p, s, got, want)
			}
		}
	}
}

func slowGlob(p, s string, slash bool) bool {
	switch {
	case p == "":
		return s == ""
	case strings.HasPrefix(p, "**"):
		return slowGlob(p[2:], s, slash) || s != "" && slowGlob(p, s[1:], slash)
	case p[0] == '*':
		return slowGlob(p[1:], s, slash) || s != "" && s[0] != '/' && (slash || s[0] != '.') && slowGlob(p, s[1:], slash)
	}
	return s != "" && p[0] == s[0] && slowGlob(p[1:], s[1:], slash)
}
