package narrow

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"

	"narrow/calibrate"
	"narrow/diag"
	"narrow/engine"
	"narrow/graph"
	"narrow/graph/onnx"
	"narrow/plan"
	"narrow/rewrite"
	"narrow/scheme"
	"narrow/strategy"
)

// PlanOptions say how to lay a strategy over a model.
type PlanOptions struct {
	// Accuracy is the way to quantize; the zero value is [High].
	Accuracy Accuracy
}

// Planned is a model with a strategy laid over it: which tensors are quantized,
// how, and why. Only [Model.Plan] and [Load] make one.
type Planned struct {
	Model *Model
	Plan  *plan.Plan
	// Rewrites tells which rules changed the network before calibration.
	Rewrites *rewrite.Report
	// Accuracy is the way to quantize that was chosen.
	Accuracy Accuracy
	// decided is what calibration decided over samples.
	decided decided
	// Findings are warnings and notes: the strategy's own first, then those
	// about settings that a tensor cannot hold and the like.
	Findings diag.List
}

// decided is what [High] decides over samples: what equalization may do, nil where
// that is open, and how functions are quantized.
type decided struct {
	equalization *calibrate.Equalization
	functions    plan.Functions
}

// Plan rewrites the model as the strategy and the options ask and plans its
// quantization; nil stands for [strategy.Default]. Mistakes of the strategy, by
// itself or next to the model (layer rules that match nothing or too much), are
// the error, all of them at once with the warnings as a [*diag.FindingsError].
func (m *Model) Plan(s *strategy.Strategy, opts PlanOptions) (*Planned, error) {
	if s == nil {
		s = strategy.Default()
	}
	if err := s.Findings.Err(); err != nil {
		return nil, err
	}
	return m.plan(s, opts.Accuracy, decided{})
}

func (m *Model) plan(s *strategy.Strategy, a Accuracy, d decided) (*Planned, error) {
	p, report, list, err := m.draft(s, a, d)
	if err != nil {
		return nil, err
	}
	list = append(append(diag.List{}, s.Findings...), list...)
	if err := list.Err(); err != nil {
		return nil, err
	}
	return &Planned{Model: m, Plan: p, Rewrites: report, Accuracy: a, decided: d, Findings: list}, nil
}

// Draft is the plan that [Model.Plan] makes, for a strategy whose rules may have
// mistakes next to the model: to look into, not to calibrate. The findings are
// those of laying the strategy over the model, mistakes among them.
func (m *Model) Draft(s *strategy.Strategy, opts PlanOptions) (*plan.Plan, diag.List, error) {
	p, _, list, err := m.draft(s, opts.Accuracy, decided{})
	return p, list, err
}

func (m *Model) draft(s *strategy.Strategy, a Accuracy, d decided) (*plan.Plan, *rewrite.Report, diag.List, error) {
	g, report, err := rewrite.Apply(m.base(), rewrite.Before(m.rewrites(s, a, d))...)
	if err != nil {
		return nil, nil, nil, diag.Errorf("model %s: %w", m.Path, err)
	}
	p, list, err := plan.BuildWith(g, s, plan.Options{Original: m.Graph, Accuracy: a, Functions: d.functions})
	if err != nil {
		return nil, nil, nil, diag.Errorf("model %s: %w", m.Path, err)
	}
	return p, report, slices.Concat(list, m.quantizedAlready(), m.widened()), nil
}

// widened notes a network that computes in float16.
func (m *Model) widened() diag.List {
	if m.narrow == 0 {
		return nil
	}
	return diag.List{{
		Severity: diag.Note, Code: "float16-widened", Range: diag.Range{File: m.Path},
		Message: diag.Textf("%d nodes of the network compute in 16-bit floats: they are quantized, and exported, in float32; its inputs and outputs keep their types", m.narrow),
	}}
}

// quantizedAlready warns of a network that is the result of a quantizer.
func (m *Model) quantizedAlready() diag.List {
	n, first := 0, ""
	for _, node := range m.Graph.Graph.Nodes {
		if node.Is("QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger") {
			if n++; n == 1 {
				first = node.Label()
			}
		}
	}
	if n == 0 {
		return nil
	}
	return diag.List{{
		Severity: diag.Warning, Code: "quantized-already", Range: diag.Range{File: m.Path},
		Message: diag.Textf("the network is quantized already: it holds %d nodes such as %q", n, first),
		Fix:     diag.Textf("give the float network that it was made from"),
	}}
}

