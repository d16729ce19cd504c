package kernel

import (
	"math"
	"strconv"
	"testing"

	"narrow/internal/recorded"
)

var roundNames = map[string]Round{"half_even": HalfEven, "half_up": HalfUp, "half_down": HalfDown, "std_round": StdRound}

func TestFakeQuantizeReference(t *testing.T) {
	var cases []struct {
		RoundMode string `json:"round_mode"`
		Scale     float64
		ZeroPoint int64 `json:"zero_point"`
		Min       int64 `json:"quant_min"`
		Max       int64 `json:"quant_max"`
		X, Y      []float32
	}
	recorded.Read(t, "fake_quantize", &cases)
	if len(cases) < 200 {
		t.Fatalf("%d cases", len(cases))
	}
	for _, c := range cases {
		a := Affine{Scale: Scale32(c.Scale), ZeroPoint: c.ZeroPoint, Lo: c.Min, Hi: c.Max, Round: roundNames[c.RoundMode]}
		wide := make([]float32, len(c.X))
		fakeQuantizeWide(wide, c.X, a)
		got := make([]float32, len(c.X))
		FakeQuantize(got, c.X, a)
		ints := make([]int64, len(c.X))
		Quantize(ints, c.X, a)
		for i, x := range c.X {
			if math.Float32bits(got[i]) != math.Float32bits(c.Y[i]) {
				t.Errorf("%s scale %v zp %d %d..%d: %v gives %v, want %v", c.RoundMode, c.Scale, c.ZeroPoint, c.Min, c.Max, x, got[i], c.Y[i])
			}
			if wide[i] != got[i] || float32(ints[i]-a.ZeroPoint)*a.Scale != got[i] {
				t.Errorf("%v: %v, wide %v, integer %d", x, got[i], wide[i], ints[i])
			}
		}
	}
}

func TestHalfFloatsReference(t *testing.T) {
	var d struct{ X, BFloat16, Float16 []string }
	recorded.Read(t, "half_floats", &d)
	parse := func(s []string) []float32 {
		out := make([]float32, len(s))
		for i := range s {
			v, err := strconv.ParseFloat(s[i], 32)
			if err != nil && !math.IsInf(v, 0) {
				t.Fatal(err)
			}
			out[i] = float32(v)
		}
		return out
	}
	x, b, f := parse(d.X), parse(d.BFloat16), parse(d.Float16)
	gb, gf := make([]float32, len(x)), make([]float32, len(x))
	RoundBFloat16(gb, x)
	RoundFloat16(gf, x)
	same := func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b }
	for i, v := range x {
		if !same(gb[i], b[i]) {
			t.Errorf("bfloat16 of %v is %v, want %v", v, gb[i], b[i])
		}
		if !same(gf[i], f[i]) {
			t.Errorf("float16 of %v is %v, want %v", v, gf[i], f[i])
		}
	}
}
