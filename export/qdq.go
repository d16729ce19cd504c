package export

import (
	"slices"

	"narrow/calibrate"
	"narrow/diag"
	"narrow/graph"
	"narrow/graph/infer"
	"narrow/plan"
	"narrow/scheme"
)

// Options say how [QDQ] writes a network.
type Options struct {
	// For is the runtime to write for, [ORT] unless set.
	For Form
	// Strict turns warnings about what the export cannot hold into errors.
	Strict bool
	// ExactRounding expresses round modes other than half_even, and the
	// multiplication by the reciprocal of a scale, in standard operators before
	// QuantizeLinear: bit for bit what the simulation computes, and slower. For [ORT] only.
	ExactRounding bool
	// KeepBias stores biases as they were calibrated. Otherwise a bias of a
	// Conv or Gemm whose input and weights are integers is stored as int32 with
	// the scale input scale * weight scale, which integer kernels need. For [ORT] only.
	KeepBias bool
	// Opset is the standard operator set to write, 0 for the one that the
	// strategy asks for, or else the smallest that holds the result.
	Opset int64
}

// Metadata keys of an exported model.
const (
	MetaVersion  = "narrow.version"
	MetaStrategy = "narrow.strategy_sha256"
	MetaModel    = "narrow.model_sha256"
)

// Rules, as [graph.Node.Rule] of the nodes that the export makes.
const (
	ruleQDQ   = "insert-qdq"
	ruleFuse  = "insert-qdq-to-fuse"
	ruleRound = "exact-rounding"
	ruleCast  = "insert-cast"
	ruleOpset = "raise-opset"
)

// QDQ returns the network of the calibration in with QuantizeLinear and DequantizeLinear
// wherever the plan quantizes. Findings say what the network could not hold;
// where they hold errors, the network is nil. Inputs, outputs and nodes of the
// model keep their names. in is not changed.
//
// Weights are stored as the integers that the simulation used, and dequantize
// to the same float32 values. The error is for plans without encodings and the
// like, not for what a target cannot hold.
func QDQ(in *calibrate.Calibrated, opts Options) (*graph.Model, diag.List, error) {
	if opts.For > ORT && (opts.ExactRounding || opts.KeepBias) {
		return nil, nil, diag.Errorf("export qdq: exact rounding and calibrated biases are of the form %v only, not %v", ORT, opts.For)
	}
	q := newQDQ(in, opts)
	if err := q.run(); err != nil {
		return nil, q.list, diag.Errorf("export qdq: %w", err)
	}
	if q.list.HasErrors() {
		return nil, q.list, nil
	}
	return q.m, q.list, nil
}

func newQDQ(in *calibrate.Calibrated, opts Options) *qdq {
	return &qdq{in: in, opts: opts, form: opts.For.form(), held: map[*plan.Tensor]bool{},
		shifts: map[*graph.Node]shift{}, shifted: map[string]bool{}, weightScales: map[*plan.Tensor][]float32{}, pairs: map[*plan.Tensor]storedPair{}, carried: map[string]*plan.Tensor{}}
}

// qdq is one export at work.
type qdq struct {
	in    *calibrate.Calibrated
	opts  Options
	form  form
	list  diag.List
	opset int64

	m *graph.Model
	// shapes are those of the plan's network.
	shapes map[string][]graph.Dim
	fresh  func(name string) string
	// tensor is what a Tap node of m quantizes.
	tensor map[*graph.Node]*plan.Tensor
	// nodes maps the plan's nodes to those of m.
	nodes map[*graph.Node]*graph.Node
	// products are the plan's MatMuls by the Adds of a bias behind them, gemms these Adds
	// in m: see [qdq.findProducts].
	products map[*graph.Node]*graph.Node
	gemms    map[*graph.Node]bool
	// replaced names the value that stands for a constant.
	replaced map[*plan.Tensor]string
	// extra are the pairs that let runtimes fuse.
	extra []extraPair
	// held are the tensors whose ties fall as asked though QuantizeLinear
	// rounds to even.
	held map[*plan.Tensor]bool
	// shifts are what the biases of operators are to take over, shifted the
	// values whose operator's bias does.
	shifts  map[*graph.Node]shift
	shifted map[string]bool
	// mixed says that some 8-bit activations must be unsigned, so that all are.
	mixed bool
	// weightScales are the stored scales of weights.
	weightScales map[*plan.Tensor][]float32
	// pairs are what activations are stored as, by QuantizeLinear.
	pairs map[*plan.Tensor]storedPair
	// carried are the tensors whose values a pair behind a moving operator holds.
	carried map[string]*plan.Tensor
	bias    biasAudit
	// stored are the biases as the export holds them; nil where nobody asks.
	stored map[*plan.Tensor][]float32
}

