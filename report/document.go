package report

import (
	"narrow/diag"
	"narrow/evaluate"
	"narrow/inspect"
	"narrow/scheme"
	"narrow/strategy"
)

// Format is the format of a [Document] in its JSON form.
const Format = "narrow.report/1"

// Document is what a page shows. [New] makes one of a calibration; one with
// nothing but Model and Compare, or Search, shows that alone. Indices count from 0.
type Document struct {
	Format string `json:"format"`
	Model  Model  `json:"model"`
	// Result is the accuracy, nil where nothing was tested.
	Result *Result `json:"result"`
	// Measured says how the errors of tensors and layers were measured, nil
	// where they were not.
	Measured *Measured `json:"measured"`
	// Cost tells sizes and multiply-adds, nil in a comparison.
	Cost *Cost `json:"cost,omitempty"`
	// Layers and Tensors are in network order, as in the plan.
	Layers  []Layer  `json:"layers"`
	Tensors []Tensor `json:"tensors"`
	// FloatTensors are the tensors that are not quantized.
	FloatTensors []FloatTensor `json:"float_tensors"`
	// Settings are the lists of settings that tensors have; many share one.
	Settings [][]Setting `json:"settings"`
	// Strategy is nil in a comparison.
	Strategy *Strategy `json:"strategy"`
	// Rewrites are the changes to the network before calibration, in order.
	Rewrites []Rewrite `json:"rewrites"`
	// Findings are the warnings and notes of all stages.
	Findings []Finding `json:"findings"`
	// Reproduce tells how to get the same again; nil where nobody told.
	Reproduce *Reproduce `json:"reproduce"`
	// Compare is a comparison of strategies, nil where there is none.
	Compare *Compare `json:"compare"`
	// Search is a search for a strategy, nil where there was none.
	Search *Search `json:"search,omitempty"`
}

// Model is the network's file.
type Model struct {
	// Name is the file's base name, the page's title.
	Name   string `json:"name"`
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
}

// Measured says what the errors are of.
type Measured struct {
	Samples int `json:"samples"`
	// Reference is which float network the values were compared with.
	Reference inspect.Reference `json:"reference"`
}

// Result compares the networks' outputs: see [evaluate.Result].
type Result struct {
	Samples int `json:"samples"`
	// Float and Quantized are nil where there are no labels.
	Float     *evaluate.Accuracy `json:"float"`
	Quantized *evaluate.Accuracy `json:"quantized"`
	Agreement *float64           `json:"agreement"`
	// SQNR is that of the worst output, whose name is Worst where there are
	// several.
	SQNR  Number `json:"sqnr_db"`
	Worst string `json:"worst,omitempty"`
	// Exact says that nothing differs, and SQNR therefore is no number.
	Exact   bool `json:"exact,omitempty"`
	Invalid int  `json:"invalid,omitempty"`
	// Metric is the user's, nil where there is none.
	Metric *Metric `json:"metric,omitempty"`
	// Outputs are the network's.
	Outputs []evaluate.Output `json:"outputs,omitempty"`
}

// Cost is what the network takes: see [cost.Cost].
type Cost struct {
	// Bytes and FloatBytes are the sizes of weights and biases as the export
	// stores them, and in float32.
	Bytes      int64 `json:"bytes"`
	FloatBytes int64 `json:"float_bytes"`
	// MACs are multiply-adds of one sample, by what they multiply in Pairs;
	// Relative is their cost next to float32, in (0, 1].
	MACs     int64   `json:"macs"`
	Pairs    []MACs  `json:"pairs"`
	Relative float64 `json:"relative"`
	// Uncounted names the operations whose multiply-adds are not known.
	Uncounted []string `json:"uncounted,omitempty"`
	// Files are the network's files, the float one first.
	Files []File `json:"files,omitempty"`
}

// File is a file and its size.
type File struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// Error tells how far tested values are from reference ones: see
// [inspect.Error].
type Error struct {
	SQNR Number `json:"sqnr_db"`
	// Exact says that nothing differs, and SQNR therefore is no number.
	Exact   bool   `json:"exact,omitempty"`
	Cosine  Number `json:"cosine"`
	MSE     Number `json:"mse"`
	MaxDiff Number `json:"max_diff"`
}

