package refine

import (
	"context"

	"narrow/calibrate"
)

const (
	// surely is by how many times its doubt a gain on few samples is one on all, and
	// hardly by how many times a loss stays one.
	surely = 4
	hardly = 3
)

// settle is [jury.gain] on the samples that have judged ranges, where they leave no
// doubt; else on all. It tells how many these are.
func (j *jury) settle(ctx context.Context, c, other *calibrate.Calibrated) (gain, doubt float64, samples int, err error) {
	j.limit = rangeJudges
	gain, doubt, err = j.gain(ctx, c, other)
	j.limit = 0
	if err != nil {
		return 0, 0, 0, err
	}
	for _, b := range j.cut {
		if samples += b.Count; samples >= rangeJudges {
			break
		}
	}
	if samples == j.samples || gain > surely*doubt || gain < -hardly*doubt {
		return gain, doubt, samples, nil
	}
	gain, doubt, err = j.gain(ctx, c, other)
	return gain, doubt, j.samples, err
}
