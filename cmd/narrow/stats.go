package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"narrow"
	"narrow/calibrate"
	"narrow/diag"
	"narrow/internal/atomicfile"
)

// statsFlags keep a calibration's statistics, or calibrate from such.
type statsFlags struct{ save, from string }

func (f *statsFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.save, "save-stats", "", "keep every tensor's statistics in this file, of at most 4 GB, for --from-stats (implies --propagate float)")
	c.Flags().StringVar(&f.from, "from-stats", "", "take the statistics in this file instead of samples: the scales of --propagate float for any strategy, at once")
	_ = c.MarkFlagFilename("from-stats")
}

// check refuses what does not go together, and turns --propagate to float.
func (f *statsFlags) check(c *cobra.Command, propagate *string) error {
	if f.save == "" && f.from == "" {
		return nil
	}
	flag := "--save-stats"
	if f.from != "" {
		flag = "--from-stats"
	}
	how, err := propagation(*propagate)
	if err != nil {
		return err
	}
	switch {
	case f.save != "" && f.from != "":
		return usagef("--save-stats and --from-stats do not go together: statistics that are read need no saving")
	case how == calibrate.Progressive && c.Flags().Changed("propagate"):
		return usagef("%s goes with --propagate float: statistics of values that one strategy quantized on the way serve no other", flag)
	}
	*propagate = calibrate.Float.String()
	return nil
}

// checkSave makes sure, before the work, that --save-stats can be written.
func (f *statsFlags) checkSave() error {
	if f.save == "" {
		return nil
	}
	if st, err := os.Stat(f.save); err == nil && st.IsDir() {
		return diag.Errorf("--save-stats %s: is a folder: name a file in it", f.save)
	}
	return f.saveError(atomicfile.CheckDir(filepath.Dir(f.save)))
}

// checkSize refuses statistics that would take too much, before the work.
func (f *statsFlags) checkSize(j *calibJob) error {
	if f.save == "" || j.set == nil {
		return nil
	}
	n := calibrate.StatsSize(j.planned.Plan, j.set.Len())
	if n <= calibrate.StatsLimit {
		return nil
	}
	most := int(int64(j.set.Len()) * calibrate.StatsLimit / n)
	return usagef("--save-stats would take about %s for %s (3 KB for each value of the network and sample), more than %s: give at most %d by --subset-len, or calibrate each strategy, by --shard if one machine is too slow",
		megabytes(n), count(j.set.Len(), "sample"), megabytes(calibrate.StatsLimit), most)
}

// saveError tells an error about the folder of --save-stats as such.
func (f *statsFlags) saveError(err error) error {
	var dir *atomicfile.DirError
	if errors.As(err, &dir) {
		return diag.Errorf("--save-stats %s: cannot be written: %s: %w: name another file", f.save, dir.Dir, dir.Err)
	}
	return err
}

// fromStats calibrates from the statistics that were named.
func (j *calibJob) fromStats(samplesSHA256 string) (*narrow.Calibrated, error) {
	if st, err := os.Stat(j.f.stats.from); err == nil && st.IsDir() {
		return nil, usagef("--from-stats %s: is a folder: name a file in it", j.f.stats.from)
	}
	s, err := calibrate.OpenStats(j.f.stats.from)
	if err != nil {
		return nil, err
	}
	c, err := j.planned.Calibrate(context.Background(), nil, nil, narrow.CalibrateOptions{
		FromStats: s, SamplesSHA256: samplesSHA256, Threads: j.f.cores(), SkipInvalid: j.f.skipInvalid,
	})
	if err != nil {
		return nil, diag.Errorf("%s: %w", j.f.stats.from, err)
	}
	return c, nil
}

// savingStats calls run with what keeps statistics, and writes them when it is
// done. Until then they are in a file that has no name, so that nothing stays
// of a run that ends early.
func (j *calibJob) savingStats(ctx context.Context, run func(io.Writer) error) error {
	if j.f.stats.save == "" {
		return run(nil)
	}
	spool, err := os.CreateTemp("", "narrow-stats-")
	if err != nil {
		return diag.Errorf("keeping statistics: %w", err)
	}
	defer os.Remove(spool.Name()) // where an open file cannot go
	defer spool.Close()
	os.Remove(spool.Name())
	if err := run(spool); err != nil {
		return err
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return diag.Errorf("keeping statistics: %w", err)
	}
	return j.a.commit(ctx, func() error {
		return j.f.stats.saveError(atomicfile.Write(filepath.Dir(j.f.stats.save), atomicfile.File{Name: filepath.Base(j.f.stats.save), Write: func(w io.Writer) error {
			_, err := io.Copy(w, spool)
			return err
		}}))
	})
}
