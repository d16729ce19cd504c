// Package strategy reads quantization strategy files: JSON that says, for a
// model, for its kinds of tensors and for single layers, how to quantize.
//
// In comes the text of a file; out comes a [Strategy] whose every setting
// keeps its place in that text, and a list of findings that holds all of the
// file's mistakes at once. The package knows no models: whether a rule
// matches a layer is for others to find out; [Strategy.Resolve] then tells
// what the settings are and why.
//
// Rules of the house: every key, value and default of the format stands in
// one table (keys.go), from which the parser, the formatter, the schema and
// the messages take it. Nothing is lost by inheritance: a key that is set
// above stays set below until it is set again. A finding points at the exact
// key or value.
package strategy
