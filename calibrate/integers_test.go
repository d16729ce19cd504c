package calibrate

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"narrow/calibrate/observe"
	"narrow/graph"
	"narrow/plan"
	"narrow/scheme"
	"narrow/strategy"
)

// Weights that are kept as integers are those that quantizing gives, bit for bit, whatever
// their width and axis, and so they are when the integers have been written and read.
func TestIntegers(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, bits := range []int{2, 4, 8, 12, 16} {
		for _, axis := range []int{-1, 0, 1} {
			dims := []int64{5, 7, 3}[:2+r.IntN(2)]
			n := int((&graph.Tensor{Dims: dims}).Len())
			e := scheme.Encoding{Axis: axis, Min: -1 << (bits - 1), Max: 1<<(bits-1) - 1}
			for range max(1, []int{1, 5, 7}[axis+1]) {
				e.Scale, e.ZeroPoint = append(e.Scale, float32(r.Float64()+0.01)), append(e.ZeroPoint, 0)
			}
			x := make([]float32, n)
			for i := range x {
				x[i] = float32(r.NormFloat64() * float64(e.Max) / 2)
			}
			x[0] = -e.Scale[0] / 4 // rounds to zero from below
			set := scheme.Settings{Datatype: scheme.Int, BitWidth: bits, Symmetry: true, Signed: true, RoundMode: scheme.HalfEven}
			w := &plan.Tensor{Settings: strategy.Resolved{Settings: set}, Constant: &graph.Tensor{Dims: dims}}
			want := slices.Clone(x)
			if err := observe.Apply(nil, want, want, set, e, dims); err != nil {
				t.Fatal(err)
			}
			ints, err := NewIntegers(w, x, e)
			if err != nil {
				t.Fatal(err)
			}
			size := (bits + 7) / 8
			stored := ints.Append(nil, size)
			if len(stored) != n*size {
				t.Fatalf("%d bits: %d bytes", bits, len(stored))
			}
			for _, i := range []*Integers{ints, ReadIntegers(stored, size)} {
				got, err := i.Floats(w, e)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(graph.NewFloats("", dims, got).Raw, graph.NewFloats("", dims, want).Raw) {
					t.Errorf("%d bits, axis %d: %v, want %v", bits, axis, got, want)
				}
			}
		}
	}
	few := &Integers{bytes: make([]int8, 3)}
	if _, err := few.Floats(&plan.Tensor{Constant: &graph.Tensor{Dims: []int64{2, 2}}}, scheme.Encoding{Axis: -1, Scale: []float32{1}, ZeroPoint: []int64{0}}); err == nil {
		t.Error("three integers make four weights")
	}
}
