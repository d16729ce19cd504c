package main

import (
	"context"
	"fmt"
	"math"
	"strings"

	"narrow"
	"narrow/engine"
	"narrow/graph"
	"narrow/plan"
	"narrow/scheme"
)

// outputs are what the tested network put out, batch by batch.
type outputs struct{ batches [][]engine.Tensor }

func (o *outputs) add(_ int, outs []engine.Tensor) error {
	kept := make([]engine.Tensor, len(outs))
	for i, t := range outs {
		t.Floats = append([]float32(nil), t.Floats...)
		t.Raw = append([]byte(nil), t.Raw...)
		kept[i] = t
	}
	o.batches = append(o.batches, kept)
	return nil
}

// step is the distance between two neighbouring values of an output.
type step struct {
	// absolute is the scale of an integer output; 0 where there is none.
	absolute float64
	// relative is that of a short float.
	relative float64
	from     string
}

// outputSteps returns the step of every output: that of the quantizer it comes
// from through operators that only move values.
func outputSteps(c *narrow.Calibrated) []step {
	ix := graph.NewIndex(c.Plan.Model.Graph)
	quantizer := map[string]*plan.Tensor{}
	for _, t := range c.Plan.Activations() {
		if t.Uses == nil {
			quantizer[t.Name] = t
		}
	}
	var steps []step
	for _, v := range c.Plan.Model.Graph.Outputs {
		name, s := v.Name, step{}
		for range ix.Graph.Nodes {
			if t := quantizer[name]; t != nil {
				s.from = t.Name
				switch t.Settings.Settings.Datatype {
				case scheme.BFloat16:
					s.relative = 0x1p-7
				case scheme.Float16:
					s.relative = 0x1p-10
				default:
					s.absolute = float64(c.Result.Encodings[t].Scale[0])
				}
				break
			}
			n := ix.Producer[name]
			if n == nil || !n.Is("Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Identity", "Slice", "Split", "Gather") {
				break
			}
			name = n.Input(0)
		}
		steps = append(steps, s)
	}
	return steps
}

// comparison counts elements that agree to one step.
type comparison struct {
	want   *outputs
	steps  []step
	labels []int
	outs   []tally
	batch  int
	hits   int
	n      int
}

// tally is one output's.
type tally struct {
	name        string
	all, agree  int
	equal       int
	worst, step float64
}

func newComparison(want *outputs, steps []step, labels []int) *comparison {
	return &comparison{want: want, steps: steps, labels: labels, outs: make([]tally, len(steps))}
}

func (c *comparison) run(ctx context.Context, s engine.Session, in engine.Batches, fixed int, names []*graph.Value) error {
	for b, err := range in {
		if err != nil {
			return err
		}
		inputs := b.Inputs
		if fixed > b.Count {
			break // padding is not this tool's to do
		}
		got, err := s.Run(ctx, inputs, nil)
		if err != nil {
			return err
		}
		for i, v := range names {
			if err := c.outs[i].add(v.Name, c.want.batches[c.batch][i], got[v.Name], c.steps[i]); err != nil {
				return err
			}
		}
		c.count(b, got[names[0].Name])
		c.batch++
	}
	return nil
}

func (t *tally) add(name string, want, got engine.Tensor, s step) error {
	t.name = name
	if want.Len() != got.Len() || want.Type != got.Type {
		return fmt.Errorf("output %q is %v%v, not %v%v", name, got.Type, got.Shape, want.Type, want.Shape)
	}
	if want.Floats == nil {
		t.all++
		if string(want.Raw) == string(got.Raw) {
			t.agree++
			t.equal++
		}
		return nil
	}
	largest := 0.0
	for _, v := range want.Floats {
		largest = max(largest, math.Abs(float64(v)))
	}
	for i, w := range want.Floats {
		d := math.Abs(float64(w) - float64(got.Floats[i]))
		st := s.absolute
		switch {
		case s.relative > 0:
			st = s.relative * max(math.Abs(float64(w)), largest/256)
		case st == 0:
			st = largest / 127
		}
		t.all++
		t.step = st
		if d <= st*1.001 || w != w && got.Floats[i] != got.Floats[i] {
			t.agree++
		}
		if d == 0 {
			t.equal++
		}
		if st > 0 && d/st > t.worst {
			t.worst = d / st
		}
	}
	return nil
}

// count counts the samples whose label is the first output's largest element.
func (c *comparison) count(b *engine.Batch, out engine.Tensor) {
	if c.labels == nil || len(out.Shape) < 1 || out.Floats == nil {
		return
	}
	per := len(out.Floats) / int(out.Shape[0])
	for i := range b.Count {
		row := out.Floats[i*per : (i+1)*per]
		best := 0
		for j, v := range row {
			if v > row[best] {
				best = j
			}
		}
		if best == c.labels[b.First+i] {
			c.hits++
		}
		c.n++
	}
}

func (c *comparison) top1() float64 { return float64(c.hits) / float64(max(c.n, 1)) }

// share is the share of the elements of the worst output that agree to a step.
func (c *comparison) share() float64 {
	least := 1.0
	for _, t := range c.outs {
		if t.all > 0 {
			least = min(least, float64(t.agree)/float64(t.all))
		}
	}
	return least
}

// String tells of every output the shares that agree and are equal, and the
// largest distance in steps.
func (c *comparison) String() string {
	var parts []string
	for i, t := range c.outs {
		from := c.steps[i].from
		if from == "" {
			from = "not quantized"
		}
		parts = append(parts, fmt.Sprintf("%s (%s): %.3f%% agree, %.3f%% equal, worst %.1f steps of %.3g",
			t.name, from, 100*float64(t.agree)/float64(max(t.all, 1)), 100*float64(t.equal)/float64(max(t.all, 1)), t.worst, t.step))
	}
	return strings.Join(parts, "; ")
}
