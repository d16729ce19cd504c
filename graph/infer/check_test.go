package infer

import (
	"regexp"
	"strings"
	"testing"

	"narrow/graph/graphtext"
)

// choice is a part of a network that is right with what stands before the bar,
// and wrong with what stands behind it.
var choice = regexp.MustCompile(`~([^|~]*)\|([^~]*)~`)

// TestCheck holds each rule against a network that is right and against one that
// breaks it.
func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name  string
		decls string // inputs; initializers
		node  string
		want  string
	}{
		{"channels", "float[N, 3, 8, 8] x; <float[4, ~3|2~, 3, 3] w = {1, ...}>", "y = Conv (x, w)", "has 3 channels, and the weights"},
		{"rank of weights", "float[N, 3, 8, 8] x; <float[4, 3, 3~, 3|~] w = {1, ...}>", "y = Conv (x, w)", "must have the same rank"},
		{"groups", "float[N, 4, 8, 8] x; <float[4, 2, 3, 3] w = {1, ...}>", "y = Conv <group = ~2|3~> (x, w)", "has 4 channels"},
		{"outputs by groups", "float[N, 4, 8, 8] x; <float[~4|3~, 2, 3, 3] w = {1, ...}>", "y = Conv <group = 2> (x, w)", "cannot be divided into 2 groups"},
		{"bias", "float[N, 3, 8, 8] x; <float[4, 3, 3, 3] w = {1, ...}, float[~4|5~] b = {1, ...}>", "y = Conv (x, w, b)", "one element for each of the 4 channels"},
		{"kernel", "float[N, 3, 8, 8] x; <float[4, 3, 3, 3] w = {1, ...}>", "y = Conv <kernel_shape = [3, ~3|2~]> (x, w)", "kernel_shape is [3 2]"},
		{"strides", "float[N, 3, 8, 8] x; <float[4, 3, 3, 3] w = {1, ...}>", "y = Conv <strides = [1~, 1|~]> (x, w)", "strides is [1]: it must have 2"},
		{"stride 0", "float[N, 3, 8, 8] x; <float[4, 3, 3, 3] w = {1, ...}>", "y = Conv <strides = [1, ~1|0~]> (x, w)", "strides is [1 0]: each must be from 1"},
		{"pads", "float[N, 3, 8, 8] x; <float[4, 3, 3, 3] w = {1, ...}>", "y = Conv <pads = [1, 1~, 1, 1|~]> (x, w)", "pads is [1 1]: it must have 4"},
		{"group 0", "float[N, 3, 8, 8] x; <float[4, 3, 3, 3] w = {1, ...}>", "y = Conv <group = ~1|0~> (x, w)", "group is 0"},
		{"auto_pad", "float[N, 3, 8, 8] x; <float[4, 3, 3, 3] w = {1, ...}>", `y = Conv <auto_pad = "~VALID|valid~"> (x, w)`, `auto_pad is "valid"`},
		{"reach", "float[N, 3, ~3|2~, 8] x; <float[4, 3, 3, 3] w = {1, ...}>", "y = Conv (x, w)", "reaches over 3 elements, and dimension 2"},
		{"reach of a pool", "float[N, 3, 8, 8] x", "y = MaxPool <kernel_shape = [2, ~8|9~]> (x)", "reaches over 9 elements, and dimension 3"},
		{"no kernel", "float[N, 3, 8, 8] x", "y = MaxPool ~<kernel_shape = [2, 2]>|~ (x)", "no attribute kernel_shape"},
		{"transposed channels", "float[N, 3, 8, 8] x; <float[~3|4~, 4, 2, 2] w = {1, ...}>", "y = ConvTranspose (x, w)", "are for 4"},
		{"transposed bias", "float[N, 4, 8, 8] x; <float[4, 3, 2, 2] w = {1, ...}, float[~6|3~] b = {1, ...}>", "y = ConvTranspose <group = 2> (x, w, b)", "each of the 6 channels"},
		{"batch norm", "float[N, 3, 8, 8] x; <float[3] p = {1, ...}, float[~3|4~] q = {1, ...}>", "y = BatchNormalization (x, p, p, q, p)", `its mean "q" of shape [4]`},
		{"gemm", "float[N, 3] x; <float[5, ~3|4~] w = {1, ...}>", "y = Gemm <transB = 1> (x, w)", "3 columns meet 4 rows"},
		{"gemm bias", "float[N, 3] x; <float[3, 5] w = {1, ...}, float[~5|4~] b = {1, ...}>", "y = Gemm (x, w, b)", "cannot be added to a result of shape [N 5]"},
		{"gemm rank", "float[N, 3~|, 3~] x; <float[3, 5] w = {1, ...}>", "y = Gemm (x, w)", "must have rank 2"},
		{"matmul", "float[N, 7, 3] x; <float[~3|4~, 5] w = {1, ...}>", "y = MatMul (x, w)", "3 columns meet 4 rows"},
		{"matmul batches", "float[2, 7, 3] x; <float[~2|4~, 3, 5] w = {1, ...}>", "y = MatMul (x, w)", "outer dimensions"},
		{"broadcast", "float[N, 3, 8] x; <float[~3|2~, 1] w = {1, ...}>", "y = Add (x, w)", "do not go together"},
		{"types", "~float|int32~[N, 3] x; <float[3] w = {1, ...}>", "y = Add (x, w)", `"x" holds int32 and "w" float32`},
		{"concat", "float[N, 3, 8] x, float[N, 4, ~8|7~] z", "y = Concat <axis = 1> (x, z)", "differ in dimension 2"},
		{"concat ranks", "float[N, 3, 8] x, float[N, 4, 8~|, 1~] z", "y = Concat <axis = 1> (x, z)", "must have the same rank"},
		{"split", "float[N, 6] x; <int64[2] s = {2, ~4|5~}>", "y, z = Split <axis = 1> (x, s)", "2 parts of [2 5]"},
		{"gather", "float[6] x; <int64[1] s = {~5|6~}>", "y = Gather (x, s)", "to pick element 6"},
		{"axis", "float[N, 6] x", "y = Softmax <axis = ~-2|-3~> (x)", "axis is -3"},
		{"flatten", "float[N, 6] x", "y = Flatten <axis = ~2|3~> (x)", "axis is 3"},
		{"perm", "float[N, 6, 7] x", "y = Transpose <perm = [0, 2~, 1|~]> (x)", "perm is [0 2], which is no order"},
		{"perm's rank", "float[N, 6, 7] x", "y = Transpose <perm = [0, 1~, 2|~]> (x)", "has rank 3"},
		{"reduce", "float[N, 6, 7] x", "y = ReduceMean <axes = [1, ~2|3~]> (x)", "axes [1 3]"},
		{"squeeze", "float[N, ~1|2~, 7] x; <int64[1] a = {1}>", "y = Squeeze (x, a)", "dimension 1 of"},
		{"reshape", "float[2, 6] x; <int64[2] s = {3, ~4|5~}>", "y = Reshape (x, s)", "cannot make the shape [3 5]"},
		{"reshape the rest", "float[2, 6] x; <int64[2] s = {~3|5~, -1}>", "y = Reshape (x, s)", "cannot make the shape [5 -1]"},
		{"reshape twice open", "float[2, 6] x; <int64[2] s = {~3|-1~, -1}>", "y = Reshape (x, s)", "only one dimension may be -1"},
		{"reshape copies", "float[2, 6] x; <int64[3] s = {0, ~-1|1~, ~1|0~}>", "y = Reshape (x, s)", "cannot make"},
		{"expand", "float[N, 3] x; <int64[2] s = {1, ~3|4~}>", "y = Expand (x, s)", "cannot be stretched"},
		{"tile", "float[N, 3] x; <int64[2] s = {1, ~4|-4~}>", "y = Tile (x, s)", "cannot be repeated [1 -4]"},
		{"constant of shape", "float[N, 3] x; <int64[2] s = {1, ~4|-4~}>", "z = ConstantOfShape (s) y = Relu (x)", "dimension is negative"},
		{"scales", "float[N, 3, 4, 4] x; <float[4] s = {1, 1, 2, ~2|0~}>", "y = Resize (x, , s)", "hold 0"},
		{"number of scales", "float[N, 3, 4, 4] x; <float[~4|3~] s = {1, ...}>", "y = Resize (x, , s)", "3 scales"},
		{"scales of a list", "float[N, 3, 4, 4] x; <float[4~|, 1~] s = {1, ...}>", "y = Resize (x, , s)", "must be a list"},
		{"mode", "float[N, 3, 4, 4] x; <float[4] s = {1, ...}>", `y = Resize <mode = "~linear|bilinear~"> (x, , s)`, `mode is "bilinear"`},
		{"pad", "float[3, 4] x; <int64[4] s = {0, 0, 0, ~-4|-5~}>", "y = Pad (x, s)", "more away from dimension 1"},
		{"number of pads", "float[3, 4] x; <int64[~4|3~] s = {0, ...}>", "y = Pad (x, s)", "3 pads"},
		{"slice", "float[3, 4] x; <int64[1] s = {0}, int64[~1|2~] e = {1, ...}>", "y = Slice (x, s, e)", "1 starts and 2 ends"},
		{"slice axes", "float[3, 4] x; <int64[1] s = {0}, int64[1] a = {~1|2~}>", "y = Slice (x, s, s, a)", "axes [2]"},
		{"attribute's kind", "float[3, 4] x", "y = Softmax <axis = ~1|1.5~> (x)", "axis is a float, not an integer"},
		{"too few inputs", "float[3, 4] x", "y = Add (x~, x|~)", "has 1 input, and needs 2"},
		{"too many inputs", "float[3, 4] x", "y = Relu (x~|, x~)", "has 2 inputs, and takes 1"},
		{"left out", "float[3, 4] x", "y = Add (x, ~x|\"\"~)", "input 2 is left out"},
		{"too many outputs", "float[3, 4] x", "y~|, z~ = Relu (x)", "has 2 outputs, and makes 1"},
		{"no operator", "float[3, 4] x", "y = ~Relu|relu~ (x)", "ONNX has no operator of that name"},
		{"new operator", "float[3, 4] x", "y = ~Relu|Gelu~ (x)", "came with operator set 20"},
		{"branch", "float[3] x, bool c", "y = If <then_branch = t () => (v) { v = Relu (x) }~, else_branch = e () => (u) { u = Neg (x) }|~> (c)", "no graph else_branch"},
		{"branch's outputs", "float[3] x, bool c", "y = If <then_branch = t () => (v~|, v~) { v = Relu (x) }, else_branch = e () => (u) { u = Neg (x) }> (c)", "has 2 outputs, and needs 1"},
		{"condition", "float[3] x, ~bool|float~ c", "y = If <then_branch = t () => (v) { v = Relu (x) }, else_branch = e () => (u) { u = Neg (x) }> (c)", "holds float32, not bool"},
		{"one condition", "float[3] x; <bool[~1|0~] c = {~1|~}>", "y = If <then_branch = t () => (v) { v = Relu (x) }, else_branch = e () => (u) { u = Neg (x) }> (c)", "must be one element"},
		{"count", "float[3] x; <int64[~1|2~] n = {1, ...}, bool c = {1}>", "y = Loop <body = b (int64 i, bool g, float[3] a) => (g2, a2) { g2 = Identity (g) a2 = Relu (a) }> (n, c, x)", "its count"},
		{"inside", "float[3] x, bool c", "y = If <then_branch = t () => (v) { v = ~Relu|relu~ (x) }, else_branch = e () => (u) { u = Neg (x) }> (c)", `graph "then_branch": node "relu:v"`},
		{"size", "float[N, 1000, 1000] x; <int64[3] s = {1, 1, ~100|100000~}>", "y = Tile (x, s)", "no machine holds that many"},
		{"dimension", "float[3, 1] x; <int64[2] s = {1, ~100|100000000000000~}>", "y = Expand (x, s)", "no machine holds that many"},
		{"constant", "float[3] x; <float[1, 1] k = {1}, int64[2] s = {~100|100000~, 100000}>", "y = Relu (x) z = Expand (k, s)", "far more memory than the file"},
		{"left out of many", "float[N, 3] x", "y = Max (x, ~x|\"\"~)", "input 2 is left out"},
		{"first of many left out", "float[N, 3] x", "y = Sum (~x|\"\"~, x)", "input 1 is left out"},
		{"loop's value left out", "float[3] x; <int64 n = {1}, bool c = {1}>", "y = Loop <body = b (int64 i, bool g, float[3] a) => (g2, a2) { g2 = Identity (g) a2 = Relu (a) }> (n, c, ~x|\"\"~)", "input 3 is left out"},
		{"recurrent rank", "float[5, N~|, 1~, 4] x; <float[1, 9, 4] w = {1, ...}, float[1, 9, 3] r = {1, ...}>", "y = GRU <hidden_size = 3> (x, w, r)", "must have rank 3"},
		{"recurrent, empty", "float[~5|0~, N, 4] x; <float[1, 9, 4] w = {1, ...}, float[1, 9, 3] r = {1, ...}>", "y = GRU <hidden_size = 3> (x, w, r)", "has no elements"},
		{"recurrent size", "float[5, N, ~4|6~] x; <float[1, 12, 4] w = {1, ...}, float[1, 12, 3] r = {1, ...}>", "y = LSTM <hidden_size = 3> (x, w, r)", "has 6 values a step"},
		{"recurrent rows", "float[5, N, 4] x; <float[1, ~12|9~, 4] w = {1, ...}, float[1, 12, 3] r = {1, ...}>", "y = LSTM <hidden_size = 3> (x, w, r)", "12 rows"},
		{"recurrent bias", "float[5, N, 4] x; <float[1, 3, 4] w = {1, ...}, float[1, 3, 3] r = {1, ...}, float[1, ~6|3~] b = {1, ...}>", "y = RNN <hidden_size = 3> (x, w, r, b)", "must be of shape [1 6]"},
		{"recurrent directions", "float[5, N, 4] x; <float[~2|1~, 3, 4] w = {1, ...}, float[2, 3, 3] r = {1, ...}>", `y = RNN <hidden_size = 3, direction = "bidirectional"> (x, w, r)`, "2 directions"},
		{"signal", "float[N, 64, ~1|1, 1~] x; <int64 s = {8}, int64 l = {16}>", `y = STFT (x, s, "", l)`, "must have rank 3"},
		{"frame", "float[N, 64, 1] x; <int64 s = {8}, int64 l = {~16|0~}>", `y = STFT (x, s, "", l)`, "it must be 1 or more"},
		{"grid", "float[N, 2, 3] x; <int64[~4|3~] s = {1, ...}>", "y = AffineGrid (x, s)", "must hold 4 or 5"},
		{"grid's matrices", "float[N, ~2, 3|3, 4~] x; <int64[4] s = {1, ...}>", "y = AffineGrid (x, s)", "must be of shape [N 2 3]"},
		{"gather by batches", "float[2, 3, 4] x; <int64[2, 1] i = {0, ...}>", "y = GatherND <batch_dims = ~1|-1~> (x, i)", "allow for 0 to 1"},
		{"gather far beyond", "float[2, 3, 4] x; <int64[2, 1] i = {0, ...}>", "y = GatherND <batch_dims = ~1|9223372036854775807~> (x, i)", "allow for 0 to 1"},
		{"gather by many", "float[2, 3, 4] x; <int64[2, ~3|4~] i = {0, ...}>", "y = GatherND (x, i)", "4 numbers each"},
		{"one hot depth", "int64[N] x; <int64[~1|2~] d = {5, ...}, float[2] v = {0, 1}>", "y = OneHot (x, d, v)", "must be one element"},
		{"one hot values", "int64[N] x; <int64 d = {5}, float[~2|3~] v = {0, ...}>", "y = OneHot (x, d, v)", "must be a list of two"},
		{"uniform", "float[N] x", "y = RandomUniformLike <low = 0.0, high = ~1.0|-1.0~> (x)", "low must not lie above high"},
		{"normal", "float[N] x", "y = RandomNormalLike <scale = ~1.0|0.0~> (x)", "must be above 0"},
		{"scales of a quantized function", "uint8[N] x; <float s = {1}, uint8[~1|2~] z = {0, ...}, float t = {1}, uint8 u = {0}>", "y = com.microsoft.QLinearSigmoid (x, s, z, t, u)", "must be one element"},
		{"type of the output", "~float|int32~[3] x", "y = Relu (x)", `the graph's output "y" is said to hold float32`},
		{"input", "float[3~|00000000000~] x", "y = Relu (x)", `input "x" is of shape`},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, wrong := range []bool{false, true} {
				part := "$1"
				if wrong {
					part = "$2"
				}
				inputs, initializers, _ := strings.Cut(c.decls, ";")
				text := choice.ReplaceAllString("g ("+inputs+") => (float[] y) "+initializers+" { "+c.node+" }", part)
				if strings.Contains(text, "STFT") || strings.Contains(text, "AffineGrid") {
					text = `<opset_import: ["": 20]> ` + text // newer than the others
				}
				m, err := graphtext.Parse(text)
				if err != nil {
					t.Fatalf("%v\n%s", err, text)
				}
				err = Check(m)
				if !wrong && err != nil {
					t.Errorf("refused: %v\n%s", err, text)
				}
				if wrong && (err == nil || !strings.Contains(err.Error(), c.want)) {
					t.Errorf("%v, want %q\n%s", err, c.want, text)
				}
			}
		})
	}
}

// TestCheckBelieves holds that what is not known, and what the file only
// remarks, is no reason to refuse a network.
func TestCheckBelieves(t *testing.T) {
	for _, text := range []string{
		`g (float[] x, float[] w) => (float[] y) { y = Conv (x, w) }`,
		`g (float[N, 3] x) => (float[] y) <float[7, 5] h> { h = Relu (x) y = Add (h, x) }`,
		`g (float[N, 3] x) => (float[N, 9] y) { y = Relu (x) }`,
		`g (float[N, 3] x) => (float[] y) { y = their.Conv (x) }`,
		`<opset_import: ["": 12]> g (float[N, 3] x) => (float[] y) { y = Softmax <axis = 2> (x) }`,
		`<opset_import: ["": 9]> g (float[N, 3] x) => (float[] y) { y = LayerNormalization (x, x) }`,
		`g (float[N, 3] x, int64[2] s) => (float[] y) { y = Reshape (x, s) }`,
		`g (float[N, 3] x, int64[2] s) => (float[] y) <float[2] b = {1, ...}> { h = Reshape (x, s) y = Add (h, b) }`,
	} {
		if err := Check(graphtext.MustParse(text)); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
	}
}
