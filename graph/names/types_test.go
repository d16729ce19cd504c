package names

import (
	"fmt"
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
