package metric

import (
	"context"
	"math"
	"slices"
	"time"

	"narrow/calibrate/observe"
	"narrow/diag"
	"narrow/engine"
	"narrow/evaluate"
	"narrow/graph"
)

// Builtins are the names that [NewBuiltin] takes.
func Builtins() []string { return []string{"top1", "top5", "sqnr", "cosine", "iou", "mse"} }

// Builtin is a [Metric] that needs no program.
//
//   - top1, top5: the share of samples (or positions) whose label is the highest
//     class, or among the five highest.
//   - sqnr (dB), cosine: those of the worst output against the float network's.
//   - mse: the mean squared difference from the float network's values, of the
//     output where it is largest.
//   - iou: the mean over classes of intersection over union of a segmentation: with
//     the labels, where there are some for each position, else with the float
//     network's classes. The classes lie along axis 1, or the axis that labels leave.
type Builtin struct {
	name    string
	outputs []*graph.Value
	labels  engine.Labels
}

// NewBuiltin returns a metric by its name for a network with the given outputs and
// samples with the given labels. The error says what is missing, or that there is no
// such metric.
func NewBuiltin(name string, outputs []*graph.Value, labels engine.Labels) (*Builtin, error) {
	if !slices.Contains(Builtins(), name) {
		return nil, diag.Errorf("there is no metric %q: it is one of %s", name, diag.Commas(Builtins()))
	}
	if (name == "top1" || name == "top5") && labels.Classes == nil {
		return nil, diag.Errorf("%s cannot be told without labels: give --labels, or images in class folders", name)
	}
	return &Builtin{name, outputs, labels}, nil
}

// Compares reports whether the metric is one against the float network.
func (m *Builtin) Compares() bool {
	return m.name != "top1" && m.name != "top5" && !(m.name == "iou" && m.labels.Shape != nil)
}

// LowerIsBetter is true for mse.
func (m *Builtin) LowerIsBetter() bool { return m.name == "mse" }

// Close does nothing.
func (m *Builtin) Close() error { return nil }

// Begin begins with a network.
func (m *Builtin) Begin(_ context.Context, _ Set, float bool) (Run, error) {
	labels := m.labels
	if m.name != "top1" && m.name != "top5" {
		labels = engine.Labels{} // which need not fit
	}
	return &builtinRun{m: m, float: float, score: evaluate.NewScore(m.outputs, labels), quality: make([]observe.Quality, len(m.outputs))}, nil
}

type builtinRun struct {
	m       *Builtin
	float   bool
	score   *evaluate.Score
	quality []observe.Quality
	// inside and either count the positions of each class: those where both say
	// it, and those where one does.
	inside, either []int
	seen           bool
	took           time.Duration
}

func (r *builtinRun) Add(b *engine.Batch, float, outs []engine.Tensor) error {
	start := time.Now()
	defer func() { r.took += time.Since(start) }()
	if float == nil {
		float = outs
	}
	switch r.m.name {
	case "iou":
		return r.addClasses(b, float, outs)
	case "mse":
		for i, t := range outs {
			ref, ok := float[i].Float32s()
			x, _ := t.Float32s()
			if ok && len(ref) == len(x) {
				r.quality[i].Add(nil, ref, x)
			}
		}
		return nil
	}
	return r.score.Add(b.First, b.Count, float, outs)
}

func (r *builtinRun) Close() error { return nil }

