package refine

import (
	"context"
	"errors"
	"math"

	"narrow/calibrate"
	"narrow/engine"
	"narrow/graph"
	"narrow/graph/infer"
	"narrow/internal/kernel"
)

// jury compares whole networks with the float one, on samples that chose nothing.
type jury struct {
	run   engine.Runner
	pool  *kernel.Pool
	float *graph.Model
	in    []*engine.Batch
	cut   []*engine.Batch   // as they run
	want  [][]engine.Tensor // the float network's outputs, by batch
}

// judgeBatch is how many samples run at once.
const judgeBatch = 8

// exact is the ratio in dB at which an output counts as equal.
const exact = 120

// score returns how near the outputs of c are to the float network's, in dB: of the
// worst output, half the ratio of signal to error over all samples, half the mean
// of every sample's own. The first is what matters, and hangs on few samples where
// these are few; the second is steady.
func (j *jury) score(ctx context.Context, c *calibrate.Calibrated) (float64, error) {
	if err := j.prepare(ctx); err != nil {
		return 0, err
	}
	n, err := c.Network(1, nil)
	if err != nil {
		return 0, err
	}
	got, err := j.outputs(ctx, n)
	if err != nil {
		return 0, err
	}
	outputs := j.float.Graph.Outputs
	sums := make([]squares, len(outputs))
	for i, b := range j.cut {
		for o := range outputs {
			sums[o].add(j.want[i][o], got[i][o], b.Count)
		}
	}
	worst := math.Inf(1)
	for _, e := range sums {
		if e.samples > 0 {
			worst = min(worst, e.decibel())
		}
	}
	return worst, nil
}

// prepare runs the float network, once.
func (j *jury) prepare(ctx context.Context) error {
	if j.want != nil {
		return nil
	}
	for b, err := range engine.Fit(batches(j.in), j.float, judgeBatch) {
		if err != nil {
			return err
		}
		j.cut = append(j.cut, b.Clone())
	}
	var err error
	j.want, err = j.outputs(ctx, engine.Network{Model: j.float})
	return err
}

// outputs runs a network over the batches, each on one thread.
func (j *jury) outputs(ctx context.Context, n engine.Network) ([][]engine.Tensor, error) {
	s, err := n.Load(ctx, j.run, 1, nil)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	axes := infer.Batches(j.float).Outputs
	out, errs := make([][]engine.Tensor, len(j.cut)), make([]error, len(j.cut))
	j.pool.Run(len(j.cut), func(i int) {
		out[i], errs[i] = engine.Outputs(ctx, s, j.cut[i], n.Hook, j.float.Graph.Outputs, axes)
	})
	return out, errors.Join(errs...)
}

// squares adds up squares of an output's values and of their errors.
type squares struct {
	signal, noise, logs float64
	samples             int
}

func (e *squares) add(want, got engine.Tensor, count int) {
	if want.Type != graph.Float32 || len(want.Floats) == 0 {
		return
	}
	if len(got.Floats) != len(want.Floats) {
		e.noise, e.samples = math.NaN(), e.samples+1 // never as good as any other
		return
	}
	if len(want.Floats)%count != 0 {
		count = 1
	}
	per := len(want.Floats) / count
	for i := range count {
		var signal, noise float64
		for k, v := range want.Floats[i*per : (i+1)*per] {
			d := float64(v) - float64(got.Floats[i*per+k])
			signal += float64(float64(v) * float64(v))
			noise += float64(d * d)
		}
		if math.IsNaN(signal) || math.IsInf(signal, 0) {
			continue // the float network's own output is invalid
		}
		e.signal += signal
		e.noise += noise
		e.samples++
		e.logs += ratio(signal, noise)
	}
}

// ratio returns signal to noise in dB, within bounds.
func ratio(signal, noise float64) float64 {
	switch {
	case math.IsNaN(noise):
		return -exact
	case noise == 0:
		return exact
	}
	return min(max(10*math.Log10(signal/noise), -exact), exact)
}

func (e *squares) decibel() float64 {
	return (ratio(e.signal, e.noise) + e.logs/float64(e.samples)) / 2
}
