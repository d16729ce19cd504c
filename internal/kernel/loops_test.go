package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// awkward returns values at which a fast loop may differ: ties at (k+1/2)*scale
// and their neighbours, zeros of both signs, denormals, extremes, and where
// wanted NaN and Inf.
func awkward(r *rand.Rand, n int, scale float32, finite bool) []float32 {
	x := make([]float32, n)
	inf := float32(math.Inf(1))
	for i := range x {
		k := float32(r.IntN(600)-300) + 0.5
		switch r.IntN(12) {
		case 0, 1, 2:
			x[i] = k * scale
		case 3:
			x[i] = math.Nextafter32(k*scale, inf)
		case 4:
			x[i] = math.Nextafter32(k*scale, -inf)
		case 5:
			x[i] = []float32{0, float32(math.Copysign(0, -1)), 0.49999997, -0.49999997, 0.5, -0.5, 1.5, -1.5}[r.IntN(8)] * scale
		case 6:
			x[i] = math.Float32frombits(r.Uint32() & 0x807fffff) // denormal
		case 7:
			x[i] = float32(r.IntN(1<<25)-1<<24) * scale
		case 8:
			x[i] = math.Float32frombits(r.Uint32())
			if finite && math.Float32bits(x[i])&infBits == infBits {
				x[i] = math.MaxFloat32
			}
		case 9:
			if !finite {
				x[i] = []float32{inf, -inf, float32(math.NaN()), math.Float32frombits(0xffa00001), 65520, 65519.996, -65504}[r.IntN(7)]
			}
		default:
			x[i] = float32(r.NormFloat64()) * 40 * scale
		}
	}
	return x
}

// same compares bits, all NaN being alike.
func same(a, b float32) bool {
	return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b
}

// eachImplementation runs f for every implementation but the definition.
func eachImplementation(t *testing.T, f func(t *testing.T, l loops)) {
	for _, l := range implementations()[1:] {
		t.Run("impl="+l.name, func(t *testing.T) { f(t, l) })
	}
}

// eachLength calls f with slices of 0..130 elements at unaligned starts, and
// one of several blocks' length.
func eachLength(f func(r *rand.Rand, n, skip int)) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 131 {
		f(r, n, n%5)
	}
	f(r, 5000, 3)
}

func TestMinMaxEqualsPlain(t *testing.T) {
	eachImplementation(t, func(t *testing.T, l loops) {
		eachLength(func(r *rand.Rand, n, skip int) {
			for _, finite := range []bool{true, false} {
				if n == 0 {
					continue
				}
				x := awkward(r, n+skip, 0.1, finite)[skip:]
				lo, hi, mag := l.minMax(x)
				wlo, whi, wmag := minMaxGo(x)
				if mag != wmag || wmag <= infBits && (lo != wlo || hi != whi) {
					t.Fatalf("n %d: %v %v %x, want %v %v %x", n, lo, hi, mag, wlo, whi, wmag)
				}
			}
		})
	})
}

func TestFakeQuantizeEqualsPlain(t *testing.T) {
	eachImplementation(t, func(t *testing.T, l loops) {
		eachLength(func(r *rand.Rand, n, skip int) {
			for _, a := range []Affine{
				{Scale: 0.1, Lo: -128, Hi: 127}, {Scale: 0.03, Lo: 0, Hi: 255, ZeroPoint: 77}, {Scale: 1, Lo: -7, Hi: 7},
				{Scale: 0x1p-12, Lo: -32768, Hi: 32767}, {Scale: 3e-5, Lo: 0, Hi: 1<<24 - 1, ZeroPoint: 1 << 23}, {Scale: 0x1p-126, Lo: -128, Hi: 127},
				{Scale: 1e37, Lo: -8, Hi: 7},
			} {
				for a.Round = HalfEven; a.Round <= StdRound; a.Round++ {
					src := awkward(r, n+skip, a.Scale, false)[skip:]
					want, got := make([]float32, n), make([]float32, n)
					fakeQuantizeGo(want, src, a)
					l.fakeQuantize(got, src, a)
					for i := range want {
						if !same(got[i], want[i]) {
							t.Fatalf("%+v: n %d: %v (%v steps) gives %v, want %v", a, n, src[i], src[i]/a.Scale, got[i], want[i])
						}
					}
					l.fakeQuantize(src, src, a)
					for i := range want {
						if !same(src[i], want[i]) {
							t.Fatalf("%+v: in place, n %d: element %d differs", a, n, i)
						}
					}
				}
			}
		})
	})
}

