package diag

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"
)

// loud tells formats apart from what goes into them.
func loud(format string) string { return "<" + format + ">" }

// TestErrorText: an error is told by formats as deep as they go, and says in
// English what fmt.Errorf would.
func TestErrorText(t *testing.T) {
	missing := &fs.PathError{Op: "open", Path: "a.onnx", Err: syscall.ENOENT}
	tests := []struct {
		err  error
		want string
	}{
		{Errorf("no %s", "model"), "<no model>"},
		{Errorf("model %s: %w", "a", Errorf("no %d", 3)), "<model a: <no 3>>"},
		{Errorf("model: %w", missing), "<model: <open a.onnx: <<no such file or directory>>>>"},
		{fmt.Errorf("around: %w", Errorf("no %d", 3)), "<<around: no 3>>"},
		{errors.Join(Errorf("a"), Errorf("b")), "<<a>\n<b>>"},
		{errors.New("100 %"), "<<100 %>>"},
	}
	for _, tt := range tests {
		text := ErrorText(tt.err)
		if got := text.Render(loud); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.err, got, tt.want)
		}
		if text.String() != tt.err.Error() {
			t.Errorf("%q says %q in English", tt.err, text)
		}
	}
	if !ErrorText(nil).IsZero() {
		t.Error("no error says something")
	}
}

// TestErrorfWraps: what is wrapped is found, one error or several.
func TestErrorfWraps(t *testing.T) {
	a, b := errors.New("a"), &fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist}
	err := Errorf("%w and %w", a, b)
	var path *fs.PathError
	if !errors.Is(err, a) || !errors.Is(err, fs.ErrNotExist) || !errors.As(err, &path) || path != b {
		t.Errorf("%v does not wrap both", err)
	}
	one := Errorf("one: %w", a)
	if errors.Unwrap(one) != a {
		t.Errorf("%v unwraps to %v", one, errors.Unwrap(one))
	}
}
