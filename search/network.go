package search

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"narrow"
	"narrow/calibrate"
	"narrow/cost"
	"narrow/diag"
	"narrow/engine"
	"narrow/evaluate"
	"narrow/graph"
	"narrow/inspect"
	"narrow/metric"
	"narrow/plan"
	"narrow/scheme"
	"narrow/strategy"
)

// Samples are what a network is calibrated and tested on.
type Samples struct {
	// Calibration and Test yield the same batches every time, and have no sample
	// in common.
	Calibration, Test engine.Batches
	// Labels are the classes of the test samples, one each; they need none where Metric
	// scores them.
	Labels engine.Labels
	// Metric, when set, scores the samples in the place of top-1: outs are a
	// network's outputs for count test samples from first on, and there must be one
	// finite score for each, higher ones being better. The accuracy that may drop is
	// then the mean score.
	Metric func(ctx context.Context, first, count int, outs []engine.Tensor) ([]float64, error)
	// Judge, when set, tells a figure of all samples together in the place of top-1
	// and of Metric.
	Judge metric.Metric
	// Accuracy is the way to quantize.
	Accuracy narrow.Accuracy
	// SearchSamples is how many test samples the search split has at most; 0 means
	// [SearchSamples].
	SearchSamples int
	// Seed chooses the split.
	Seed uint64
}

// SearchSamples is how many test samples are searched on unless told.
const SearchSamples = 2000

// CalibrationSamples is how many of n samples calibrate unless told: 200, and
// where the others are tested on no more than half.
func CalibrationSamples(n int, testOnRest bool) int {
	k := min(200, n)
	if testOnRest {
		k = max(min(k, n/2), 1)
	}
	return k
}

// rankSamples is how many of the calibration samples rank the layers.
const rankSamples = 64

// Network is the [Evaluator] that calibrates and runs a network.
type Network struct {
	model  *narrow.Model
	runner engine.Runner
	opts   narrow.CalibrateOptions
	layers []Layer
	// nameless are the layers that no rule finds.
	nameless []string

	calibration, test engine.Batches
	// shapes are what one sample gives the network's inputs, for what it costs.
	shapes map[string][]graph.Dim
	labels []int
	split  split
	output int         // the output that the labels are for
	float  [][]float32 // the float network's, by test sample
	top1   float64     // of the float network, or its mean score

	metric func(ctx context.Context, first, count int, outs []engine.Tensor) ([]float64, error)
	scores []float64 // the float network's, by test sample, where there is a metric

	judge    metric.Metric
	accuracy narrow.Accuracy
	classes  engine.Labels
	figures  map[string]*metric.Figures // the float network's, by set
	probe    *probe                     // nil where top-1 is told
}

// The sets of samples that a metric is told of.
const (
	searchSet, allSet, heldSet = "search", "all", "held out"
)

// set is what a metric is told of one of the sets of test samples.
func (n *Network) set(name string) metric.Set {
	count := map[string]int{searchSet: n.split.samples, allSet: n.split.all(), heldSet: n.split.all() - n.split.samples}
	return metric.Set{Name: name, Samples: count[name], Labels: n.classes}
}

// judged are runs of a metric over several sets of test samples.
type judged struct {
	n    *Network
	runs map[string]metric.Run
}

// begin begins with a network over some sets.
func (n *Network) begin(ctx context.Context, float bool, sets ...string) (*judged, error) {
	j := &judged{n, map[string]metric.Run{}}
	if n.judge == nil {
		return j, nil
	}
	for _, name := range sets {
		if name == heldSet && n.split.all() == n.split.samples {
			continue
		}
		run, err := n.judge.Begin(ctx, n.set(name), float)
		if err != nil {
			return nil, errors.Join(err, j.close())
		}
		j.runs[name] = run
	}
	return j, nil
}