func (r *builtinRun) End(context.Context) (*Figures, error) {
	var all evaluate.Figures
	add := func(name string, v float64) {
		f := evaluate.Figure{Name: name}
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			f.Value = &v
		}
		all = append(all, f)
	}
	name := r.m.name
	res := r.score.Result()
	switch {
	case r.m.Compares() && r.float:
		all = append(all, evaluate.Figure{Name: name}) // it compares with itself
	case name == "top1" || name == "top5":
		l := res.Quantized
		if l == nil {
			return nil, diag.Errorf("%s: the labels fit no output of the network", name)
		}
		add("top1", l.Top1)
		add("top5", l.Top5)
	case name == "iou":
		v, err := r.iou()
		if err != nil {
			return nil, err
		}
		add(name, v)
	case name == "mse":
		most := math.NaN()
		for _, q := range r.quality {
			if q.Sums.N > 0 {
				if v := q.Sums.DiffSquares / float64(q.Sums.N); !(v <= most) {
					most = v
				}
			}
		}
		add(name, most)
	default:
		w := res.Worst()
		if w == nil {
			return nil, diag.Errorf("%s: no output holds numbers to compare", name)
		}
		sqnr := float64(res.SQNR)
		if res.Exact || sqnr > exact {
			sqnr = exact // a number, as a limit needs one
		}
		add("sqnr", sqnr)
		least := math.Inf(1)
		for _, o := range res.Outputs {
			if c := float64(o.Cosine); c < least {
				least = c
			}
		}
		add("cosine", least)
	}
	f := &Figures{Name: name, All: all, Took: r.took}
	f.Value, _ = all.Find(name)
	if f.Value == nil && !(r.m.Compares() && r.float) {
		return nil, diag.Errorf("%s is no number: the network outputs NaN, or nothing that could be compared", name)
	}
	return f, nil
}

// exact is the SQNR in dB of what does not differ.
const exact = 200

// addClasses counts where two segmentations agree.
func (r *builtinRun) addClasses(b *engine.Batch, float, outs []engine.Tensor) error {
	l := r.m.labels
	if l.Shape != nil {
		i := evaluate.Labelled(outs, b.Count, l)
		if i < 0 {
			return diag.Errorf("iou: the labels fit no output of the network")
		}
		axis := 1
		if !slices.Equal(outs[i].Shape[2:], l.Shape) {
			axis = len(outs[i].Shape) - 1
		}
		got, classes := classesOf(outs[i], axis)
		per := l.PerSample()
		r.count(classes, got, l.Classes[b.First*per:(b.First+b.Count)*per])
		return nil
	}
	i := slices.IndexFunc(outs, func(t engine.Tensor) bool {
		_, ok := t.Float32s()
		return ok && len(t.Shape) >= 3 && t.Shape[1] >= 2
	})
	if i < 0 || !slices.Equal(float[i].Shape, outs[i].Shape) {
		return diag.Errorf("iou: no output of the network is a segmentation, of the shape [N, classes, ...]")
	}
	got, classes := classesOf(outs[i], 1)
	want, _ := classesOf(float[i], 1)
	r.count(classes, got, want)
	return nil
}

// count counts positions; a label that is no class says nothing.
func (r *builtinRun) count(classes int, got, want []int) {
	if r.inside == nil {
		r.inside, r.either = make([]int, classes), make([]int, classes)
	}
	for i, w := range want {
		if w < 0 || w >= classes {
			continue
		}
		r.seen = true
		if g := got[i]; g == w {
			r.inside[w]++
			r.either[w]++
		} else {
			r.either[w]++
			if g >= 0 {
				r.either[g]++
			}
		}
	}
}

// iou is the mean over the classes that there are.
func (r *builtinRun) iou() (float64, error) {
	if !r.seen {
		return 0, diag.Errorf("iou: no label is a class of the output")
	}
	sum, n := 0.0, 0
	for c, e := range r.either {
		if e > 0 {
			sum += float64(r.inside[c]) / float64(e)
			n++
		}
	}
	return sum / float64(n), nil
}

// classesOf returns the highest class at every position of every sample, -1 where
// that is NaN, and how many classes there are along the axis.
func classesOf(t engine.Tensor, axis int) (highest []int, classes int) {
	x, _ := t.Float32s()
	outer, inner := 1, 1
	for i, d := range t.Shape {
		switch {
		case i < axis:
			outer *= int(d)
		case i > axis:
			inner *= int(d)
		}
	}
	classes = int(t.Shape[axis])
	highest = make([]int, outer*inner)
	for o := range outer {
		for k := range inner {
			best, nan := 0, false
			for c := range classes {
				v := x[(o*classes+c)*inner+k]
				nan = nan || v != v
				if v > x[(o*classes+best)*inner+k] {
					best = c
				}
			}
			if nan {
				best = -1
			}
			highest[o*inner+k] = best
		}
	}
	return highest, classes
}