// Layer is one bar of the page.
type Layer struct {
	Name   string `json:"name"`
	Op     string `json:"op"`
	Module string `json:"module,omitempty"`
	// Group are the nodes that share the layer's quantizer, where there are
	// several.
	Group []string `json:"group,omitempty"`
	// Weights and Activation are what the two are stored as: int8, float32, ...;
	// Weights is "" where there are none.
	Weights    string `json:"weights,omitempty"`
	Activation string `json:"activation"`
	// Rule is the layer rule that applies, an index into Strategy.Rules, else -1.
	Rule int `json:"rule"`
	// Error is of the layer's output, with all that the layers before it got
	// wrong; nil where it was not measured.
	Error *Error `json:"error"`
	// Tensors are the layer's tensors.
	Tensors []int `json:"tensors"`
	// Result is the tensor that stores the layer's result, often another layer's,
	// such as that of the Concat it feeds; -1 where nothing does.
	Result int `json:"result"`
	// Inputs are the layers whose results it reads.
	Inputs []int `json:"inputs,omitempty"`
	// Spare is the layer rule that leaves it in float; of a layer without
	// quantizers of its own, the rule for the layer that stores its result. ""
	// where nothing is quantized.
	Spare string `json:"spare,omitempty"`
	// MACs are its multiply-adds for one sample, BitShare is its share of the
	// network's bit operations, in 0..1.
	MACs     int64  `json:"macs,omitempty"`
	BitShare Number `json:"bit_share,omitempty"`
	// Bytes and FloatBytes are the sizes of its weights and biases as stored, and
	// in float32.
	Bytes      int64 `json:"bytes,omitempty"`
	FloatBytes int64 `json:"float_bytes,omitempty"`
	// XModel tells what the layer becomes in an .xmodel; nil where the strategy is
	// not for the DPU.
	XModel *XModel `json:"xmodel,omitempty"`
}

// XModel is what a layer becomes in an .xmodel.
type XModel struct {
	// Operators are the file's, in order; empty where the layer is refused, or
	// becomes part of its neighbours.
	Operators []string `json:"operators,omitempty"`
	// Refused say why it cannot be written, with the way out.
	Refused []Text `json:"refused,omitempty"`
	// Notes are limits of a known DPU that it goes beyond.
	Notes []Text `json:"notes,omitempty"`
}

// Tensor is one quantized tensor.
type Tensor struct {
	Name     string      `json:"name"`
	Kind     scheme.Kind `json:"kind"`
	Layer    int         `json:"layer"`
	Datatype string      `json:"datatype"`
	// Settings is an index into Document.Settings.
	Settings int `json:"settings"`
	// Where says why a quantizer stands here, Aligned why alignment changed its
	// scale, "" where it did not.
	Where   Text `json:"where"`
	Aligned Text `json:"aligned,omitzero"`
	// Axis is the channel axis, -1 per tensor.
	Axis int `json:"axis"`
	// Scales is how many scales there are: 0 for float types, 1 per tensor, or
	// one per channel; Scale are the smallest and the largest, ZeroPoint
	// likewise.
	Scales    int        `json:"scales"`
	Scale     [2]float32 `json:"scale"`
	ZeroPoint [2]int64   `json:"zero_point"`
	// Min and Max are the smallest and largest integer, 0 for float types.
	Min int64 `json:"min"`
	Max int64 `json:"max"`
	// Seen is what was measured, nil where nothing was.
	Seen *Seen `json:"seen"`
}

// Seen is what samples told of one tensor: see [inspect.Tensor].
type Seen struct {
	Elements    int64      `json:"elements"`
	Invalid     int64      `json:"invalid,omitempty"`
	Min         float32    `json:"min"`
	Max         float32    `json:"max"`
	Clipped     Number     `json:"clipped"`
	Zeroed      Number     `json:"zeroed"`
	Own         Error      `json:"own"`
	Accumulated *Error     `json:"accumulated"`
	Histogram   *Histogram `json:"histogram"`
	Channels    *Channels  `json:"channels,omitempty"`
}

// Histogram counts values: Counts[i] those from Low+i*Width on.
type Histogram struct {
	Low    float64 `json:"low"`
	Width  float64 `json:"width"`
	Counts Counts  `json:"counts"`
}

// Channels are the extents of the output channels of weights. Where there are
// many, Per neighbours share an element: the smallest Min, the largest Max, the
// narrowest grid.
type Channels struct {
	Count int    `json:"count"`
	Per   int    `json:"per"`
	Min   Floats `json:"min"`
	Max   Floats `json:"max"`
	// Low and High are the grid's ends, empty for float types; one element
	// where all channels have the same.
	Low  Floats `json:"low,omitempty"`
	High Floats `json:"high,omitempty"`
}

// FloatTensor is a tensor that stays as it is, with the reason.
type FloatTensor struct {
	Name  string      `json:"name"`
	Kind  scheme.Kind `json:"kind"`
	Layer int         `json:"layer"`
	Why   Text        `json:"why"`
}

// Setting is one setting of a tensor with its reason.
type Setting struct {
	Key   strategy.Key `json:"key"`
	Value string       `json:"value"`
	// Line is the line of the strategy file that sets it, 0 for a default.
	Line int `json:"line,omitempty"`
	// Reason names the object that sets it, or the default.
	Reason Text `json:"reason"`
	// Overridden are the other values that were set on the way, weakest first.
	Overridden []Overridden `json:"overridden,omitempty"`
}

