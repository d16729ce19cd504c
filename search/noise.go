package search

import (
	"context"
	"math"

	"narrow/engine"
	"narrow/evaluate"
	"narrow/metric"
)

// sampleWidth is how many elements of a sample's outputs are kept, where a metric
// tells the accuracy, to tell the noise by.
const sampleWidth = 4096

// maxChannels is from how many on an axis is not one of channels.
const maxChannels = 512

// probe says which elements of a sample's outputs the noise is told by, and how
// they are grouped: by output, and by channel where there are some. A detector's
// boxes are hundreds and its scores below 1, in one output: what all elements
// together tell is of the boxes alone.
type probe struct {
	outputs []picked
	width   int
}

// picked are elements of one output of a sample: every step-th one.
type picked struct {
	output   int
	per      int // elements of a sample
	step     int
	channels int // 1 where there are none
	inner    int // elements from one channel to the next
	first    int // its first group, of all outputs'
}

// newProbe looks at a batch's outputs of count samples.
func newProbe(outs []engine.Tensor, count int) *probe {
	p := &probe{}
	groups := 0
	for i, t := range outs {
		if _, ok := t.Float32s(); !ok || len(t.Shape) == 0 || int(t.Shape[0]) != count || count == 0 {
			continue
		}
		o := picked{output: i, per: t.Len() / count, channels: 1, first: groups}
		o.inner = max(o.per, 1)
		if axis := channelAxis(t.Shape); axis > 0 {
			o.channels, o.inner = int(t.Shape[axis]), 1
			for _, d := range t.Shape[axis+1:] {
				o.inner *= int(d)
			}
		}
		last := 1
		if len(t.Shape) > 1 {
			last = int(t.Shape[len(t.Shape)-1])
		}
		// No step that passes over whole channels.
		for o.step = 1 + o.per*len(outs)/sampleWidth; gcd(o.step, max(last, 1)) > 1; {
			o.step++
		}
		groups += o.channels
		p.outputs = append(p.outputs, o)
	}
	p.width = groups
	return p
}

// channelAxis returns the axis of the channels of an output, 0 where there is none:
// a row of classes has none.
func channelAxis(shape []int64) int {
	if len(shape) < 3 {
		return 0
	}
	axis, last := 1, len(shape)-1
	if shape[last] < shape[1] {
		axis = last
	}
	if shape[axis] < 2 || shape[axis] > maxChannels {
		return 0
	}
	return axis
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// rows returns the samples' elements. What has another shape than at first has
// none.
func (p *probe) rows(outs []engine.Tensor, count int) [][]float32 {
	rows := make([][]float32, count)
	for _, o := range p.outputs {
		x, _ := outs[o.output].Float32s()
		if len(x) != o.per*count {
			continue
		}
		for i := range rows {
			for k := 0; k < o.per; k += o.step {
				rows[i] = append(rows[i], x[i*o.per+k])
			}
		}
	}
	return rows
}

// spectrum adds up signal and noise by group.
type spectrum struct {
	probe         *probe
	signal, noise []float64
}

func newSpectrum(p *probe) *spectrum {
	return &spectrum{p, make([]float64, p.width), make([]float64, p.width)}
}

// add adds a sample's rows. One of other elements is all noise.
func (s *spectrum) add(f, q []float32) {
	at := 0
	for _, o := range s.probe.outputs {
		for k := 0; k < o.per && at < len(f); k += o.step {
			g := o.first + k/o.inner%o.channels
			v := float64(f[at])
			d := v
			if len(q) == len(f) {
				d = v - float64(q[at])
			}
			s.signal[g] += v * v
			s.noise[g] += d * d
			at++
		}
	}
}

// worst returns the noise of the worst output as a share of its signal: of several
// channels the mean of their shares, each of which is lost at 1.
func (s *spectrum) worst() float64 {
	worst := 0.0
	for _, o := range s.probe.outputs {
		sum := 0.0
		for g := o.first; g < o.first+o.channels; g++ {
			share := 0.0
			if s.noise[g] != 0 { // or NaN
				share = s.noise[g] / s.signal[g]
			}
			if o.channels > 1 && !(share <= 1) {
				share = 1
			}
			sum += share
		}
		if share := sum / float64(o.channels); !(share <= worst) {
			worst = share
		}
	}
	if !(worst <= MaxNoise) {
		return MaxNoise
	}
	return worst
}

// channelNoise is the noise as a metric, to rank layers by.
type channelNoise struct{ probe *probe }

func (*channelNoise) Compares() bool      { return true }
func (*channelNoise) LowerIsBetter() bool { return true }
func (*channelNoise) Close() error        { return nil }

func (c *channelNoise) Begin(context.Context, metric.Set, bool) (metric.Run, error) {
	return &channelRun{newSpectrum(c.probe)}, nil
}

type channelRun struct{ sum *spectrum }

func (r *channelRun) Add(b *engine.Batch, float, outs []engine.Tensor) error {
	if float == nil {
		return nil // the float network itself
	}
	f, q := r.sum.probe.rows(float, b.Count), r.sum.probe.rows(outs, b.Count)
	for i := range f {
		r.sum.add(f[i], q[i])
	}
	return nil
}

func (r *channelRun) End(context.Context) (*metric.Figures, error) {
	v := r.sum.worst()
	return &metric.Figures{Name: "noise", Value: &v, All: evaluate.Figures{{Name: "noise", Value: &v}}}, nil
}

func (r *channelRun) Close() error { return nil }

// decibels is a noise as SQNR.
func decibels(noise float64) float64 { return -10 * math.Log10(noise) }
