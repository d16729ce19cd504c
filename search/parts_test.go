package search

import (
	"math"
	"slices"
	"testing"

	"narrow/engine"
	"narrow/scheme"
	"narrow/strategy"
)

// TestStrategies writes every combination of options, with layers on every rung,
// for every device: no mistakes, no warnings, and read back they say what was
// chosen.
func TestStrategies(t *testing.T) {
	for _, target := range []scheme.Target{scheme.CPU, scheme.GPU, scheme.DPU} {
		space := SpaceFor(target)
		var layers []Layer
		for r := range space.Rungs {
			layers = append(layers, Layer{Name: "conv" + string(rune('a'+r)), Weighted: true}, Layer{Name: "pool" + string(rune('a'+r))})
		}
		layers = append(layers, Layer{Name: "image", Input: true})
		seen := map[string]bool{}
		var options func(c Candidate, choice int)
		options = func(c Candidate, choice int) {
			if choice < len(space.Choices) {
				for o := range space.Choices[choice].Options {
					options(c.with(choice, o), choice+1)
				}
				return
			}
			if !space.allowed(c) {
				return
			}
			for _, most := range []int{space.Base, len(seen) % len(space.Rungs)} {
				for i := range layers {
					c.Rungs[i] = most
				}
				for r := range space.Rungs {
					c.Rungs[2*r] = r
					if slices.Contains(space.rungs(layers[2*r+1]), r) {
						c.Rungs[2*r+1] = r
					}
				}
				st, err := space.Strategy(layers, c)
				if err != nil {
					t.Fatal(err)
				}
				text := st.Format()
				_, list := strategy.Parse("", text)
				if len(list) != 0 {
					t.Fatalf("%v: %v\n%s", target, list, text)
				}
				net := &synthetic{layers: layers}
				for i, l := range layers {
					rung := space.Rungs[c.Rungs[i]]
					w, a := net.settings(st, l)
					if l.Weighted && (w.Datatype != rung.Weights.Datatype || w.Datatype == scheme.Int && w.BitWidth != rung.Weights.Bits) {
						t.Fatalf("%v: weights of %s are %v of %d bits, not %v\n%s", target, l.Name, w.Datatype, w.BitWidth, rung, text)
					}
					if a.Datatype != rung.Activations.Datatype || a.Datatype == scheme.Int && a.BitWidth != rung.Activations.Bits {
						t.Fatalf("%v: activations of %s are %v of %d bits, not %v\n%s", target, l.Name, a.Datatype, a.BitWidth, rung, text)
					}
					if a.Datatype == scheme.Int && a.BitWidth > 8 && a.Method != scheme.MaxMin {
						t.Fatalf("%v: 16 bits of %s are clipped by %v", target, l.Name, a.Method)
					}
				}
				seen[st.SHA256()] = true
			}
		}
		options(space.candidate(layers, space.Base), 0)
		if len(seen) < 24 {
			t.Errorf("%v: only %d strategies", target, len(seen))
		}
		if space.Rungs[space.Base] != (Rung{Format{scheme.Int, 8}, Format{scheme.Int, 8}}) {
			t.Errorf("%v: the base is %v", target, space.Rungs[space.Base])
		}
	}
}

func TestWords(t *testing.T) {
	space := SpaceFor(scheme.CPU)
	layers := []Layer{{Name: "a", Weighted: true}, {Name: "b", Weighted: true}, {Name: "pool"}, {Name: "c", Weighted: true}}
	c := space.candidate(layers, space.Base)
	c.Rungs[0], c.Rungs[1], c.Rungs[3] = 0, 0, 4
	if got, want := space.words(layers, c.with(0, 1)).String(), "3 int4 x int8, 1 bfloat16, per_channel of weights false"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
	c.Rungs[3] = 0
	if got, want := space.words(layers, c).String(), "int4 x int8 throughout"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
}

// TestFront: two layers by hand. Of the first, rung 1 lies above the line from 0
// to 2; the second has no rung 1.
func TestFront(t *testing.T) {
	inf := math.Inf(1)
	start, steps := front(
		[][]float64{{1, 2, 3, 7}, {0, inf, 1, 2}},
		[][]float64{{10, 9, 2, 0}, {5, inf, 1, 1}},
	)
	if !slices.Equal(start, []int{0, 0}) || !slices.Equal(steps, []step{{0, 2}, {1, 2}, {0, 3}}) {
		t.Errorf("start %v, steps %v", start, steps)
	}
	if got := climb(start, steps, 2); !slices.Equal(got, []int{2, 2}) {
		t.Errorf("after two steps %v", got)
	}
	// Of rungs that cost the same, the one with less noise; of those with the same
	// noise, the cheaper one.
	if got := hull([]float64{1, 1, 2, 3}, []float64{4, 3, 3, 0}); !slices.Equal(got, []int{1, 3}) {
		t.Errorf("hull %v", got)
	}
}

