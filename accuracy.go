package narrow

import (
	"context"
	"fmt"

	"narrow/calibrate"
)

// Accuracy says whether to go beyond the guide for accuracy's sake. The zero
// value is invalid.
type Accuracy int

const (
	// Guide does what vai_q_pytorch does.
	Guide Accuracy = iota + 1
	// High equalizes through ReLU6 instead of turning it into ReLU, and many
	// times instead of once (where the strategy has include_cle), and is meant
	// to be followed by [Calibrated.Refine]. Activations are then best calibrated
	// with [calibrate.Float] propagation.
	High
)

// String returns "guide" or "high".
func (a Accuracy) String() string {
	switch a {
	case Guide:
		return "guide"
	case High:
		return "high"
	}
	return fmt.Sprintf("Accuracy(%d)", int(a))
}

// ParseAccuracy reads "guide" (also "") or "high".
func ParseAccuracy(s string) (Accuracy, error) {
	switch s {
	case "", "guide":
		return Guide, nil
	case "high":
		return High, nil
	}
	return 0, fmt.Errorf("accuracy is %q: it must be guide or high", s)
}

// saved is how a result folder tells a.
func (a Accuracy) saved() string {
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