// each takes the outputs for a batch.
func (j *judged) each(b *engine.Batch, float []engine.Tensor, tested [][]engine.Tensor) error {
	for _, name := range []string{searchSet, allSet, heldSet} {
		run := j.runs[name]
		if run == nil || name == searchSet && !j.n.split.has(b.First) || name == heldSet && j.n.split.has(b.First) {
			continue
		}
		if err := run.Add(b, float, tested[0]); err != nil {
			return err
		}
	}
	return nil
}

// end returns the figures of one set; nil where there is none.
func (j *judged) end(ctx context.Context, name string) (*metric.Figures, error) {
	if j.runs[name] == nil {
		return nil, nil
	}
	return j.runs[name].End(ctx)
}

// value returns the figures of one set as a value next to the float network's.
func (j *judged) value(ctx context.Context, name string) (*Value, error) {
	f, err := j.end(ctx, name)
	if f == nil || err != nil {
		return nil, err
	}
	if f.Value == nil {
		return nil, diag.Errorf("the metric tells no value of %q for a quantized network", f.Name)
	}
	return valueOf(j.n.judge, j.n.figures[name], f), nil
}

func (j *judged) close() error {
	var err error
	for _, run := range j.runs {
		err = errors.Join(err, run.Close())
	}
	return err
}

// NewNetwork runs the float network over the test samples and returns the
// evaluator for strategies of a space. opts say how to calibrate. Samples are
// kept in memory up to 1 GiB, beyond which they are read again for each trial.
//
// The error tells of samples or a network that top-1 cannot be told of.
func NewNetwork(ctx context.Context, m *narrow.Model, run engine.Runner, in Samples, space Space, opts narrow.CalibrateOptions) (*Network, error) {
	if in.Judge == nil && in.Metric == nil && (len(in.Labels.Classes) == 0 || in.Labels.Shape != nil) {
		return nil, diag.Errorf("the test samples have no labels, one each: top-1 cannot be told without")
	}
	n := &Network{model: m, runner: run, opts: opts, labels: in.Labels.Classes, metric: in.Metric, judge: in.Judge, accuracy: in.Accuracy, classes: in.Labels, figures: map[string]*metric.Figures{}}
	var err error
	if n.layers, n.nameless, err = layersOf(m, space, n.accuracy); err != nil {
		return nil, err
	}
	if n.calibration, _, err = keep(in.Calibration, keepBytes); err != nil {
		return nil, err
	}
	for b, err := range n.calibration {
		if err != nil {
			return nil, err
		}
		n.shapes = b.SampleShapes()
		break
	}
	var extents []extent
	if n.test, extents, err = keep(in.Test, keepBytes); err != nil {
		return nil, err
	}
	n.split = splitBatches(extents, cmp.Or(in.SearchSamples, SearchSamples), in.Seed)
	labels := in.Labels
	if n.judge != nil {
		labels = engine.Labels{} // which need not fit an output
	}
	judged, err := n.begin(ctx, true, searchSet, allSet, heldSet)
	if err != nil {
		return nil, err
	}
	defer judged.close()
	res, err := evaluate.Float(ctx, run, m.Graph, n.test, evaluate.Options{
		Threads: opts.Threads, Labels: labels, Each: judged.each,
		Output: func(first int, outs []engine.Tensor) error {
			if first == 0 && (n.metric != nil || n.judge != nil) {
				n.probe = newProbe(outs, n.split.batches[0].count)
			} else if first == 0 && len(outs) > 0 && len(outs[0].Shape) > 0 {
				n.output = max(evaluate.Labelled(outs, int(outs[0].Shape[0]), in.Labels), 0)
			}
			rows, scores, err := n.look(ctx, first, outs)
			if err != nil {
				return err
			}
			for _, r := range rows {
				n.float = append(n.float, slices.Clone(r))
			}
			n.scores = append(n.scores, scores...)
			return nil
		},
	})
	if err != nil {
		return nil, diag.Errorf("running %s: %w", m.Path, err)
	}
	if n.judge != nil {
		for _, name := range []string{searchSet, allSet, heldSet} {
			if n.figures[name], err = judged.end(ctx, name); err != nil {
				return nil, err
			}
		}
		if v := n.figures[allSet].Value; v != nil {
			n.top1 = *v
		}
		return n, nil
	}
	if n.metric != nil {
		for _, f := range n.scores {
			n.top1 += f / float64(len(n.scores))
		}
		return n, nil
	}
	if res.Float == nil {
		return nil, diag.Errorf("running %s: %w", m.Path, errNoClasses)
	}
	n.top1 = res.Float.Top1
	for i, f := range n.float {
		if n.split.has(i) && class(f) == n.labels[i] {
			n.split.right++
		}
	}
	return n, nil
}

