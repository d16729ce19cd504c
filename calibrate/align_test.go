package calibrate

import (
	"cmp"
	"strings"
	"testing"

	"narrow/graph/graphtext"
	"narrow/plan"
	"narrow/scheme"
	"narrow/strategy"
)

// aligned plans net and aligns fix positions given by tensor name, 0 where
// none is given.
func aligned(t *testing.T, net, config string, fix map[string]int) *Calibrated {
	t.Helper()
	s := strategy.Default()
	if config != "" {
		parsed, list := strategy.Parse("test.json", []byte(config))
		if err := list.Err(); err != nil {
			t.Fatal(err)
		}
		s = parsed
	}
	p, list, err := plan.Build(graphtext.MustParse(net), s)
	if err != nil || list.HasErrors() {
		t.Fatal(err, list)
	}
	c := &Calibrated{Plan: p, Encodings: map[*plan.Tensor]scheme.Encoding{}, Aligned: map[*plan.Tensor]string{}}
	seen := map[string]bool{}
	for _, x := range p.Tensors {
		f := fix[x.Name]
		seen[x.Name] = true
		c.Encodings[x] = scheme.Encoding{Scale: []float32{scheme.FixScale(f)}, ZeroPoint: []int64{0}, FixPosition: []int{f}, Axis: -1, Min: -128, Max: 127}
	}
	for name := range fix {
		if !seen[name] {
			t.Fatalf("%s is not quantized", name)
		}
	}
	c.align()
	return c
}

const (
	alignConv = `net (float[N, 3, 4, 4] x) => (float[N, 4, 4, 4] y) <float[4, 3, 1, 1] w = {1, ...}, float[4] b = {0, ...}> { y = Conv (x, w, b) }`
	alignNorm = `<ir_version: 8, opset_import: ["": 17]> net (float[N, 4] x) => (float[N, 4] y) <float[4] w = {1, ...}, float[4] b = {0, ...}> { y = LayerNormalization (x, w, b) }`
	alignHSig = `net (float[N, 4] x) => (float[N, 4] y) { y = HardSigmoid (x) }`
	alignHSw  = `<ir_version: 8, opset_import: ["": 14]> net (float[N, 4] x) => (float[N, 4] y) { y = HardSwish (x) }`
	alignCat  = `net (float[N, 4, 4, 4] x, float[N, 4, 4, 4] z) => (float[N, 8, 4, 4] y, float[N, 4, 4, 4] s) { a = Add (x, z)
	  s = Sqrt (a)
	  y = Concat <axis = 1> (a, x) }`
	alignPool = `net (float[N, 4, 4, 4] x) => (float[N, 4, 2, 2] y) { y = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x) }`
	alignPad  = `net (float[N, 4] x) => (float[N, 8] y) <int64[4] p = {0, 2, 0, 2}> { a = Add (x, x)
	  y = Pad (a, p) }`
	alignUp = `net (float[N, 4, 4, 4] x) => (float[N, 4, 8, 8] y) <float[4] s = {1, 1, 2, 2}> { a = Add (x, x)
	  y = Resize <mode = %s> (a, , s) }`
)

// TestMaxPoolKeepsTheScale: a pool that selects values rounds nothing again with high accuracy,
// unless a rule asks for other integers.
func TestMaxPoolKeepsTheScale(t *testing.T) {
	pool := strings.ReplaceAll(alignPool, "MaxPool <kernel_shape = [2, 2], strides = [2, 2]>", "%s")
	max := `MaxPool <kernel_shape = [2, 2], strides = [2, 2]>`
	wide := `{"target_device": "CPU", "layer_quantize_config": [{"layer_type": "MaxPool", "quantizable_data_type": ["activation"], "overall_quantize_config": {"bit_width": 16}}]}`
	for _, c := range []struct {
		name, op, config string
		accuracy         scheme.Accuracy
		want             float32
	}{
		{"MaxPool", max, "", scheme.High, 0.25},
		{"GlobalMaxPool", "GlobalMaxPool", "", scheme.High, 0.25},
		{"guide", max, "", scheme.Guide, 0.5},
		{"an average", "GlobalAveragePool", "", scheme.High, 0.5},
		{"other integers", max, wide, scheme.High, 0.5},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, list := strategy.Parse("test.json", []byte(cmp.Or(c.config, "{}")))
			if err := list.Err(); err != nil {
				t.Fatal(err)
			}
			p, list, err := plan.BuildWith(graphtext.MustParse(strings.ReplaceAll(pool, "%s", c.op)), s, plan.Options{Accuracy: c.accuracy})
			if err != nil || list.HasErrors() {
				t.Fatal(err, list)
			}
			got := &Calibrated{Plan: p, Encodings: map[*plan.Tensor]scheme.Encoding{}, Aligned: map[*plan.Tensor]string{}}
			for i, x := range p.Tensors {
				lo, hi := x.Settings.Settings.Range()
				got.Encodings[x] = scheme.Encoding{Scale: []float32{0.25 * float32(i+1)}, ZeroPoint: []int64{0}, FixPosition: []int{2 - i}, Axis: -1, Min: lo, Max: hi}
			}
			got.align()
			if y := p.Tensors[len(p.Tensors)-1]; len(p.Tensors) != 2 || got.Encodings[y].Scale[0] != c.want {
				t.Errorf("%s has the scale %v of %d tensors, want %v", y.Name, got.Encodings[y].Scale, len(p.Tensors), c.want)
			}
		})
	}
}

