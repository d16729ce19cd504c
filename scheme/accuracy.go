package scheme

import (
	"fmt"

	"narrow/diag"
)

// Accuracy says which of the two ways to quantize is taken: what the strategy
// language leaves open (where quantizers may stand, which arithmetic is
// simulated, how constants and ranges are chosen) is decided by it. The zero
// value is [High].
type Accuracy int

const (
	// High does what is best for the target, within every setting of the strategy.
	High Accuracy = iota
	// Guide does what vai_q_pytorch does.
	Guide
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

// ParseAccuracy reads "guide" or "high".
func ParseAccuracy(s string) (Accuracy, error) {
	switch s {
	case "guide":
		return Guide, nil
	case "high":
		return High, nil
	}
	return 0, diag.Errorf("%q is not an accuracy: it must be guide or high", s)
}