func TestFakeQuantizeTiesEqualsPlain(t *testing.T) {
	eachImplementation(t, func(t *testing.T, l loops) {
		differing := 0
		eachLength(func(r *rand.Rand, n, skip int) {
			for _, a := range []Affine{
				{Scale: 0.125, Lo: -128, Hi: 127}, {Scale: 0.5, Lo: 0, Hi: 255, ZeroPoint: 77}, {Scale: 1, Lo: -7, Hi: 7},
				{Scale: 0.1, Lo: -128, Hi: 127}, {Scale: 0x1p-12, Lo: -32768, Hi: 32767}, {Scale: 0x1p-126, Lo: -128, Hi: 127},
			} {
				for a.Round = HalfEven; a.Round <= StdRound; a.Round++ {
					src := awkward(r, n+skip, a.Scale, false)[skip:]
					want, got := make([]float32, n), make([]float32, n)
					wantTies := fakeQuantizeTiesGo(want, src, a)
					if ties := l.fakeQuantizeTies(got, src, a); ties != wantTies {
						t.Fatalf("%+v: n %d: %d ties, want %d", a, n, ties, wantTies)
					}
					for i := range want {
						if !same(got[i], want[i]) {
							t.Fatalf("%+v: n %d: %v gives %v, want %v", a, n, src[i], got[i], want[i])
						}
					}
					differing += wantTies
				}
			}
		})
		if differing == 0 {
			t.Error("no tie was met")
		}
	})
}

func TestSquaredDiffsEqualsPlain(t *testing.T) {
	eachImplementation(t, func(t *testing.T, l loops) {
		eachLength(func(r *rand.Rand, n, skip int) {
			for _, first := range []int{-9, 0, 3, 11, 120} {
				for _, k := range []int{1, 4, 5} {
					x := awkward(r, n+skip, float32(math.Ldexp(1, -first)), true)[skip:]
					got, want := l.squaredDiffs(x, first, k, -128, 127), squaredDiffsGo(x, first, k, -128, 127)
					if got != want {
						t.Fatalf("n %d first %d: %v, want %v", n, first, got, want)
					}
				}
			}
		})
	})
}

func TestHistogramEqualsPlain(t *testing.T) {
	eachImplementation(t, func(t *testing.T, l loops) {
		eachLength(func(r *rand.Rand, n, skip int) {
			for _, scale := range []float32{1, 1e-40, 1e-3, 1e30} {
				x := awkward(r, n+skip, scale, true)[skip:]
				limit := max(MinMax(x).AbsMax(), math.SmallestNonzeroFloat32)
				for i := range x { // edges of bins
					if r.IntN(3) == 0 {
						x[i] = limit * (float32(r.IntN(2049)) / 2048)
					}
				}
				got, want := Histogram{3: 1}, Histogram{3: 1}
				l.absHistogram(&got, x, limit)
				absHistogramGo(&want, x, limit)
				var sneg, spos Histogram
				SignedHistogram(&sneg, &spos, x, limit)
				for i := range sneg {
					sneg[i] += spos[i]
				}
				sneg[3]++
				if got != want || sneg != want {
					t.Fatalf("n %d scale %v limit %v: histograms differ", n, scale, limit)
				}
			}
		})
	})
}

func TestHalfRoundingEqualsPlain(t *testing.T) {
	eachImplementation(t, func(t *testing.T, l loops) {
		check := func(x []float32) {
			got, want := make([]float32, len(x)), make([]float32, len(x))
			l.roundBFloat16(got, x)
			roundBFloat16Go(want, x)
			for i := range x {
				if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
					t.Fatalf("bfloat16 of %x: %x, want %x", math.Float32bits(x[i]), math.Float32bits(got[i]), math.Float32bits(want[i]))
				}
			}
			l.roundFloat16(got, x)
			roundFloat16Go(want, x)
			for i := range x {
				if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
					t.Fatalf("float16 of %x: %x, want %x", math.Float32bits(x[i]), math.Float32bits(got[i]), math.Float32bits(want[i]))
				}
			}
		}
		eachLength(func(r *rand.Rand, n, skip int) { check(awkward(r, n+skip, 1, false)[skip:]) })
		// Every upper half of the bits, with low halves about the ties.
		x := make([]float32, 0, 1<<19)
		for hi := range uint32(1 << 16) {
			for _, lo := range []uint32{0, 1, 0x7fff, 0x8000, 0x8001, 0x1000, 0x3000, 0xffff} {
				x = append(x, math.Float32frombits(hi<<16|lo))
			}
		}
		check(x)
	})
}

// TestHalfRoundTrip checks that every half float is itself.
func TestHalfRoundTrip(t *testing.T) {
	for h := range 1 << 16 {
		if v := FromFloat16(uint16(h)); v == v && ToFloat16(v) != uint16(h) {
			t.Fatalf("float16 %04x is %v, and back %04x", h, v, ToFloat16(v))
		}
		if v := FromBFloat16(uint16(h)); v == v && ToBFloat16(v) != uint16(h) {
			t.Fatalf("bfloat16 %04x is %v, and back %04x", h, v, ToBFloat16(v))
		}
	}
}

