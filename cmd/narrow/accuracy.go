package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"narrow"
	"narrow/calibrate"
	"narrow/diag"
	"narrow/refine"
	"narrow/scheme"
)

// accuracyFlags ask for more accuracy than the guide's way gives.
type accuracyFlags struct {
	level   string
	samples int
	chosen  narrow.Accuracy
}

// accuracyEnv names the environment variable that sets the default of --accuracy.
const accuracyEnv = "NARROW_ACCURACY"

func (f *accuracyFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.level, "accuracy", "", "guide: what vai_q_pytorch does; high: weights, ranges and equalization chosen over the samples for the target, kept where they are better than guide's on other samples (default: "+accuracyEnv+", else guide)")
	c.Flags().IntVar(&f.samples, "refine-samples", refine.Samples, "with --accuracy high: choose over at most this many samples")
}

// guideOnly is what only [narrow.Guide] goes with, and why.
type guideOnly struct {
	set    bool
	flag   string
	reason diag.Text
}

// check reads the flags and turns --propagate to float where High asks for it.
// Where something else that is set goes with the guide's way only, that is taken, and
// told in one line.
func (f *accuracyFlags) check(a *app, c *cobra.Command, propagate *string, only ...guideOnly) error {
	var err error
	level := f.level
	if level == "" {
		level = os.Getenv(accuracyEnv)
	}
	if f.chosen, err = scheme.ParseAccuracy(level); err != nil {
		if f.level == "" {
			return usagef("NARROW_ACCURACY: %w", err)
		}
		return usagef("--accuracy: %w", err)
	}
	if f.samples < 1 {
		return usagef("--refine-samples is %d: give 1 or more", f.samples)
	}
	if f.chosen != narrow.High {
		return nil
	}
	take := func(why diag.Text) {
		f.chosen = narrow.Guide
		fmt.Fprintln(a.stderr, a.lang.Sprint(diag.Textf("quantizing by --accuracy guide: %v", why)))
	}
	if c.Flags().Changed("propagate") && *propagate == calibrate.Progressive.String() {
		if f.level != "" {
			return usagef("--propagate progressive is a part of --accuracy guide and does not go with --accuracy high: leave one of them out")
		}
		take(diag.Textf("--propagate progressive is a part of it"))
		return nil
	}
	for _, o := range only {
		if o.set {
			take(diag.Textf("%s does not go with high, %v", o.flag, o.reason))
			return nil
		}
	}
	*propagate = calibrate.Float.String()
	return nil
}
