package kernel

// Multiplies reports whether x is multiplied by the reciprocal of the scale;
// otherwise, where float32 cannot hold that well, x is divided by the scale.
func (a Affine) Multiplies() bool { return a.narrow() }