var errNoClasses = diag.Errorf("the network has no output of one row of classes a sample, in float32: there is no top-1 to search by")

// look returns what of a batch's outputs is compared: the samples' rows, and their
// scores where there is a metric.
func (n *Network) look(ctx context.Context, first int, outs []engine.Tensor) (rows [][]float32, scores []float64, err error) {
	if n.probe == nil {
		rows, err = rowsOf(outs, n.output)
		return rows, nil, err
	}
	count := 0
	if len(outs) > 0 && len(outs[0].Shape) > 0 {
		count = int(outs[0].Shape[0])
	}
	rows = n.probe.rows(outs, count)
	if n.judge != nil {
		return rows, nil, nil
	}
	if scores, err = n.metric(ctx, first, len(rows), outs); err != nil {
		return nil, nil, err
	}
	if len(scores) != len(rows) {
		return nil, nil, diag.Errorf("the metric returned %d scores for %d samples", len(scores), len(rows))
	}
	for i, s := range scores {
		if math.IsNaN(s) || math.IsInf(s, 0) {
			return nil, nil, diag.Errorf("the metric returned %v for sample %d: it must be a finite number", s, first+i)
		}
	}
	return rows, scores, nil
}

// rowsOf cuts one of the outputs into samples.
func rowsOf(outs []engine.Tensor, output int) ([][]float32, error) {
	if output >= len(outs) || outs[output].Floats == nil || len(outs[output].Shape) < 2 || outs[output].Shape[0] == 0 {
		return nil, errNoClasses
	}
	n := int(outs[output].Shape[0])
	per := len(outs[output].Floats) / n
	rows := make([][]float32, n)
	for i := range rows {
		rows[i] = outs[output].Floats[i*per : (i+1)*per]
	}
	return rows, nil
}

// layersOf returns the layers that have something to quantize and that a rule by
// name finds, and the names of the others.
func layersOf(m *narrow.Model, space Space, accuracy narrow.Accuracy) (named []Layer, nameless []string, err error) {
	st, err := space.Strategy(nil, space.candidate(nil, space.Base))
	if err != nil {
		return nil, nil, err
	}
	how := narrow.PlanOptions{Accuracy: accuracy}
	p, err := m.Plan(st, how)
	if err != nil {
		return nil, nil, diag.Errorf("planning %s: %w", m.Path, err)
	}
	var layers []Layer
	at := map[*plan.Layer]int{}
	for _, t := range p.Plan.Tensors {
		i, ok := at[t.Layer]
		if !ok {
			i = len(layers)
			at[t.Layer] = i
			layers = append(layers, Layer{Name: t.Layer.Name, Input: t.Layer.Node == nil})
		}
		layers[i].Weighted = layers[i].Weighted || t.Kind == scheme.Weights
	}
	// A name may mean several nodes before the rewrites. What has no weights never
	// is the rung of most, so that every layer gets a rule here.
	bare := slices.Clone(layers)
	for i := range bare {
		bare[i].Weighted = false
	}
	if st, err = space.Strategy(bare, space.candidate(layers, space.half())); err != nil {
		return nil, nil, err
	}
	_, list, err := m.Draft(st, how)
	if err != nil {
		return nil, nil, diag.Errorf("planning %s: %w", m.Path, err)
	}
	bad := map[int]bool{}
	for _, f := range list {
		if i, ok := ruleOf(f); ok && f.Severity == diag.Error {
			bad[i] = true
		}
	}
	for i, l := range layers {
		// A node's name goes before an input's.
		if bad[i] || l.Input && slices.ContainsFunc(layers, func(k Layer) bool { return k.Name == l.Name && !k.Input }) {
			nameless = append(nameless, l.Name)
		} else {
			named = append(named, l)
		}
	}
	return named, nameless, nil
}

