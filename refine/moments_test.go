package refine

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"narrow/engine"
	"narrow/graph"
	"narrow/graph/graphtext"
	"narrow/internal/kernel"
)

// TestMoments holds the moments of small layers to sums over every place of
// the input, computed another way: with the padded input spelled out.
func TestMoments(t *testing.T) {
	for _, c := range []struct {
		name       string
		node       string
		weights    []int64
		in         []int64
		pad        []int // before and after, height and width
		stride     int
		groups     int
		kernel     int
		outH, outW int
	}{
		{"pads", `pads = [1, 0, 1, 2]`, []int64{2, 3, 3, 3}, []int64{2, 3, 5, 4}, []int{1, 0, 1, 2}, 1, 1, 3, 5, 4},
		{"strides", `strides = [2, 2]`, []int64{2, 3, 3, 3}, []int64{2, 3, 5, 7}, []int{0, 0, 0, 0}, 2, 1, 3, 2, 3},
		{"same upper", `auto_pad = "SAME_UPPER", strides = [2, 2]`, []int64{4, 3, 3, 3}, []int64{2, 3, 6, 6}, []int{0, 0, 1, 1}, 2, 1, 3, 3, 3},
		{"same lower", `auto_pad = "SAME_LOWER", strides = [2, 2]`, []int64{4, 3, 3, 3}, []int64{2, 3, 6, 6}, []int{1, 1, 0, 0}, 2, 1, 3, 3, 3},
		{"depthwise", `pads = [1, 1, 1, 1], group = 3`, []int64{3, 1, 3, 3}, []int64{2, 3, 4, 4}, []int{1, 1, 1, 1}, 1, 3, 3, 4, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			attrs := fmt.Sprintf(`net (float[N, %d, H, W] x, float[%d, %d, %d, %d] w) => (float[N, M, P, Q] y) { y = Conv <%s> (x, w) }`,
				c.in[1], c.weights[0], c.weights[1], c.weights[2], c.weights[3], c.node)
			n := graphtext.MustParse(attrs).Graph.Nodes[0]
			size := int(c.weights[0] * c.weights[1] * c.weights[2] * c.weights[3])
			f := weightedOf(n, graph.NewFloats("w", c.weights, make([]float32, size)), 1)
			if f == nil {
				t.Fatal("not refined")
			}
			x := random(c.in, 1)
			y := random([]int64{2, c.weights[0], int64(c.outH), int64(c.outW)}, 2)
			d := f.draw(y.Floats, y.Shape, span{2, 2, false}, 2, 0, rand.New(rand.NewPCG(7, 1)))
			of := f.columns([]engine.Tensor{x}, []drawn{d}, []span{{2, 2, false}})
			if of == nil {
				t.Fatal("does not fit")
			}
			m := of.measure(context.Background(), kernel.NewPool(3))
			per := int(c.in[1]) / c.groups
			cols := per * c.kernel * c.kernel
			for g := range c.groups {
				rows := int(c.weights[0]) / c.groups
				own, target := make([]float64, (cols+1)*(cols+1)), make([]float64, (cols+1)*rows)
				for s := range 2 {
					for i := range c.outH {
						for j := range c.outW {
							a := make([]float64, cols+1)
							a[cols] = 1
							for k := range cols {
								ch, dy, dx := g*per+k/(c.kernel*c.kernel), k/c.kernel%c.kernel, k%c.kernel
								h, w := i*c.stride+dy-c.pad[0], j*c.stride+dx-c.pad[1]
								if h < 0 || w < 0 || h >= int(c.in[2]) || w >= int(c.in[3]) {
									continue
								}
								at := ((s*int(c.in[1])+ch)*int(c.in[2])+h)*int(c.in[3]) + w
								a[k] = float64(x.Floats[at])
							}
							for p := range a {
								for q := range a {
									own[p*(cols+1)+q] += a[p] * a[q] / float64(2*c.outH*c.outW)
								}
								for r := range rows {
									out := float64(y.Floats[((s*int(c.weights[0])+g*rows+r)*c.outH+i)*c.outW+j])
									target[p*rows+r] += a[p] * out / float64(2*c.outH*c.outW)
								}
							}
						}
					}
				}
				for i := range own {
					if math.Abs(own[i]-m.own[g][i]) > 1e-9 {
						t.Fatalf("group %d, element %d: %v, want %v", g, i, m.own[g][i], own[i])
					}
				}
				for i := range target {
					if math.Abs(target[i]-m.target[g][i]) > 1e-9 {
						t.Fatalf("group %d, target %d: %v, want %v", g, i, m.target[g][i], target[i])
					}
				}
			}
		})
	}
}

