package rewrite_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"narrow/engine"
	"narrow/graph"
	"narrow/graph/infer"
	"narrow/graph/onnx"
	"narrow/internal/testnet"
	"narrow/rewrite"
)

const models = "../internal/parity/testdata/models"

func load(t *testing.T, path string) *graph.Model {
	t.Helper()
	m, err := onnx.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func apply(t *testing.T, m *graph.Model, rules ...rewrite.Rule) (*graph.Model, *rewrite.Report) {
	t.Helper()
	out, report, err := rewrite.Apply(m, rules...)
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Unknown) == 0 {
		return out, report
	}
	// The engine computes what the nodes make; nothing else comes out otherwise.
	part, err := infer.ConstantPart(m, out.Unknown)
	if err != nil {
		t.Fatal(err)
	}
	values, err := engine.Constants(t.Context(), testnet.Runner(t), part)
	if err != nil {
		t.Fatal(err)
	}
	rules = slices.Clone(rules)
	for i, r := range rules {
		if r.Name == "fold-constants" {
			rules[i] = rewrite.FoldConstants(values)
		}
	}
	full, again, err := rewrite.Apply(m, rules...)
	if err != nil {
		t.Fatal(err)
	}
	if len(full.Unknown) > 0 || shape(full) != shape(out) {
		t.Errorf("with the constants %q comes out, still without %q:\n%s\nwithout them:\n%s", out.Unknown, full.Unknown, again, report)
	}
	return full, again
}

// shape tells a network without its numbers.
func shape(m *graph.Model) string {
	var b strings.Builder
	for _, n := range m.Graph.Nodes {
		fmt.Fprintln(&b, n.Label(), n.OpType, n.Inputs, n.Outputs)
	}
	for _, t := range m.Graph.Initializers {
		fmt.Fprintln(&b, t.Name, t.Type, t.Dims)
	}
	return b.String()
}

// TestEqualizeAsRecorded holds the weights' and biases' scales after folding
// and equalization against those that vai_q_pytorch 3.5 recorded
// (testdata/equalized.json: int8, maxmin, per tensor, in network order).
func TestEqualizeAsRecorded(t *testing.T) {
	src, err := os.ReadFile("testdata/equalized.json")
	if err != nil {
		t.Fatal(err)
	}
	var recorded map[string][]struct {
		Name  string
		Scale float64
	}
	if err := json.Unmarshal(src, &recorded); err != nil {
		t.Fatal(err)
	}
	if len(recorded) != 4 {
		t.Fatalf("%d models recorded", len(recorded))
	}
	for name, params := range recorded {
		t.Run(name, func(t *testing.T) {
			m := load(t, filepath.Join(models, name, "model.onnx"))
			out, report := apply(t, m, rewrite.Before(rewrite.Options{ConvertRelu6: true, Equalize: true})...)
			var got []float64
			for _, n := range out.Graph.Nodes {
				if !n.Is("Conv", "ConvTranspose", "Gemm") {
					continue
				}
				for _, v := range n.Inputs[1:] {
					x, err := out.Graph.Initializer(v).Floats()
					if err != nil {
						t.Fatal(err)
					}
					var top float64
					for _, e := range x {
						top = max(top, math.Abs(float64(e)))
					}
					got = append(got, top/127)
				}
			}
			if len(got) != len(params) {
				t.Fatalf("%d constants, %d recorded\n%s", len(got), len(params), report)
			}
			for i, p := range params {
				if math.Abs(got[i]-p.Scale) > 2e-7*p.Scale {
					t.Errorf("%s: scale %.9g, recorded %.9g", p.Name, got[i], p.Scale)
				}
			}
		})
	}
}