// Overridden is a value that does not hold.
type Overridden struct {
	Value  string `json:"value"`
	Line   int    `json:"line,omitempty"`
	Reason Text   `json:"reason"`
}

// Strategy is the strategy file, with what its rules matched.
type Strategy struct {
	// File is its name, "" for the defaults without a file.
	File string `json:"file"`
	// Source is its text. Restored says that it is not the file as it was
	// written but what quant_info.json keeps of it, every default written out.
	Source   string `json:"source"`
	Restored bool   `json:"restored,omitempty"`
	SHA256   string `json:"sha256"`
	Target   string `json:"target"`
	Rules    []Rule `json:"rules"`
}

// Rule is one layer rule.
type Rule struct {
	// Text names it: layer rule 1 (by type Conv2d).
	Text Text `json:"text"`
	// First and Last are its lines in the source, counted from 1.
	First int           `json:"first"`
	Last  int           `json:"last"`
	Kinds []scheme.Kind `json:"kinds"`
	// Layers are those in which it applies; Lost those that it matches and in
	// which another rule wins.
	Layers []int `json:"layers"`
	Lost   []int `json:"lost,omitempty"`
}

// Finding is what a stage noticed: see [diag.Finding].
type Finding struct {
	Severity diag.Severity `json:"severity"`
	Code     string        `json:"code,omitempty"`
	// File and Line are the place, "" and 0 where there is none.
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Message Text   `json:"message"`
	Fix     Text   `json:"fix,omitzero"`
	// Layers are those that its message names.
	Layers []int `json:"layers,omitempty"`
}

// Rewrite is one change to the network before calibration.
type Rewrite struct {
	Rule string `json:"rule"`
	Node string `json:"node"`
	Note Text   `json:"note"`
}

// Reproduce tells how to get the same again.
type Reproduce struct {
	// Commands are command lines, each a list of arguments.
	Commands [][]string `json:"commands"`
	// Shortened says that folders of this machine were left out of them.
	Shortened bool `json:"shortened,omitempty"`
	// Facts are versions, hashes and counts.
	Facts []Fact `json:"facts"`
}

// Fact is one line of a table.
type Fact struct {
	Name  FactName `json:"name"`
	Value string   `json:"value"`
}

// FactName is what a fact is about; the page has its words in each language.
type FactName string

// The facts that [New] and the command tell.
const (
	FactVersion   FactName = "version"
	FactCommit    FactName = "commit"
	FactEngine    FactName = "engine"
	FactModel     FactName = "model_sha256"
	FactStrategy  FactName = "strategy_sha256"
	FactSamples   FactName = "samples_sha256"
	FactCount     FactName = "samples"
	FactBatches   FactName = "batches"
	FactPropagate FactName = "propagate"
	FactAccuracy  FactName = "accuracy"
)

// Compare is a comparison of strategies on one network.
type Compare struct {
	// Samples is on how many samples they were tested.
	Samples int `json:"samples"`
	// Float is the float network's accuracy, nil without labels, FloatBytes its
	// size, 0 where it is not known.
	Float      *evaluate.Accuracy `json:"float"`
	FloatBytes int64              `json:"float_bytes,omitempty"`
	Rows       []CompareRow       `json:"rows"`
	// Notes say what holds for all, such as which statistics were shared.
	Notes []Text `json:"notes,omitempty"`
}

// CompareRow is one strategy.
type CompareRow struct {
	Name string `json:"name"`
	// Words say what it sets, or sets otherwise than the first.
	Words []Text `json:"words"`
	// Error says why it could not be calibrated or exported; what could not be
	// told is then nil or 0.
	Error Text `json:"error,omitzero"`
	// Quantized is nil without labels.
	Quantized *evaluate.Accuracy `json:"quantized"`
	Agreement *float64           `json:"agreement"`
	SQNR      *evaluate.Decibel  `json:"sqnr_db"`
	Exact     bool               `json:"exact,omitempty"`
	// Bytes is the exported file's size, 0 where it was not exported.
	Bytes int64 `json:"bytes,omitempty"`
	// MACs are multiply-adds of one sample by what they multiply, in the order
	// to be shown.
	MACs []MACs `json:"macs,omitempty"`
	// Cost is relative to float32: see package cost. Nil where it is not known.
	Cost *float64 `json:"cost"`
	// Seconds is how long calibration took. A page that holds it is another one
	// on every run.
	Seconds *float64 `json:"seconds,omitempty"`
	// Metric is the user's, nil where there is none.
	Metric *Metric `json:"metric,omitempty"`
	// Source is the strategy file's text.
	Source string `json:"source,omitempty"`
}

// MACs are multiply-adds of one sort.
type MACs struct {
	// Bits says what is multiplied, such as "8×8" or "bfloat16".
	Bits  string `json:"bits"`
	Count int64  `json:"count"`
}
