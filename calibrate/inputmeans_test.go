package calibrate

import (
	"math"
	"math/rand/v2"
	"testing"

	"narrow/graph"
	"narrow/internal/kernel"
)

func floats(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// convolve is the definition of Conv and ConvTranspose for two spatial axes:
// out by sample, channel, row, column.
func convolve(transposed bool, x, w []float32, xs, ws []int, stride, dilation, pad, group int) (out []float64, channels int) {
	n, c, h, wd := xs[0], xs[1], xs[2], xs[3]
	kh, kw := ws[2], ws[3]
	size := func(d, k int) int {
		if transposed {
			return stride*(d-1) + (k-1)*dilation + 1 - 2*pad
		}
		return (d+2*pad-(k-1)*dilation-1)/stride + 1
	}
	oh, ow := size(h, kh), size(wd, kw)
	channels = ws[0]
	if transposed {
		channels = ws[1] * group
	}
	out = make([]float64, n*channels*oh*ow)
	perIn, perOut := c/group, channels/group
	for b := range n {
		for o := range channels {
			g := o / perOut
			for ci := range perIn {
				for i := range kh {
					for j := range kw {
						k := ((o*perIn+ci)*kh+i)*kw + j
						if transposed {
							k = (((g*perIn+ci)*perOut+o%perOut)*kh+i)*kw + j
						}
						for y := range oh {
							for z := range ow {
								at := func(p, k, d int) (int, bool) {
									if !transposed {
										v := p*stride - pad + k*dilation
										return v, v >= 0 && v < d
									}
									v := p + pad - k*dilation
									return v / stride, v >= 0 && v%stride == 0 && v/stride < d
								}
								r, okr := at(y, i, h)
								s, oks := at(z, j, wd)
								if okr && oks {
									out[((b*channels+o)*oh+y)*ow+z] += float64(w[k]) * float64(x[((b*c+g*perIn+ci)*h+r)*wd+s])
								}
							}
						}
					}
				}
			}
		}
	}
	return out, channels
}

// TestPatchChange: the change of the mean output that input means tell is the one
// that running the convolution with both weights shows.
func TestPatchChange(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, tt := range []struct {
		op                           string
		xs, ws                       []int
		stride, dilation, pad, group int
	}{
		{"Conv", []int{2, 3, 7, 5}, []int{4, 3, 3, 3}, 1, 1, 1, 1},
		{"Conv", []int{2, 4, 9, 8}, []int{4, 1, 3, 3}, 2, 1, 1, 4},
		{"Conv", []int{3, 4, 9, 8}, []int{6, 2, 3, 2}, 2, 2, 1, 2},
		{"Conv", []int{1, 5, 4, 4}, []int{3, 5, 1, 1}, 1, 1, 0, 1},
		{"ConvTranspose", []int{2, 3, 4, 5}, []int{3, 2, 3, 3}, 2, 1, 1, 1},
		{"ConvTranspose", []int{2, 4, 4, 5}, []int{4, 3, 2, 3}, 1, 2, 0, 2},
	} {
		i64 := func(x []int) []int64 {
			out := make([]int64, len(x))
			for i, v := range x {
				out[i] = int64(v)
			}
			return out
		}
		x := floats(r, tt.xs[0]*tt.xs[1]*tt.xs[2]*tt.xs[3])
		size := tt.ws[0] * tt.ws[1] * tt.ws[2] * tt.ws[3]
		w, q := floats(r, size), floats(r, size)
		n := &graph.Node{OpType: tt.op, Inputs: []string{"x", "w"}}
		ints := func(name string, v ...int64) {
			n.SetAttr(&graph.Attr{Name: name, Kind: graph.AttrInts, Ints: v})
		}
		ints("strides", int64(tt.stride), int64(tt.stride))
		ints("dilations", int64(tt.dilation), int64(tt.dilation))
		ints("pads", int64(tt.pad), int64(tt.pad), int64(tt.pad), int64(tt.pad))
		n.SetAttr(&graph.Attr{Name: "group", Kind: graph.AttrInt, Int: int64(tt.group)})
		p := newInputMeans(n, graph.NewFloats("w", i64(tt.ws), w))
		if p == nil {
			t.Fatalf("%+v: not known", tt)
		}
		p.add(kernel.NewPool(2), x, i64(tt.xs), tt.xs[0])
		if p.samples != tt.xs[0] {
			t.Fatalf("%+v: %d samples", tt, p.samples)
		}
		got := p.change(w, q)
		transposed := tt.op == "ConvTranspose"
		a, channels := convolve(transposed, x, w, tt.xs, tt.ws, tt.stride, tt.dilation, tt.pad, tt.group)
		b, _ := convolve(transposed, x, q, tt.xs, tt.ws, tt.stride, tt.dilation, tt.pad, tt.group)
		want := make([]float64, channels)
		plane := len(a) / (tt.xs[0] * channels)
		for i := range a {
			want[i/plane%channels] += (b[i] - a[i]) / float64(plane*tt.xs[0])
		}
		check(t, tt.op, got, want)
	}
}

func check(t *testing.T, what string, got, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d channels, want %d", what, len(got), len(want))
	}
	for i := range want {
		if math.Abs(got[i]-want[i]) > 1e-6*math.Max(1, math.Abs(want[i])) {
			t.Errorf("%s: channel %d changes by %v, want %v", what, i, got[i], want[i])
		}
	}
}

// TestPatchChangeOfProducts is TestPatchChange for Gemm and MatMul.
func TestPatchChangeOfProducts(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const rows, k, n = 6, 5, 3
	x := floats(r, rows*k)
	w, q := floats(r, k*n), floats(r, k*n)
	for _, tt := range []struct {
		op     string
		transB int64
		alpha  float32
	}{{"MatMul", 0, 1}, {"Gemm", 0, 0.5}, {"Gemm", 1, 2}} {
		node := &graph.Node{OpType: tt.op, Inputs: []string{"x", "w"}}
		dims := []int64{k, n}
		if tt.transB != 0 {
			dims = []int64{n, k}
		}
		if tt.op == "Gemm" {
			node.SetAttr(&graph.Attr{Name: "transB", Kind: graph.AttrInt, Int: tt.transB})
			node.SetAttr(&graph.Attr{Name: "alpha", Kind: graph.AttrFloat, Float: tt.alpha})
		}
		p := newInputMeans(node, graph.NewFloats("w", dims, w))
		p.add(nil, x, []int64{rows, k}, 2) // two samples of three rows
		want := make([]float64, n)
		for row := range rows {
			for o := range n {
				for i := range k {
					at := i*n + o
					if tt.transB != 0 {
						at = o*k + i
					}
					want[o] += float64(x[row*k+i]) * (float64(q[at]) - float64(w[at])) * float64(tt.alpha) / rows
				}
			}
		}
		check(t, tt.op, p.change(w, q), want)
	}
}

// TestPatchPassesOverInvalid: a sample with NaN does not spoil the others.
func TestPatchPassesOverInvalid(t *testing.T) {
	p := newInputMeans(&graph.Node{OpType: "MatMul", Inputs: []string{"x", "w"}}, graph.NewFloats("w", []int64{2, 1}, []float32{1, 1}))
	p.add(nil, []float32{1, 2, float32(math.NaN()), 4, 3, 6}, []int64{3, 2}, 3)
	if p.samples != 2 || p.invalid != 1 || p.sums()[0] != 4 || p.sums()[1] != 8 {
		t.Errorf("%d samples, %d invalid, sum %v", p.samples, p.invalid, p.sums())
	}
}
