package kernel

import (
	"math/rand/v2"
	"testing"
)

func TestDotEqualsPlain(t *testing.T) {
	eachImplementation(t, func(t *testing.T, l loops) {
		r := rand.New(rand.NewPCG(7, 8))
		for n := 16; n <= 144; n += 16 {
			for offset := range 3 {
				x, y := matrix(r, 1, n+offset, n%3 != 0)[offset:], matrix(r, 1, n, n%3 != 0)
				got, want := [16]float64{1, 2}, [16]float64{1, 2}
				l.dot(x, y, &got)
				dotGo(x, y, &want)
				for i := range got {
					if !same64(got[i], want[i]) {
						t.Fatalf("%d elements: sum %d is %v, want %v", n, i, got[i], want[i])
					}
				}
			}
		}
	})
}

func TestDotByHand(t *testing.T) {
	x, y := make([]float64, 35), make([]float64, 40)
	want := 0.0
	for i := range x {
		x[i], y[i] = float64(i+1), float64(2*i-7)
		want += x[i] * y[i]
	}
	for n := range x {
		part := 0.0
		for i := range n {
			part += x[i] * y[i]
		}
		if got := Dot(x[:n], y); got != part {
			t.Errorf("%d elements: %v, want %v", n, got, part)
		}
	}
	if got := Dot(x, y); got != want {
		t.Errorf("%v, want %v", got, want)
	}
}
