package testnet

import (
	"math"
	"math/rand/v2"

	"narrow/engine"
	"narrow/graph"
)

// side is the height and the width of the bundled network's pictures.
const side = 28

// Blobs are n pictures for the bundled network in batches of size: blobs of
// different width at different places, the same whatever size is.
func Blobs(n, size int) engine.Batches {
	r := rand.New(rand.NewPCG(7, 8))
	x := make([]float32, n*side*side)
	for i := range n {
		cx, cy, w := r.Float64()*side, r.Float64()*side, 3+8*r.Float64()
		for p := range side * side {
			dx, dy := float64(p%side)-cx, float64(p/side)-cy
			x[i*side*side+p] = float32(math.Exp(-(dx*dx + dy*dy) / (2 * w * w)))
		}
	}
	return pictures(x, size)
}

// Noise are n pictures for the bundled network in batches of size, each pixel
// by chance in 0..1; the same whatever size is, others with another seed.
func Noise(n, size int, seed uint64) engine.Batches {
	r := rand.New(rand.NewPCG(seed, 2))
	x := make([]float32, n*side*side)
	for i := range x {
		x[i] = r.Float32()
	}
	return pictures(x, size)
}

// pictures yields pixels in batches of size pictures.
func pictures(x []float32, size int) engine.Batches {
	n := len(x) / (side * side)
	return func(yield func(*engine.Batch, error) bool) {
		for at := 0; at < n; at += size {
			k := min(size, n-at)
			b := &engine.Batch{First: at, Count: k, Inputs: map[string]engine.Tensor{
				"image": {Type: graph.Float32, Shape: []int64{int64(k), 1, side, side}, Floats: x[at*side*side : (at+k)*side*side]},
			}}
			if !yield(b, nil) {
				return
			}
		}
	}
}

// Inputs are values for the inputs of m, the same for the same seed: normal
// numbers times scale, and zeros where an input is not float32. Open dimensions
// get the size n.
func Inputs(m *graph.Model, n int64, seed uint64, scale float64) map[string]engine.Tensor {
	r := rand.New(rand.NewPCG(seed, 1))
	in := map[string]engine.Tensor{}
	ix := graph.NewIndex(m.Graph)
	for _, v := range m.Graph.Inputs {
		if !ix.IsInput(v.Name) {
			continue
		}
		x := engine.Tensor{Type: v.Type}
		for _, d := range v.Shape {
			if d.Size < 0 {
				d.Size = n
			}
			x.Shape = append(x.Shape, d.Size)
		}
		if v.Type != graph.Float32 {
			x.Raw = make([]byte, x.Len()*v.Type.Bits()/8)
			in[v.Name] = x
			continue
		}
		x.Floats = make([]float32, x.Len())
		for i := range x.Floats {
			x.Floats[i] = float32(scale * r.NormFloat64())
		}
		in[v.Name] = x
	}
	return in
}
