package report

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"narrow"
	"narrow/cost"
	"narrow/diag"
	"narrow/evaluate"
	"narrow/export"
	"narrow/export/xmodel"
	"narrow/inspect"
	"narrow/plan"
	"narrow/scheme"
	"narrow/strategy"
)

// Input is what a report of a calibration is made of.
type Input struct {
	// Calibrated is what it is about.
	Calibrated *narrow.Calibrated
	// Strategy is the strategy as its author wrote it, for a calibration that
	// [narrow.Load] read: what quant_info.json keeps has neither comments nor
	// the author's lines. It must mean the same. Nil takes the calibration's own.
	Strategy *strategy.Strategy
	// Test is the accuracy, Measured the errors of tensors and layers; nil where
	// there are no samples.
	Test     *evaluate.Result
	Measured *inspect.Result
	// Cost is that of Calibrated's plan, nil where it is not to be shown; Files are
	// the network's, the float one first.
	Cost  *cost.Cost
	Files []File
	// Findings are those of all stages.
	Findings diag.List
	// Commands are the command lines that make the same again.
	Commands [][]string
	// Facts stand below narrow's version and the hashes, such as the engine's
	// version.
	Facts []Fact
}

// New makes the document of a calibration. The error says what of the input
// does not fit the calibration.
func New(in Input) (*Document, error) {
	c := in.Calibrated
	own := c.Plan // with the reasons to show
	restored := in.Strategy == nil && c.Result.Reasons != nil
	if s := in.Strategy; s != nil && s != own.Strategy {
		if s.SHA256() != own.Strategy.SHA256() {
			return nil, diag.Errorf("report: the strategy %s is not the one that %s was calibrated by", s.File, c.Model.Path)
		}
		p, err := c.Model.Plan(s, narrow.PlanOptions{Accuracy: c.Accuracy})
		if err != nil {
			return nil, diag.Errorf("report: %w", err)
		}
		own = p.Plan
	}
	if len(own.Tensors) != len(c.Plan.Tensors) || len(own.Layers) != len(c.Plan.Layers) {
		return nil, diag.Errorf("report: the strategy %s plans %d tensors, the calibration has %d", in.Strategy.File, len(own.Tensors), len(c.Plan.Tensors))
	}
	if m := in.Measured; m != nil && (len(m.Tensors) != len(c.Plan.Tensors) || len(m.Layers) != len(c.Plan.Layers)) {
		return nil, diag.Errorf("report: what was measured has %d layers and %d tensors, the calibration %d and %d: it is of another one",
			len(m.Layers), len(m.Tensors), len(c.Plan.Layers), len(c.Plan.Tensors))
	}
	b := builder{in: in, plan: own, layerOf: map[*plan.Layer]int{}, sets: map[string]int{}}
	for i, l := range own.Layers {
		b.layerOf[l] = i
	}
	d := &Document{
		Format: Format,
		Model:  Model{Name: filepath.Base(c.Model.Path), Path: c.Model.Path, SHA256: c.Model.SHA256},
		Result: result(in.Test),
	}
	if m := in.Measured; m != nil {
		d.Measured = &Measured{Samples: m.Samples, Reference: m.Reference}
	}
	d.Layers = b.layers()
	d.Cost = b.cost(d.Layers)
	d.Findings = b.findings()
	d.Tensors = b.tensors()
	d.Settings = b.settings
	d.FloatTensors = b.floatTensors()
	d.Strategy = b.strategy(restored)
	for _, ch := range c.Rewrites.Changes {
		d.Rewrites = append(d.Rewrites, Rewrite{Rule: ch.Rule, Node: ch.Node, Note: Text{ch.Note}})
	}
	d.Reproduce = b.reproduce()
	limitChannels(d.Tensors)
	limitHistograms(d.Tensors)
	return d, nil
}

type builder struct {
	in      Input
	plan    *plan.Plan
	layerOf map[*plan.Layer]int
	// settings are the distinct lists, sets their places by their text.
	settings [][]Setting
	sets     map[string]int
}

