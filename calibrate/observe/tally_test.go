package observe

import (
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"narrow/internal/kernel"
	"narrow/scheme"
)

// tallied adds the parts one after the other, each with its index as weight.
func tallied(parts [][]float32, order []int) *Tally {
	t := &Tally{}
	for _, i := range order {
		e := kernel.MinMax(parts[i])
		t.Reach(e.Min, e.Max)
		t.Add(parts[i], 1, len(parts[i]), uint64(i+1))
	}
	return t
}

// TestTallyAnyOrder: neither the order of the values nor how they are shared among
// tallies changes anything.
func TestTallyAnyOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	parts := make([][]float32, 20)
	for i := range parts {
		for range 100 {
			parts[i] = append(parts[i], float32(r.NormFloat64()*math.Exp(3*r.NormFloat64())))
		}
	}
	parts[3] = make([]float32, 50)
	parts[4] = []float32{1e-30, 5e-39, -1e-44}
	parts[5] = []float32{1e30}
	order := r.Perm(len(parts))
	want := tallied(parts, order)
	for range 20 {
		if got := tallied(parts, r.Perm(len(parts))); !reflect.DeepEqual(got, want) {
			t.Fatal("another order gives another tally")
		}
		cut := r.IntN(len(parts) + 1)
		a, b := tallied(parts, order[:cut]), tallied(parts, order[cut:])
		a.Merge(b)
		if !reflect.DeepEqual(b, tallied(parts, order[cut:])) {
			t.Fatal("what was merged is another")
		}
		if !reflect.DeepEqual(a, want) {
			t.Fatal("merging gives another tally")
		}
	}
	var sum uint64
	want.Each(func(_ float64, w uint64) { sum += w })
	var all uint64
	for i, p := range parts {
		all += uint64(len(p) * (i + 1))
	}
	if sum != all {
		t.Errorf("the weights sum up to %d, want %d", sum, all)
	}
}

// TestTallyEncodes: what the methods find in a tally is what they find in the values,
// but for the width of a bin.
func TestTallyEncodes(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	x := make([]float32, 20000)
	for i := range x {
		x[i] = float32(r.NormFloat64())
		if i%3 == 0 {
			x[i] *= 0.1
		}
	}
	one := tallied([][]float32{x}, []int{0})
	for _, method := range []scheme.Method{scheme.MaxMin, scheme.Percentile, scheme.Entropy, scheme.MSE} {
		for _, symmetry := range []bool{true, false} {
			if !symmetry && (method == scheme.Entropy || method == scheme.MSE) {
				continue
			}
			cfg := Config{Name: "x", Axis: -1, Kind: scheme.Activation, Target: scheme.CPU, Settings: scheme.Settings{
				Datatype: scheme.Int, BitWidth: 8, Method: method, Percentage: 99.9, RoundMode: scheme.HalfEven, Symmetry: symmetry, Signed: true,
				ScaleType: scheme.FloatScale, Statistic: scheme.Max,
			}}
			o, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := o.Observe(x, []int64{int64(len(x))}); err != nil {
				t.Fatal(err)
			}
			want, err := o.Encoding()
			if err != nil {
				t.Fatal(err)
			}
			got, err := cfg.EncodingOf(one, 1)
			if err != nil {
				t.Fatal(err)
			}
			if d := float64(got.Scale[0]/want.Scale[0]) - 1; math.Abs(d) > 0.02 || got.ZeroPoint[0]-want.ZeroPoint[0] > 2 || want.ZeroPoint[0]-got.ZeroPoint[0] > 2 {
				t.Errorf("%v, symmetry %v: %v and %v, of the values %v and %v", method, symmetry, got.Scale, got.ZeroPoint, want.Scale, want.ZeroPoint)
			}
		}
	}
	if _, err := (Config{Settings: scheme.Settings{ScaleType: scheme.FloatScale}}).EncodingOf(&Tally{}, 1); err == nil {
		t.Error("nothing was encoded")
	}
}
