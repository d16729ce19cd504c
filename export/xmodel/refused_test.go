package xmodel_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"narrow"
	"narrow/diag"
	"narrow/export/xmodel"
	"narrow/internal/testnet"
)

// TestRefused: what cannot be written is refused by name, all at once, with the way
// out, and there is no file.
func TestRefused(t *testing.T) {
	r := testnet.Runner(t)
	const net = `<ir_version: 8, opset_import: ["": 17]>
g (float[N, 3, 8, 8] x) => (float[N, 4, A, B] y) <float[4, 3, 3, 3] w = {0.5, ...}, float[4] b = {0.25, ...}>
`
	for name, c := range map[string]struct {
		text, strategy string
		want           []string
	}{
		"functions": {net + `{
	[c] a = Conv<pads=[1,1,1,1]>(x, w, b)
	[e] d = Elu(a)
	[s] q = Sigmoid(d)
	[m] f = Mul(d, q)
	[abs] y = Abs(f)
}`, "", []string{"e: Elu has no operator", "m: SiLU has no operator", "convert_silu_to_hswish", "abs: Abs has no operator"}},
		"clip": {net + `{
	[c] a = Conv<pads=[1,1,1,1]>(x, w, b)
	[k] y = Clip(a, lo, hi)
}`, "", []string{"k: it clips to -1 and 1"}},
		"batch": {strings.Replace(net, "[N, 3", "[2, 3", 1) + `{
	[c] y = Conv<pads=[1,1,1,1]>(x, w, b)
}`, "", []string{"x: the input's batch is fixed at 2"}},
		"size": {strings.Replace(net, "3, 8, 8", "3, H, 8", 1) + `{
	[c] a = Conv<pads=[1,1,1,1]>(x, w, b)
	[abs] y = Abs(a)
}`, "", []string{"x: axis 2 of the input is dynamic (H)", "fixed size", "abs: Abs has no operator"}},
		"dilated": {net + `{
	[c] a = Conv<pads=[1,1,1,1]>(x, w, b)
	[p] y = MaxPool<kernel_shape=[2,2], dilations=[2,2]>(a)
}`, "", []string{"p: its window is dilated"}},
		"device": {net + `{
	[c] y = Conv<pads=[1,1,1,1]>(x, w, b)
}`, `{"target_device": "CPU", "overall_quantize_config": {"scale_type": "float", "method": "maxmin", "calib_statistic_method": "max", "symmetry": false}}`,
			[]string{"target_device: the strategy is for the CPU", "the scale is a float", "there is a zero point"}},
		"channels": {net + `{
	[c] y = Conv<pads=[1,1,1,1]>(x, w, b)
}`, `{"target_device": "CPU", "tensor_quantize_config": {"weights": {"per_channel": true}}}`,
			[]string{"each channel has a scale", "w (one of 1 such tensors)"}},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(c.text, "float[4] b = {0.25, ...}", "float[4] b = {0.25, ...}, float lo = {-1}, float hi = {1}", 1)
			m := testnet.Parse(t, text)
			strategy := c.strategy
			if strategy == "" {
				strategy = "{}"
			}
			res := testnet.Plan(t, m, strategy)
			batches := noise(m.Graph, 4)
			cal, err := res.Calibrate(context.Background(), r, batches, narrow.CalibrateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			f, err := export(cal, "")
			list, ok := diag.AsFindings(err)
			if !ok || f != nil {
				t.Fatal("it is written")
			}
			got := refusals(list)
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("%q is missing in\n%s", want, got)
				}
			}
		})
	}
}

// TestExplain tells what layers become before anything is calibrated.
func TestExplain(t *testing.T) {
	m := testnet.Open(t, "testdata/decoder.onnx")
	res, err := m.Plan(nil, narrow.PlanOptions{Accuracy: narrow.Guide})
	if err != nil {
		t.Fatal(err)
	}
	layers, list := xmodel.Explain(res.Plan)
	if list.HasErrors() {
		t.Fatal(list)
	}
	want := map[string][]string{
		"/c0/Conv":          {"conv2d"},
		"/Relu":             {"relu", "fix"},
		"/d0/ConvTranspose": {"transposed-conv2d"},
		"/zp/Pad":           {"pad", "fix"},
		"/Slice":            {},
		"/Slice_1":          {"strided_slice"},
		"/Concat":           {"concat", "fix"},
	}
	for _, l := range layers {
		if w, ok := want[l.Name]; ok {
			if !slices.Equal(l.Becomes, w) {
				t.Errorf("%s becomes %v, not %v", l.Name, l.Becomes, w)
			}
			delete(want, l.Name)
		}
	}
	if len(want) > 0 {
		t.Errorf("not told: %v", want)
	}
	m = testnet.Open(t, "testdata/silu.onnx")
	if res, err = m.Plan(nil, narrow.PlanOptions{Accuracy: narrow.Guide}); err != nil {
		t.Fatal(err)
	}
	layers, list = xmodel.Explain(res.Plan)
	if !list.HasErrors() || !slices.ContainsFunc(layers, func(l xmodel.Layer) bool {
		return l.Name == "/a/Mul" && strings.Contains(l.Refused.String(), "SiLU") && strings.Contains(l.Fix.String(), "convert_silu_to_hswish")
	}) {
		t.Errorf("SiLU is not refused: %v", layers)
	}
}
