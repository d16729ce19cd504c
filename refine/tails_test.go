package refine

import (
	"math"
	"reflect"
	"slices"
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
			end := tailOf(&peaks, &values, side)
			if other := tailOf(&peaks, &values, -side); other != (tail{}) {
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

// newSearch returns a search over samples of sines that have one peak each.
func newSearch(peaks ...float64) *search {
	set := scheme.Settings{Datatype: scheme.Int, BitWidth: 8, Symmetry: true, Signed: true, ScaleType: scheme.FloatScale}
	s := &search{t: &plan.Tensor{Settings: strategy.Resolved{Settings: set}}}
	for i, p := range peaks {
		x := make([]float32, 1000)
		for k := range x {
			x[k] = float32(math.Sin(float64(k * (i + 1))))
		}
		x[0] = float32(p)
		f := &s.folds[i%folds]
		f.values.Reach(-1, float32(p))
		f.values.Add(x, 1, len(x), 1)
		f.peaks.Reach(-1, float32(p))
		f.peaks.Add([]float32{-1, float32(p)}, 1, 2, 1)
	}
	return s
}

func symmetric(hi float64) scheme.Encoding {
	return scheme.Encoding{Axis: -1, Scale: []float32{float32(hi / 127)}, ZeroPoint: []int64{0}, Min: -128, Max: 127}
}

// Where samples reach ever farther a range is wider than where all reach as far, and one
// that is to reach to a part of the values does.
func TestRangeOfHeavyTail(t *testing.T) {
	heavy := make([]float64, 64)
	for i := range heavy {
		heavy[i] = 1.5 + math.Log(64/(float64(i)+0.5))
	}
	s := newSearch(heavy...)
	v := (&pooling{s: s}).evidence(none, false)
	whole := symmetric(v.hi)
	narrow := s.cheapest(v, v.all, whole, 1, false)
	if narrow.Scale[0] >= whole.Scale[0] {
		t.Fatal("nothing is clipped")
	}
	if wide := s.cheapest(v, v.all, whole, clipping, true); wide.Scale[0] <= narrow.Scale[0] {
		t.Errorf("scale %g where more samples are expected, %g where not", wide.Scale[0], narrow.Scale[0])
	}
	if _, hi := ends(s.reaching(v, narrow, 0.9)); math.Abs(hi-0.9*v.hi) > 1e-3 {
		t.Errorf("reaches to %g, want %g", hi, 0.9*v.hi)
	}
}

// The fold of the sample that reaches farthest is judged with a range that does not know it.
func TestEvidenceWithoutFold(t *testing.T) {
	s := newSearch(2, 3, 9, 4, 2, 3, 4, 4)
	whole := symmetric(9)
	for f, want := range map[int]float64{none: 9, 0: 9, 1: 9, 2: 4, 3: 9} {
		v := (&pooling{s: s}).evidence(f, false)
		if v.hi != want {
			t.Errorf("without fold %d values reach to %g, want %g", f, v.hi, want)
		}
		if _, hi := ends(s.held(f, whole)); math.Abs(hi-want) > 1e-6 {
			t.Errorf("without fold %d the range reaches to %g, want %g", f, hi, want)
		}
	}
	if _, hi := ends(s.held(2, symmetric(18))); math.Abs(hi-8) > 1e-6 {
		t.Errorf("without the fold of 9, twice as wide as that becomes %g, want 8", hi)
	}
	if e := (&search{}).held(none, whole); !slices.Equal(e.Scale, whole.Scale) {
		t.Error("without any evidence the range is another")
	}
}

// Costs from sums are those of every value on its own.
func TestCosts(t *testing.T) {
	s := newSearch(2, -3, 5, 4)
	var values observe.Tally
	for i := range s.folds {
		values.Merge(&s.folds[i].values)
	}
	for _, e := range []scheme.Encoding{
		symmetric(5), symmetric(2.5), symmetric(0.3),
		{Axis: -1, Scale: []float32{0.02}, ZeroPoint: []int64{-40}, Min: -128, Max: 127},
		{Axis: -1, Scale: []float32{0.5}, ZeroPoint: []int64{1}, Min: 0, Max: 3},
		withFix(scheme.Encoding{Axis: -1, ZeroPoint: []int64{0}, Min: -8, Max: 7}, []int{2}),
	} {
		want, clip := 0.0, 3.0
		values.Each(func(v float64, w uint64) {
			scale := float64(e.Scale[0])
			r := math.RoundToEven(v/scale) + float64(e.ZeroPoint[0])
			q := min(max(r, float64(e.Min)), float64(e.Max))
			d := v - (q-float64(e.ZeroPoint[0]))*scale
			if q != r {
				d *= math.Sqrt(clip)
			}
			want += float64(w) * d * d
		})
		c := costs{values: values.Sums(), clipping: clip}
		if got := c.of(e); math.Abs(got-want) > 1e-9*want {
			t.Errorf("%v costs %g, want %g", e, got, want)
		}
	}
}

// A fix position is moved as far as both agree.
func TestNearer(t *testing.T) {
	fix := func(p int) scheme.Encoding { return withFix(scheme.Encoding{Axis: -1}, []int{p}) }
	for _, c := range [][4]int{{4, 4, 3, 4}, {4, 3, 3, 3}, {4, 2, 3, 3}, {4, 3, 1, 3}, {4, 3, 5, 4}, {4, 6, 5, 5}} {
		if got := nearer(fix(c[0]), fix(c[1]), fix(c[2])).FixPosition[0]; got != c[3] {
			t.Errorf("from %d to %d and %d: %d, want %d", c[0], c[1], c[2], got, c[3])
		}
	}
}

// What folds tell together is the same whichever sets of them were put together before.
func TestPooling(t *testing.T) {
	s := newSearch(2, -3, 9, 0.004, 2, 3, 0.5, 4)
	shared := &pooling{s: s}
	for _, judged := range []bool{true, false} {
		for f := none; f < folds; f++ {
			a, b := shared.evidence(f, judged), (&pooling{s: s}).evidence(f, judged)
			if !reflect.DeepEqual(a, b) {
				t.Errorf("without fold %d: %v and %v", f, a, b)
			}
			var all observe.Tally
			for i := range s.folds {
				if i != f {
					all.Merge(&s.folds[i].values)
				}
			}
			if a.values().values.All() != all.Sums().All() {
				t.Errorf("without fold %d values weigh %v, want %v", f, a.values().values.All(), all.Sums().All())
			}
		}
	}
}

// A limit changes no cost below it, and hides none.
func TestCostsBelow(t *testing.T) {
	s := newSearch(2, -3, 5, 4, 7, 3, 2, 2)
	v := (&pooling{s: s}).evidence(none, false)
	for _, more := range []bool{true, false} {
		c := v.all.costs(clipping, more)
		for _, hi := range []float64{0.1, 0.7, 2, 5, 9, 40} {
			for _, e := range []scheme.Encoding{symmetric(hi), s.spanning(asymmetric, -hi/3, hi)} {
				want := c.of(e)
				for _, part := range []float64{0, 0.3, 0.9, 1, 1.01, 5} {
					limit := part * want
					if got := c.below(e, limit); want < limit && got != want || want >= limit && got < limit {
						t.Errorf("%v below %g: %g, want %g", e, limit, got, want)
					}
				}
			}
		}
	}
}

// asymmetric is an encoding whose ends are free.
var asymmetric = scheme.Encoding{Axis: -1, Scale: []float32{1}, ZeroPoint: []int64{0}, Min: -128, Max: 127}

// The range that is found is the one that trying all, again and again, finds.
func TestCheapest(t *testing.T) {
	for _, peaks := range [][]float64{{2, 3, 9, 4, 2, 3, 4, 4}, {2, -3, 5, -4, 7, 3, 2, -9}, {40, 1, 1, 1, 1, -9, 1, 1}} {
		s := newSearch(peaks...)
		s.t.Settings.Settings.Symmetry = false
		v := (&pooling{s: s}).evidence(none, false)
		for _, more := range []bool{true, false} {
			c := v.all.costs(1, more)
			e := s.spanning(asymmetric, v.lo, v.hi)
			want, least, from, to := e, c.of(e), 1.0, 1.0
			at := func(a, b float64) bool {
				x := s.spanning(e, v.lo*a, v.hi*b)
				cost := c.of(x)
				if cost < least {
					want, least = x, cost
					return true
				}
				return false
			}
			at(1, 1)
			for range 2 {
				for _, p := range parts {
					if at(from, p) {
						to = p
					}
				}
				for _, p := range parts {
					if at(p, to) {
						from = p
					}
				}
			}
			if got := s.cheapest(v, v.all, e, 1, more); !reflect.DeepEqual(got, want) {
				t.Errorf("%v: %v, want %v", peaks, got, want)
			}
		}
	}
}
