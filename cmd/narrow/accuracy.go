package main

import (
	"github.com/spf13/cobra"

	"narrow"
	"narrow/calibrate"
	"narrow/refine"
	"narrow/scheme"
)

// accuracyFlags ask for more accuracy than the guide's way gives.
type accuracyFlags struct {
	level   string
	samples int
	chosen  narrow.Accuracy
}

func (f *accuracyFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.level, "accuracy", "guide", "guide: what vai_q_pytorch does; high: keep ReLU6 while equalizing, choose weights by least squares over the samples, --propagate float (slower)")
	c.Flags().IntVar(&f.samples, "refine-samples", refine.Samples, "with --accuracy high: choose weights over at most this many samples")
}

// check reads the flags and turns --propagate to float where High asks for it
// and the user did not say otherwise.
func (f *accuracyFlags) check(c *cobra.Command, propagate *string) error {
	var err error
	if f.chosen, err = scheme.ParseAccuracy(f.level); err != nil {
		return usagef("--accuracy: %w", err)
	}
	if f.samples < 1 {
		return usagef("--refine-samples is %d: give 1 or more", f.samples)
	}
	if f.chosen == narrow.High {
		if c.Flags().Changed("propagate") && *propagate == calibrate.Progressive.String() {
			return usagef("--propagate progressive is a part of --accuracy guide and does not go with --accuracy high: leave one of them out")
		}
		*propagate = calibrate.Float.String()
	}
	return nil
}
