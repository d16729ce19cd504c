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

// accuracyFlag says which of the two ways to quantize is taken.
type accuracyFlag struct {
	level  string
	chosen narrow.Accuracy
}

// accuracyEnv names the environment variable that sets the default of --accuracy.
const accuracyEnv = "NARROW_ACCURACY"

func (f *accuracyFlag) add(c *cobra.Command) {
	c.Flags().StringVar(&f.level, "accuracy", "", "high: weights, ranges and equalization chosen over the samples for the target, kept where they are better than guide's on other samples; guide: what vai_q_pytorch does (default: "+accuracyEnv+", else high)")
}

// read chooses: the flag, else the environment, else high.
func (f *accuracyFlag) read() error {
	level, from := f.level, "--accuracy"
	if level == "" {
		level, from = os.Getenv(accuracyEnv), accuracyEnv
	}
	if level == "" {
		return nil
	}
	var err error
	if f.chosen, err = scheme.ParseAccuracy(level); err != nil {
		return usagef("%s: %w", from, err)
	}
	return nil
}

// accuracyFlags are those of commands that calibrate.
type accuracyFlags struct {
	accuracyFlag
	samples      int
	keepIntegers bool
}

func (f *accuracyFlags) add(c *cobra.Command) {
	f.accuracyFlag.add(c)
	c.Flags().IntVar(&f.samples, "refine-samples", refine.Samples, "with --accuracy high: choose over at most this many samples")
	c.Flags().BoolVar(&f.keepIntegers, "keep-integers", false, "with --accuracy high, for the CPU: keep functions such as SiLU apart from the layers before them, which then run in integers, whatever accuracy that costs")
}

// addPropagate adds --propagate, whose default is what the accuracy asks for: see
// [accuracyFlags.check].
func addPropagate(c *cobra.Command, propagate *string) {
	c.Flags().StringVar(propagate, "propagate", "", "what a layer sees while calibrating: progressive (inputs already quantized) or float (default: float, which --accuracy high takes alone; progressive with guide)")
}

// guideOnly is what only [narrow.Guide] goes with, and why.
type guideOnly struct {
	set    bool
	flag   string
	reason diag.Text
}

// check reads the flags, and says in propagate what they ask for where nothing did.
// Where something else that is set goes with the guide's way only, that is taken, and
// told in one line.
func (f *accuracyFlags) check(a *app, c *cobra.Command, propagate *string, only ...guideOnly) error {
	if err := f.read(); err != nil {
		return err
	}
	if f.samples < 1 {
		return usagef("--refine-samples is %d: give 1 or more", f.samples)
	}
	if _, err := propagation(*propagate); err != nil {
		return err
	}
	if f.chosen == narrow.High && *propagate == calibrate.Progressive.String() {
		if f.level != "" {
			return usagef("--propagate progressive is a part of --accuracy guide and does not go with --accuracy high: leave one of them out")
		}
		f.takeGuide(a, diag.Textf("--propagate progressive is a part of it"))
	}
	for _, o := range only {
		if f.chosen == narrow.High && o.set {
			f.takeGuide(a, diag.Textf("%s does not go with high, %v", o.flag, o.reason))
		}
	}
	switch {
	case f.chosen == narrow.High:
		*propagate = calibrate.Float.String()
	case *propagate == "":
		*propagate = calibrate.Progressive.String()
	}
	return nil
}

// takeGuide takes the guide's way, and tells why.
func (f *accuracyFlags) takeGuide(a *app, why diag.Text) {
	f.chosen = narrow.Guide
	fmt.Fprintln(a.stderr, a.lang.Sprint(diag.Textf("quantizing by --accuracy guide: %v", why)))
}
