package search

import "narrow/engine"

// Forget lets go of the samples in memory, as where they are too many.
func (n *Network) Forget(calibration, test engine.Batches) {
	n.calibration, _, _ = keep(calibration, 100)
	n.test, _, _ = keep(test, 100)
}