func (q *qdq) run() error {
	for _, t := range q.in.Plan.Tensors {
		if t.Settings.Settings.Datatype != scheme.Int {
			continue
		}
		e, ok := q.in.Encodings[t]
		if !ok {
			return diag.Errorf("%s has no encoding", describe(t))
		}
		if err := checkEncoding(t, e); err != nil {
			return diag.Errorf("%s: %w", describe(t), err)
		}
	}
	q.refuse()
	if !q.chooseOpset() || q.list.HasErrors() {
		return nil
	}
	if err := q.clone(); err != nil {
		return err
	}
	q.shapes = infer.Shapes(q.in.Plan.Model, nil)
	if list := raiseOpset(q.m, q.opset, q.shapes); len(list) > 0 {
		q.list = append(q.list, list...)
		if list.HasErrors() {
			return nil
		}
	}
	raiseIR(q.m, irVersion(q.opset))
	q.findProducts()
	q.shiftBiases()
	if err := q.constants(); err != nil {
		return err
	}
	q.activations()
	q.auditTies()
	q.tellBias()
	prune(q.m.Graph)
	if err := q.m.Graph.Sort(); err != nil {
		return err
	}
	delete(q.m.Opsets, graph.TapDomain)
	q.m.Producer, q.m.ProducerVersion = "narrow", q.in.Version
	q.m.Metadata[MetaVersion] = q.in.Version
	q.m.Metadata[MetaStrategy] = q.in.Plan.Strategy.SHA256()
	if q.in.ModelSHA256 != "" {
		q.m.Metadata[MetaModel] = q.in.ModelSHA256
	}
	return nil
}

// clone makes q.m: the simulated network, whose taps and stand-ins are then
// replaced, so that what is exported is what was simulated.
func (q *qdq) clone() error {
	p := q.in.Plan
	standIns := map[*plan.Tensor]*graph.Tensor{}
	for _, t := range p.Tensors {
		if t.Constant != nil {
			standIns[t] = &graph.Tensor{Name: t.Name}
		}
	}
	sim, err := p.Simulation(plan.SimulationOptions{Replace: standIns})
	if err != nil {
		return err
	}
	q.m = sim.Model
	q.fresh = graph.Fresh(q.m.Graph)
	q.tensor = map[*graph.Node]*plan.Tensor{}
	g := q.m.Graph
	for n, i := range sim.TapOf {
		q.tensor[n] = sim.Taps[i].Tensor
	}
	q.nodes, q.replaced = sim.NodeOf, sim.ConstantOf
	standIn := map[string]bool{}
	for _, name := range q.replaced {
		standIn[name] = true
	}
	g.Initializers = slices.DeleteFunc(g.Initializers, func(t *graph.Tensor) bool { return standIn[t.Name] })
	// An input that was a stored constant, now replaced, would have to be fed.
	g.Inputs = slices.DeleteFunc(g.Inputs, func(v *graph.Value) bool {
		return p.Model.Graph.Initializer(v.Name) != nil && g.Initializer(v.Name) == nil
	})
	if q.m.Metadata == nil {
		q.m.Metadata = map[string]string{}
	}
	return nil
}

// find adds a finding.
func (q *qdq) find(s diag.Severity, code string, message, fix diag.Text) {
	if s == diag.Warning && q.opts.Strict {
		s = diag.Error
	}
	q.list = append(q.list, diag.Finding{Severity: s, Code: code, Message: message, Fix: fix})
}

// store adds an initializer and returns its name.
func (q *qdq) store(t *graph.Tensor) string {
	t.Name = q.fresh(t.Name)
	q.m.Graph.Initializers = append(q.m.Graph.Initializers, t)
	return t.Name
}

// scalar stores one float and returns its name.
func (q *qdq) scalar(name string, v float32) string {
	return q.store(graph.NewFloats(name, nil, []float32{v}))
}

// node makes a node of the export with one output, out, or a fresh one where
// out is "".
func (q *qdq) node(rule, op, name, out string, inputs []string, attrs ...*graph.Attr) *graph.Node {
	if out == "" {
		out = q.fresh(name + "_output")
	}
	return &graph.Node{
		Name: q.fresh(name), OpType: op, Inputs: inputs, Outputs: []string{out}, Attrs: attrs, Rule: rule,
	}
}

func intAttr(name string, v int64) *graph.Attr {
	return &graph.Attr{Name: name, Kind: graph.AttrInt, Int: v}
}

// prune removes constants that nobody reads any more.
func prune(g *graph.Graph) {
	for {
		read := map[string]bool{}
		for _, v := range g.Outputs {
			read[v.Name] = true
		}
		for _, n := range g.Nodes {
			for _, in := range graph.Reads(n) {
				read[in] = true
			}
		}
		dead := func(n *graph.Node) bool {
			return n.Is("Constant", "Identity") && !slices.ContainsFunc(n.Outputs, func(o string) bool { return read[o] })
		}
		before := len(g.Nodes)
		g.Nodes = slices.DeleteFunc(g.Nodes, dead)
		if len(g.Nodes) < before {
			continue // what they read may be dead now
		}
		gone := map[string]bool{}
		g.Initializers = slices.DeleteFunc(g.Initializers, func(t *graph.Tensor) bool {
			gone[t.Name] = !read[t.Name]
			return gone[t.Name]
		})
		g.Inputs = slices.DeleteFunc(g.Inputs, func(v *graph.Value) bool { return gone[v.Name] })
		return
	}
}
