// Package compare holds several strategies against one another on one network
// and the same samples.
//
// In go a network resolved for each strategy, samples to calibrate on and samples
// to test on; out comes a [Comparison]: for each strategy what it sets otherwise
// than the first one, accuracy, agreement and SQNR, the size of the exported
// file, multiply-adds by bit widths, and how long calibrating took. [Differences]
// tells what strategies set otherwise without running anything.
//
// Rule of the house: work is shared only where no number changes. Each number
// is the one that the strategy has when it is calibrated, tested and exported by
// itself.
package compare