// ruleOf returns the index of the layer rule that a finding is about.
func ruleOf(f diag.Finding) (int, bool) {
	_, rest, ok := strings.Cut(f.Path, "layer_quantize_config[")
	if !ok {
		return 0, false
	}
	num, _, _ := strings.Cut(rest, "]")
	i, err := strconv.Atoi(num)
	return i, err == nil
}

// Split returns how many test samples are searched on, and how many are held
// out.
func (n *Network) Split() (searched, heldOut int) {
	return n.split.samples, len(n.float) - n.split.samples
}

// Nameless returns the layers that a rule cannot name, since their names mean
// others too: they keep what the network has.
func (n *Network) Nameless() []string { return n.nameless }

// Top1 returns the float network's accuracy on all test samples: top-1, or its
// mean score where there is a metric.
func (n *Network) Top1() float64 { return n.top1 }

// Canary returns a hash of what the float network gives for the test samples, in hex.
// Processors of unlike kinds may differ in last bits: networks of the same samples
// with the same canary measure alike.
func (n *Network) Canary() string {
	h := sha256.New()
	var b []byte
	for i, row := range n.float {
		b = b[:0]
		for _, v := range row {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
		if i < len(n.scores) {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(n.scores[i]))
		}
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Layers returns the layers that a rule can name.
func (n *Network) Layers() []Layer { return n.layers }

// plan lays a strategy over the network.
func (n *Network) plan(s *strategy.Strategy) (*narrow.Planned, error) {
	p, err := n.model.Plan(s, narrow.PlanOptions{Accuracy: n.accuracy})
	if err != nil {
		return nil, diag.Errorf("planning %s: %w", n.model.Path, err)
	}
	return p, nil
}

// Same reports whether the network is quantized alike by both strategies.
func (n *Network) Same(a, b *strategy.Strategy) (bool, error) {
	var plans [2]*plan.Plan
	for i, s := range []*strategy.Strategy{a, b} {
		p, err := n.model.Plan(s, narrow.PlanOptions{Accuracy: n.accuracy})
		var bad *diag.FindingsError
		if errors.As(err, &bad) {
			return false, nil // a pattern that means too much
		}
		if err != nil {
			return false, diag.Errorf("planning %s: %w", n.model.Path, err)
		}
		plans[i] = p.Plan
	}
	alike := func(a, b *plan.Tensor) bool {
		return a.Name == b.Name && a.Kind == b.Kind && a.Layer.Name == b.Layer.Name && a.Axis == b.Axis && reflect.DeepEqual(a.Settings.Settings, b.Settings.Settings)
	}
	return slices.EqualFunc(plans[0].Tensors, plans[1].Tensors, alike) && len(plans[0].FloatTensors) == len(plans[1].FloatTensors), nil
}

// Float returns what a metric of all samples tells of the float network, and what it
// is called; nil where there is none.
func (n *Network) Float() *metric.Figures { return n.figures[allSet] }

// Cost returns what the network costs next to float32: [cost.Cost.Relative].
func (n *Network) Cost(s *strategy.Strategy) (float64, error) {
	p, err := n.plan(s)
	if err != nil {
		return 0, err
	}
	return cost.Of(p.Plan, n.shapes).Relative(), nil
}

func (n *Network) calibrate(ctx context.Context, s *strategy.Strategy) (*narrow.Calibrated, error) {
	p, err := n.plan(s)
	if err != nil {
		return nil, err
	}
	return p.Calibrate(ctx, n.runner, n.calibration, n.opts)
}

// errStop ends a trial that is given up.
var errStop = diag.Errorf("given up")

// Search calibrates and scores s on the search split.
func (n *Network) Search(ctx context.Context, s *strategy.Strategy, giveUp func(Score) bool) (Score, error) {
	c, err := n.calibrate(ctx, s)
	var bad *calibrate.NotFiniteError
	if errors.As(err, &bad) {
		return Score{Samples: n.split.samples, Float: n.split.right, Lost: n.split.right, Noise: MaxNoise, Metric: n.lost(), Failed: failure(bad.Layer, bad.Tensor, bad.Value).String()}, nil
	}
	if err != nil {
		return Score{}, err
	}
	sum := n.tally()
	judged, err := n.begin(ctx, false, searchSet)
	if err != nil {
		return Score{}, err
	}
	defer judged.close()
	_, err = c.Test(ctx, n.runner, n.split.search(n.test), narrow.TestOptions{
		Threads: n.opts.Threads, Each: judged.each,
		Output: func(first int, outs []engine.Tensor) error {
			if err := n.add(ctx, first, outs, sum); err != nil {
				return err
			}
			if giveUp != nil && sum.Samples < n.split.samples && giveUp(sum.score()) {
				return errStop
			}
			return nil
		},
		QuantizedOnly: n.judge == nil || !n.judge.Compares(),
	})
	score := sum.score()
	if err == nil {
		score.Value, err = judged.value(ctx, searchSet)
	}
	if errors.Is(err, errStop) {
		score.Stopped, err = true, nil
	}
	return score, err
}

// tally returns a tally of nothing.
func (n *Network) tally() *tally {
	t := &tally{}
	if n.probe != nil {
		t.spectrum = newSpectrum(n.probe)
	}
	return t
}

// lost is the metric of a network that cannot be run, nil without a metric.
func (n *Network) lost() *Metric {
	if n.metric == nil {
		return nil
	}
	m := &Metric{}
	for i, f := range n.scores {
		if n.split.has(i) {
			m.add(f, 0)
		}
	}
	return m
}

// add counts the outputs for the samples from first on, in each of sums.
func (n *Network) add(ctx context.Context, first int, outs []engine.Tensor, sums ...*tally) error {
	rows, scores, err := n.look(ctx, first, outs)
	if err != nil {
		return err
	}
	for i, q := range rows {
		f := n.float[first+i]
		if n.probe == nil && len(f) != len(q) {
			return diag.Errorf("sample %d has %d outputs in the quantized network and %d in the float one", first+i, len(q), len(f))
		}
		for _, sum := range sums {
			switch {
			case n.judge != nil:
				sum.Samples++
				sum.addNoise(f, q)
			case n.metric != nil:
				sum.addScore(n.scores[first+i], scores[i], f, q)
			default:
				sum.add(n.labels[first+i], f, q)
			}
		}
	}
	return nil
}

// Confirm calibrates s and tests it on all test samples, as a run does.
func (n *Network) Confirm(ctx context.Context, s *strategy.Strategy) (*Promise, error) {
	c, err := n.calibrate(ctx, s)
	if err != nil {
		return nil, err
	}
	all, held := n.tally(), n.tally()
	labels := engine.Labels{Classes: n.labels}
	if n.judge != nil {
		labels = engine.Labels{}
	}
	judged, err := n.begin(ctx, false, allSet, heldSet)
	if err != nil {
		return nil, err
	}
	defer judged.close()
	res, err := c.Test(ctx, n.runner, n.test, narrow.TestOptions{
		Threads: n.opts.Threads, Labels: labels, Each: judged.each,
		Output: func(first int, outs []engine.Tensor) error {
			if n.split.searched[first] {
				return n.add(ctx, first, outs, all)
			}
			return n.add(ctx, first, outs, all, held)
		},
	})
	if err != nil {
		return nil, err
	}
	p := &Promise{Samples: res.Samples, All: all.score()}
	if l := res.Labelled(); l != nil && l.Agreement != nil {
		p.Agreement = *l.Agreement
	}
	if held.Samples > 0 {
		h := held.score()
		if h.Value, err = judged.value(ctx, heldSet); err != nil {
			return nil, err
		}
		p.HeldOut = &h
	}
	if p.All.Value, err = judged.value(ctx, allSet); err != nil {
		return nil, err
	}
	p.Float, p.Quantized = p.All.Top1()
	if n.probe != nil {
		return p, nil
	}
	if f, q := res.Float.Top1, res.Quantized.Top1; f != p.Float || q != p.Quantized {
		return nil, diag.Errorf("top-1 was counted as %v and %v, but tested as %v and %v: please report this", p.Float, p.Quantized, f, q)
	}
	return p, nil
}

// Noise calibrates s and quantizes each layer alone, on the first calibration
// samples.
func (n *Network) Noise(ctx context.Context, s *strategy.Strategy) ([]float64, error) {
	c, err := n.calibrate(ctx, s)
	var bad *calibrate.NotFiniteError
	if errors.As(err, &bad) {
		return slices.Repeat([]float64{MaxNoise}, len(n.layers)), nil
	}
	if err != nil {
		return nil, err
	}
	opts := inspect.SensitivityOptions{Threads: n.opts.Threads}
	if n.probe != nil {
		opts.Metric = &channelNoise{n.probe}
	}
	rank, err := inspect.Sensitivity(ctx, c, n.runner, firstSamples(n.calibration, rankSamples), opts)
	if err != nil {
		return nil, err
	}
	byName := map[string]float64{}
	for _, l := range rank.Layers {
		if byName[l.Name] = fromDecibel(float64(l.SQNR)); l.Metric != nil {
			byName[l.Name] = *l.Metric
		}
	}
	noise := make([]float64, len(n.layers))
	for i, l := range n.layers {
		noise[i] = byName[l.Name] // none where nothing of it is quantized
	}
	return noise, nil
}

// split says which test samples are searched on.
type split struct {
	searched map[int]bool // by the first sample of a batch
	samples  int
	right    int // of samples, those that the float network gets right
	batches  []extent
}

// all is how many samples there are.
func (s *split) all() int {
	n := 0
	for _, b := range s.batches {
		n += b.count
	}
	return n
}

// has reports whether a sample is searched on.
func (s *split) has(sample int) bool {
	i, found := slices.BinarySearchFunc(s.batches, sample, func(e extent, k int) int { return cmp.Compare(e.first, k) })
	if !found {
		i--
	}
	return s.searched[s.batches[i].first]
}

// splitBatches draws two thirds of the batches, at most limit samples of them but
// at least one batch; a single batch is all searched on.
func splitBatches(batches []extent, limit int, seed uint64) split {
	s := split{searched: map[int]bool{}, batches: batches}
	gen := rand.NewPCG(seed, 0x736561726368)
	order := make([]int, len(batches))
	for i := range order {
		j := int(gen.Uint64() % uint64(i+1))
		order[i], order[j] = order[j], i
	}
	most := (2*len(order) + 2) / 3
	for k, i := range order[:most] {
		b := batches[i]
		if k > 0 && s.samples+b.count > limit {
			break
		}
		s.searched[b.first] = true
		s.samples += b.count
	}
	return s
}

// search yields the batches of the search split.
func (s split) search(in engine.Batches) engine.Batches {
	return func(yield func(*engine.Batch, error) bool) {
		for b, err := range in {
			if err == nil && !s.searched[b.First] {
				continue
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}
