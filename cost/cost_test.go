package cost_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"narrow/cost"
	"narrow/graph"
	"narrow/graph/graphtext"
	"narrow/plan"
	"narrow/strategy"
)

func build(t *testing.T, net, config string) *plan.Plan {
	t.Helper()
	m, err := graphtext.Parse(net)
	if err != nil {
		t.Fatal(err)
	}
	s := strategy.Default()
	if config != "" {
		var list interface{ Err() error }
		if s, list = strategy.Parse("test.json", []byte(config)); list.Err() != nil {
			t.Fatal(list.Err())
		}
	}
	p, list, err := plan.Build(m, s)
	if err == nil {
		err = list.Err()
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// table writes a cost as a test wants it: "op macs weights x activations" for
// each operation.
func table(c *cost.Cost) string {
	var b strings.Builder
	for _, o := range c.Operations {
		fmt.Fprintf(&b, "%s %d %vx%v\n", o.Node.Label(), o.MACs, o.Weights, o.Activations)
	}
	for _, u := range c.Uncounted {
		fmt.Fprintf(&b, "%s ?: %s\n", u.Name, u.Why)
	}
	return b.String()
}

// net has every operator that is counted; the numbers beside are by hand.
const net = `<opset_import: ["": 17]>
g (float[N, 3, 32, 32] x) => (float[N, 10] y, float[N, 16, 16] z)
<float[8, 3, 3, 3] w1 = {0.5, ...}, float[8] b1 = {0, ...}, float[8, 1, 3, 3] w2 = {0.5, ...}, float[16, 8, 1, 1] w3 = {0.5, ...},
 float[16, 4, 2, 2] w4 = {0.5, ...}, float[10, 4] w5 = {0.5, ...}, float[10] b5 = {0, ...}, float[256, 6] w6 = {0.5, ...}, int64[3] shape = {0, 16, 256}>
{
  [stem] c1 = Conv <pads = [1, 1, 1, 1], strides = [2, 2], kernel_shape = [3, 3]> (x, w1, b1)
  [depthwise] c2 = Conv <pads = [1, 1, 1, 1], group = 8, kernel_shape = [3, 3]> (c1, w2)
  [pointwise] c3 = Conv <kernel_shape = [1, 1]> (c2, w3)
  [up] c4 = ConvTranspose <kernel_shape = [2, 2], strides = [2, 2]> (c3, w4)
  [pool] p = GlobalAveragePool (c4)
  [flat] f = Flatten (p)
  [fc] y = Gemm <transB = 1> (f, w5, b5)
  [rows] r = Reshape (c3, shape)
  [project] q = MatMul (r, w6)
  [turn] qt = Transpose <perm = [0, 2, 1]> (q)
  [scores] z = MatMul (q, qt)
}
`

const (
	stem      = 8 * 16 * 16 * 3 * 9  // 55,296
	depthwise = 8 * 16 * 16 * 9      // 18,432
	pointwise = 16 * 16 * 16 * 8     // 32,768
	up        = 16 * 16 * 16 * 4 * 4 // 65,536
	fc        = 10 * 4               // 40
	project   = 16 * 6 * 256         // 24,576
	scores    = 16 * 16 * 6          // 1,536
	all       = stem + depthwise + pointwise + up + fc + project + scores
	weights   = 8*3*9 + 8*9 + 16*8 + 16*4*4 + 40 + 256*6
	biases    = 8 + 10
)

func TestMACs(t *testing.T) {
	c := cost.Of(build(t, net, ""), nil)
	want := fmt.Sprintf("stem %d int8xint8\ndepthwise %d int8xint8\npointwise %d int8xint8\nup %d int8xint8\nfc %d int8xint8\nproject %d int8xint8\nscores %d int8xint8\n",
		stem, depthwise, pointwise, up, fc, project, scores)
	if got := table(c); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if c.MACs != all || c.Integer() != all {
		t.Errorf("%d multiply-adds, %d of integers, want %d", c.MACs, c.Integer(), all)
	}
	if got := c.Relative(); got != 1.0/16 {
		t.Errorf("int8 throughout costs %v, want 1/16", got)
	}
	if c.Bytes != weights+4*biases || c.FloatBytes != 4*(weights+biases) {
		t.Errorf("%d bytes, %d in float32; want %d, %d", c.Bytes, c.FloatBytes, weights+4*biases, 4*(weights+biases))
	}
}

// TestFormats mixes datatypes by layer rules.
func TestFormats(t *testing.T) {
	c := cost.Of(build(t, net, `{"target_device": "GPU",
		"overall_quantize_config": {"scale_type": "float", "method": "maxmin", "calib_statistic_method": "max"},
		"layer_quantize_config": [
		{"layer_type": null, "layer_name": "depthwise", "quantizable_data_type": ["weights", "activation"], "overall_quantize_config": {"datatype": "int", "bit_width": 16}},
		{"layer_type": null, "layer_name": "pointwise", "quantizable_data_type": ["weights"], "overall_quantize_config": {"bit_width": 4}},
		{"layer_type": null, "layer_name": "up", "quantizable_data_type": ["weights", "activation"], "overall_quantize_config": {"datatype": "float32"}},
		{"layer_type": null, "layer_name": "fc", "quantizable_data_type": ["input", "weights", "bias"], "overall_quantize_config": {"datatype": "bfloat16"}}]}`), nil)
	want := fmt.Sprintf("stem %d int8xint8\ndepthwise %d int16xint8\npointwise %d int4xint16\nup %d float32xint8\nfc %d bfloat16xbfloat16\nproject %d int8xint8\nscores %d int8xint8\n",
		stem, depthwise, pointwise, up, fc, project, scores)
	if got := table(c); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	var pairs []string
	var sum int64
	for _, p := range c.Pairs {
		pairs = append(pairs, fmt.Sprintf("%vx%v %d", p.Weights, p.Activations, p.MACs))
		sum += p.MACs
	}
	wantPairs := fmt.Sprintf("int4xint16 %d, int8xint8 %d, int16xint8 %d, bfloat16xbfloat16 %d, float32xint8 %d", pointwise, stem+project+scores, depthwise, fc, up)
	if got := strings.Join(pairs, ", "); got != wantPairs || sum != c.MACs {
		t.Errorf("got %s, which are %d\nwant %s, which are %d", got, sum, wantPairs, c.MACs)
	}
	bits := float64(64*(stem+project+scores) + 128*depthwise + 64*pointwise + 256*fc + 32*8*up)
	if got, want := c.Relative(), bits/(1024*all); math.Abs(got-want) > 1e-15 {
		t.Errorf("relative cost %v, want %v", got, want)
	}
	if want := int64(all - up - fc); c.Integer() != want {
		t.Errorf("%d integer multiply-adds, want %d", c.Integer(), want)
	}
	// int16 depthwise, int4 pointwise, float32 up, bfloat16 fc and its bias; the
	// stem's bias is one of an integer kernel.
	if want := int64(8*3*9 + 2*8*9 + 16*8/2 + 4*16*4*4 + 2*40 + 256*6 + 4*8 + 2*10); c.Bytes != want {
		t.Errorf("%d bytes, want %d", c.Bytes, want)
	}
	if c.FloatBytes != 4*(weights+biases) {
		t.Errorf("%d bytes in float32, want %d", c.FloatBytes, 4*(weights+biases))
	}
	for _, o := range c.Operations {
		if o.Layer == nil || o.Layer.Name != o.Node.Label() {
			t.Errorf("%s: its layer is %v", o.Node.Label(), o.Layer)
		}
	}
}

// TestUncounted lists what cannot be estimated, and nothing else fails.
func TestUncounted(t *testing.T) {
	const open = `<opset_import: ["": 17, "mine": 1]>
g (float[N, 3, H, W] x, float[N, 4] k) => (float[N, 4] y, z, e)
<float[8, 3, 3, 3] w = {0.5, ...}, float[4, 4] v = {0.5, ...}, float[0, 4] none = {}>
{
  [conv] c = Conv (x, w)
  [own] z = mine.Thing (c)
  [fc] y = MatMul (k, v)
  [sum] e = Einsum <equation = "ij,kj->ik"> (k, v)
}
`
	p := build(t, open, "")
	c := cost.Of(p, nil)
	want := "fc 16 int8xint8\n" +
		"conv ?: its shapes are open: give the shapes of the network's inputs\n" +
		"own ?: it is an operator of the domain mine\n" +
		"sum ?: operators of this kind are not counted\n"
	if got := table(c); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	// Given the shape, the batch is one all the same where it is open.
	dims := func(d ...int64) (s []graph.Dim) {
		for _, n := range d {
			s = append(s, graph.Dim{Size: n})
		}
		return s
	}
	c = cost.Of(p, map[string][]graph.Dim{"x": dims(-1, 3, 5, 6)})
	if got, want := table(c), "conv 2592 int8xint8\nfc 16 int8xint8\n"; !strings.HasPrefix(got, want) { // 8*3*4*27
		t.Errorf("got\n%swant\n%s...", got, want)
	}
	huge := dims(-1, 3, 1<<31, 1<<31)
	if c = cost.Of(p, map[string][]graph.Dim{"x": huge}); c.MACs != 16 || !strings.Contains(table(c), "conv ?: ") {
		t.Errorf("a network of absurd size: %d multiply-adds\n%s", c.MACs, table(c))
	}
	if got := cost.Of(build(t, "g (float[1] x) => (float[1] y)\n{\n  y = Relu (x)\n}\n", ""), nil); got.Relative() != 1 || got.Bytes != 0 {
		t.Errorf("a network that multiplies nothing costs %v", got.Relative())
	}
}

// TestFixedBatch counts the batch that the model fixes.
func TestFixedBatch(t *testing.T) {
	c := cost.Of(build(t, strings.ReplaceAll(net, "float[N, 3,", "float[4, 3,"), ""), nil)
	if c.MACs != 4*all {
		t.Errorf("%d multiply-adds, want %d", c.MACs, 4*all)
	}
}
