package refine

import (
	"math"
	"testing"

	"narrow/calibrate/observe"
	"narrow/plan"
	"narrow/scheme"
	"narrow/strategy"
)

// Peaks that grow as those of an exponential tail do are expected to go on like that, on
// their own side of zero; where all samples reach the same bound, nothing lies beyond it.
func TestTail(t *testing.T) {
	for _, c := range []struct {
		name string
		peak func(i int) float64
		ends bool
	}{
		{"exponential", func(i int) float64 { return 4 + math.Log(64/(float64(i)+0.5)) }, false},
		{"bounded", func(int) float64 { return 6 }, true},
	} {
		for _, side := range [...]float64{1, -1} {
			var peaks, values observe.Tally
			peaks.Reach(-16, 16)
			values.Reach(-16, 16)
			for i := range 64 {
				x := []float32{float32(side * c.peak(i))}
				peaks.Add(x, 1, 1, 1)
				values.Add(x, 1, 1, 1)
			}
			end := tailOf(binsOf(&peaks), binsOf(&values), side)
			if other := tailOf(binsOf(&peaks), binsOf(&values), -side); other != (tail{}) {
				t.Errorf("%s: a tail without values: %v", c.name, other)
			}
			far := end.clipped(12, 0)
			if c.ends {
				if far != 0 {
					t.Errorf("%s: beyond the bound lies %g", c.name, far)
				}
				continue
			}
			if math.Abs(end.scale-1) > 0.3 {
				t.Errorf("%s: scale %g, want about 1", c.name, end.scale)
			}
			if far <= 0 || far >= end.clipped(11, 0) {
				t.Errorf("%s: beyond 12 lies %g, beyond 11 %g", c.name, far, end.clipped(11, 0))
			}
			if seen := end.clipped(12, 7); seen != 7 {
				t.Errorf("%s: what is seen counts %g, want 7", c.name, seen)
			}
		}
	}
}

func TestWidened(t *testing.T) {
	fix := func(p int) scheme.Encoding {
		return withFix(scheme.Encoding{Axis: -1, ZeroPoint: []int64{0}, Min: -128, Max: 127}, []int{p})
	}
	scale := func(s float32, zero int64) scheme.Encoding {
		return scheme.Encoding{Axis: -1, Scale: []float32{s}, ZeroPoint: []int64{zero}, Min: -128, Max: 127}
	}
	for _, c := range []struct {
		name     string
		e, other scheme.Encoding
		lo, hi   float64
		wider    bool
	}{
		{"a narrower one", scale(1, 0), scale(0.5, 0), -128, 127, false},
		{"a wider one", scale(1, 0), scale(1.5, 0), -192, 190.5, true},
		{"one that is much wider", scale(1, 0), scale(9, 0), -256, 254, true},
		{"one that lies higher", scale(1, -128), scale(1.5, -128), 0, 382.5, true},
		{"none", scale(1, 0), scheme.Encoding{}, -128, 127, false},
		{"a coarser fix position", fix(4), fix(1), -16, 15.875, true},
		{"a finer fix position", fix(4), fix(6), -8, 7.9375, false},
		{"a fix position and a scale", fix(4), scale(9, 0), -8, 7.9375, false},
	} {
		got, wider := widened(c.e, c.other)
		if lo, hi := ends(got); wider != c.wider || lo != c.lo || hi != c.hi {
			t.Errorf("%s: %g to %g, %v", c.name, lo, hi, wider)
		}
	}
}

// With more samples expected a range is no narrower, and it reaches to the part asked for.
func TestRangeOfHeavyTail(t *testing.T) {
	set := scheme.Settings{Datatype: scheme.Int, BitWidth: 8, Symmetry: true, Signed: true, ScaleType: scheme.FloatScale}
	s := &search{t: &plan.Tensor{Settings: strategy.Resolved{Settings: set}}}
	for i := range 64 {
		x := make([]float32, 1000)
		for k := range x {
			x[k] = float32(math.Sin(float64(k * (i + 1))))
		}
		peak := float32(1.5 + math.Log(64/(float64(i)+0.5)))
		x[0] = peak
		for _, t := range []*observe.Tally{&s.choose, &s.judge} {
			t.Reach(-1, peak)
			t.Add(x, 1, len(x), 1)
		}
		s.peaks.Reach(-1, peak)
		s.peaks.Add([]float32{-1, peak}, 1, 2, 1)
	}
	_, most := s.extent()
	whole := scheme.Encoding{Axis: -1, Scale: []float32{float32(most / 127)}, ZeroPoint: []int64{0}, Min: -128, Max: 127}
	narrow, ok := s.best(whole, false)
	if !ok {
		t.Fatal("nothing is clipped")
	}
	wide, _ := s.best(whole, true)
	if wide.Scale[0] <= narrow.Scale[0] {
		t.Errorf("scale %g where more samples are expected, %g where not", wide.Scale[0], narrow.Scale[0])
	}
	if _, hi := ends(s.reaching(narrow, 0.9)); math.Abs(hi-0.9*most) > 1e-3 {
		t.Errorf("reaches to %g, want %g", hi, 0.9*most)
	}
}
