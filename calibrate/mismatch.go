package calibrate

import (
	"fmt"

	"narrow/diag"
)

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

// pairing is something that what was kept must have in common with what it is to
// serve: of and what are told where own and kept differ.
type pairing struct {
	of        string
	what      diag.Text
	own, kept any
}

// mismatch returns the first pair that differs, with both values in what where
// they are short; ok is false where none does.
func mismatch(pairs []pairing) (of string, what diag.Text, ok bool) {
	for _, p := range pairs {
		if p.own != p.kept {
			if len(fmt.Sprint(p.own)) < 40 {
				return p.of, diag.Textf("%s (%v, not %v)", p.what, p.kept, p.own), true
			}
			return p.of, p.what, true
		}
	}
	return "", diag.Text{}, false
}
