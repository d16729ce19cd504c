package export_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"narrow/export"
	"narrow/graph"
	"narrow/graph/graphtext"
	"narrow/internal/testnet"
)

// TestRaiseOpset runs networks of old operator sets before and after raising.
func TestRaiseOpset(t *testing.T) {
	for _, c := range []struct {
		name string
		from int64
		text string // parameters and body
	}{
		{"batchnorm", 7, `(float[2, 3, 4, 4] x) => (float[2, 3, 4, 4] y) <float[3] s = {1, 2, 3}, float[3] b = {0, 1, 2}, float[3] m = {0.5, 0, -1}, float[3] v = {1, 2, 4}> {
			y = BatchNormalization <spatial = 1, epsilon = 0.001> (x, s, b, m, v) }`},
		{"upsample-attr", 7, `(float[1, 2, 3, 3] x) => (float[1, 2, 6, 6] y) { y = Upsample <mode = "nearest", scales = [1.0, 1.0, 2.0, 2.0]> (x) }`},
		{"upsample-linear", 9, `(float[1, 2, 3, 3] x) => (float[1, 2, 6, 6] y) <float[4] s = {1, 1, 2, 2}> { y = Upsample <mode = "linear"> (x, s) }`},
		{"resize10", 10, `(float[1, 2, 3, 3] x) => (float[1, 2, 7, 7] y) <float[4] s = {1, 1, 2.5, 2.5}> { y = Resize <mode = "nearest"> (x, s) }`},
		{"slice", 9, `(float[2, 6] x) => (float[2, 3] y) { y = Slice <axes = [1], starts = [1], ends = [4]> (x) }`},
		{"slice-noaxes", 9, `(float[2, 6] x) => (float[1, 3] y) { y = Slice <starts = [0, 1], ends = [1, 4]> (x) }`},
		{"topk", 9, `(float[2, 6] x) => (float[2, 3] y, int64[2, 3] i) { y, i = TopK <axis = 1, k = 3> (x) }`},
		{"clip", 7, `(float[2, 6] x) => (float[2, 6] y) { y = Clip <min = -0.5, max = 0.5> (x) }`},
		{"clip-min", 10, `(float[2, 6] x) => (float[2, 6] y) { y = Clip <min = 0.1> (x) }`},
		{"pad", 7, `(float[2, 6] x) => (float[3, 8] y) { y = Pad <mode = "constant", pads = [0, 1, 1, 1], value = 2.0> (x) }`},
		{"pad-reflect", 10, `(float[2, 6] x) => (float[2, 8] y) { y = Pad <mode = "reflect", pads = [0, 1, 0, 1]> (x) }`},
		{"dropout", 7, `(float[2, 6] x) => (float[2, 6] y) { y = Dropout <ratio = 0.3> (x) }`},
		{"dropout-mask", 10, `(float[2, 6] x) => (float[2, 6] y) { y, m = Dropout <ratio = 0.3> (x) }`},
		{"softmax-last", 9, `(float[2, 6] x) => (float[2, 6] y) { y = Softmax (x) }`},
		{"softmax-inner", 11, `(float[2, 3, 4] x) => (float[2, 3, 4] y) { y = Softmax <axis = 1> (x) }`},
		{"softmax-negative", 11, `(float[2, 3, 4] x) => (float[2, 3, 4] y) { y = Softmax <axis = -2> (x) }`},
		{"logsoftmax-default", 9, `(float[2, 3, 4] x) => (float[2, 3, 4] y) { y = LogSoftmax (x) }`},
		{"squeeze", 11, `(float[2, 1, 4] x) => (float[1, 2, 4] y) { s = Squeeze <axes = [1]> (x)
			y = Unsqueeze <axes = [0]> (s) }`},
		{"squeeze-all", 9, `(float[2, 1, 4] x) => (float[2, 4] y) { y = Squeeze (x) }`},
		{"reducesum", 9, `(float[2, 3, 4] x) => (float[2, 4] y) { y = ReduceSum <axes = [1], keepdims = 0> (x) }`},
		{"reducemean", 13, `(float[2, 3, 4] x) => (float[2, 3, 1] y) { y = ReduceMean <axes = [2]> (x) }`},
		{"reducemax-all", 9, `(float[2, 3, 4] x) => (float[1, 1, 1] y) { y = ReduceMax (x) }`},
		{"split", 9, `(float[2, 6] x) => (float[2, 2] y, float[2, 4] z) { y, z = Split <axis = 1, split = [2, 4]> (x) }`},
		{"split-even", 9, `(float[2, 6] x) => (float[2, 3] y, float[2, 3] z) { y, z = Split <axis = 1> (x) }`},
		{"scatter", 9, `(float[1, 5] x) => (float[1, 5] y) <int64[1, 2] i = {1, 3}, float[1, 2] u = {1.5, 2.5}> { y = Scatter <axis = 1> (x, i, u) }`},
		{"gridsample", 16, `(float[1, 1, 4, 4] x) => (float[1, 1, 2, 2] y) <float[1, 2, 2, 2] g = {-0.5, -0.3, 0, 0.2, 0.1, 0.7, 0.9, -1}> { y = GridSample <mode = "bilinear"> (x, g) }`},
		{"if", 11, `(float[2, 4] x) => (float[2, 1, 4] y) <bool c = {1}> { y = If <
			then_branch = a () => (float[2, 1, 4] p) { p = Unsqueeze <axes = [1]> (x) },
			else_branch = b () => (float[2, 1, 4] q) { q = Unsqueeze <axes = [1]> (x) }> (c) }`},
	} {
		t.Run(c.name, func(t *testing.T) {
			parse := func() *graph.Model {
				m, err := graphtext.Parse(fmt.Sprintf("<ir_version: 4, opset_import: [\"\": %d]>\ng %s", c.from, c.text))
				if err != nil {
					t.Fatal(err)
				}
				return m
			}
			in := testnet.Inputs(parse(), 2, 5, 1)
			want := run(t, parse(), in)
			for to := c.from; to <= export.MaxOpset; to++ {
				m := parse()
				if err := export.RaiseOpset(m, to).Err(); err != nil {
					t.Fatal(err)
				}
				m.IRVersion = 10
				got := run(t, m, in)
				for i := range want {
					if len(got[i]) != len(want[i]) {
						t.Fatalf("opset %d: output %d has %d elements, not %d", to, i, len(got[i]), len(want[i]))
					}
					for j := range want[i] {
						if math.Abs(float64(got[i][j]-want[i][j])) > 1e-6 {
							t.Fatalf("opset %d: output %d is %v, not %v", to, i, got[i], want[i])
						}
					}
				}
			}
		})
	}
}

// TestRaiseRefuses names the node and the reason where raising cannot be done.
func TestRaiseRefuses(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`<ir_version: 4, opset_import: ["": 8]> g (float[2, 3] x) => (float[2, 3] y) <float[3] s = {1, 2, 3}> { [bn] y = BatchNormalization <spatial = 0> (x, s, s, s, s) }`, `node "bn" (BatchNormalization) cannot be raised from operator set 8 to 13: statistics per element`},
		{`<ir_version: 4, opset_import: ["": 9]> g (float[2, 3] x) => (float[2, 3] y, float[2, 3] m) { [d] y, m = Dropout (x) }`, `node "d" (Dropout) cannot be raised from operator set 9 to 13: the mask`},
	} {
		list := export.RaiseOpset(graphtext.MustParse(c.text), 13)
		if err := list.Err(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}
