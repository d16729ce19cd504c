package rewrite_test

import (
	"fmt"
	"strings"
	"testing"

	"narrow/engine"
	"narrow/graph"
	"narrow/graph/graphtext"
	"narrow/internal/testnet"
	"narrow/rewrite"
)

// chains are what may stand in front of weights: each makes w, float[4, 3, 1, 1],
// of s (float[4, 3, 1, 1]), h (the same in float16) or of what it declares.
var chains = map[string]string{
	"Cast from float16":       `w = Cast <to = 1> (h)`,
	"Cast to and fro":         `d = Cast <to = 11> (s) w = Cast <to = 1> (d)`,
	"DequantizeLinear":        `q = Cast <to = 3> (s) w = DequantizeLinear (q, half)`,
	"DequantizeLinear, axis":  `q = Cast <to = 3> (s) w = DequantizeLinear <axis = 0> (q, four)`,
	"Transpose":               `t = Transpose <perm = [1, 0, 3, 2]> (s) w = Reshape (t, dims)`,
	"Unsqueeze and Squeeze":   `a = Unsqueeze (s, zero) w = Squeeze (a, zero)`,
	"Split and Concat":        `a, b = Split <axis = 0> (s) w = Concat <axis = 0> (b, a)`,
	"Slice backwards":         `w = Slice (s, last, before, zero, last)`,
	"Gather":                  `i = Constant <value_ints = [3, 2, 2, 0]> () w = Gather <axis = 0> (s, i)`,
	"Tile":                    `r = Constant <value_ints = [1, 3, 1, 1]> () a, b = Split <axis = 1> (s, oneTwo) w = Tile (a, r)`,
	"Pad":                     `p = Constant <value_ints = [0, 1, 0, 0, 0, 0, 0, 0]> () a, b = Split <axis = 1> (s, oneTwo) w = Pad (b, p)`,
	"Where":                   `c = Less (s, half) w = Where (c, s, half)`,
	"Clip":                    `w = Clip (s, minusHalf, half)`,
	"Tanh, Sigmoid, Relu":     `a = Tanh (s) b = Sigmoid (a) c = Relu (s) w = Sub (b, c)`,
	"Exp and Log":             `a = Exp (s) b = Add (a, half) w = Log (b)`,
	"Pow, Sqrt, Reciprocal":   `a = Pow (s, two) b = Add (a, half) c = Sqrt (b) w = Reciprocal (c)`,
	"Round, Floor, Ceil":      `a = Round (s) b = Floor (s) c = Ceil (s) w = Sum (a, b, c)`,
	"Max, Min, Mean":          `a = Max (s, half) b = Min (s, minusHalf) w = Mean (a, b)`,
	"weight norm":             `n = ReduceL2 <axes = [1, 2, 3]> (s) a = Div (s, n) w = Mul (a, gain)`,
	"weight norm written out": `q = Mul (s, s) r = ReduceSum (q, rest) n = Sqrt (r) a = Div (gain, n) w = Mul (s, a)`,
	"standardized weights":    `m = ReduceMean <axes = [1, 2, 3]> (s) c = Sub (s, m) q = Mul (c, c) v = ReduceMean <axes = [1, 2, 3]> (q) e = Add (v, half) r = Sqrt (e) w = Div (c, r)`,
	"low rank":                `d = Constant <value_ints = [4, 3]> () a = Reshape (s, d) t = Transpose (a) p = MatMul (a, t) q = MatMul (p, a) w = Reshape (q, dims)`,
	"Einsum":                  `w = Einsum <equation = "oihw,o->oihw"> (s, four)`,
	"Expand":                  `a = Expand (gain, dims) w = Mul (a, s)`,
	"ScatterND":               `i = Constant <value_ints = [1]> () j = Unsqueeze (i, zero) u = Slice (s, zero, one, zero) w = ScatterND (s, j, u)`,
	"CumSum":                  `w = CumSum (s, axis)`,
	"Shape of a constant":     `d = Shape (s) a = Reshape (s, flat) w = Reshape (a, d)`,
	"LayerNormalization":      `w = LayerNormalization <axis = 1> (s, lnScale)`,
	"Softmax":                 `w = Softmax <axis = 0> (s)`,
	"InstanceNormalization":   `a = Reshape (s, lead) b = InstanceNormalization (a, four, four) w = Reshape (b, dims)`,
	"Conv of constants":       `a = Reshape (s, dims) k = Constant <value = float[3, 3, 1, 1] {1, 2, 3, 4, 5, 6, 7, 8, 9}> () w = Conv (a, k)`,
}

