package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// matrix returns rows of ld values, awkward ones among them.
func matrix(r *rand.Rand, rows, ld int, finite bool) []float64 {
	m := make([]float64, rows*ld)
	for i, v := range awkward(r, len(m), 0.1, finite) {
		m[i] = float64(v) * (1 + r.Float64()) // all bits of a float64
	}
	return m
}

func same64(a, b float64) bool {
	return math.Float64bits(a) == math.Float64bits(b) || a != a && b != b
}

func TestProductsEqualsPlain(t *testing.T) {
	eachImplementation(t, func(t *testing.T, l loops) {
		r := rand.New(rand.NewPCG(3, 4))
		for rows := 1; rows <= 130; rows++ {
			ld := ProductLanes * (1 + rows%5)
			cols := ProductLanes * (1 + r.IntN(ld/ProductLanes))
			lo := 2 * r.IntN(ld/2)
			hi := lo + 2*r.IntN((ld-lo)/2+1)
			finite := rows%3 != 0
			x, y, c := matrix(r, rows, ld, finite), matrix(r, rows, ld, finite), matrix(r, ld, ld, finite)
			want := append([]float64(nil), c...)
			productsGo(want, x, y, ld, ProductLanes, ld, rows, lo, hi, cols)
			if lo < hi {
				l.products(c, x, y, ld, ProductLanes, ld, rows, lo, hi, cols)
			}
			for i := range c {
				if !same64(c[i], want[i]) {
					t.Fatalf("%d rows of %d, %d..%d by %d: element %d, %d is %v, want %v", rows, ld, lo, hi, cols, i/ld, i%ld, c[i], want[i])
				}
			}
		}
	})
}

// TestPanelProducts holds that how rows lie changes no bit.
func TestPanelProducts(t *testing.T) {
	eachImplementation(t, func(t *testing.T, l loops) {
		r := rand.New(rand.NewPCG(7, 8))
		for rows := 1; rows <= 70; rows++ {
			ld, room := ProductLanes*(1+rows%5), rows+rows%3
			x, y, want := matrix(r, rows, ld, true), matrix(r, rows, ld, true), matrix(r, ld, ld, true)
			c := append([]float64(nil), want...)
			productsGo(want, x, y, ld, ProductLanes, ld, rows, 0, ld, ld)
			panels := func(x []float64) []float64 {
				out := make([]float64, room*ld)
				for i := range x {
					out[InPanels(i%ld, room)+i/ld*ProductLanes] = x[i]
				}
				return out
			}
			l.products(c, panels(x), panels(y), ld, room*ProductLanes, ProductLanes, rows, 0, ld, ld)
			for i := range c {
				if !same64(c[i], want[i]) {
					t.Fatalf("%d rows of %d: element %d is %v, want %v", rows, ld, i, c[i], want[i])
				}
			}
		}
	})
	defer func() {
		if recover() == nil {
			t.Error("more rows than there is room for were taken")
		}
	}()
	PanelProducts(make([]float64, 256), make([]float64, 64), make([]float64, 64), 16, 3, 4, 0, 16, 16)
}

// TestProductsByHand holds the definition to the sums that it is said to take.
func TestProductsByHand(t *testing.T) {
	const ld, rows = 2 * ProductLanes, 7
	r := rand.New(rand.NewPCG(5, 6))
	x, y := matrix(r, rows, ld, true), matrix(r, rows, ld, true)
	c := make([]float64, ld*ld)
	c[3*ld+5] = 0.25
	Products(c, x, y, ld, rows, 2, 6, ProductLanes)
	at := func(s float64, r int) float64 { return math.FMA(x[r*ld+3], y[r*ld+5], s) }
	s0, s1, s2, s3 := at(at(at(at(0, 0), 4), 5), 6), at(0, 1), at(0, 2), at(0, 3)
	if got, want := c[3*ld+5], 0.25+(s0+s1+(s2+s3)); got != want {
		t.Errorf("element 3, 5 is %v, want %v", got, want)
	}
	for i := range c {
		if i, j := i/ld, i%ld; (i < 2 || i >= 6 || j >= ProductLanes) && c[i*ld+j] != 0 {
			t.Errorf("element %d, %d was written", i, j)
		}
	}
	for _, bad := range [][3]int{{1, 4, 16}, {0, 3, 16}, {0, 4, 15}, {0, 34, 16}, {0, 4, 48}, {-2, 4, 16}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("parts %v were taken", bad)
				}
			}()
			Products(c, x, y, ld, rows, bad[0], bad[1], bad[2])
		}()
	}
}

func BenchmarkProducts(b *testing.B) {
	const ld, rows = 576, 128
	r := rand.New(rand.NewPCG(1, 2))
	x, y, c := matrix(r, rows, ld, true), matrix(r, rows, ld, true), make([]float64, ld*ld)
	for _, l := range implementations() {
		b.Run(fmt.Sprintf("impl=%s/n=%d", l.name, ld), func(b *testing.B) {
			for b.Loop() {
				for i := 0; i < ld; i += 32 {
					l.products(c, x, y, ld, rows*ProductLanes, ProductLanes, rows, i, i+32, ld)
				}
			}
			b.ReportMetric(float64(b.N)*ld*ld*rows/b.Elapsed().Seconds()/1e9, "GMAC/s")
		})
	}
}
