package observe

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"narrow/scheme"
)

// TestSameEverywhere: the encodings and the quantized values of every setting
// are the same bytes on every machine, whatever loops it runs and whether or
// not its compiler fuses multiplications with additions.
func TestSameEverywhere(t *testing.T) {
	const want = "c1b3622faa518a64"
	sum := sha256.New()
	r := rand.New(rand.NewPCG(11, 12))
	var data [][]float32
	for b := range 4 {
		x := make([]float32, 4000+b)
		for i := range x {
			// Triangular, of quarter powers of two: no library function rounds here.
			up, down := int32(r.Uint32N(1<<24)), int32(r.Uint32N(1<<24))
			v := float32(up-down) * scheme.FixScale(20+b)
			if r.Uint32N(50) == 0 {
				v *= 16
			}
			x[i] = v
		}
		data = append(data, x)
	}
	for _, s := range everySetting() {
		o, err := New(Config{Name: "x", Kind: scheme.Activation, Settings: s})
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range data {
			y := x
			if !s.Signed && s.Symmetry {
				y = make([]float32, len(x))
				for i := range y {
					y[i] = max(x[i], 0)
				}
			}
			if err := o.Observe(y, []int64{int64(len(y))}); err != nil {
				t.Fatal(err)
			}
			e := encoding(t, o)
			state, err := o.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			sum.Write(state)
			out := make([]float32, len(y))
			if err := Apply(nil, out, y, s, e, []int64{int64(len(y))}); err != nil {
				t.Fatal(err)
			}
			var q Quality
			q.Add(nil, y, out)
			if err := binary.Write(sum, binary.LittleEndian, out); err != nil {
				t.Fatal(err)
			}
			for _, v := range []float64{float64(e.Scale[0]), q.Sums.DiffSquares, q.Sums.Dot, q.Sums.RefSquares} {
				sum.Write(binary.LittleEndian.AppendUint64(nil, math.Float64bits(v)))
			}
		}
	}
	if got := fmt.Sprintf("%x", sum.Sum(nil)[:8]); got != want {
		t.Errorf("the sum of all bytes is %s, want %s: numbers changed, or differ on this machine", got, want)
	}
}
