package calibrate

// MismatchError says that what was kept (a calibration, a checkpoint,
// statistics) is of something else than what it is to serve.
type MismatchError struct {
	// Of is what differs: "model", "strategy", "samples", "network", or
	// "calibration" where it is how to calibrate.
	Of string
	// Message says what was kept of what.
	Message string
}

// Error says what differs.
func (e *MismatchError) Error() string { return e.Message }
