package search_test

import (
	"bytes"
	"strings"
	"testing"

	"narrow/internal/bounded"
	"narrow/search"
)

// logBound is what reading the log of a search may allocate: docs/robustness.md.
var logBound = bounded.Bound{Factor: 1024, Constant: 1 << 20}

// FuzzReadLog: whatever the file holds, reading it does not panic nor take
// memory out of proportion, and what was read is written and read the same.
func FuzzReadLog(f *testing.F) {
	empty, err := (&search.Log{}).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(empty)
	f.Add([]byte(`{"format": "` + search.LogFormat + `", "key": {}, "trials": [{"number": 1, "phase": "rank"}]}`))
	f.Add([]byte(`{"format": "` + search.LogFormat + `", "trials": [` + strings.Repeat("{},", 3000) + "{}]}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var l *search.Log
		var err error
		logBound.Run(t, len(data), func() { l, err = search.ReadLog(data) })
		if err != nil {
			return
		}
		text, err := l.Encode()
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		back, err := search.ReadLog(text)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, text)
		}
		if again, err := back.Encode(); err != nil || !bytes.Equal(again, text) {
			t.Fatalf("reading changes it: %v\n%s\n%s", err, text, again)
		}
	})
}
