package narrow

import (
	"context"
	"fmt"

	"narrow/calibrate"
	"narrow/scheme"
)

// Accuracy says which of the two ways to quantize is taken: see [scheme.Accuracy].
type Accuracy = scheme.Accuracy

// The two ways.
const (
	Guide = scheme.Guide
	High  = scheme.High
)

// ParseAccuracy reads "guide" (also "") or "high".
func ParseAccuracy(s string) (Accuracy, error) { return scheme.ParseAccuracy(s) }

// saved is how a result folder tells a.
func saved(a Accuracy) string {
	if a == High {
		return a.String()
	}
	return ""
}

// Refine chooses the integers of weights and biases anew, layer by layer, so
// that each layer's output comes nearest to the float network's over the
// samples: see [calibrate.Calibrated.Refine].
func (c *Calibrated) Refine(ctx context.Context, run calibrate.Runner, in calibrate.Batches, opts calibrate.RefineOptions) error {
	if err := c.Result.Refine(ctx, run, in, opts); err != nil {
		return fmt.Errorf("refining %s: %w", c.Model.Path, err)
	}
	return nil
}
