// Package engine says what it takes to run networks over samples: a [Runner]
// loads a network, a [Session] runs it over a [Batch], and a [Hook] watches and
// changes the tensors at its taps ([graph.TapOp]).
//
// In go networks and batches of samples, out come tensors. The rule of the
// house: nothing here knows what the hooks do, or what runs the networks;
// package engine/ort does so on ONNX Runtime.
package engine
