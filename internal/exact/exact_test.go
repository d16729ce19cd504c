package exact

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// numbers returns n numbers of all the magnitudes that a network's means have.
func numbers(r *rand.Rand, n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		switch r.IntN(8) {
		case 0:
			out[i] = 0
		case 1:
			out[i] = float64(math.Float32frombits(r.Uint32()&^(0xff<<23) | uint32(r.IntN(255))<<23))
		case 2:
			out[i] = math.Ldexp(r.NormFloat64(), r.IntN(240)-200)
		default:
			out[i] = r.NormFloat64()
		}
		if i > 0 && r.IntN(3) == 0 {
			out[i] = -out[i-1] // cancels
		}
	}
	return out
}

func sum(x []float64) *Sum {
	s := &Sum{}
	for _, v := range x {
		s.Add(v)
	}
	return s
}

// The sum is that of math/big with all bits, rounded once.
func TestSum(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		x := numbers(r, 1+r.IntN(50))
		want := new(big.Float).SetPrec(2000)
		for _, v := range x {
			want.Add(want, new(big.Float).SetPrec(2000).SetFloat64(v))
		}
		w, _ := want.Float64()
		s := sum(x)
		if got := s.Float64(); got != w {
			t.Fatalf("%v add up to %v, want %v", x, got, w)
		}
		b, err := s.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		back, rest, err := Decode(append(b, 7))
		if err != nil || back != *s || len(rest) != 1 {
			t.Fatalf("%v comes back as %v (%v)", *s, back, err)
		}
	}
}

// Neither order nor grouping shows.
func TestSumLaws(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	x := numbers(r, 1000)
	want := sum(x)
	for range 20 {
		r.Shuffle(len(x), func(i, j int) { x[i], x[j] = x[j], x[i] })
		at := r.IntN(len(x))
		a, b := sum(x[:at]), sum(x[at:])
		b.Merge(a)
		if *b != *want {
			t.Fatal("another order, another sum")
		}
	}
}

func TestSumLimits(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct {
		x    []float64
		want float64
	}{
		{nil, 0},
		{[]float64{inf, 1}, inf}, {[]float64{-inf}, -inf}, {[]float64{inf, -inf}, nan}, {[]float64{nan, 1}, nan}, {[]float64{nan, inf}, nan},
		{[]float64{0x1p128}, inf}, {[]float64{-0x1p200}, -inf},
		{[]float64{0x1.fffffep127, 0x1.fffffep127, -0x1.fffffep127}, 0x1.fffffep127},
		{[]float64{0x1p-256, 0x1p-257, 0x1p-1074}, 0x1p-256}, {[]float64{0x1.8p-256}, 0x1p-255},
		{[]float64{1, 0x1p-53}, 1}, {[]float64{1, 0x1p-53, 0x1p-200}, 1 + 0x1p-52}, {[]float64{-1, -0x1p-53, -0x1p-200}, -1 - 0x1p-52},
		{[]float64{0x1p-149, -0x1p-149}, 0},
	} {
		if got := sum(c.x).Float64(); got != c.want && !(math.IsNaN(got) && math.IsNaN(c.want)) {
			t.Errorf("%v add up to %v, want %v", c.x, got, c.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	b, _ := sum([]float64{1, -0x1p-100}).AppendBinary(nil)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, _, err := Decode(b)
		if err != nil {
			return
		}
		again, err := s.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		if back, rest, err := Decode(again); err != nil || back != s || len(rest) != 0 {
			t.Fatalf("%v comes back as %v (%v)", s, back, err)
		}
	})
}

func BenchmarkSum(b *testing.B) {
	x := numbers(rand.New(rand.NewPCG(1, 1)), 4096)
	s := make([]Sum, len(x))
	for range b.N {
		for i, v := range x {
			s[i].Add(v)
		}
	}
}