func TestPoolsAgree(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	x := awkward(r, 20*blockLen+77, 0.05, true)
	for i := range x { // within float32 when squared
		x[i] = float32(math.Mod(float64(x[i]), 100))
	}
	y := make([]float32, len(x))
	FakeQuantize(y, x, Affine{Scale: 0.05, Lo: -128, Hi: 127, Round: HalfUp})
	limit := MinMax(x).AbsMax()
	type all struct {
		e Extent
		d [MaxDiffs]float64
		h Histogram
		s ErrorSums
	}
	run := func(p *Pool) (a all) {
		z := make([]float32, len(x))
		p.FakeQuantize(z, x, Affine{Scale: 0.05, Lo: -128, Hi: 127, Round: HalfUp})
		for i := range z {
			if z[i] != y[i] {
				t.Fatalf("fake quantize differs at %d", i)
			}
		}
		a.e, a.d, a.s = p.MinMax(x), p.SquaredDiffs(x, 0, 5, -128, 127), p.Errors(x, y)
		p.AbsHistogram(&a.h, x, limit)
		return a
	}
	want := run(nil)
	for _, w := range []int{1, 2, 3, 8} {
		if got := run(NewPool(w)); got != want {
			t.Errorf("%d workers differ from none", w)
		}
	}
}

func TestMinMaxFindsNonFinite(t *testing.T) {
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
		for _, n := range []int{1, 7, 8, 31, 100, 3 * blockLen} {
			for _, at := range []int{0, n / 2, n - 1} {
				x := make([]float32, n)
				if e := NewPool(2).MinMax(x); !e.Finite || math.Signbit(float64(e.Min)) {
					t.Fatalf("zeros: %+v", e)
				}
				x[at] = bad
				if NewPool(2).MinMax(x).Finite || FirstNonFinite(x) != at {
					t.Errorf("%v at %d of %d not found", bad, at, n)
				}
			}
		}
	}
	if e := MinMax([]float32{float32(math.Copysign(0, -1))}); math.Signbit(float64(e.Min)) || math.Signbit(float64(e.Max)) {
		t.Error("negative zero shows")
	}
	if e := MinMax(nil); !e.Finite || FirstNonFinite(nil) != -1 {
		t.Error("nothing is not finite")
	}
}

// TestWideIsExact checks integers that float32 does not hold, and scales whose
// reciprocal it does not.
func TestWideIsExact(t *testing.T) {
	a := Affine{Scale: 0x1p-30, Lo: -1 << 31, Hi: 1<<31 - 1, Round: HalfEven}
	x := []float32{1, -2, 2, 0.1, 0x1p-31, 0x1.8p-30, float32(math.Inf(1)), float32(math.NaN())}
	want := []int64{1 << 30, -1 << 31, 1<<31 - 1, int64(math.Round(float64(float32(0.1)) * 0x1p30)), 0, 2, 1<<31 - 1, 0}
	got := make([]int64, len(x))
	Quantize(got, x, a)
	for i := range x {
		if got[i] != want[i] {
			t.Errorf("%v is %d, want %d", x[i], got[i], want[i])
		}
	}
	a = Affine{Scale: 1, ZeroPoint: 1 << 31, Lo: 0, Hi: 1<<32 - 1, Round: StdRound}
	y := make([]float32, 3)
	FakeQuantize(y, []float32{-3, 5.5, 16777215}, a)
	if y[0] != -3 || y[1] != 6 || y[2] != 16777215 {
		t.Errorf("32 bits with a zero point: %v", y)
	}
	a = Affine{Scale: 0x1p127, Lo: -128, Hi: 127, Round: HalfEven}
	FakeQuantize(y, []float32{0x1p127, 0x1.8p127, -0x1p125}, a)
	if y[0] != 0x1p127 || y[1] != float32(math.Inf(1)) || y[2] != 0 {
		t.Errorf("scale 2^127: %v", y)
	}
}

