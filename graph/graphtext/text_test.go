package graphtext

import (
	"math"
	"slices"
	"strings"
	"testing"

	"narrow/graph"
)

// everything uses each feature of the text form, as Format prints it.
const everything = `<ir_version: 9, opset_import: ["": 17, "com.microsoft": 1], producer_name: "py\"torch", producer_version: "2.1", metadata_props: ["a": "b"]>
main_graph (float[N, 3, ?, 8] x, int64 k, seq) => (float[] y, bool[2] "a b")
<float[2, 2] w = {0.5, -1.5e-09, inf, nan}, int4[3] q = {-8, 7, 1}, bool[2] m = {1, 0}, int64 s = {-1}, uint64[1] u = {18446744073709551615}, float[1000] z = {0, ...}, float[0] none = {}, float16[2] h16 = {15360, 0}, double[1] d = {0.1}, float[N, 4] h>
{
  [/layer1/conv/Conv] h, "", "1x" = Conv <kernel_shape = [1, 1], pads: ints = [], alpha = 1.0, beta = 1e-05, mode = "x\ny", axes = [0.5, 1.0], names = ["p", "q"]> (x, w, "") {"ns": "layer1"}
  = com.microsoft.Log (h)
  c = Constant <value = float[1] {3}> ()
  d2 = Constant <value = int8 t = {3}> ()
  y = If <then_branch = yes () => (float[] o)
  {
    o = Identity (h)
  }, else_branch = no () => (o2)
  <float o2 = {1}>
  {
  }> (k)
}
`

func TestTextRoundTrip(t *testing.T) {
	m, err := Parse(everything)
	if err != nil {
		t.Fatal(err)
	}
	if got := Format(m); got != everything {
		t.Errorf("parsed and printed again:\n%s", got)
	}
}

func TestParseMeaning(t *testing.T) {
	m := MustParse(everything)
	g := m.Graph
	if got := g.Inputs[0].Shape; !slices.Equal(got, []graph.Dim{{Size: -1, Param: "N"}, {Size: 3}, {Size: -1}, {Size: 8}}) {
		t.Errorf("shape of x: %v", got)
	}
	if v := g.Inputs[1]; v.Shape == nil || len(v.Shape) != 0 || v.Type != graph.Int64 {
		t.Errorf("a scalar: %+v", v)
	}
	if v := g.Outputs[0]; v.Shape != nil {
		t.Errorf("an unknown rank: %+v", v)
	}
	w, err := g.Initializer("w").Floats()
	if err != nil || w[0] != 0.5 || !math.IsInf(float64(w[2]), 1) || w[3] == w[3] {
		t.Errorf("w = %v, %v", w, err)
	}
	if raw := g.Initializer("q").Raw; !slices.Equal(raw, []byte{0x78, 0x01}) {
		t.Errorf("q = %x", raw)
	}
	n := g.Nodes[0]
	if !slices.Equal(n.Outputs, []string{"h", "", "1x"}) || !slices.Equal(n.Inputs, []string{"x", "w", ""}) || n.Name != "/layer1/conv/Conv" {
		t.Errorf("node 0: %+v", n)
	}
	if a := n.Attr("pads"); a.Kind != graph.AttrInts {
		t.Errorf("pads: %+v", a)
	}
	if n := g.Nodes[1]; n.Domain != "com.microsoft" || n.OpType != "Log" || len(n.Outputs) != 0 {
		t.Errorf("node 1: %+v", n)
	}
	if h := MustParse("g () => () {}"); h.IRVersion != 8 || h.Opsets[""] != 13 {
		t.Errorf("without a header: %+v", h)
	}
	if n := MustParse("g () => () { a, , b = A (x, , ) }").Graph.Nodes[0]; !slices.Equal(n.Inputs, []string{"x", "", ""}) || !slices.Equal(n.Outputs, []string{"a", "", "b"}) {
		t.Errorf("empty places: %+v", n)
	}
	cyc := MustParse("g () => () <int8[5] a = {1, 2, ...}> {}").Graph.Initializers[0]
	if v, _ := cyc.Int64s(); !slices.Equal(v, []int64{1, 2, 1, 2, 1}) {
		t.Errorf("repeated elements: %v", v)
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "1:1: expected a name, but the text ends"},
		{"g () => () {", `1:13: `},
		{"g () => () {\n  y = Relu (x\n}", `3:1: expected ","`},
		{"g () => () <float[2] w = {1}> {}", `needs 2 elements, not 1`},
		{"g () => () <float[N] w = {1}> {}", `needs sizes, not N`},
		{"g () => () <int8[1] w = {x}> {}", `"x" is no int8`},
		{"g () => () <int8[1] w = {128}> {}", `"128" is no int8`},
		{"g () => () <float[99999999999] w = {1, ...}> {}", `more than`},
		{"<opset: 3> g () => () {}", `unknown key "opset"`},
		{"g () => () {} x", `expected the end at "x"`},
		{"g () => () { y = A <a = [1, \"b\"]> () }", "numbers and strings"},
		{"g ( \"x", "1:5: unexpected"},
	} {
		_, err := Parse(c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Parse(%q): %v, want %q in it", c.text, err, c.want)
		}
	}
}

// FuzzText holds that what Parse reads, Format prints so that Parse reads the
// same again.
func FuzzText(f *testing.F) {
	f.Add(everything)
	f.Add("g () => () <int8[5] a = {1, 2, ...}> {}")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := Parse(text)
		if err != nil {
			return
		}
		once := Format(m)
		again, err := Parse(once)
		if err != nil {
			t.Fatalf("%v in\n%s", err, once)
		}
		if twice := Format(again); twice != once {
			t.Fatalf("once:\n%s\ntwice:\n%s", once, twice)
		}
	})
}
