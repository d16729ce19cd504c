// Package calibrate finds the scales of a plan's tensors and measures what
// quantization costs.
//
// In come a [plan.Plan], a [engine.Runner] and batches of samples; out comes a
// [Calibrated] plan, which alone exporters take, or a [Result] that compares
// the quantized with the float network. The network runs once per batch: at
// every tap a tensor is observed, quantized and passed on.
//
// Rules of the house: the same inputs give the same bytes, whatever the number
// of threads; in float propagation also whatever the batch size. An error
// names the tensor and the sample.
package calibrate
