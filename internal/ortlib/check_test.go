package ortlib

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestCheck: a library that is not what was noted is found out, by its size or
// time when it is loaded, and by every byte in setup.
func TestCheck(t *testing.T) {
	lib := filepath.Join(t.TempDir(), "lib.so")
	write := func(text string, when time.Time) {
		t.Helper()
		if err := os.WriteFile(lib, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(lib, when, when); err != nil {
			t.Fatal(err)
		}
	}
	then := time.Unix(1_700_000_000, 0)
	write("library", then)
	if err := Check(lib, true); err != nil {
		t.Errorf("nothing noted: %v", err)
	}
	if err := Note(lib); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, text string
		when       time.Time
		load, all  bool // accepted
	}{
		{"as it was", "library", then, true, true},
		{"touched", "library", then.Add(time.Hour), true, true},
		{"cut off", "libr", then.Add(time.Hour), false, false},
		{"cut off, at the same time", "libr", then, false, false},
		{"changed", "liXrary", then.Add(time.Hour), false, false},
		{"changed in secret", "liXrary", then, true, false},
	} {
		write(tt.text, tt.when)
		for _, c := range []struct{ all, ok bool }{{false, tt.load}, {true, tt.all}} {
			err := Check(lib, c.all)
			var damaged *DamagedError
			if (err == nil) != c.ok || err != nil && (!errors.As(err, &damaged) || damaged.Path != lib) {
				t.Errorf("%s, every byte %v: %v", tt.name, c.all, err)
			}
		}
	}
	if err := os.WriteFile(lib+NoteEnding, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Check(lib, false); err == nil {
		t.Error("a note that is none is believed")
	}
}