func FuzzFakeQuantize(f *testing.F) {
	f.Add(uint32(0x3f000000), float32(0.1), uint8(8), true, int32(0))
	f.Add(uint32(0xbf000001), float32(3e-39), uint8(32), false, int32(9))
	f.Fuzz(func(t *testing.T, bits uint32, scale float32, width uint8, signed bool, zero int32) {
		if !(scale > 0) || math.IsInf(float64(scale), 0) {
			t.Skip()
		}
		b := 2 + width%31
		a := Affine{Scale: scale, Lo: 0, Hi: 1<<b - 1}
		if signed {
			a.Lo, a.Hi = -1<<(b-1), 1<<(b-1)-1
		}
		a.ZeroPoint = min(max(int64(zero), a.Lo), a.Hi)
		x := math.Float32frombits(bits)
		src := make([]float32, 17)
		for i := range src {
			src[i] = x
		}
		for a.Round = HalfEven; a.Round <= StdRound; a.Round++ {
			y, q, z := make([]float32, 17), make([]int64, 17), make([]float32, 17)
			FakeQuantize(y, src, a)
			Quantize(q, src, a)
			Dequantize(z, q, a)
			for i := range y {
				if x == x && !same(y[i], z[i]) || x != x && y[i] == y[i] {
					t.Fatalf("%+v: %v is %v, but by integer %d %v", a, x, y[i], q[i], z[i])
				}
				if q[i] < a.Lo || q[i] > a.Hi {
					t.Fatalf("%+v: %v gives %d", a, x, q[i])
				}
			}
			// Fake quantizing again changes nothing where scales are plain.
			if a.narrow() && b <= 16 && x == x && !math.IsInf(float64(y[0]), 0) {
				FakeQuantize(z, y, a)
				if !same(z[0], y[0]) {
					t.Fatalf("%+v: %v gives %v, and that gives %v", a, x, y[0], z[0])
				}
			}
		}
	})
}

func TestAbsHistogramBins(t *testing.T) {
	var h Histogram
	AbsHistogram(&h, []float32{0, -1, 0.5, 1, 0.00048, -0.0005}, 1)
	for bin, want := range map[int]uint32{0: 2, 1: 1, 1024: 1, 2047: 2} {
		if h[bin] != want {
			t.Errorf("bin %d holds %d, want %d", bin, h[bin], want)
		}
	}
	var neg, pos Histogram
	SignedHistogram(&neg, &pos, []float32{0, -1, 0.5, 1, 0.00048, -0.0005}, 1)
	if pos[0] != 2 || neg[1] != 1 || neg[2047] != 1 || pos[1024] != 1 || pos[2047] != 1 {
		t.Error("signs are not told apart")
	}
	for i := range h {
		if neg[i]+pos[i] != h[i] {
			t.Errorf("bin %d: %d negative, %d positive, together %d", i, neg[i], pos[i], h[i])
		}
	}
}

func TestLayout(t *testing.T) {
	x := make([]float32, 24)
	for i := range x {
		x[i] = float32(i)
	}
	for axis, want := range map[int][]Extent{
		0:  {{0, 11, true}, {12, 23, true}},
		1:  {{0, 15, true}, {4, 19, true}, {8, 23, true}},
		-1: {{0, 23, true}},
	} {
		l := NewLayout([]int64{2, 3, 4}, axis)
		got := NewPool(2).MinMaxChannels(x, l)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("axis %d: %v, want %v", axis, got, want)
		}
	}
}

// TestChannelsEqualOneByOne: runs short and long, at every place of the axis,
// give what each channel gives alone.
func TestChannelsEqualOneByOne(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, l := range []Layout{{1, 5, 40}, {3, 4, 9}, {6, 5, 1}, {7, 3, 2}, {1, 1, 3}, {0, 3, 4}} {
		for _, finite := range []bool{true, false} {
			x := awkward(r, l.Len(), 0.1, finite)
			a := make([]Affine, l.Channels)
			for c := range a {
				a[c] = Affine{Scale: 0.1 * float32(c+1), Lo: -128, Hi: 127, ZeroPoint: int64(c), Round: Round(1 + c%4)}
			}
			a[0].Lo, a[0].Hi = -1<<31, 1<<31-1
			y, q := make([]float32, len(x)), make([]int64, len(x))
			NewPool(2).FakeQuantizeChannels(y, x, l, a)
			QuantizeChannels(q, x, l, a)
			extents := NewPool(2).MinMaxChannels(x, l)
			for c := range l.Channels {
				var alone []float32
				for i := range x {
					if i/l.Inner%l.Channels == c {
						alone = append(alone, x[i])
						z := make([]float32, 1)
						FakeQuantize(z, x[i:i+1], a[c])
						if !same(z[0], y[i]) || x[i] == x[i] && y[i] != float32(q[i]-a[c].ZeroPoint)*a[c].Scale {
							t.Fatalf("%+v: element %d, %v, gives %v, %d; alone %v", l, i, x[i], y[i], q[i], z[0])
						}
					}
				}
				want := MinMax(alone)
				if got := extents[c]; got.Finite != want.Finite || got.Finite && got != want {
					t.Errorf("%+v channel %d: %+v, alone %+v", l, c, got, want)
				}
			}
		}
	}
}
