package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"narrow/search"
)

// TestDraw: the picture is XML with every trial in it, and the front goes through
// those that no other beats.
func TestDraw(t *testing.T) {
	score := func(lost int) *search.Score { return &search.Score{Samples: 100, Lost: lost} }
	log := &search.Log{Key: search.Key{MaxDrop: 0.01}, Trials: []search.Trial{
		{Phase: search.Wide, Cost: 0.25, Score: score(0)},
		{Phase: search.Recipe, Cost: 0.0625, Score: score(40)},
		{Phase: search.Rank, Cost: 0.0625, Noise: []float64{1}},
		{Phase: search.Mix, Cost: 0.125, Score: score(1)},
		{Phase: search.Mix, Cost: 0.15, Score: score(2)},
		{Phase: search.Lower, Cost: 0.1, Score: score(3)},
		{Phase: search.Confirm, Cost: 0.125, Confirm: &search.Promise{All: *score(1)}},
	}}
	svg, err := draw("a < b", log)
	if err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, svg)
		}
	}
	text := string(svg)
	for what, want := range map[string]int{
		`r="4"/>`: 4, "<path class=\"recipe\"": 1, `r="7"/>`: 1, "found: 12.5 % of float32, 1.00 points lost": 1, "a &lt; b</text>": 1, "prefers-color-scheme:dark": 1,
	} {
		if n := strings.Count(text, what); n != want {
			t.Errorf("%q is there %d times, not %d\n%s", what, n, want, text)
		}
	}
	// From int8 by 10 and 12.5 per cent to 25: 15 per cent is beaten.
	_, front, _ := strings.Cut(text, `<path class="front" d="`)
	front, _, _ = strings.Cut(front, `"`)
	if n := strings.Count(front, "V"); n != 3 {
		t.Errorf("the front is %s", front)
	}
	if _, err := draw("", &search.Log{}); err == nil {
		t.Error("nothing was drawn")
	}
}
