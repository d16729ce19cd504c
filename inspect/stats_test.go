package inspect

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"

	"narrow/calibrate/observe"
	"narrow/engine"
	"narrow/evaluate"
	"narrow/graph/graphtext"
	"narrow/internal/kernel"
	"narrow/scheme"
)

// int8Settings is int8 with a float scale.
var int8Settings = scheme.Settings{Datatype: scheme.Int, BitWidth: 8, Method: scheme.MaxMin, RoundMode: scheme.HalfEven, Symmetry: true, Signed: true, ScaleType: scheme.FloatScale}

// awkward are values of very different sizes, with some NaN, infinities, zeros
// and one beyond what is counted.
func awkward(n int) []float32 {
	r := rand.New(rand.NewPCG(3, 4))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64()) * float32(math.Exp2(float64(i/(n/8+1))))
		switch r.IntN(50) {
		case 0:
			x[i] = 0
		case 1:
			x[i] = float32(math.NaN())
		case 2:
			x[i] = float32(math.Inf(1 - 2*r.IntN(2)))
		}
	}
	x[n/2] = -3e38
	return x
}

// TestStats: every number is what a plain loop over all values finds, however
// they come in parts.
func TestStats(t *testing.T) {
	all := awkward(100_001)
	q := quantizer{int8Settings, scheme.Encoding{Scale: []float32{0.25}, ZeroPoint: []int64{0}, Axis: -1, Min: -128, Max: 127}}
	grid := &q.grids()[0]
	if *grid != (Grid{0.25, -32, 31.75}) {
		t.Fatalf("grid %+v", *grid)
	}

	var good, stored []float32
	var clipped, zeroed int64
	for _, v := range all {
		if math.Abs(float64(v)) < 0x1p127 {
			good = append(good, v)
		}
	}
	stored = make([]float32, len(good))
	if err := observe.Apply(nil, stored, good, q.s, q.e, nil); err != nil {
		t.Fatal(err)
	}
	for i, v := range good {
		if v < -32.125 || v > 31.875 {
			clipped++
		}
		if stored[i] == 0 && v != 0 {
			zeroed++
		}
	}
	var quality observe.Quality
	quality.Add(nil, good, stored)
	extent := kernel.MinMax(good)

	for _, part := range []int{len(all), 40_000, 777} {
		for _, workers := range []int{1, 3} {
			var s stats
			for at := 0; at < len(all); at += part {
				err := s.add(kernel.NewPool(workers), all[at:min(at+part, len(all))], grid, func(_ int, dst, x []float32) error { return q.apply(dst, x) })
				if err != nil {
					t.Fatal(err)
				}
			}
			var got Tensor
			s.into(&got)
			if got.Elements != int64(len(good)) || got.Invalid != int64(len(all)-len(good)) {
				t.Errorf("parts of %d: %d elements and %d invalid, want %d and %d", part, got.Elements, got.Invalid, len(good), len(all)-len(good))
			}
			if got.Min != extent.Min || got.Max != extent.Max {
				t.Errorf("parts of %d: %v..%v, want %v..%v", part, got.Min, got.Max, extent.Min, extent.Max)
			}
			n := float64(len(good))
			if got.Clipped != float64(clipped)/n || got.Zeroed != float64(zeroed)/n || clipped == 0 || zeroed == 0 {
				t.Errorf("parts of %d: clipped %v, zeroed %v; want %v, %v", part, got.Clipped, got.Zeroed, float64(clipped)/n, float64(zeroed)/n)
			}
			near := func(what string, got, want float64) {
				if math.Abs(got-want) > 1e-9*math.Abs(want) {
					t.Errorf("parts of %d: %s %v, want %v", part, what, got, want)
				}
			}
			near("SQNR", float64(got.Own.SQNR), quality.SQNR())
			near("cosine", got.Own.Cosine, quality.Cosine())
			near("MSE", got.Own.MSE, quality.MSE())
			near("largest difference", got.Own.MaxDiff, quality.Sums.MaxDiff)
			checkHistogram(t, got.Histogram, good)
		}
	}
}

// checkHistogram counts anew.
func checkHistogram(t *testing.T, h Histogram, x []float32) {
	t.Helper()
	if len(h.Counts) != Bins {
		t.Fatalf("%d bins", len(h.Counts))
	}
	if edge := h.Low / h.Width; edge != math.Round(edge) {
		t.Errorf("bins of %v from %v: 0 is no edge", h.Width, h.Low)
	}
	want := make([]int64, Bins)
	for _, v := range x {
		i := math.Floor(float64(v) / h.Width)
		if v < 0 { // an edge belongs to the bin further from 0
			i = -math.Floor(-float64(v)/h.Width) - 1
		}
		want[int(i-h.Low/h.Width)]++
	}
	for i := range want {
		if want[i] != h.Counts[i] {
			t.Fatalf("bin %d, from %v: %d values, want %d", i, h.Low+float64(i)*h.Width, h.Counts[i], want[i])
		}
	}
	if first, last := h.Counts[0], h.Counts[Bins/2-1:]; first == 0 && h.Low < 0 || allZero(last) {
		t.Errorf("bins of %v from %v are wider than they need be", h.Width, h.Low)
	}
}