func chainNet(chain string) *graph.Model {
	return graphtext.MustParse(`<ir_version: 8, opset_import: ["": 17]> g (float[N, 3, 2, 2] x) => (float[N, 4, 2, 2] y)
<float[4, 3, 1, 1] s = {0.5, -1.25, 2, 1, -0.75, 0.1, 3, 1.5, -2, 0.3, 0.6, -0.9}, float16[4, 3, 1, 1] h = {14336, 48384, 16384, 15360, 47616, 11878, 16896, 15872, 49152, 13517, 14541, 47923},
 float half = {0.5}, float minusHalf = {-0.5}, float two = {2}, float[4] four = {0.5, 1, 2, 0.25}, float[4, 1, 1, 1] gain = {1, 2, 0.5, 3}, float[3, 1, 1] lnScale = {1, 2, 3},
 int64[4] dims = {4, 3, 1, 1}, int64[3] rest = {1, 2, 3}, int64[1] zero = {0}, int64[1] one = {1}, int64[2] oneTwo = {1, 2}, int64[1] last = {-1}, int64[1] before = {-100},
 int64 axis = {0}, int64[1] flat = {-1}, int64[3] lead = {1, 4, 3}, float[4] bias = {0.5, 1, -1, 0}>
{ ` + chain + ` [conv] y = Conv (x, w, bias) }`)
}

// TestChains: whatever stands in front of weights is gone, and the numbers are
// those of the engine.
func TestChains(t *testing.T) {
	for name, chain := range chains {
		t.Run(name, func(t *testing.T) {
			m := chainNet(chain)
			out, report := apply(t, m, rewrite.Before(rewrite.Options{})...)
			if len(out.Graph.Nodes) != 1 || out.Graph.Initializer(out.Graph.Nodes[0].Input(1)) == nil {
				t.Errorf("more is left than the convolution:\n%s\n%s", report, graphtext.Format(out))
			}
			same(t, m, out, 2)
		})
	}
}

// TestConstantsThatStay: what is drawn by chance, has no shape before it runs or
// may stop the processor is no constant, and so is nothing that is made of it.
func TestConstantsThatStay(t *testing.T) {
	for chain, want := range map[string]string{
		`r = RandomNormalLike (s) w = Add (r, s)`:                                                                                  "it draws by chance",
		`i = NonZero (s) c = Cast <to = 1> (i) e = ReduceMax <keepdims = 0> (c) w = Mul (s, e)`:                                    "not known before it runs",
		`z = Constant <value_ints = [1, 0, 2, 3]> () q = Div (dims, z) f = Cast <to = 1> (q) g = Reshape (f, tall) w = Mul (s, g)`: "it may divide integers by 0",
	} {
		chain = strings.ReplaceAll(chain, "tall", "four1")
		m := chainNet(`four1 = Constant <value_ints = [4, 1, 1, 1]> () ` + chain)
		out, report, err := rewrite.Apply(m, rewrite.Before(rewrite.Options{})...)
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Unknown) != 0 || !strings.Contains(report.String(), want) {
			t.Errorf("%s: %q are to be computed\n%s", chain, out.Unknown, report)
		}
	}
}

// TestUnknownIsNotRun: a network with stand-ins can be looked at only.
func TestUnknownIsNotRun(t *testing.T) {
	out, _, err := rewrite.Apply(chainNet(chains["weight norm"]), rewrite.Before(rewrite.Options{})...)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(out.Unknown) != "[w]" {
		t.Errorf("%q are to be computed", out.Unknown)
	}
	s, err := testnet.Runner(t).Load(t.Context(), out, engine.LoadOptions{})
	if err == nil {
		s.Close()
		t.Fatal("a network with stand-ins is run")
	}
	if want := `1 constants that nodes make, such as "w", are not computed yet`; !strings.Contains(err.Error(), want) {
		t.Errorf("%v", err)
	}
}
