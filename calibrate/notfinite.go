package calibrate

import "fmt"

// NotFiniteError says that calibration met a value of the network that is NaN or
// infinite: in the samples, or made by the model or by a datatype that is too
// narrow.
type NotFiniteError struct {
	// Layer and Tensor are where it is, Sample how to call the sample.
	Layer, Tensor, Sample string
	Value                 float32
}

// Error says where it is, and the way out.
func (e *NotFiniteError) Error() string {
	return fmt.Sprintf("layer %s: tensor %q holds %v in %s: mend the sample or the model, or pass --skip-invalid", e.Layer, e.Tensor, e.Value, e.Sample)
}
