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
// doubt; else on all.
func (j *jury) settle(ctx context.Context, c, other *calibrate.Calibrated) (verdict, error) {
	j.limit = rangeJudges
	v, err := j.gain(ctx, c, other)
	j.limit = 0
	if err != nil {
		return v, err
	}
	for _, b := range j.cut {
		if v.samples += b.Count; v.samples >= rangeJudges {
			break
		}
	}
	if v.samples == j.samples || v.side == 0 && (v.gain > surely*v.doubt || v.gain < -hardly*v.doubt) {
		return v, nil
	}
	v, err = j.gain(ctx, c, other)
	v.samples = j.samples
	return v, err
}