func (b *builder) layers() []Layer {
	of := make([][]int, len(b.plan.Layers))
	for i, t := range b.plan.Tensors {
		l := b.layerOf[t.Layer]
		of[l] = append(of[l], i)
	}
	var out []Layer
	inXModel := xmodelOf(b.plan)
	inputs := b.inputs()
	results := b.results()
	for i, l := range b.plan.Layers {
		d := Layer{
			Name: l.Name, Op: l.Op, Rule: slices.Index(b.plan.Strategy.Rules, l.Rule), Tensors: append([]int{}, of[i]...),
			Result: results[i], Inputs: inputs[i],
		}
		switch {
		case len(of[i]) > 0:
			d.Spare = inspect.Spare(b.plan, l)
		case d.Result >= 0:
			d.Spare = inspect.Rule(b.plan.Tensors[d.Result].Layer.Name, scheme.Activation)
		}
		if l.Node != nil {
			if e := b.plan.Names.Entry(l.Node); e != nil {
				d.Module = e.Module
			}
		}
		if len(l.Nodes) > 1 {
			for _, n := range l.Nodes {
				d.Group = append(d.Group, n.Label())
			}
		}
		d.XModel = inXModel[l]
		d.Activation = scheme.Float32.String()
		if r := d.Result; r >= 0 {
			d.Activation = datatype(b.plan.Tensors[r])
		}
		for _, at := range of[i] {
			if t := b.plan.Tensors[at]; t.Kind == scheme.Weights {
				d.Weights = datatype(t)
			}
		}
		for _, f := range b.plan.FloatTensors {
			if f.Layer == l && f.Kind == scheme.Weights && d.Weights == "" {
				d.Weights = scheme.Float32.String()
			}
		}
		if m := b.in.Measured; m != nil {
			d.Error, d.Weights, d.Activation = measured(m.Layers[i].Error), m.Layers[i].Weights, m.Layers[i].Activation
		}
		out = append(out, d)
	}
	return out
}

// xmodelOf tells what the layers of a plan for the DPU become in an .xmodel; of
// other plans nothing.
func xmodelOf(p *plan.Plan) map[*plan.Layer]*XModel {
	if p.Strategy.Target != scheme.DPU {
		return nil
	}
	forms, _ := xmodel.Explain(p)
	of := map[string]*plan.Layer{}
	for _, l := range p.Layers {
		for _, n := range l.Nodes {
			of[n.Label()] = l
		}
	}
	all := map[*plan.Layer]*XModel{}
	for _, f := range forms {
		l := of[f.Name]
		if l == nil {
			continue
		}
		x := all[l]
		if x == nil {
			x = &XModel{}
			all[l] = x
		}
		x.Operators = append(x.Operators, f.Becomes...)
		if !f.Refused.IsZero() {
			why := f.Refused
			if !f.Fix.IsZero() {
				why = diag.Textf("%s (%s)", why, f.Fix)
			}
			x.Refused = append(x.Refused, Text{why})
		}
		for _, n := range f.Notes {
			x.Notes = append(x.Notes, Text{n})
		}
	}
	return all
}

// datatype says what a tensor is stored as: int8, uint8, bfloat16.
func datatype(t *plan.Tensor) string {
	s := t.Settings.Settings
	if s.Datatype != scheme.Int {
		return s.Datatype.String()
	}
	return "int" + strconv.Itoa(s.BitWidth)
}

func (b *builder) tensors() []Tensor {
	c := b.in.Calibrated
	var out []Tensor
	for i, t := range b.plan.Tensors {
		calibrated := c.Plan.Tensors[i]
		e := c.Result.Encodings[calibrated]
		d := Tensor{
			Name: t.Name, Kind: t.Kind, Layer: b.layerOf[t.Layer], Datatype: datatype(t), Settings: b.set(t),
			Where: Text{t.Where}, Aligned: Text{diag.Verbatim(c.Result.Aligned[calibrated])}, Axis: t.Axis,
		}
		if len(e.Scale) > 0 && len(e.ZeroPoint) > 0 {
			d.Min, d.Max, d.Scales = e.Min, e.Max, len(e.Scale)
			d.Scale = [2]float32{slices.Min(e.Scale), slices.Max(e.Scale)}
			d.ZeroPoint = [2]int64{slices.Min(e.ZeroPoint), slices.Max(e.ZeroPoint)}
		}
		if m := b.in.Measured; m != nil {
			d.Datatype = m.Tensors[i].Datatype
			d.Seen = seen(&m.Tensors[i])
		}
		out = append(out, d)
	}
	return out
}

