package plan

import (
	"narrow/diag"
	"narrow/graph"
	"narrow/graph/infer"
	"narrow/graph/names"
	"narrow/scheme"
	"narrow/strategy"
)

// Plan says which tensors of Model are quantized and how.
type Plan struct {
	// Model is the float network, as the exact rules left it.
	Model    *graph.Model
	Strategy *strategy.Strategy
	// Options are what it was built with.
	Options Options
	// Names are the names by which layer rules were matched.
	Names *names.Table
	// Matches tell for each of Strategy's rules what it matches, in the file's
	// order.
	Matches []Match
	// Layers are the network's layers in topological order.
	Layers []*Layer
	// Tensors are the quantized tensors in topological order: a layer's own
	// input quantizers, its weights, its bias, its activation.
	Tensors []*Tensor
	// FloatTensors are the tensors that are not quantized, in topological order.
	FloatTensors []FloatTensor
	// Unquantized are the layers with weights that stay in float although no
	// setting asks for that, in topological order.
	Unquantized []Unquantized
	// Operations are the network's operations in topological order, with the
	// quantizers around them.
	Operations []*Operation
}

// Layer is one operation of the network with the activation functions that
// belong to it.
type Layer struct {
	// Name is the node's name, or the graph input's.
	Name string
	// Op is the ONNX operator, or the name of a composite ("Linear", "Gelu").
	Op string
	// Node is the node that names the layer; nil for a graph input.
	Node *graph.Node
	// Nodes are the layer's nodes in graph order, the functions that were
	// joined to it included.
	Nodes []*graph.Node
	// Output is the value behind the last of Nodes.
	Output string
	// Rule is the layer rule that applies, or nil.
	Rule *strategy.Rule
}

// Tensor is one quantized tensor.
type Tensor struct {
	// Name is the value's name in the model: a graph input, an inner value, or
	// the constant.
	Name string
	Kind scheme.Kind
	// Layer is whose settings apply.
	Layer    *Layer
	Settings strategy.Resolved
	// Axis is the channel axis with per-channel settings, else -1.
	Axis int
	// Constant is the float tensor of weights and bias; nil otherwise.
	Constant *graph.Tensor
	// Uses are the node inputs that read a constant, or, for a layer's own
	// input quantizer, the inputs that it serves. Nil for other tensors: there
	// everyone who reads the value reads it quantized.
	Uses []Use
	// NetworkInput says that the value enters the network: power-of-two scales
	// of such tensors are not searched beyond maxmin.
	NetworkInput bool
	// Low and High are the smallest and the largest value that count, infinite where
	// one side has no such bound: all that reads the tensor are functions such as
	// HardSwish and Sigmoid, which are flat beyond. Both are 0 where all values count.
	Low, High float32
	// Where says why a quantizer stands here.
	Where diag.Text
}

// Bounded reports whether only the values between t.Low and t.High count.
func (t *Tensor) Bounded() bool { return t.Low != t.High }

// Use is one input of one node.
type Use struct {
	Node  *graph.Node
	Input int
}

// FloatTensor is a tensor that stays as it is, with the reason.
type FloatTensor struct {
	Name  string
	Kind  scheme.Kind
	Layer *Layer
	Why   diag.Text
}

// Options say what the strategy leaves open.
type Options struct {
	// Original is the model before it was rewritten: layer rules may also name
	// what layers were called there. Nil for none.
	Original *graph.Model
	// Accuracy says where quantizers may stand.
	Accuracy scheme.Accuracy
	// Functions says what was chosen for functions behind weighted operators.
	Functions Functions
}

// Functions says, for [scheme.High], how functions such as SiLU and Sigmoid
// behind a convolution or product are quantized.
type Functions struct {
	// Join, for the CPU, lets them join the operator before them: one quantizer
	// behind both. That is nearer to the float network, but ONNX Runtime then
	// computes these operators in float. For the GPU they join always, for the DPU
	// never.
	Join bool `json:"join,omitempty"`
	// Apart are those of them that stay apart despite Join, by their value.
	Apart []string `json:"apart,omitempty"`
	// Steps are by how many steps channels of their results are multiplied, by
	// value, so that all use the range of one scale: the rewrite
	// equalize-functions does that.
	Steps map[string][]int `json:"steps,omitempty"`
	// Negated are the channels that change their sign besides, by value.
	Negated map[string][]int `json:"negated,omitempty"`
}

// Build plans the quantization of m by s, as vai_q_pytorch does. Findings are
// the layer rules that match nothing or too much (errors) and settings that a
// tensor cannot hold (warnings).
func Build(m *graph.Model, s *strategy.Strategy) (*Plan, diag.List, error) {
	return BuildWith(m, s, Options{Accuracy: scheme.Guide})
}

// BuildWith is [Build] with options, whose zero value is [scheme.High].
func BuildWith(m *graph.Model, s *strategy.Strategy, o Options) (*Plan, diag.List, error) {
	b := &builder{
		names:  names.New(m),
		rules:  map[*unit]*strategy.Rule{},
		p:      &Plan{Model: m, Strategy: s, Options: o},
		s:      s,
		flow:   newFlow(m.Graph, infer.Types(m), lookOf(o, s.Target)),
		layers: map[*group]*Layer{},
		points: map[*unit]*Tensor{},
		places: map[*unit]*unit{}, declined: map[*unit]diag.Text{}, unable: map[*unit]diag.Text{}, signal: map[*unit]*unit{},
	}
	if o.Original != nil {
		b.names = names.NewAfter(o.Original, m)
	}
	b.p.Names = b.names
	b.matchRules()
	b.makeLayers()
	b.publishMatches()
	b.findPoints()
	if b.flow.look.high {
		b.flatBeyond()
	}
	b.emit()
	b.unquantized()
	b.withoutEffect()
	b.noteUnquantized()
	b.p.Operations = b.operations()
	b.nothing()
	return b.p, b.list, nil
}

// builder holds what Build works on.
type builder struct {
	p     *Plan
	s     *strategy.Strategy
	names *names.Table
	flow  *flow
	list  diag.List
	// matches are what the rules match, in the file's order.
	matches []ruleMatch
	rules   map[*unit]*strategy.Rule
	layers  map[*group]*Layer
	// points are the quantizers, by the unit behind which they stand.
	points map[*unit]*Tensor
	// places are where the quantizer of a unit's result stands, if there is
	// one; nil where there is no such place.
	places map[*unit]*unit
	// declined holds why the strategy wants no quantizer for a unit's result,
	// unable why the operator cannot have one. findPoints records both.
	declined, unable map[*unit]diag.Text
	// signal are the units that make a signal before a logarithm, each with the Log:
	// they stay float, weights and all.
	signal map[*unit]*unit
}