// equalizeRounds is how often equalization goes through the network for [High].
// More changes little.
const equalizeRounds = 20

// rewrites says what to rewrite before calibration. As in vai_q_pytorch,
// equalization turns every ReLU6 into ReLU; for High ReLU6 stays, and
// equalization stops there until d tells how far it may go through.
func (m *Model) rewrites(s *strategy.Strategy, a Accuracy, d decided) rewrite.Options {
	o := rewrite.Options{
		ConvertRelu6: s.ConvertReLU6 || s.IncludeCLE,
		ConvertSilu:  s.ConvertSiLU,
		Equalize:     s.IncludeCLE,

		DeviceArithmetic: true,
		EqualPads:        a != High,

		Functions: rewrite.FunctionScales{Steps: d.functions.Steps, Negated: d.functions.Negated},
		Values:    m.values,
	}
	if a == High {
		o.ConvertRelu6 = s.ConvertReLU6
		o.Rounds = equalizeRounds
		o.DeviceArithmetic = s.Target == scheme.DPU // as in vai_q_pytorch the guide's is for every target
		o.SpareNormalizations = true
		if e := d.equalization; e != nil {
			o.Equalize = o.Equalize && !e.None
			o.Relu6, o.Largest, o.Scales = rewrite.Relu6Shared, e.Largest, e.Steps
		}
	}
	return o
}

// FloatReference returns the float network whose inner values can be compared
// with the quantized one's, name by name: the network as read, changed by exact
// rules only. Where the strategy equalizes it is equalized by the same scales,
// through ReLU6 where the quantized network has ReLU.
//
// Exact is false where that leads to other weights than the plan has (a ReLU6
// that equalization cannot pass); the network returned is then the plan's, in
// float, with all that the strategy changed in it.
func (p *Planned) FloatReference() (m *graph.Model, exact bool, err error) {
	o := p.Model.rewrites(p.Plan.Strategy, p.Accuracy, p.decided)
	o.ConvertRelu6, o.ConvertSilu, o.DeviceArithmetic = false, false, false
	if p.Accuracy != High {
		o.Relu6 = rewrite.Relu6Bounds
	}
	m, _, err = rewrite.Apply(p.Model.base(), rewrite.Before(o)...)
	if err != nil {
		return nil, false, diag.Errorf("model %s: %w", p.Model.Path, err)
	}
	constants, own := graph.NewIndex(m.Graph).Constant, graph.NewIndex(p.Plan.Model.Graph).Constant
	for name, t := range own {
		if c := constants[name]; c != nil && !bytes.Equal(c.Raw, t.Raw) {
			return p.Plan.Model, false, nil
		}
	}
	for i, c := range m.Graph.Initializers { // equal ones are held once
		if t := own[c.Name]; t != nil && t.Type == c.Type && slices.Equal(t.Dims, c.Dims) {
			m.Graph.Initializers[i] = t
		}
	}
	for _, t := range p.Plan.Tensors {
		if t.Constant != nil && constants[t.Name] == nil {
			return p.Plan.Model, false, nil
		}
	}
	return m, true, nil
}

// complete gives the plan the constants that were missing when it was made.
func (p *Planned) complete(ctx context.Context, run engine.Runner) error {
	if len(p.Plan.Model.Unknown) == 0 {
		return nil
	}
	err := p.Model.Fold(ctx, func() (engine.Runner, error) {
		if run == nil {
			return nil, diag.Errorf("none was given")
		}
		return run, nil
	})
	if err != nil {
		return err
	}
	full, err := p.Model.plan(p.Plan.Strategy, p.Accuracy, p.decided)
	if err != nil {
		return err
	}
	*p = *full
	return nil
}

// networkSHA256 is the hash of the network after the rewrites.
func (p *Planned) networkSHA256() (string, error) {
	data, tensors, err := onnx.EncodeDetached(p.Plan.Model, 1)
	if err != nil {
		return "", diag.Errorf("model %s: %w", p.Model.Path, err)
	}
	h := sha256.New()
	part := func(b []byte) {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(b))))
		h.Write(b)
	}
	part(data)
	for _, t := range tensors {
		part(t.Raw)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