func result(r *evaluate.Result) *Result {
	if r == nil {
		return nil
	}
	out := &Result{
		Samples: r.Samples, Float: r.Float, Quantized: r.Quantized, Agreement: r.Agreement,
		SQNR: Number(r.SQNR), Exact: r.Exact, Invalid: r.Invalid, Outputs: r.Outputs, Metric: MetricOf(r.Metric),
	}
	if w := r.Worst(); w != nil && len(r.Outputs) > 1 {
		out.Worst = w.Name
	}
	return out
}

func measured(e *inspect.Error) *Error {
	if e == nil {
		return nil
	}
	return &Error{
		SQNR: Number(e.SQNR), Exact: math.IsInf(float64(e.SQNR), 1),
		Cosine: Number(e.Cosine), MSE: Number(e.MSE), MaxDiff: Number(e.MaxDiff),
	}
}

// seen turns what was measured into its form in the document.
func seen(m *inspect.Tensor) *Seen {
	s := &Seen{
		Elements: m.Elements, Invalid: m.Invalid, Min: m.Min, Max: m.Max, Clipped: Number(m.Clipped), Zeroed: Number(m.Zeroed),
		Own: *measured(&m.Own), Accumulated: measured(m.Accumulated),
	}
	if h := m.Histogram; len(h.Counts) > 0 {
		s.Histogram = &Histogram{Low: h.Low, Width: h.Width, Counts: h.Counts}
	}
	if len(m.Channels) > 0 {
		ch := &Channels{Count: len(m.Channels), Per: 1}
		for _, one := range m.Channels {
			ch.Min, ch.Max = append(ch.Min, one.Min), append(ch.Max, one.Max)
			if g := one.Grid; g != nil {
				ch.Low, ch.High = append(ch.Low, float32(g.Low)), append(ch.High, float32(g.High))
			}
		}
		s.Channels = ch
	}
	return s
}

// set returns the place of a tensor's list of settings: those that count, or
// the datatype alone.
func (b *builder) set(t *plan.Tensor) int {
	var list []Setting
	for _, r := range t.Settings.All() {
		if !t.Settings.Applies(r.Key) {
			continue
		}
		s := Setting{Key: r.Key, Value: r.Value, Line: r.Origin.Range.Start.Line, Reason: Text{r.Origin.Text}}
		above := r.Value
		for _, o := range slices.Backward(r.Overridden) {
			if o.Value != above { // saying the same again overrides nothing
				s.Overridden = append(s.Overridden, Overridden{Value: o.Value, Line: o.Origin.Range.Start.Line, Reason: Text{o.Origin.Text}})
			}
			above = o.Value
		}
		slices.Reverse(s.Overridden)
		list = append(list, s)
	}
	key := fmt.Sprintf("%+v", list) // told in full: equal lists have equal texts
	at, ok := b.sets[key]
	if !ok {
		at = len(b.settings)
		b.settings = append(b.settings, list)
		b.sets[key] = at
	}
	return at
}

func (b *builder) floatTensors() []FloatTensor {
	var out []FloatTensor
	for _, l := range b.plan.FloatTensors {
		out = append(out, FloatTensor{Name: l.Name, Kind: l.Kind, Layer: b.layerOf[l.Layer], Why: Text{l.Why}})
	}
	return out
}

func (b *builder) strategy(restored bool) *Strategy {
	s := b.plan.Strategy
	d := &Strategy{File: s.File, Source: string(s.Source), SHA256: s.SHA256(), Target: s.Target.String(), Rules: b.rules()}
	if restored {
		// Its file is a part of quant_info.json, indented as there.
		d.Restored, d.File, d.Source = true, export.QuantInfoFile, strings.ReplaceAll(d.Source, "\n  ", "\n")
	}
	return d
}

func (b *builder) reproduce() *Reproduce {
	c := b.in.Calibrated
	r := &Reproduce{Commands: append([][]string{}, b.in.Commands...)}
	add := func(name FactName, value string) {
		if value != "" {
			r.Facts = append(r.Facts, Fact{name, value})
		}
	}
	add(FactVersion, narrow.Version())
	for _, f := range b.in.Facts {
		add(f.Name, f.Value)
	}
	add(FactModel, c.Model.SHA256)
	add(FactStrategy, c.Plan.Strategy.SHA256())
	add(FactSamples, c.Result.SamplesSHA256)
	add(FactCount, strconv.Itoa(c.Result.Samples))
	add(FactBatches, strconv.Itoa(c.Result.Batches))
	add(FactPropagate, c.Result.Propagate.String())
	add(FactAccuracy, c.Accuracy.String())
	return r
}