// TestAlign: fix positions after alignment, worked out by hand from
// vai_q_pytorch's fix_pos_adjust.py: a sum is shifted right by w+x-y, in 0..16,
// and a bias left by w+x-b, at most 16, at least shift-16 or 0.
func TestAlign(t *testing.T) {
	up := func(mode string) string { return strings.ReplaceAll(alignUp, "%s", `"`+mode+`"`) }
	for _, c := range []struct {
		name, net, config string
		fix, want         map[string]int
	}{
		{"within bounds", alignConv, "", map[string]int{"x": 5, "w": 8, "b": 9, "y": 4}, nil},
		{"a sum would shift left", alignConv, "", map[string]int{"x": 2, "w": 3, "b": 4, "y": 7}, map[string]int{"y": 5}},
		{"a sum would shift too far", alignConv, "", map[string]int{"x": 10, "w": 12, "b": 12, "y": 4}, map[string]int{"w": 10}},
		{"a bias finer than the sum", alignConv, "", map[string]int{"x": 2, "w": 4, "b": 18, "y": 4}, nil},
		{"a bias finer than the accumulator", alignConv, "", map[string]int{"x": 2, "w": 4, "b": 25, "y": 4}, map[string]int{"b": 20}},
		{"a bias shifted too far left", alignConv, "", map[string]int{"x": 10, "w": 12, "b": 2, "y": 8}, map[string]int{"w": 8}},
		{"no alignment on other devices", alignConv, `{"target_device": "CPU"}`, map[string]int{"x": 2, "w": 3, "b": 4, "y": 7}, nil},
		{"LayerNorm", alignNorm, "", map[string]int{"w": -2, "b": 18, "y": 3}, map[string]int{"w": 0, "b": 15}},
		{"HardSigmoid", alignHSig, "", map[string]int{"x": -1, "y": 4}, map[string]int{"x": 0, "y": 7}},
		{"HardSigmoid within bounds", alignHSig, "", map[string]int{"x": 3, "y": 8}, nil},
		{"HardSwish", alignHSw, "", map[string]int{"x": -1, "y": 9}, map[string]int{"x": 0, "y": 7}},
		{"Concat's inputs stay", alignCat, "", map[string]int{"x": 5, "a": 6, "y": 4}, nil},
		{"Concat's inputs follow", alignCat, `{"change_concat_input_fix": true}`, map[string]int{"x": 5, "a": 6, "y": 4}, map[string]int{"x": 4, "a": 4}},
		{"a pool's input stays", alignPool, "", map[string]int{"x": 5, "y": 4}, nil},
		{"a pool's input follows", alignPool, `{"change_pool_input_fix": true}`, map[string]int{"x": 5, "y": 4}, map[string]int{"x": 4}},
		{"a pool's input follows on other devices", alignPool, `{"target_device": "CPU", "change_pool_input_fix": true}`, map[string]int{"x": 5, "y": 4}, map[string]int{"x": 4}},
		{"Pad", alignPad, "", map[string]int{"a": 5, "y": 4}, map[string]int{"y": 5}},
		{"nearest Resize", up("nearest"), "", map[string]int{"a": 5, "y": 4}, map[string]int{"y": 5}},
		{"linear Resize", up("linear"), "", map[string]int{"a": 5, "y": 4}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := aligned(t, c.net, c.config, c.fix)
			for _, x := range got.Plan.Tensors {
				want, changes := c.want[x.Name]
				if !changes {
					want = c.fix[x.Name]
				}
				e := got.Encodings[x]
				if e.FixPosition[0] != want || e.Scale[0] != scheme.FixScale(want) {
					t.Errorf("%v %s has fix position %d, scale %v; want %d", x.Kind, x.Name, e.FixPosition[0], e.Scale[0], want)
				}
				if (got.Aligned[x] != "") != changes {
					t.Errorf("%s: aligned since %q", x.Name, got.Aligned[x])
				}
			}
		})
	}
}
