package inspect

import (
	"encoding/json"
	"math"

	"narrow/diag"
	"narrow/evaluate"
	"narrow/scheme"
)

// Bins is how many bins every [Histogram] has.
const Bins = 128

// Result is where a quantized network differs from the float one, tensor by
// tensor and layer by layer.
type Result struct {
	// Samples is how many samples were looked at.
	Samples int `json:"samples"`
	// Reference says which float network the values were compared with.
	Reference Reference `json:"reference"`
	// Layers are the plan's layers, in network order: Layers[i] is of
	// Plan.Layers[i].
	Layers []Layer `json:"layers"`
	// Tensors are the plan's tensors, in network order: Tensors[i] is of
	// Plan.Tensors[i].
	Tensors []Tensor `json:"tensors"`
}

// Reference is a float network to compare with.
type Reference string

const (
	// Exact is the network as read, changed by exact rules only (folded, and
	// equalized with the same scales as the quantized one): its outputs are the
	// float network's to a relative 1e-5, and each inner value means the same.
	Exact Reference = "exact"
	// Rewritten is the network that was calibrated, in float, with what the
	// strategy changed in it (ReLU6 to ReLU, the device's arithmetic). It serves
	// where the exact rules alone lead to other weights.
	Rewritten Reference = "rewritten"
)

// Layer is one layer's output, with all that the layers before it got wrong.
type Layer struct {
	// Name is what a layer rule calls it: a node's name, or the network input's.
	Name string `json:"name"`
	// Op is the ONNX operator, the composite's name ("Linear", "Gelu"), or
	// "Input".
	Op string `json:"op"`
	// Module is the torch module path, "" where it is not known.
	Module string `json:"module,omitempty"`
	// Output is the value that was compared: the one behind the layer's last
	// node, activation functions included.
	Output string `json:"output"`
	// Weights and Activation are what the layer's weights and the value behind it
	// are stored as, such as int8, bfloat16 or float32; Weights is "" where there
	// are none.
	Weights    string `json:"weights,omitempty"`
	Activation string `json:"activation"`
	// Error is the quantized network's output of the layer against the float
	// network's; nil where the float network has no such value or the value is
	// empty.
	Error *Error `json:"error"`
	// Tensors are the layer's tensors, as indices into Result.Tensors.
	Tensors []int `json:"tensors"`
}

// Tensor is one quantized tensor. Min, Max, Clipped, Zeroed, Histogram and Own
// are of the float network's values; of weights and biases, those that
// calibration corrected and equalization rescaled, but for those that were
// chosen anew ([narrow.Calibrated.Refine]), against which Own holds the choice.
type Tensor struct {
	// Name is the value's or the constant's name.
	Name string `json:"name"`
	// Kind is input, weights, bias or activation.
	Kind scheme.Kind `json:"kind"`
	// Layer is the name of the layer whose settings apply, LayerIndex its index
	// in Result.Layers.
	Layer      string `json:"layer"`
	LayerIndex int    `json:"layer_index"`
	// Datatype is such as int8, int4, bfloat16; integers of the type may be
	// unsigned, which the Grid tells.
	Datatype string `json:"datatype"`
	// Elements is how many values were seen over all samples, without the
	// Invalid ones, which are NaN or infinite.
	Elements int64 `json:"elements"`
	Invalid  int64 `json:"invalid,omitempty"`
	// Min and Max are the extent, 0 and 0 where there are no elements.
	Min float32 `json:"min"`
	Max float32 `json:"max"`
	// Clipped is the share, in 0..1, of values more than half a step beyond the
	// grid's ends; Zeroed that of values which are not 0 and are stored as 0. For
	// bfloat16 and float16 clipped means infinite.
	Clipped float64 `json:"clipped"`
	Zeroed  float64 `json:"zeroed"`
	// Own is what storing the float values costs: float against quantized
	// values, with nothing wrong before.
	Own Error `json:"own"`
	// Accumulated is the quantized network's value against the float network's;
	// of constants, what is computed with against the float network's. Nil where
	// the float network has no such value.
	Accumulated *Error `json:"accumulated"`
	// Histogram counts the values.
	Histogram Histogram `json:"histogram"`
	// Grid is where integers lie, per tensor; nil for float types and for
	// tensors with Channels.
	Grid *Grid `json:"grid,omitempty"`
	// Axis is the channel axis of tensors with one scale per channel, else -1.
	Axis int `json:"axis"`
	// Channels are the output channels of weights, in order; of weights with one
	// scale for the tensor too. Nil for other kinds.
	Channels []Channel `json:"channels,omitempty"`
}

// Channel is one output channel of weights.
type Channel struct {
	Min float32 `json:"min"`
	Max float32 `json:"max"`
	// Grid is the channel's, or the tensor's where it has one scale; nil for
	// float types.
	Grid *Grid `json:"grid,omitempty"`
	// SQNR is of storing the channel.
	SQNR evaluate.Decibel `json:"sqnr_db"`
}

