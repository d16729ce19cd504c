// Package metric tells what a network is worth by a number of the user's own.
//
// In go the outputs of a network for a set of samples, batch by batch, with the
// float network's beside them where they are at hand; out come figures with
// names, of which one is the metric. A [Command] has another program tell them, a
// [Builtin] is one of a few that need none, and [PerSample] takes a function's.
//
// Rule of the house: nothing that a metric says is passed on unless it is a number.
// A program that fails, or prints anything else, is an error that says so.
package metric

import (
	"context"
	"errors"
	"io"
	"time"

	"narrow/diag"
	"narrow/engine"
	"narrow/evaluate"
)

// Metric tells figures of networks over the same samples. Only runs that have begun
// may be used from several goroutines, each from one.
type Metric interface {
	// Compares reports whether the float network's outputs must be given too.
	Compares() bool
	// LowerIsBetter reports whether lower figures are better.
	LowerIsBetter() bool
	// Begin begins with a network. Float says that it is the float network, which
	// comes first, once for each set of samples.
	Begin(ctx context.Context, set Set, float bool) (Run, error)
	io.Closer
}

// Set is the samples that a network runs over.
type Set struct {
	// Name tells sets apart: a quantized network's figures go with those of the
	// float network for the set of the same name.
	Name string
	// Samples is how many there are.
	Samples int
	// Labels are those of all samples, by the index of a sample.
	Labels engine.Labels
}

// Run is a network under way.
type Run interface {
	// Add takes the outputs for a batch; float are the float network's, nil where
	// they are not at hand or the network is that.
	Add(b *engine.Batch, float, outs []engine.Tensor) error
	// End returns the figures, of which the first is the metric.
	End(ctx context.Context) (*Figures, error)
	// Close lets go of what the run holds. It may follow End.
	Close() error
}

// Figures are what a metric tells of one network.
type Figures struct {
	// Name is the metric's, Value its number: nil where the network has none.
	Name  string
	Value *float64
	// All are all figures.
	All evaluate.Figures
	// Took is how long telling them took, without running the network.
	Took time.Duration
}

// Result puts the figures of the float and the quantized network together. The
// error says that the quantized network has no value.
func Result(m Metric, float, quantized *Figures) (*evaluate.Metric, error) {
	if quantized.Value == nil {
		return nil, diag.Errorf("the metric tells no value of %q for the quantized network", quantized.Name)
	}
	r := &evaluate.Metric{Name: quantized.Name, LowerIsBetter: m.LowerIsBetter(), Quantized: quantized.Value, Seconds: quantized.Took.Seconds()}
	r.Numbers.Quantized = quantized.All
	if float != nil {
		r.Numbers.Float, r.Float = float.All, float.Value
		r.Seconds += float.Took.Seconds()
	}
	if r.Float != nil {
		drop := *r.Float - *r.Quantized
		if r.LowerIsBetter {
			drop = -drop
		}
		r.Drop = &drop
	}
	return r, nil
}

// Over gives a network's outputs for batches that are at hand to a metric.
func Over(ctx context.Context, m Metric, set Set, isFloat bool, batches []*engine.Batch, float, outs [][]engine.Tensor) (f *Figures, err error) {
	run, err := m.Begin(ctx, set, isFloat)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, run.Close()) }()
	for i, b := range batches {
		var want []engine.Tensor
		if float != nil {
			want = float[i]
		}
		if err := run.Add(b, want, outs[i]); err != nil {
			return nil, err
		}
	}
	return run.End(ctx)
}

// PerSample is a metric that scores samples by themselves: it tells the mean. The
// function returns a score for each sample of a batch, of which first is the index
// of the first one.
func PerSample(name string, score func(ctx context.Context, first, count int, outs []engine.Tensor) ([]float64, error)) Metric {
	return &perSample{name, score}
}

type perSample struct {
	name  string
	score func(ctx context.Context, first, count int, outs []engine.Tensor) ([]float64, error)
}

func (*perSample) Compares() bool      { return false }
func (*perSample) LowerIsBetter() bool { return false }
func (*perSample) Close() error        { return nil }
func (p *perSample) Begin(ctx context.Context, _ Set, _ bool) (Run, error) {
	return &perSampleRun{p: p, ctx: ctx}, nil
}

type perSampleRun struct {
	p     *perSample
	ctx   context.Context
	sum   float64
	count int
	took  time.Duration
}

func (r *perSampleRun) Add(b *engine.Batch, _, outs []engine.Tensor) error {
	start := time.Now()
	scores, err := r.p.score(r.ctx, b.First, b.Count, outs)
	if err != nil {
		return err
	}
	if err := Scores(scores, b.First, b.Count); err != nil {
		return err
	}
	for _, s := range scores {
		r.sum += s
	}
	r.count += b.Count
	r.took += time.Since(start)
	return nil
}

func (r *perSampleRun) End(context.Context) (*Figures, error) {
	mean := r.sum / float64(max(r.count, 1))
	return &Figures{Name: r.p.name, Value: &mean, All: evaluate.Figures{{Name: r.p.name, Value: &mean}}, Took: r.took}, nil
}

func (r *perSampleRun) Close() error { return nil }
