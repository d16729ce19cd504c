// Package narrow quantizes trained networks after training.
//
// The path is short. [Open] reads an ONNX model; a strategy file, in the format
// of vai_q_pytorch 3.5, says how to quantize; [Model.ResolveFile] reads it
// (package strategy does), applies the exact rewrites and decides for every
// tensor how it is quantized, and why; [Resolved.Calibrate] runs samples through the
// network and finds the scales; [Calibrated.Test] compares the quantized with
// the float network; [Calibrated.Export] returns a model that other runtimes
// load, which package graph/onnx writes to a file; [Calibrated.Save] and [Load]
// keep a calibration in a folder. The examples show the whole of it.
//
// Samples come as [engine.Batches], from anywhere: package samples makes them
// of images and arrays. The engine is an [engine.Runner]: package engine/ort
// has the one on ONNX Runtime, and the second example one of another kind. This package itself contains no cgo.
//
// The same inputs give the same bytes, whatever the number of threads.
package narrow
