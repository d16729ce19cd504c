package rewrite_test

import (
	"encoding/binary"
	"math"
	"testing"

	"narrow/engine"
	"narrow/graph"
	"narrow/graph/graphtext"
	"narrow/rewrite"
)

// TestWiden: a network that computes in float16 computes nearly the same in
// float32, and what enters and leaves keeps its type.
func TestWiden(t *testing.T) {
	for name, net := range map[string]string{
		"float32 at the ends": `<ir_version: 8, opset_import: ["": 13]> g (float[N, 2] x) => (float[N, 2] y) <float16[2, 2] w = {15360, 14336, 48384, 11878}, float16[2] b = {14336, 49152}>
			{ [in] h = Cast <to = 10> (x) [mm] m = MatMul (h, w) [add] a = Add (m, b) [out] y = Cast <to = 1> (a) }`,
		"float16 at the ends": `<ir_version: 8, opset_import: ["": 13]> g (float16[N, 2] x) => (float16[N, 2] y, float16[N, 2] m) <float16[2, 2] w = {15360, 14336, 48384, 11878}>
			{ [mm] m = MatMul (x, w) [relu] y = Relu (m) }`,
		"what nodes store and ask for": `<ir_version: 8, opset_import: ["": 13]> g (float[N, 2] x, bool c) => (float[N, 2] y) <float16[2] b = {14336, 49152}>
			{ [in] h = Cast <to = 10> (x) [k] k = Constant <value = float16[2] {15360, 16384}> () [mul] m = Mul (h, k)
			  [s] s = Shape (m) [z] z = ConstantOfShape <value = float16[1] {14336}> (s) [add] a = Add (m, z)
			  [if] i = If <then_branch = t () => (float16[N, 2] p) { [inner] p = Add (a, b) }, else_branch = e () => (float16[N, 2] q) { [c] q = Cast <to = 10> (x) }> (c)
			  [out] y = Cast <to = 1> (i) }`,
	} {
		t.Run(name, func(t *testing.T) {
			m := graphtext.MustParse(net)
			wide, n := rewrite.Widen(m)
			if n == 0 || wide == m {
				t.Fatal("nothing is widened")
			}
			if again, n := rewrite.Widen(wide); name == "float32 at the ends" && (n != 0 || again != wide) {
				t.Errorf("%d nodes are widened again", n)
			}
			in := map[string]engine.Tensor{}
			for _, v := range m.Graph.Inputs {
				switch v.Type {
				case graph.Float16:
					in[v.Name] = engine.Tensor{Type: v.Type, Shape: []int64{2, 2}, Raw: []byte{0, 0x3c, 0, 0x38, 0, 0xbe, 0, 0x40}} // 1, 0.5, -1.5, 2
				case graph.Bool:
					in[v.Name] = engine.Tensor{Type: v.Type, Shape: []int64{}, Raw: []byte{1}}
				default:
					in[v.Name] = engine.Tensor{Type: v.Type, Shape: []int64{2, 2}, Floats: []float32{1, 0.5, -1.5, 2}}
				}
			}
			want, got := run(t, m, in), run(t, wide, in)
			for _, v := range m.Graph.Outputs {
				a, b := elements(want[v.Name]), elements(got[v.Name])
				if want[v.Name].Type != got[v.Name].Type || len(a) != len(b) {
					t.Fatalf("%s: %v becomes %v", v.Name, want[v.Name], got[v.Name])
				}
				for i := range a {
					if d := math.Abs(a[i] - b[i]); d > 1e-2 || math.IsNaN(d) || a[i] == 0 && b[i] != 0 {
						t.Errorf("%s: %v becomes %v", v.Name, a, b)
					}
				}
			}
		})
	}
	stored := graphtext.MustParse(`g (float[N, 2] x) => (float[N, 2] y) <float16[2, 2] h = {15360, 14336, 48384, 11878}> { [c] w = Cast <to = 1> (h) [mm] y = MatMul (x, w) }`)
	if m, n := rewrite.Widen(stored); m != stored || n != 0 {
		t.Error("a network that only stores float16 is widened")
	}
}

func elements(x engine.Tensor) []float64 {
	var out []float64
	for _, v := range x.Floats {
		out = append(out, float64(v))
	}
	for i := 0; x.Type == graph.Float16 && i < len(x.Raw); i += 2 {
		out = append(out, float64(half(binary.LittleEndian.Uint16(x.Raw[i:]))))
	}
	return out
}

// half is a definition of binary16 by powers of two.
func half(b uint16) float32 {
	e, f := int(b>>10)&31, float64(b&1023)
	v := math.Ldexp(1+f/1024, e-15)
	switch {
	case e == 0:
		v = math.Ldexp(f, -24)
	case e == 31 && f == 0:
		v = math.Inf(1)
	case e == 31:
		v = math.NaN()
	}
	if b>>15 != 0 {
		v = -v
	}
	return float32(v)
}

// TestWidenEveryNumber: all numbers of 16 bits become the same in float32.
func TestWidenEveryNumber(t *testing.T) {
	raw := make([]byte, 2<<16)
	for i := range 1 << 16 {
		binary.LittleEndian.PutUint16(raw[2*i:], uint16(i))
	}
	for _, typ := range []graph.DataType{graph.Float16, graph.BFloat16} {
		m := graphtext.MustParse(`g (float16[N] x) => (float16[N] y) { y = Neg (x) }`)
		m.Graph.Inputs[0].Type, m.Graph.Outputs[0].Type = typ, typ
		m.Graph.Initializers = []*graph.Tensor{{Name: "w", Type: typ, Dims: []int64{1 << 16}, Raw: raw}}
		wide, _ := rewrite.Widen(m)
		x, err := wide.Graph.Initializer("w").Floats()
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range x {
			want := math.Float32frombits(uint32(i) << 16)
			if typ == graph.Float16 {
				want = half(uint16(i))
			}
			if math.Float32bits(v) != math.Float32bits(want) && !(math.IsNaN(float64(v)) && math.IsNaN(float64(want))) {
				t.Fatalf("%v %#04x becomes %v, not %v", typ, i, v, want)
			}
		}
	}
}
