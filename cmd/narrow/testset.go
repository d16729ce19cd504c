package main

import (
	"github.com/spf13/cobra"

	"narrow"
	"narrow/samples"
)

// testSetFlags say which samples to test on, for commands that calibrate too.
type testSetFlags struct {
	data, labels string
	skip         int
	// count is how many samples at most; 0 for all. For run only.
	count int
}

func (t *testSetFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&t.data, "test-data", "", "test on these samples (default: on those of --data)")
	c.Flags().IntVar(&t.skip, "test-skip", 0, "skip this many samples, and test on those after them")
	c.Flags().StringVar(&t.labels, "test-labels", "", "labels of --test-data")
}

// check refuses a number that means nothing.
func (t *testSetFlags) check() error {
	if t.count < 0 {
		return usagef("--test-len is %d: give 1 or more, or leave it out", t.count)
	}
	return nil
}

// bounded gives t the bound of --subset-len where nothing else says what to test
// on: vai_q_pytorch's flag bounds both.
func (t *testSetFlags) bounded(f inputFlags) {
	if t.data == "" && t.skip == 0 && t.count == 0 {
		t.count = f.subset
	}
}

// openTestSet opens the samples to test on: those of t, else all of those that
// f names. It returns the flags that they were opened by, too.
func (a *app) openTestSet(f inputFlags, t *testSetFlags, m *narrow.Model) (*samples.Set, *inputFlags, error) {
	// Where samples are skipped, they are those that calibrate.
	f.subset, f.skip, f.shuffle = t.count, t.skip, f.shuffle && (t.skip > 0 || t.count > 0) && t.data == ""
	if t.data != "" {
		f.data, f.labels = t.data, t.labels
	} else if t.labels != "" {
		return nil, nil, usagef("--test-labels needs --test-data: --labels goes with --data")
	}
	set, err := a.openSamples(&f, m)
	return set, &f, err
}
