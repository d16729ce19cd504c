package calibrate

// Equalization tells what [scheme.High] decided over samples of cross-layer
// equalization, where the strategy asks for it: so that the same network can be made
// again.
type Equalization struct {
	// None says that nothing is equalized, since nothing gains by it.
	None bool `json:"none,omitempty"`
	// Largest holds the largest value of every channel behind a ReLU6 over the
	// samples, by the value's name.
	Largest map[string][]float32 `json:"largest,omitempty"`
	// Steps are by how many steps the channels of activations are scaled, by the value
	// that they come from: see rewrite.MoveScales.
	Steps map[string][]int `json:"steps,omitempty"`
}
