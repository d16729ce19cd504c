// Package evaluate runs two networks side by side over the same samples and
// says how far one of them is from the other.
//
// In go the float network, quantized ones ([engine.Network]), batches of samples
// and perhaps labels; out comes a [Result] for each. The rule of the house: a
// figure says what it was counted over, and there is none where it would mean
// nothing.
package evaluate
