package export

import (
	"narrow/plan"
	"narrow/scheme"
)

// Input is what every exporter takes: a plan, what calibration found for its
// tensors, and where both come from. Calibration fills it.
type Input struct {
	Plan *plan.Plan
	// Encodings holds one encoding for every tensor of the plan whose datatype
	// is int; tensors of the other datatypes need none.
	Encodings map[*plan.Tensor]scheme.Encoding
	// Bias holds the corrected float bias of plan tensors of the kind bias,
	// where bias correction changed it, with as many elements as the constant.
	Bias map[*plan.Tensor][]float32
	// Weights holds the weights that refinement chose, each a multiple of its
	// scale, where it did.
	Weights map[*plan.Tensor][]float32
	// FloatBias holds corrected biases that are not quantized, by the node
	// input that reads them; the input may be one that the node leaves out.
	FloatBias map[plan.Use][]float32
	// Ties tells, for activations whose round mode is not half_even, on how
	// many elements of the samples that differs from half_even. Tensors that
	// nobody counted are missing.
	Ties map[*plan.Tensor]Ties

	// ModelName is the class name of listings, such as "ResNet": see
	// [ModelName]. Empty means to find one.
	ModelName string
	// ModelPath is the model's file as it was given; ModelSHA256 the SHA-256
	// of its bytes in hex.
	ModelPath, ModelSHA256 string
	// Samples are what the plan was calibrated on.
	Samples Samples
	// Accuracy is "high" where more than the guide's way was asked for, else "".
	Accuracy string
	// Propagate is "progressive" or "float".
	Propagate string
	// Version is narrow's version.
	Version string
}

// Ties counts, over the calibration samples, the elements of a tensor, and
// those that its round mode quantizes to another integer than half_even does.
type Ties struct{ Elements, Differing int64 }

func (t Ties) plus(o Ties) Ties {
	return Ties{Elements: t.Elements + o.Elements, Differing: t.Differing + o.Differing}
}

// Samples says what a plan was calibrated on.
type Samples struct {
	// Count is how many samples there were, Batches in how many batches.
	Count   int `json:"count"`
	Batches int `json:"batches"`
	// SHA256 is over the samples' elements, in hex.
	SHA256 string `json:"sha256"`
}
