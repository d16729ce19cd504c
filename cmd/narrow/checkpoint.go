package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"narrow"
	"narrow/diag"
	"narrow/engine"
	"narrow/internal/atomicfile"
)

// checkpointFlags keep what a calibration knows, to resume after a kill.
type checkpointFlags struct {
	file  string
	every time.Duration
}

func (f *checkpointFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.file, "checkpoint", "", "keep the state of the calibration in this file, and resume from it if it exists, to the same bytes")
	c.Flags().DurationVar(&f.every, "checkpoint-every", 10*time.Second, "how often --checkpoint writes it")
	_ = c.MarkFlagFilename("checkpoint")
}

// check refuses what does not go together.
func (f *checkpointFlags) check(c *cobra.Command, stats *statsFlags) error {
	switch {
	case f.every < 0:
		return usagef("--checkpoint-every is %v: give 0s or more", f.every)
	case f.file == "" && c.Flags().Changed("checkpoint-every"):
		return usagef("--checkpoint-every needs --checkpoint: name the file to keep it in")
	case f.file != "" && stats.save != "":
		return usagef("--checkpoint and --save-stats do not go together: a checkpoint holds no statistics")
	case f.file != "" && stats.from != "":
		return usagef("--checkpoint does not go with --from-stats, which runs nothing that takes long")
	}
	return nil
}

// checkFile makes sure, before the work, that the file can be written.
func (f *checkpointFlags) checkFile() error {
	if f.file == "" {
		return nil
	}
	if st, err := os.Stat(f.file); err == nil && st.IsDir() {
		return diag.Errorf("--checkpoint %s: is a folder: name a file in it", f.file)
	}
	err := atomicfile.CheckDir(filepath.Dir(f.file))
	var dir *atomicfile.DirError
	if errors.As(err, &dir) {
		return diag.Errorf("--checkpoint %s: cannot be written: %s: %w: name another file", f.file, dir.Dir, dir.Err)
	}
	return err
}

// remove takes the file away once the result is written.
func (f *checkpointFlags) remove() {
	if f.file != "" {
		os.Remove(f.file)                      // a stale one is of the same calibration, and does no harm
		atomicfile.Sweep(filepath.Dir(f.file)) // what was being written when this calibration was killed
	}
}

// checkpoint returns what keeps the calibration, nil without --checkpoint.
func (j *calibJob) checkpoint(ctx context.Context) *narrow.Checkpoint {
	f := &j.f.checkpoint
	if f.file == "" {
		return nil
	}
	return &narrow.Checkpoint{
		File: f.file, Every: f.every, BatchSize: j.set.BatchSize(j.f.batch), Engine: "ONNX Runtime " + j.engine.Version(),
		From: func(sample int) engine.Batches { return j.set.BatchesFrom(ctx, j.f.batch, sample) },
		Resumed: func(samples int) {
			fmt.Fprintln(j.a.stderr, j.a.lang.Sprint(diag.Textf("resuming after %d of %s, from %s", samples, count(j.set.Len(), "sample"), f.file)))
		},
		Write: func(write func() error) error { return j.a.commit(ctx, write) },
	}
}
