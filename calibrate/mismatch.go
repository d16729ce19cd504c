package calibrate

import "narrow/diag"

// MismatchError says that what was kept (a calibration, a checkpoint,
// statistics) is of something else than what it is to serve.
type MismatchError struct {
	// Of is what differs: "model", "strategy", "samples", "network", or
	// "calibration" where it is how to calibrate.
	Of string
	// Message says what was kept of what.
	Message diag.Text
}

// Error says what differs.
func (e *MismatchError) Error() string { return e.Message.String() }

// Text is Error in words that can be translated.
func (e *MismatchError) Text() diag.Text { return e.Message }