// Grid is the values that integers stand for: Low, Low+Step, ..., High. What is
// beyond Low-Step/2 or High+Step/2 is clipped.
type Grid struct {
	Step float64 `json:"step"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// Error tells how far tested values are from reference ones.
type Error struct {
	// SQNR is 10*log10(sum(ref^2) / sum((ref-test)^2)) in dB: +Inf where nothing
	// differs (MSE is 0), -Inf where all reference values are 0; null in JSON.
	SQNR evaluate.Decibel `json:"sqnr_db"`
	// Cosine is of the angle between the two, in -1..1.
	Cosine float64 `json:"cosine"`
	// MSE is the mean squared difference.
	MSE float64 `json:"mse"`
	// MaxDiff is the largest difference.
	MaxDiff float64 `json:"max_diff"`
}

// MarshalJSON adds "exact": true where nothing differs, since SQNR is null there.
func (e Error) MarshalJSON() ([]byte, error) {
	type fields Error
	return json.Marshal(struct {
		fields
		Exact bool `json:"exact,omitempty"`
	}{fields(e), math.IsInf(float64(e.SQNR), 1)})
}

// Histogram counts values in [Bins] bins of equal width: Counts[i] those from
// Low + i*Width to Low + (i+1)*Width, of which that nearer to 0 counts. All
// values are in it. Low is a multiple of Width, so that 0 is an edge between
// bins, or outside. Width is 0, and Counts nil, where there are no values.
type Histogram struct {
	Low    float64 `json:"low"`
	Width  float64 `json:"width"`
	Counts []int64 `json:"counts"`
}

// RankingFormat is the format of a Ranking as JSON.
const RankingFormat = "narrow.sensitivity/1"

// Ranking is what quantizing each layer alone costs.
type Ranking struct {
	// Format is RankingFormat.
	Format  string `json:"format"`
	Samples int    `json:"samples"`
	// Classes is how many classes the first classification among the network's
	// outputs tells apart, 0 where there is none.
	Classes int `json:"classes"`
	// Findings are what of the comparison is not to be taken at its word.
	Findings diag.List `json:"-"`
	// Float is the accuracy of the float network, nil where there are no labels.
	Float *evaluate.Accuracy `json:"float,omitempty"`
	// MetricName is that of the metric, by which the layers are ranked; "" without
	// one.
	MetricName    string `json:"metric_name,omitempty"`
	LowerIsBetter bool   `json:"lower_is_better,omitempty"`
	// FloatMetric is the float network's, nil where there is none.
	FloatMetric *float64 `json:"float_metric,omitempty"`
	// Invalid counts the samples for which the float network puts out NaN or
	// Inf: they are left out of SQNR and agreement.
	Invalid int `json:"invalid,omitempty"`
	// All is the network with every layer quantized against the float one.
	All Cost `json:"all"`
	// Rewrites is the network with nothing quantized but with what the strategy
	// changed in it (ReLU6 to ReLU, the device's arithmetic) against the float
	// one: what no datatype can give back.
	Rewrites Cost `json:"rewrites"`
	// Layers are the layers with something quantized, the one that costs most
	// first (lowest SQNR; network order among equals).
	Layers []LayerCost `json:"layers"`
}

// Cost is a network's output against that of another.
type Cost struct {
	// SQNR is that of the worst output: -Inf where the network puts out NaN, NaN
	// where no sample could be compared.
	SQNR evaluate.Decibel `json:"sqnr_db"`
	// Exact reports that nothing differs: SQNR is then +Inf.
	Exact bool `json:"exact,omitempty"`
	// Output is the name of the worst output, "" where there is but one.
	Output string `json:"output,omitempty"`
	// Agreement is the lowest of the outputs' that are classifications, in 0..1,
	// else nil.
	Agreement *float64 `json:"agreement"`
	// Top1 is the accuracy, nil without labels, and Drop the reference's minus
	// it: positive is a loss.
	Top1 *float64 `json:"top1,omitempty"`
	Drop *float64 `json:"top1_drop,omitempty"`
	// Metric is the mean score of the samples, nil without a metric.
	Metric *float64 `json:"metric,omitempty"`
}

// LayerCost is what quantizing one layer alone costs: its weights, its bias,
// its own inputs, and its result. Everything else is float. The reference is the
// rewritten network in float.
type LayerCost struct {
	// Name is what a layer rule calls it; Index its place in Plan.Layers.
	Name  string `json:"name"`
	Index int    `json:"index"`
	Op    string `json:"op"`
	// Module is the torch module path, "" where it is not known.
	Module string `json:"module,omitempty"`
	// Weights and Activation are as in [Layer].
	Weights    string `json:"weights,omitempty"`
	Activation string `json:"activation"`
	// Cost is what the network's output loses.
	Cost
	// Own is what the layer's own output loses; nil where it has no elements.
	Own *Error `json:"own"`
}
