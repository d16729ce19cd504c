// Package inspect tells where quantization loses accuracy.
//
// In go a calibrated network, a [engine.Runner] and samples; out comes, from
// real runs, how far every tensor and every layer of the quantized network is
// from the float one (Measure), and what quantizing each layer alone costs
// (Sensitivity).
//
// Rule of the house: the same samples give the same bytes, whatever the batch
// size and the number of threads.
package inspect
