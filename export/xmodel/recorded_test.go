package xmodel_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strings"
	"testing"

	"narrow/export/xmodel"
	"narrow/internal/testnet"
	"narrow/internal/xirtest"
)

// recording is one file that vai_q_pytorch 3.5 wrote, as hashes that do not depend
// on names and order.
type recording struct {
	// Ops tells for each hash of an operator its type and how many there are.
	Ops map[string]string `json:"ops"`
	// Ints tells for fix operators a hash over the integers that the reference
	// dumped for the first sample.
	Ints map[string]string `json:"ints"`
}

// TestRecorded: files are equal to vai_q_pytorch's, operator by operator, and what
// they compute is what it dumped and what narrow test gives.
func TestRecorded(t *testing.T) {
	src, err := os.ReadFile("testdata/recorded.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]recording
	if err := json.Unmarshal(src, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != 16 {
		t.Fatalf("%d recorded files, not 16", len(all))
	}
	r := testnet.Runner(t)
	for name, rec := range all {
		t.Run(name, func(t *testing.T) {
			net, strategy, _ := strings.Cut(name, "-")
			c, in := calibrated(t, r, net, strategy)
			f, g := written(t, c, "")
			hashes := xirtest.Hashes(g)
			same(t, rec.Ops, g, hashes)
			values, fixes := equal(t, r, c, f, g, in)
			if fixes < len(rec.Ints) {
				t.Errorf("%d quantizers in the dump, the reference's has %d", fixes, len(rec.Ints))
			}
			for o, h := range hashes {
				want := rec.Ints[h]
				if want == "" {
					continue
				}
				if got := sum(xirtest.FixInts(o, values[o.Name])); got != want {
					t.Errorf("%s: other integers than the reference dumped", o.Name)
				}
			}
		})
	}
}

// same reports the operators that only one of two files has.
func same(t *testing.T, want map[string]string, g *xmodel.Graph, hashes map[*xmodel.Op]string) {
	t.Helper()
	got := map[string]int{}
	for _, o := range g.Ops {
		got[hashes[o]]++
	}
	var wrong []string
	for _, o := range g.Ops {
		if want[hashes[o]] != fmt.Sprintf("%s %d", o.Type, got[hashes[o]]) {
			wrong = append(wrong, "only here: "+o.Type+" "+o.Name)
		}
	}
	for h, what := range want {
		if got[h] == 0 {
			wrong = append(wrong, "only there: "+what+" "+h)
		}
	}
	sort.Strings(wrong)
	if len(wrong) > 0 {
		t.Errorf("%d of %d operators differ from the recorded file:\n%s", len(wrong), len(g.Ops), strings.Join(wrong[:min(len(wrong), 20)], "\n"))
	}
}

func sum(ints []int32) string {
	h := sha256.New()
	_ = binary.Write(h, binary.LittleEndian, ints)
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// TestNotAsRecorded: where vai_q_pytorch writes custom operators or wrong ones, the
// file computes what narrow test does.
func TestNotAsRecorded(t *testing.T) {
	r := testnet.Runner(t)
	for net, types := range map[string]string{
		"shapes": "reduction_mean", "misc": "concat", "outpad": "transposed-conv2d", "conv1": "conv1d",
	} {
		t.Run(net, func(t *testing.T) {
			c, in := calibrated(t, r, net, "none")
			f, g := written(t, c, "")
			if _, fixes := equal(t, r, c, f, g, in); fixes < 4 {
				t.Errorf("only %d quantizers", fixes)
			}
			found := false
			for _, o := range g.Ops {
				found = found || o.Type == types
			}
			if !found {
				t.Errorf("no %s", types)
			}
		})
	}
}

// TestSameBytes: the same calibration gives the same bytes.
func TestSameBytes(t *testing.T) {
	r := testnet.Runner(t)
	var files [2]bytes.Buffer
	for i := range files {
		c, _ := calibrated(t, r, "decoder", "none")
		f, err := export(c, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteTo(&files[i]); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(files[0].Bytes(), files[1].Bytes()) {
		t.Error("two runs gave different files")
	}
}

// TestPositions: constants of elementwise operators, and transposes of two axes, have
// the fix positions that vai_q_pytorch found for them (its quant_info.json), as have
// all others of these networks.
func TestPositions(t *testing.T) {
	r := testnet.Runner(t)
	for net, want := range map[string]map[string]int{
		// w is a parameter of its own, for which the reference found no position.
		"misc": {
			"input": 5, "c.weight": 9, "/c/Conv_output_0": 6, "d.weight": 8, "d.bias": 8, "/Concat_output_0": 6, "bn.weight": 5, "bn.bias": 7,
			"/Relu_2_output_0": 4, "e.weight": 10, "e.bias": 10, "/e/Conv_output_0": 7, "/Constant_output_0": 6, "/Sub_output_0": 6,
			"/Constant_9_output_0": 5, "output": 5,
		},
		"shapes": {
			"input": 5, "c0.weight": 9, "c0.bias": 10, "/Relu_output_0": 6, "c1.weight": 9, "c1.bias": 10, "/Concat_output_0": 6,
			"/Transpose_output_0": 6, "c2.weight": 8, "c2.bias": 8, "/c2/Conv_output_0": 7, "/ReduceMean_output_0": 8, "/Mul_output_0": 8,
			"/Constant_14_output_0": 7, "/Add_output_0": 7, "onnx::MatMul_85": 9, "fc.bias": 9, "output": 7,
		},
		// The layer norm's own weights are not quantized here, and a Shape that only
		// ONNX has keeps the first convolution's quantizer beside the transpose's.
		"attn": {
			"input": 5, "p.weight": 9, "p.bias": 9, "/Transpose_output_0": 5, "/n/Add_1_output_0": 5, "onnx::MatMul_60": 9, "q.bias": 9,
			"/q/Add_output_0": 6, "onnx::MatMul_61": 9, "k.bias": 9, "/Transpose_1_output_0": 6, "/MatMul_output_0": 4, "/Constant_4_output_0": 8,
			"/Mul_output_0": 6, "/Softmax_output_0": 9, "onnx::MatMul_62": 9, "v.bias": 9, "/v/Add_output_0": 6, "/MatMul_1_output_0": 7,
			"/Add_output_0": 5, "/g/Mul_1_output_0": 5, "/ReduceMean_output_0": 7, "o.weight": 9, "o.bias": 9, "output": 8,
		},
	} {
		t.Run(net, func(t *testing.T) {
			c, _ := calibrated(t, r, net, "none")
			got := map[string]int{}
			for _, x := range c.Plan.Tensors {
				got[x.Name] = c.Result.Encodings[x].FixPosition[0]
			}
			for name, p := range want {
				if q, ok := got[name]; !ok || q != p {
					t.Errorf("%s: position %d (quantized: %v), the reference's is %d", name, q, ok, p)
				}
				delete(got, name)
			}
			extra := map[string]bool{"w": net == "misc", "/p/Conv_output_0": net == "attn"}
			for name := range got {
				if !extra[name] {
					t.Errorf("%s is quantized, and not by the reference", name)
				}
			}
		})
	}
}
