package progress

import (
	"bytes"
	"math"
	"testing"
	"time"
)

// TestMeter: a rate is told only when there is one: from the second update on,
// since the first comes after the preparing, and later over the last seconds.
func TestMeter(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	type update struct {
		done    int
		seconds float64
		rate    float64
		left    float64
	}
	tests := map[string][]update{
		"preparing counts not":     {{16, 30, 0, 0}, {32, 32, 8, 21}},
		"nothing yet":              {{0, 2, 0, 0}, {0, 3, 0, 0}},
		"resumed":                  {{100, 5, 0, 0}, {110, 6, 10, 9}},
		"slower later":             {{0, 0, 0, 0}, {100, 1, 100, 1}, {110, 11, 10, 9}, {120, 26, 0.8, 100}},
		"the same again":           {{0, 0, 0, 0}, {10, 1, 10, 19}, {10, 2, 5, 38}},
		"a second pass":            {{0, 0, 0, 0}, {200, 10, 20, 0}, {20, 11, 0, 0}, {40, 12, 20, 8}},
		"too soon to tell":         {{1, 1, 0, 0}, {150, 1.01, 0, 0}, {160, 2, 159, 40. / 159}},
		"all of it at one instant": {{0, 0, 0, 0}, {200, 0, 0, 0}},
	}
	for name, updates := range tests {
		m := meter{total: 200}
		for _, u := range updates {
			s := m.at(u.done, at(u.seconds))
			if math.Abs(s.Rate-u.rate) > 1e-9 || math.Abs(s.Left.Seconds()-u.left) > 1e-6 || s.Done != u.done || s.Total != 200 {
				t.Errorf("%s: %d after %v s: %+v, want %v a second and %v s", name, u.done, u.seconds, s, u.rate, u.left)
			}
		}
	}
}

// TestNoTerminal: elsewhere than on a terminal nothing is drawn.
func TestNoTerminal(t *testing.T) {
	var out bytes.Buffer
	b := New(&out, 10, func(Status) string { return "x" })
	b.Set(1)
	b.Done()
	if b != nil || out.Len() > 0 {
		t.Errorf("drawn: %q", &out)
	}
}
