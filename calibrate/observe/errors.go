package observe

import (
	"narrow/diag"
	"narrow/internal/kernel"
)

// InvalidError says that a tensor holds a NaN or an infinity. The observer that
// returns one has not changed.
type InvalidError struct {
	Tensor string
	// Index is that of the first such element in the batch, in C order.
	Index int
	// Sample is the index along the first axis of the batch that Index lies in.
	Sample int
	Value  float32
}

// Error names the tensor, the sample and the element.
func (e *InvalidError) Error() string { return e.Text().String() }

// Text is Error in words that can be translated.
func (e *InvalidError) Text() diag.Text {
	return diag.Textf("tensor %q holds %v in sample %d of the batch (element %d)", e.Tensor, e.Value, e.Sample, e.Index)
}

// NegativeError says that a tensor that is to be quantized unsigned and
// symmetric has negative elements.
type NegativeError struct {
	Tensor string
	// Min and Max are the tensor's range in this batch.
	Min, Max float32
}

// Error names the tensor and its range.
func (e *NegativeError) Error() string { return e.Text().String() }

// Text is Error in words that can be translated.
func (e *NegativeError) Text() diag.Text {
	return diag.Textf("tensor %q is to be quantized unsigned and symmetric, but its values go from %v to %v: set \"signed\": true, or \"symmetry\": false", e.Tensor, e.Min, e.Max)
}

func invalid(name string, x []float32, shape []int64) error {
	i := kernel.FirstNonFinite(x)
	e := &InvalidError{Tensor: name, Index: i, Value: x[i]}
	if len(shape) > 0 && shape[0] > 0 {
		e.Sample = i / max(len(x)/int(shape[0]), 1)
	}
	return e
}
