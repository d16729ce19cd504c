// Package cost estimates what a quantized network costs, from its plan alone:
// multiply-adds by the widths of what is multiplied, and the bytes of weights
// and biases. Nothing runs and nothing is calibrated.
//
// In goes a plan.Plan, and the shapes of the network's inputs where the model
// leaves more open than the batch; out comes a [Cost].
//
// Rule of the house: what cannot be estimated is listed with the reason, never
// left out silently.
package cost
