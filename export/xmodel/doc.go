// Package xmodel writes a calibrated network as an .xmodel: the XIR graph that
// AMD's compiler turns into instructions of a DPU.
//
// In goes a calibration by a strategy for the DPU; out comes a [Graph] of float
// operators with a fix wherever the plan quantizes, which [Graph.WriteTo]
// streams as one protobuf message, or, of a network that cannot be written, every
// reason at once, each with the node and the way out.
//
// Rule of the house: the file computes what `narrow test` computes. What XIR
// has no operator for is refused, never approximated. Images lie as
// [N,H,W,C] in XIR: which values turn round, and where a transpose goes
// between, is decided in layout.go and nowhere else.
//
// Source of the format and of the operators: XIR (graph_proto_v2, its table of
// operators and its shape inference) and what vai_q_pytorch 3.5 writes.
package xmodel
