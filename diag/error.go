package diag

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// Errorf makes an error that can be told in other languages: format and args are
// as for fmt.Errorf, and the format is a constant, as that of [Textf].
func Errorf(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &textError{err, Textf(strings.ReplaceAll(format, "%w", "%v"), args...)}
}

// textError is an error with its text.
type textError struct {
	error
	text Text
}

func (e *textError) Text() Text    { return e.text }
func (e *textError) Unwrap() error { return errors.Unwrap(e.error) }

// Is and As look at what is wrapped, also where that is more than one error.
func (e *textError) Is(target error) bool { return errors.Is(e.error, target) }
func (e *textError) As(target any) bool   { return errors.As(e.error, target) }

// ErrorText returns the text of an error: its own where it has one, and for what
// the system says about files a text as well.
func ErrorText(err error) Text {
	var path *fs.PathError
	switch e := err.(type) { // of this error, not of one that it wraps: that lacks what is around
	case nil:
		return Text{}
	case Texter:
		return e.Text()
	case *fs.PathError:
		path = e
	case interface{ Unwrap() []error }:
		var parts []Text
		for _, one := range e.Unwrap() {
			parts = append(parts, ErrorText(one))
		}
		if lines := joinLines(parts); lines.String() == err.Error() { // as errors.Join says it
			return lines
		}
	}
	if path != nil {
		return Textf("%s %s: %v", path.Op, path.Path, path.Err)
	}
	return Text{"%s", []any{systemText(err.Error())}}
}

func joinLines(parts []Text) Text {
	var t Text
	for i, p := range parts {
		if i == 0 {
			t = p
		} else {
			t = Textf("%s\n%s", t, p)
		}
	}
	return t
}

// systemText is what the system says, which is looked up as it is.
type systemText string
