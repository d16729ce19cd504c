package report

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"narrow"
	"narrow/cost"
	"narrow/diag"
	"narrow/engine"
	"narrow/internal/testnet"
	"narrow/scheme"
)

// joined is a document of two branches that end in a Concat, whose quantizer
// stores both their results.
func joined(t *testing.T) *Document {
	t.Helper()
	m := testnet.Parse(t, `g (float[N, 2, 4, 4] x) => (float[N, 4, 4, 4] y) <float[2, 2, 1, 1] w = {0.5, -0.25, ...}>
{ [left] a = Conv <kernel_shape = [1, 1]> (x, w) [right] b = Conv <kernel_shape = [1, 1]> (x, w) [join] c = Concat <axis = 1> (a, b) [last] y = Softmax <axis = 1> (c) }`)
	p := testnet.Plan(t, m, `{"target_device": "CPU"}`)
	in := func(yield func(*engine.Batch, error) bool) {
		yield(&engine.Batch{Count: 4, Inputs: testnet.Inputs(m.Graph, 4, 1, 1)}, nil)
	}
	done, err := p.Calibrate(context.Background(), testnet.Runner(t), in, narrow.CalibrateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	d, err := New(Input{Calibrated: done, Cost: cost.Of(done.Plan, nil)})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestNewResult: what a layer's result is said to be stored as has a tensor, also
// where that is the tensor of the Concat that it feeds, and a rule that spares it.
func TestNewResult(t *testing.T) {
	shared := 0
	for _, d := range []*Document{joined(t), mustDocument(t, nil)} {
		for i, l := range d.Layers {
			switch {
			case l.Result < 0:
				if l.Activation != scheme.Float32.String() {
					t.Errorf("%s is said to be stored as %s, by no tensor", l.Name, l.Activation)
				}
				continue
			case d.Tensors[l.Result].Datatype != l.Activation:
				t.Errorf("%s is said to be stored as %s, by a tensor of %s", l.Name, l.Activation, d.Tensors[l.Result].Datatype)
			}
			owner := d.Tensors[l.Result].Layer
			if owner != i {
				shared++
			}
			want := l.Name
			if len(l.Tensors) == 0 {
				want = d.Layers[owner].Name
			}
			if !strings.Contains(l.Spare, `"layer_name":"`+want+`"`) {
				t.Errorf("%s is spared by %s, want a rule for %s", l.Name, l.Spare, want)
			}
		}
	}
	if shared != 2 {
		t.Errorf("%d layers have another's quantizer, want the two before the Concat", shared)
	}
}

func TestNewInputs(t *testing.T) {
	d := joined(t)
	var got []string
	for _, l := range d.Layers {
		var from []string
		for _, i := range l.Inputs {
			from = append(from, d.Layers[i].Name)
		}
		got = append(got, l.Name+"<"+strings.Join(from, "+"))
	}
	if want := []string{"x<", "left<x", "right<x", "join<left+right", "last<join"}; !slices.Equal(got, want) {
		t.Errorf("layers read %v, want %v", got, want)
	}
}

// TestNewCost: the layers' shares add up to the network's cost.
func TestNewCost(t *testing.T) {
	c := cost.Of(made().done.Plan, nil)
	files := []File{{"net.onnx", 10}, {"net.qdq.onnx", 3}}
	d := mustDocument(t, func(in *Input) { in.Cost, in.Files = c, files })
	var macs, bytes, floats int64
	var share float64
	for _, l := range d.Layers {
		macs, bytes, floats, share = macs+l.MACs, bytes+l.Bytes, floats+l.FloatBytes, share+float64(l.BitShare)
	}
	if macs != c.MACs || bytes != c.Bytes || floats != c.FloatBytes || math.Abs(share-1) > 1e-12 {
		t.Errorf("layers have %d multiply-adds, %d and %d bytes, %v of the cost; want %d, %d, %d, 1", macs, bytes, floats, share, c.MACs, c.Bytes, c.FloatBytes)
	}
	if d.Cost.MACs != c.MACs || d.Cost.Bytes != c.Bytes || d.Cost.Relative != c.Relative() || len(d.Cost.Pairs) != len(c.Pairs) || !slices.Equal(d.Cost.Files, files) {
		t.Errorf("cost %+v of %+v", d.Cost, c)
	}
	if mustDocument(t, nil).Cost != nil {
		t.Error("a document without cost tells one")
	}
}

// TestNewFindingLayers: a finding leads to the layers that its message names, by
// name or by a tensor, and not to what an operator is called.
func TestNewFindingLayers(t *testing.T) {
	d := mustDocument(t, nil)
	conv, add := layer(t, d, "features.5/pointwise/conv"), layer(t, d, "features.6/Add")
	tensor := d.Tensors[d.Layers[add].Result]
	d = mustDocument(t, func(in *Input) {
		in.Findings = diag.List{
			{Severity: diag.Warning, Message: diag.Textf("%s, %s", d.Layers[conv].Name, diag.Textf("%q", tensor.Name))},
			{Severity: diag.Note, Message: diag.Textf("%s, %s", d.Layers[conv].Name, d.Layers[conv].Name), Fix: diag.Textf("%s", d.Layers[add].Name)},
			{Severity: diag.Note, Message: diag.Textf("%s", "Conv")},
		}
	})
	for i, want := range [][]int{{conv, add}, {conv}, nil} {
		if got := d.Findings[i].Layers; !slices.Equal(got, want) {
			t.Errorf("finding %d is about layers %v, want %v", i+1, got, want)
		}
	}
}

// TestShorten: every place of a document where a path may stand.
func TestShorten(t *testing.T) {
	command := []string{"narrow", "run", "--data", "/secret/x"}
	d := &Document{
		Model: Model{Path: "/secret/net.onnx"}, Strategy: &Strategy{File: "/secret/s.json"},
		Findings:  []Finding{{File: "/secret/l.csv", Message: Text{diag.Textf("%s: %s", diag.Textf("%s", "/secret/a"), context.Canceled)}, Fix: Text{diag.Textf("%s", "/secret/b")}}},
		Reproduce: &Reproduce{Commands: [][]string{command}},
	}
	d.Shorten(func(s string) string { return strings.ReplaceAll(s, "/secret/", "") })
	page := render(t, d)
	if strings.Contains(page, "/secret") || !strings.Contains(page, "context canceled") || !d.Reproduce.Shortened {
		t.Errorf("shortened %+v", d)
	}
	if command[3] != "/secret/x" {
		t.Error("the caller's command was changed")
	}
	d.Shorten(func(s string) string { return s })
	if d.Reproduce.Shortened {
		t.Error("nothing was shortened, and is said to be")
	}
}
