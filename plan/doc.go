// Package plan decides which tensors of a network are quantized, and how each.
//
// In go a strategy and a graph that the exact rules have rewritten; out comes
// a [Plan]: the network's layers in topological order, a [Tensor] for every
// tensor that is quantized, with the settings that apply to it and the
// strategy line that each came from, and for every tensor that is not quantized
// the reason. [Plan.Simulation] turns a plan into the network that a runner
// executes, with a Tap node at every quantized activation.
//
// Rule of the house: every decision has a reason.
package plan
