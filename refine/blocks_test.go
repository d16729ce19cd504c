package refine

import (
	"context"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"narrow/calibrate"
	"narrow/engine"
	"narrow/graph"
	"narrow/graph/graphtext"
	"narrow/internal/kernel"
	"narrow/plan"
	"narrow/scheme"
	"narrow/strategy"
)

// TestRest holds what is left after some columns to sums one by one, of two groups, an
// odd number of columns and places at the border.
func TestRest(t *testing.T) {
	n := graphtext.MustParse(`net (float[N, 6, H, W] x, float[10, 3, 3, 3] w) => (float[N, 10, P, Q] y) { y = Conv <pads = [1, 1, 1, 1], group = 2> (x, w) }`).Graph.Nodes[0]
	f := weightedOf(n, graph.NewFloats("w", []int64{10, 3, 3, 3}, make([]float32, 270)), 1)
	x, y := random([]int64{2, 6, 5, 4}, 1), random([]int64{2, 10, 5, 4}, 2)
	spans := []span{{2, 2, false}}
	d := f.draw(y.Floats, y.Shape, spans[0], 2, 0, rand.New(rand.NewPCG(7, 1)))
	c := f.columns([]engine.Tensor{x}, []drawn{d}, spans)
	c.choose = c.choose[:37]
	weight := func(g, row, col int) float64 { return float64((g*5+row)*27+col) / 100 }
	more := func(row int) float64 { return float64(row) }
	r := c.rest(c.choose, more)
	r.less(kernel.NewPool(3), 4, 13, weight)
	r.less(nil, 20, 27, weight)
	for i, o := range c.choose {
		for g := range 2 {
			whole := make([]float64, 2*27)
			c.read(whole, 27, 1, o, 0, 27)
			for row := range 5 {
				want := float64(c.result(o, g)[row]) + more(g*5+row)
				for col := range 27 {
					if col >= 4 && col < 13 || col >= 20 {
						want -= whole[g*27+col] * weight(g, row, col)
					}
				}
				if got := r.group(i, g)[row]; math.Abs(got-want) > 1e-9 {
					t.Fatalf("column %d, group %d, row %d: %v, want %v", i, g, row, got, want)
				}
			}
		}
	}
}

// TestBlocks: a layer with more inputs than products are held of is chosen in blocks, to
// the same bytes on any number of threads, and nearer to the float network than rounded to
// the nearest, on the samples that chose and on those that judge.
func TestBlocks(t *testing.T) {
	const wide, rows, samples = 2600, 6, 400
	r := rand.New(rand.NewPCG(3, 4))
	w := make([]float32, wide*rows)
	for i := range w {
		w[i] = float32(r.NormFloat64())
	}
	m := graphtext.MustParse(`net (float[N, 2600] x) => (float[N, 6] y) <float[2600, 6] w = {0, ...}, float[6] b = {1, 0.5, ...}> { h = MatMul (x, w) y = Add (h, b) }`)
	m.Graph.Initializers[0] = graph.NewFloats("w", []int64{wide, rows}, w)
	s, _ := strategy.Parse("strategy.json", []byte(`{"target_device": "CPU", "include_cle": false, "include_bias_corr": true,
		"overall_quantize_config": {"bit_width": 4, "method": "maxmin", "scale_type": "float", "calib_statistic_method": "max", "round_mode": "half_even"}}`))
	p, _, err := plan.BuildWith(m, s, plan.Options{Accuracy: scheme.High})
	if err != nil {
		t.Fatal(err)
	}
	// Inputs are sums of a few patterns.
	patterns := make([]float32, 20*wide)
	for i := range patterns {
		patterns[i] = float32(r.NormFloat64())
	}
	x, y := make([]float32, samples*wide), make([]float32, samples*rows)
	for i := range samples {
		mine := x[i*wide:][:wide]
		for k := range 20 {
			part := float32(r.Float64())
			for j := range mine {
				mine[j] += part * patterns[k*wide+j]
			}
		}
		for j, v := range mine {
			for k := range rows {
				y[i*rows+k] += v * w[j*rows+k]
			}
		}
	}
	half := samples / 2
	tensors := func(x []float32, n int) []engine.Tensor {
		shape := []int64{int64(half), int64(n)}
		return []engine.Tensor{{Type: graph.Float32, Shape: shape, Floats: x[:half*n]}, {Type: graph.Float32, Shape: shape, Floats: x[half*n:]}}
	}
	spans := []span{{half, half, false}, {half, half, true}}
	var first *calibrate.Calibrated
	for _, threads := range []int{1, 3} {
		f := &refiner{pool: kernel.NewPool(threads), c: &calibrate.Calibrated{
			Plan: p, Encodings: map[*plan.Tensor]scheme.Encoding{}, Weights: map[*plan.Tensor]*calibrate.Integers{}, Bias: map[*plan.Tensor][]float32{},
		}}
		layers := f.layers()
		if len(layers) != 1 || !layers[0].form.wide() {
			t.Fatalf("%d layers", len(layers))
		}
		l := layers[0]
		var drawn []drawn
		for i, out := range tensors(y, rows) {
			drawn = append(drawn, l.form.draw(out.Floats, out.Shape, spans[i], half, half, rand.New(rand.NewPCG(0, uint64(i)))))
		}
		c := l.form.columns(tensors(x, wide), drawn, spans)
		candidates, err := f.candidates(l, w)
		if err != nil {
			t.Fatal(err)
		}
		f.c.Encodings[l.op.Weights] = candidates[0]
		if l.op.Bias != nil {
			if _, err := f.fitBias(l, []float32{1, 0.5, 0.5, 0.5, 0.5, 0.5}); err != nil {
				t.Fatal(err)
			}
		}
		errors := func() (sum [2]float64) {
			ws, bias, err := f.quantized(l)
			if err != nil {
				t.Fatal(err)
			}
			for i, of := range [][]one{c.choose, c.judge} {
				rest := c.rest(of, func(row int) float64 { return -bias[row] })
				rest.less(nil, 0, wide, func(_, row, col int) float64 { return float64(ws[l.form.index(0, row, col)]) })
				for k := range of {
					for _, v := range rest.group(k, 0) {
						sum[i] += v * v
					}
				}
			}
			return sum
		}
		was := errors()
		if err := f.blocks(context.Background(), l, c); err != nil {
			t.Fatal(err)
		}
		if is := errors(); !(is[0] < was[0]/40) || !(is[1] < was[1]/40) {
			t.Errorf("squared errors %v, were %v", is, was)
		}
		if first == nil {
			first = f.c
		} else if !reflect.DeepEqual(f.c.Encodings, first.Encodings) || !reflect.DeepEqual(f.c.Weights[l.op.Weights], first.Weights[l.op.Weights]) {
			t.Error("another result on three threads")
		}
	}
}