func random(shape []int64, seed uint64) engine.Tensor {
	r := rand.New(rand.NewPCG(seed, 1))
	t := engine.Tensor{Type: graph.Float32, Shape: shape}
	for range t.Len() {
		t.Floats = append(t.Floats, float32(r.NormFloat64()))
	}
	return t
}

// positive returns a random positive definite n*n matrix whose columns are
// correlated, as those of images are.
func positive(r *rand.Rand, n int) []float64 {
	x := make([]float64, 3*n*n)
	for i := range 3 * n {
		common := 2 * r.NormFloat64()
		for j := range n {
			x[i*n+j] = r.NormFloat64() + common
		}
	}
	a := make([]float64, n*n)
	for i := range n {
		for j := range n {
			for k := range 3 * n {
				a[i*n+j] += x[k*n+i] * x[k*n+j]
			}
		}
	}
	return a
}

func quadratic(a, e []float64) float64 {
	var s float64
	for i := range e {
		for j := range e {
			s += e[i] * a[i*len(e)+j] * e[j]
		}
	}
	return s
}

func TestFactorSolves(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	for _, n := range []int{1, 2, 3, 4, 5, 17, 300} {
		a := positive(r, n)
		f, ok := factor(kernel.NewPool(3), a, n)
		if !ok {
			t.Fatal("not positive definite")
		}
		const wide = 2 * kernel.ProductLanes
		x, b := make([]float64, n*wide), make([]float64, lanes(n)*wide)
		for i := range x {
			x[i] = r.NormFloat64()
		}
		for i := range n {
			for j := range n {
				times(b[i*wide:(i+1)*wide], x[j*wide:(j+1)*wide], a[i*n+j])
			}
		}
		f.solve(b, wide)
		for i := range x {
			if math.Abs(b[i]-x[i]) > 1e-7 {
				t.Fatalf("n %d: x[%d] is %v, want %v", n, i, b[i], x[i])
			}
		}
	}
	if _, ok := factor(nil, []float64{1, 2, 2, 1}, 2); ok {
		t.Error("a matrix that is not positive definite was factored")
	}
	if _, ok := factor(nil, []float64{math.NaN()}, 1); ok {
		t.Error("NaN was factored")
	}
}

// TestNearest holds that the distance told is the distance, that all elements
// are on the grid, and that rounding each by itself is worse by far on the
// average.
func TestNearest(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 1))
	var ours, plain float64
	for range 50 {
		n := 1 + r.IntN(24)
		a := positive(r, n)
		f, ok := factor(nil, a, n)
		if !ok {
			t.Fatal("not positive definite")
		}
		// Two points of grids of their own, side by side.
		const wide = kernel.ProductLanes
		gs := []grid{{0.25, -8, 7}, {0.5, -4, 3}}
		want, q, sums := make([]float64, n*wide), make([]float64, n*wide), make([]float64, len(gs))
		for i := range want {
			want[i] = r.NormFloat64()
		}
		f.nearest(q, want, sums, wide, func(_, r int) grid { return gs[r] })
		for k, g := range gs {
			e, single := make([]float64, n), make([]float64, n)
			for i := range n {
				x := q[i*wide+k]
				if k := x / g.step; k != math.Round(k) || k < g.lo || k > g.hi {
					t.Fatalf("%v is not on the grid", x)
				}
				e[i] = want[i*wide+k] - x
				single[i] = want[i*wide+k] - g.nearest(want[i*wide+k])
			}
			if d := quadratic(a, e); math.Abs(d-sums[k]) > 1e-6*d+1e-9 {
				t.Fatalf("distance told %v, is %v", sums[k], d)
			}
			ours, plain = ours+sums[k], plain+quadratic(a, single)
		}
	}
	if ours > 0.6*plain {
		t.Errorf("squared distance %v, rounding each by itself %v", ours, plain)
	}
}