func allZero(x []int64) bool {
	for _, v := range x {
		if v != 0 {
			return false
		}
	}
	return true
}

func TestHistogramRanges(t *testing.T) {
	for name, x := range map[string][]float32{
		"positive":        {0, 0.1, 3, 5.9},
		"negative":        {-7, -6.5, -1e-3},
		"zeros":           {0, 0},
		"one":             {4},
		"a power of two":  {-8, 8, 2},
		"far from 0":      {1000, 1001, 1000.5},
		"subnormal":       {1e-44, -3e-45, 0},
		"large":           {1e38, -1.6e38},
		"both and narrow": {-0.001, 0.0005},
	} {
		t.Run(name, func(t *testing.T) {
			var s stats
			if err := s.add(nil, x, nil, func(_ int, dst, x []float32) error { copy(dst, x); return nil }); err != nil {
				t.Fatal(err)
			}
			var got Tensor
			s.into(&got)
			n := int64(0)
			for _, c := range got.Histogram.Counts {
				n += c
			}
			if n != int64(len(x)) || got.Elements != n {
				t.Errorf("%d values counted, %d elements, of %d", n, got.Elements, len(x))
			}
			h := got.Histogram
			if lo, hi := float64(got.Min), float64(got.Max); name != "subnormal" && (lo < h.Low || hi > h.Low+Bins*h.Width) {
				t.Errorf("%v..%v is not in bins from %v to %v", lo, hi, h.Low, h.Low+Bins*h.Width)
			}
			if !math.IsInf(float64(got.Own.SQNR), 1) || got.Own.MSE != 0 {
				t.Errorf("nothing differs, but %+v", got.Own)
			}
		})
	}
	var empty stats
	var got Tensor
	empty.into(&got)
	if got.Histogram.Width != 0 || got.Histogram.Counts != nil || !math.IsInf(float64(got.Own.SQNR), 1) {
		t.Errorf("of no values: %+v", got)
	}
}

// TestPairsLeaveOutWhatIsNotFinite: one NaN would be all that a ratio tells.
func TestPairsLeaveOutWhatIsNotFinite(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	var p pairs
	p.add(nil, []float32{1, nan, 2, inf, 3}, []float32{1, 5, inf, inf, 2})
	if p.sums.N != 2 || p.invalid != 3 || p.error().MSE != 0.5 {
		t.Errorf("%+v", p)
	}
	if (pairs{}).error() != nil {
		t.Error("no pairs have an error")
	}
}

// TestUnblock: element (n, c, i) stands where (n, c/b, i, c%b) does in C order.
func TestUnblock(t *testing.T) {
	const n, c, inner, b = 2, 8, 3, 4
	blocked, want := make([]float32, n*c*inner), make([]float32, n*c*inner)
	for s := range n {
		for ch := range c {
			for i := range inner {
				v := float32(s*1000 + ch*10 + i)
				want[(s*c+ch)*inner+i] = v
				blocked[((s*(c/b)+ch/b)*inner+i)*b+ch%b] = v
			}
		}
	}
	got := unblock(blocked, []int64{n, c, inner}, b)
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("element %d is %v, want %v", i, got[i], want[i])
		}
	}
}

// TestChunk: large values make fewer samples run at once, one at least.
func TestChunk(t *testing.T) {
	for _, tt := range []struct{ side, want int }{{16, 8}, {1024, 8}, {1448, 4}, {2000, 2}, {20_000, 1}} {
		m, err := graphtext.Parse(`net (float[N, 16, H, W] x) => (float[N, 16, H, W] y) { h = Relu (x)
			y = Sigmoid (h) }`)
		if err != nil {
			t.Fatal(err)
		}
		b := &engine.Batch{Count: 3, Inputs: map[string]engine.Tensor{"x": {Shape: []int64{3, 16, int64(tt.side), int64(tt.side)}}}}
		if got := chunkOf(m, []string{"h", "nothing"}, b); got != tt.want {
			t.Errorf("%d x %d: %d samples at once, want %d", tt.side, tt.side, got, tt.want)
		}
	}
}

// TestErrorAsJSON: where nothing differs SQNR is null, and "exact" says so.
func TestErrorAsJSON(t *testing.T) {
	tests := []struct {
		sqnr float64
		want string
	}{
		{math.Inf(1), `{"sqnr_db":null,"cosine":1,"mse":0,"max_diff":0,"exact":true}`},
		{math.Inf(-1), `{"sqnr_db":null,"cosine":1,"mse":0,"max_diff":0}`},
		{30, `{"sqnr_db":30,"cosine":1,"mse":0,"max_diff":0}`},
	}
	for _, tt := range tests {
		got, err := json.Marshal(&Error{SQNR: evaluate.Decibel(tt.sqnr), Cosine: 1})
		if err != nil || string(got) != tt.want {
			t.Errorf("SQNR %v: %s, %v", tt.sqnr, got, err)
		}
	}
}
