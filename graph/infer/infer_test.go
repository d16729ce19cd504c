package infer

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"narrow/graph"
	"narrow/graph/graphtext"
)

func shape(dims []graph.Dim) string {
	if dims == nil {
		return "unknown"
	}
	var parts []string
	for _, d := range dims {
		parts = append(parts, d.String())
	}
	return "[" + strings.Join(parts, " ") + "]"
}

// TestShapes gives what operators' definitions make of small inputs. The
// inputs of every case are x and the named ones; y is asked for.
func TestShapes(t *testing.T) {
	for _, c := range []struct{ name, inputs, stored, nodes, want string }{
		{"conv", "float[N, 3, 8, 9] x, float[4, 3, 3, 2] w", "", `y = Conv <pads = [1, 1, 1, 1], strides = [2, 1]> (x, w)`, "[N 4 4 10]"},
		{"conv 1d dilated", "float[1, 3, 20] x, float[4, 3, 3] w", "", `y = Conv <dilations = [4]> (x, w)`, "[1 4 12]"},
		{"conv 3d", "float[1, 1, 4, 5, 6] x, float[2, 1, 1, 2, 3] w", "", `y = Conv (x, w)`, "[1 2 4 4 4]"},
		{"conv same", "float[1, 3, 7, 8] x, float[4, 3, 3, 3] w", "", `y = Conv <auto_pad = "SAME_UPPER", strides = [2, 2]> (x, w)`, "[1 4 4 4]"},
		{"conv valid ignores pads", "float[1, 3, 7, 8] x, float[4, 3, 3, 3] w", "", `y = Conv <auto_pad = "VALID", pads = [1, 1, 1, 1]> (x, w)`, "[1 4 5 6]"},
		{"conv keeps an open dimension", "float[N, 3, H, W] x, float[4, 3, 3, 3] w", "", `y = Conv <pads = [1, 0, 1, 0]> (x, w)`, "[N 4 H ?]"},
		{"conv of too small an input", "float[1, 3, 2, 2] x, float[4, 3, 3, 3] w", "", `y = Conv (x, w)`, "[1 4 ? ?]"},
		{"conv transpose", "float[1, 4, 5, 5] x, float[4, 3, 3, 3] w", "", `y = ConvTranspose <group = 2, strides = [2, 2], pads = [1, 1, 1, 1], output_padding = [1, 0]> (x, w)`, "[1 6 10 9]"},
		{"conv transpose to a shape", "float[1, 4, 5, 5] x, float[4, 3, 3, 3] w", "", `y = ConvTranspose <strides = [2, 2], output_shape = [10, 12]> (x, w)`, "[1 3 10 12]"},
		{"pool", "float[N, 3, 7, 8] x", "", `y = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x)`, "[N 3 3 4]"},
		{"pool ceil", "float[N, 3, 7, 8] x", "", `y = MaxPool <kernel_shape = [2, 2], strides = [2, 2], ceil_mode = 1> (x)`, "[N 3 4 4]"},
		{"pool ceil leaves out a window in the padding", "float[1, 1, 2, 2] x", "", `y = AveragePool <kernel_shape = [1, 1], strides = [2, 2], ceil_mode = 1, pads = [0, 0, 1, 1]> (x)`, "[1 1 1 1]"},
		{"global pool", "float[N, 3, 7, W] x", "", `y = GlobalAveragePool (x)`, "[N 3 1 1]"},
		{"gemm", "float[3, N] x, float[5, 3] w", "", `y = Gemm <transA = 1, transB = 1> (x, w)`, "[N 5]"},
		{"matmul batches", "float[N, 1, 2, 3] x, float[7, 3, 4] w", "", `y = MatMul (x, w)`, "[N 7 2 4]"},
		{"matmul of vectors", "float[3] x, float[3] w", "", `y = MatMul (x, w)`, "[]"},
		{"matmul row", "float[3] x, float[2, 3, 4] w", "", `y = MatMul (x, w)`, "[2 4]"},
		{"broadcast", "float[N, 3, 1, 5] x, float[4, 1] w", "", `y = Add (x, w)`, "[N 3 4 5]"},
		{"broadcast of open dimensions", "float[N, A] x, float[N, B] w", "", `y = Add (x, w)`, "[N ?]"},
		{"broadcast that cannot be", "float[2, 3] x, float[2, 4] w", "", `y = Add (x, w)`, "unknown"},
		{"reshape", "float[N, 16, 4, 4] x", "int64[2] s = {0, -1}", `y = Reshape (x, s)`, "[N 256]"},
		{"reshape keeps the open dimension", "float[N, 16, 4, 4] x", "int64[2] s = {-1, 256}", `y = Reshape (x, s)`, "[N 256]"},
		{"reshape of a part", "float[N, 6] x", "int64[2] s = {-1, 12}", `y = Reshape (x, s)`, "[? 12]"},
		{"reshape with zero allowed", "float[0, 3] x", "int64[2] s = {3, 0}", `y = Reshape <allowzero = 1> (x, s)`, "[3 0]"},
		{"reshape by the input's shape", "float[N, 3, H, W] x", "int64[1] zero = {0}, int64[1] one = {1}, int64[1] rest = {-1}",
			`s = Shape (x) a = Slice (s, zero, one) t = Concat <axis = 0> (a, rest) y = Reshape (x, t)`, "[N ?]"},
		{"reshape with a computed size", "float[N, 3, 4, 5] x", "int64 i = {0}, int64[1] k = {60}, int64[1] z = {0}",
			`s = Shape (x) g = Gather <axis = 0> (s, i) u = Unsqueeze (g, z) t = Concat <axis = 0> (u, k) y = Reshape (x, t)`, "[N 60]"},
		{"a product by one", "float[N, 6] x", "int64 i = {0}, int64 one = {1}, int64[1] z = {0}, int64[2] k = {2, 3}",
			`s = Shape (x) g = Gather <axis = 0> (s, i) m = Mul (g, one) d = Div (m, one) u = Unsqueeze (d, z) t = Concat <axis = 0> (u, k) y = ConstantOfShape (t)`, "[N 2 3]"},
		{"flatten", "float[N, 3, 4, 5] x", "", `y = Flatten (x)`, "[N 60]"},
		{"flatten from the end", "float[2, 3, 4, 5] x", "", `y = Flatten <axis = -1> (x)`, "[24 5]"},
		{"flatten all", "float[2, 3] x", "", `y = Flatten <axis = 2> (x)`, "[6 1]"},
		{"transpose", "float[N, 3, 4] x", "", `y = Transpose <perm = [2, 0, 1]> (x)`, "[4 N 3]"},
		{"transpose reverses", "float[N, 3, 4] x", "", `y = Transpose (x)`, "[4 3 N]"},
		{"concat", "float[N, 3, 4] x, float[N, 5, 4] w", "", `y = Concat <axis = -2> (x, w)`, "[N 8 4]"},
		{"split evenly", "float[N, 7] x", "", `a, b, y = Split <axis = 1, num_outputs = 3> (x)`, "[N 1]"},
		{"split by attribute", "float[N, 7] x", "", `a, y = Split <axis = 1, split = [3, 4]> (x)`, "[N 4]"},
		{"split by input", "float[N, 7] x", "int64[2] s = {2, 5}", `a, y = Split <axis = 1> (x, s)`, "[N 5]"},
		{"slice", "float[N, 10] x", "int64[1] a = {1}, int64[1] b = {-1}, int64[1] k = {1}, int64[1] s = {3}", `y = Slice (x, a, b, k, s)`, "[N 3]"},
		{"slice backwards", "float[N, 10] x", "int64[1] a = {-1}, int64[1] b = {-9223372036854775807}, int64[1] k = {1}, int64[1] s = {-1}", `y = Slice (x, a, b, k, s)`, "[N 10]"},
		{"slice of an open dimension", "float[N, 10] x", "int64[1] a = {1}, int64[1] b = {3}, int64[1] k = {0}", `y = Slice (x, a, b, k)`, "[? 10]"},
		{"slice of all", "float[N, 10] x", "int64[1] a = {0}, int64[1] b = {9223372036854775807}", `y = Slice (x, a, b)`, "[N 10]"},
		{"slice by attributes", "float[4, 10] x", "", `y = Slice <starts = [2], ends = [99], axes = [1]> (x)`, "[4 8]"},
		{"pad", "float[N, 3, 5] x", "int64[6] p = {0, 0, 1, 0, 0, 2}", `y = Pad (x, p)`, "[N 3 8]"},
		{"pad by attribute", "float[N, 3, 5] x", "", `y = Pad <pads = [0, 0, 1, 0, 0, 2]> (x)`, "[N 3 8]"},
		{"resize by scales", "float[N, 3, 5, 5] x", "float[4] s = {1, 1, 2, 1.5}", `y = Resize (x, , s)`, "[N 3 10 7]"},
		{"resize by sizes", "float[1, 3, 5, 5] x", "int64[4] s = {1, 3, 9, 8}", `y = Resize (x, , , s)`, "[1 3 9 8]"},
		{"resize by the shape of another", "float[1, 3, 5, 5] x, float[1, 3, 12, 13] w", "int64[1] a = {2}, int64[1] b = {4}, int64[1] z = {0}, int64[2] head = {1, 3}",
			`s = Shape (w) t = Slice (s, a, b, z) u = Concat <axis = 0> (head, t) y = Resize (x, , , u)`, "[1 3 12 13]"},
		{"upsample", "float[1, 3, 5, 5] x", "float[4] s = {1, 1, 2, 3}", `y = Upsample (x, s)`, "[1 3 10 15]"},
		{"squeeze", "float[1, N, 1] x", "int64[1] a = {-1}", `y = Squeeze (x, a)`, "[1 N]"},
		{"squeeze all ones", "float[1, 3, 1] x", "", `y = Squeeze (x)`, "[3]"},
		{"squeeze of what may be one", "float[1, N, 1] x", "", `y = Squeeze (x)`, "unknown"},
		{"unsqueeze", "float[N, 3] x", "", `y = Unsqueeze <axes = [0, -1]> (x)`, "[1 N 3 1]"},
		{"gather", "float[N, 3, 4] x", "int64[2, 2] i = {0, ...}", `y = Gather <axis = 1> (x, i)`, "[N 2 2 4]"},
		{"gather one", "float[3] x", "int64 i = {0}", `y = Gather (x, i)`, "[]"},
		{"reduce", "float[N, 3, 4] x", "", `y = ReduceMean <axes = [1], keepdims = 0> (x)`, "[N 4]"},
		{"reduce all", "float[N, 3, 4] x", "", `y = ReduceSum (x)`, "[1 1 1]"},
		{"reduce nothing", "float[N, 3, 4] x", "", `y = ReduceSum <noop_with_empty_axes = 1> (x)`, "[N 3 4]"},
		{"argmax", "float[N, 3, 4] x", "", `y = ArgMax <axis = 1, keepdims = 0> (x)`, "[N 4]"},
		{"expand", "float[N, 1] x", "int64[3] s = {2, 1, 4}", `y = Expand (x, s)`, "[2 N 4]"},
		{"tile", "float[N, 3] x", "int64[2] r = {1, 4}", `y = Tile (x, r)`, "[N 12]"},
		{"constant of a shape", "float[N, 3] x", "", `s = Shape (x) y = ConstantOfShape (s)`, "[N 3]"},
		{"where", "bool[N, 1] x, float[3] a, float[1] b", "", `y = Where (x, a, b)`, "[N 3]"},
		{"top k", "float[N, 9] x", "int64[1] k = {4}", `v, y = TopK (x, k)`, "[N 4]"},
		{"depth to space", "float[N, 12, 2, 3] x", "", `y = DepthToSpace <blocksize = 2> (x)`, "[N 3 4 6]"},
		{"lstm", "float[T, N, 8] x, float[2, 20, 8] w, float[2, 20, 5] r", "", `y = LSTM <hidden_size = 5, direction = "bidirectional"> (x, w, r)`, "[T 2 N 5]"},
		{"einsum", "float[B, 3, 4] x, float[B, 4, 5] w", "", `y = Einsum <equation = "bij,bjk->bik"> (x, w)`, "[B 3 5]"},
		{"einsum implied", "float[3, 4] x, float[4, 5] w", "", `y = Einsum <equation = "ij,jk"> (x, w)`, "[3 5]"},
		{"if", "bool x", "", `y = If <then_branch = t () => (o) <float[2, 3] o = {0, ...}> {}, else_branch = e () => (p) <float[4, 3] p = {0, ...}> {}> (x)`, "[? 3]"},
		{"scaled by floats", "float[1, 1, 10, 10] x", "float[4] k = {1, 1, 0.5, 2}",
			`s = Shape (x) f = Cast <to = 1> (s) m = Mul (f, k) l = Floor (m) i = Cast <to = 7> (l) y = Resize (x, , , i)`, "[1 1 5 20]"},
		{"choosing a shape", "float[1, 4] x", "int64[2] want = {-1, 4}, int64[2] ones = {1, 1}, int64[2] minus = {-1, -1}",
			`c = Equal (want, minus) s = Where (c, ones, want) y = Expand (x, s)`, "[1 4]"},
		{"tap", "float[N, 4] x", "", `y = narrow.Tap (x)`, "[N 4]"},
		{"unknown domain", "float[N, 4] x", "", `y = their.Relu (x)`, "unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			stored := ""
			if c.stored != "" {
				stored = "<" + c.stored + ">"
			}
			m := graphtext.MustParse(fmt.Sprintf("g (%s) => (y) %s {%s}", c.inputs, stored, c.nodes))
			if got := shape(Shapes(m, nil)["y"]); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestTypes(t *testing.T) {
	m := graphtext.MustParse(`g (float16[2, 3] x, bool c) => (y)
<int8[3] zero = {0, 0, 0}, float[3] scale = {1, 1, 1}, int32 i = {0}, uint16 z16 = {0}>
{
  relu = Relu (x)
  shape = Shape (x)
  arg = ArgMax (x)
  less = Less (x, x)
  cast = Cast <to = 11> (x)
  like = CastLike (x, i)
  q = QuantizeLinear (x, scale, zero)
  q0 = QuantizeLinear (x, scale)
  q4 = QuantizeLinear <output_dtype = 22> (x, scale)
  dq = DequantizeLinear (q, scale, zero)
  dyn, dscale, dzero = DynamicQuantizeLinear (scale)
  qmm = QLinearMatMul (q, scale, zero, q, scale, zero, scale, z16)
  mmi = MatMulInteger (q, q)
  pool, where = MaxPool <kernel_shape = [1]> (x)
  drop, mask = Dropout (x)
  sel = Where (c, relu, relu)
  fill = ConstantOfShape (shape)
  filled = ConstantOfShape <value = int32[1] {1}> (shape)
  k = Constant <value_ints = [1]> ()
  str = Constant <value_string = "s"> ()
  ln, mean = LayerNormalization (x, scale)
  hot = OneHot (arg, k, scale)
  seq = SequenceConstruct (cast, cast)
  at = SequenceAt (seq, i)
  y = If <then_branch = t () => (o) { o = Cast <to = 6> (x) }, else_branch = e () => (o2) { o2 = Cast <to = 6> (x) }> (c)
  loop = Loop <body = b (int64 n, bool go, acc) => (go2, acc2) { go2 = Identity (go) acc2 = Relu (acc) }> (i, c, x)
  other = their.Op (x)
}`)
	types := Types(m)
	for name, want := range map[string]graph.DataType{
		"x": graph.Float16, "relu": graph.Float16, "shape": graph.Int64, "arg": graph.Int64, "less": graph.Bool,
		"cast": graph.Float64, "like": graph.Int32, "q": graph.Int8, "q0": graph.Uint8, "q4": graph.Int4,
		"dq": graph.Float32, "dyn": graph.Uint8, "dscale": graph.Float32, "dzero": graph.Uint8, "qmm": graph.Uint16,
		"mmi": graph.Int32, "pool": graph.Float16, "where": graph.Int64, "mask": graph.Bool, "sel": graph.Float16,
		"fill": graph.Float32, "filled": graph.Int32, "k": graph.Int64, "str": graph.String, "ln": graph.Float16,
		"mean": graph.Float32, "hot": graph.Float32, "at": graph.Float64, "y": graph.Int32, "loop": graph.Float16,
		"zero": graph.Int8, "other": graph.Undefined, "seq": graph.Undefined,
	} {
		if types[name] != want {
			t.Errorf("%s is %v, want %v", name, types[name], want)
		}
	}
}

func TestGivenInputs(t *testing.T) {
	m := graphtext.MustParse(`g (float[N, 3] x) => (float[1, 3] y) <float[1, 3] u> { u = their.Op (x) y = Relu (x) }`)
	if got := shape(Shapes(m, nil)["y"]); got != "[1 3]" {
		t.Errorf("the file knows better than an open dimension: %s", got)
	}
	if got := shape(Shapes(m, nil)["u"]); got != "[1 3]" {
		t.Errorf("the file knows about unknown operators: %s", got)
	}
	given := map[string][]graph.Dim{"x": Fixed(m.Graph.Inputs[0].Shape, "N", 8)}
	r := Infer(m, given)
	if got := shape(r.Shapes["y"]); got != "[8 3]" {
		t.Errorf("y = %s for a batch of 8", got)
	}
	if r.Shapes["u"] != nil {
		t.Errorf("u = %v: written for another batch", r.Shapes["u"])
	}
	if m.Graph.Inputs[0].Shape[0].Size != -1 {
		t.Error("the model was changed")
	}
	if got := shape(Fixed(m.Graph.Inputs[0].Shape, "M", 8)); got != "[N 3]" {
		t.Errorf("another parameter was fixed: %s", got)
	}
}

// FuzzInfer holds that no network, however odd, brings inference down, that it
// leaves the model alone, and says the same when asked again.
func FuzzInfer(f *testing.F) {
	f.Add(`g (float[N, 3, 8, 9] x) => (y) <float[4, 3, 3, 2] w = {1, ...}, int64[2] s = {0, -1}> { c = Conv <pads = [1, 1, 1, 1]> (x, w) y = Reshape (c, s) }`)
	f.Add(`g (float[9] x) => (y) <int64[1] a = {-1}, int64[1] b = {-9223372036854775808}, int64[1] s = {-9223372036854775808}> { y = Slice (x, a, b, a, s) }`)
	for _, op := range append(slices.Clone(likeFirst), elementwise...) {
		f.Add("g (float[N, 3] x, float[] w) => (y) { a = " + op + " () b, c, d = " + op + " <axis = -9, axes = [7]> (x, w, x, w) y = " + op + " (b) }")
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := graphtext.Parse(text)
		if err != nil {
			return
		}
		r := Infer(m, nil)
		if err := Check(m); err != nil && strings.ContainsRune(err.Error(), '\n') {
			t.Errorf("more than one line: %q", err)
		}
		if graphtext.Format(m) != graphtext.Format(graphtext.MustParse(text)) {
			t.Fatal("the model was changed")
		}
		again := Infer(m, nil)
		for name, s := range r.Shapes {
			if !slices.Equal(s, again.Shapes[name]) {
				t.Fatalf("%s is %v and then %v", name, s, again.Shapes[name])
			}
			for _, d := range s {
				if d.Size < -1 {
					t.Fatalf("%s is %v", name, s)
				}
			}
		}
	})
}