// TestTally: by hand, and equal to what package calibrate counts.
func TestTally(t *testing.T) {
	nan := float32(math.NaN())
	var sum tally
	for _, r := range []struct {
		label int
		f, q  []float32
	}{
		{0, []float32{2, 1}, []float32{2, 1}},   // both right
		{1, []float32{1, 2}, []float32{2, 1}},   // lost
		{1, []float32{1, 1}, []float32{0, 1}},   // gained: the tie falls to 0
		{1, []float32{3, 1}, []float32{3, 0}},   // both wrong
		{0, []float32{1, 0}, []float32{nan, 1}}, // lost
	} {
		sum.add(r.label, r.f, r.q)
	}
	s := sum.score()
	want := Score{Samples: 5, Float: 3, Quantized: 2, Lost: 2, Gained: 1, Agree: 2, Noise: MaxNoise}
	if s != want {
		t.Errorf("%+v, not %+v", s, want)
	}
	if s.Drop() != 0.2 {
		t.Errorf("drop %v", s.Drop())
	}
	// Per sample the drop is 1, 1, -1, 0, 0: variance 3/5 - 1/25.
	if want := math.Sqrt((3.0/5 - 1.0/25) / 5); math.Abs(s.StdErr()-want) > 1e-12 {
		t.Errorf("standard error %v, not %v", s.StdErr(), want)
	}
	var exact tally
	exact.add(0, []float32{3, 4}, []float32{3, 3.5})
	if n := exact.score().Noise; n != 0.25/25 {
		t.Errorf("noise %v", n)
	}
	if class([]float32{nan, nan}) != -1 || class([]float32{nan, 1, 2}) != 2 || class(nil) != -1 {
		t.Error("NaN is no class")
	}
}

func TestHopeless(t *testing.T) {
	for _, tt := range []struct {
		s    Score
		want bool
	}{
		{Score{Samples: 63, Lost: 63}, false},
		{Score{Samples: 64, Lost: 64}, true},
		{Score{Samples: 100, Lost: 5}, false},
		{Score{Samples: 100, Lost: 30}, true},
		{Score{Samples: 100, Lost: 30, Gained: 25}, false},
	} {
		if got := tt.s.hopeless(0.01); got != tt.want {
			t.Errorf("%+v: %v", tt.s, got)
		}
	}
}

func TestSplit(t *testing.T) {
	var batches []extent
	for i := range 10 {
		batches = append(batches, extent{16 * i, 16})
	}
	s := splitBatches(batches, 1000, 1)
	if s.samples != 7*16 || len(s.searched) != 7 {
		t.Errorf("%+v", s)
	}
	if got := splitBatches(batches, 50, 1); got.samples != 48 {
		t.Errorf("of at most 50: %+v", got)
	}
	if got := splitBatches(batches[:1], 5, 1); got.samples != 16 {
		t.Errorf("of one batch: %+v", got)
	}
	other := splitBatches(batches, 1000, 2)
	same := true
	for first := range s.searched {
		same = same && other.searched[first]
	}
	if same {
		t.Error("the seed changes nothing")
	}
	// search yields those, and nothing else.
	n := 0
	for b, err := range s.search(func(yield func(*engine.Batch, error) bool) {
		for _, e := range batches {
			if !yield(&engine.Batch{First: e.first, Count: e.count}, nil) {
				return
			}
		}
	}) {
		if err != nil || !s.searched[b.First] {
			t.Errorf("batch %d: %v", b.First, err)
		}
		n += b.Count
	}
	if n != s.samples {
		t.Errorf("%d samples, not %d", n, s.samples)
	}
}

func TestVouches(t *testing.T) {
	p := Provenance{Format: ProvenanceFormat, StrategySHA256: FileSHA256([]byte("{}"))}
	data, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if !Vouches(data, []byte("{}")) || Vouches(data, []byte("{ }")) || Vouches(nil, []byte("{}")) {
		t.Error("a provenance is of its own file only")
	}
}

func TestCalibrationSamples(t *testing.T) {
	for _, tt := range []struct {
		n    int
		rest bool
		want int
	}{{10_000, false, 200}, {10_000, true, 200}, {300, true, 150}, {150, false, 150}, {1, true, 1}} {
		if got := CalibrationSamples(tt.n, tt.rest); got != tt.want {
			t.Errorf("%d of %d samples calibrate, want %d", got, tt.n, tt.want)
		}
	}
}
