package main

import (
	"archive/zip"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"narrow/internal/ortlib"
)

// caseArray writes samples of normal numbers as a file x.npy, and beside a mask
// of zeros and ones x.npz.
func caseArray(t *testing.T, shape, mask string) string {
	t.Helper()
	x, err := npyBytes("float32", shape)
	if err != nil {
		t.Fatal(err)
	}
	if mask == "" {
		if err := os.WriteFile("x.npy", x, 0o600); err != nil {
			t.Fatal(err)
		}
		return "x.npy"
	}
	_, n, err := mkDims(mask)
	if err != nil {
		t.Fatal(err)
	}
	m, err := npyBytes("int64", mask)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		m[len(m)-8*(i+1)] &= 1
	}
	f, err := os.Create("x.npz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z := zip.NewWriter(f)
	for name, data := range map[string][]byte{"x": x, "mask": m} {
		w, err := z.Create(name + ".npy")
		if err == nil {
			_, err = w.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return "x.npz"
}

// TestWeightCases: networks whose weights or masks were not seen, one of each
// kind, calibrated, tested and exported.
func TestWeightCases(t *testing.T) {
	cases, err := filepath.Abs("testdata/cases")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(ortlib.Env, library(t))
	for _, c := range []struct {
		name, dir, shape, mask, flags string
		tensors                       int
		sqnr                          float64
		exported                      float64 // how far the export may be off, in dB
		says, silent                  string
	}{
		{name: "mask of -Inf", dir: "R02", shape: "24,8,16", flags: "--config-file s.json", tensors: 13, sqnr: 28, exported: 1},
		{name: "mask of the smallest float32", dir: "R03", shape: "24,8,16", mask: "24,8", flags: "--config-file s.json", tensors: 15, sqnr: 27, exported: 1},
		{name: "mask of -1e9, told", dir: "R04", shape: "24,8,16", flags: "--accuracy guide --config-file s.json", tensors: 14, says: `layer addmask: the constant causal, which masks values out, alone makes the range of "sm"`},
		{name: "mask of -1e9, by the rule that is told", dir: "R04", shape: "24,8,16", flags: "--accuracy guide --config-file spare.json", tensors: 13, sqnr: 28, exported: 1, silent: "masks values out"},
		{name: "mask of -1e9, spared", dir: "R04", shape: "24,8,16", flags: "--accuracy high --config-file s.json", tensors: 13, sqnr: 28, exported: 1, silent: "masks values out"},
		{name: "float16 inside", dir: "R05", shape: "24,3,8,8", tensors: 6, sqnr: 25, exported: 1, says: "4 nodes of the network compute in 16-bit floats"},
		{name: "weights stored in float16", dir: "R06", shape: "24,3,8,8", flags: "--config-file s.json", tensors: 6, sqnr: 32, exported: 0.2},
		{name: "layers in functions", dir: "R07", shape: "24,3,8,8", tensors: 8, sqnr: 20, exported: 1},
		{name: "weight norm", dir: "R08", shape: "24,3,8,8", flags: "--config-file s.json", tensors: 10, sqnr: 40, exported: 0.5},
		{name: "GRU", dir: "R15", shape: "32,6,5", tensors: 5, says: "1 layer with weights stays in float: rnn"},
		{name: "Conv inside If", dir: "R18", shape: "24,3,8,8", says: "1 layer with weights stays in float: then_conv (it is inside the If branch"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			data := caseArray(t, c.shape, c.mask)
			model := filepath.Join(cases, c.dir, "model.onnx")
			flags := strings.ReplaceAll(c.flags, "file ", "file "+filepath.Join(cases, c.dir)+"/")
			code, out, told := execute("calib --model " + model + " --data " + data + " -o out " + flags)
			if code != 0 {
				t.Fatalf("exit %d\n%s%s", code, out, told)
			}
			if c.says != "" && !strings.Contains(told, c.says) || c.silent != "" && strings.Contains(told, c.silent) {
				t.Errorf("it says\n%s", told)
			}
			var info struct {
				Tensors []struct{ Name string }
			}
			src, err := os.ReadFile("out/quant_info.json")
			if err == nil {
				err = json.Unmarshal(src, &info)
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.tensors > 0 && len(info.Tensors) != c.tensors {
				t.Errorf("%d tensors are quantized, want %d", len(info.Tensors), c.tensors)
			}
			if c.sqnr == 0 {
				return
			}
			sqnr := func(args string) float64 {
				code, out, told := execute("test --json --model " + model + " --data " + data + " -o out " + args)
				var res struct {
					SQNR float64 `json:"sqnr_db"`
				}
				if err := json.Unmarshal([]byte(out), &res); code != 0 || err != nil {
					t.Fatalf("test %s: exit %d, %v\n%s", args, code, err, told)
				}
				return res.SQNR
			}
			simulated := sqnr("")
			if simulated < c.sqnr {
				t.Errorf("%.1f dB, want %.1f", simulated, c.sqnr)
			}
			if code, _, told := execute("export --model " + model + " -o out"); code != 0 {
				t.Fatal(told)
			}
			if exported := sqnr("--exported"); exported < simulated-c.exported {
				t.Errorf("%.1f dB in the export, %.1f simulated", exported, simulated)
			}
		})
	}
}

// TestWeightCasesLint: rules that cannot do anything, and models that never end.
func TestWeightCasesLint(t *testing.T) {
	cases, err := filepath.Abs("testdata/cases")
	if err != nil {
		t.Fatal(err)
	}
	at := func(dir, file string) string { return filepath.Join(cases, dir, file) }
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"lint " + at("R15", "gru.json") + " --model " + at("R15", "model.onnx"), 0, "weights and biases of GRU are not quantized"},
		{"lint " + at("R16", "add_weights.json") + " --model " + at("R16", "model.onnx"), 0, "no tensor of its kinds (weights, bias) is quantized at"},
		{"lint " + at("R16", "resize_weights.json") + " --model " + at("R16", "model.onnx"), 0, "no tensor of its kinds (weights) is quantized at resize"},
		{"lint " + at("R16", "gconv_activation.json") + " --model " + at("R16", "model.onnx"), 0, "the quantizer of layer cat serves the result of gconv"},
		{"lint " + at("R16", "maxpool_activation.json") + " --model " + at("R16", "model.onnx"), 0, "the quantizer of layer cat serves the result of mp"},
		{"lint " + at("R18", "then.json") + " --model " + at("R18", "model.onnx"), 2, "is for a node inside the If branch: control flow passes through untouched"},
		{"explain --model " + at("R15", "model.onnx") + " --layer rnn", 0, "weights R: not quantized: weights and biases of GRU are not quantized"},
		{"explain --model " + at("R18", "model.onnx"), 0, "weights not quantized: it is inside the If branch"},
		{"layers --model " + at("F03", "bomb17.onnx"), 1, "become more than 50000 nodes"},
		{"layers --model " + at("F03", "bomb41.onnx"), 1, "become more than 50000 nodes"},
	} {
		code, out, told := execute(c.args)
		if code != c.code || !strings.Contains(out+told, c.want) {
			t.Errorf("%s: exit %d\n%s%s\nwant %q", c.args, code, out, told, c.want)
		}
	}
	// Functions inlined are the network without them.
	plan := func(model string) string {
		code, out, told := execute("explain --json --model " + at("R07", model))
		var r struct {
			Tensors []struct {
				Name      string
				Kind      string
				Quantized bool
			}
		}
		if err := json.Unmarshal([]byte(out), &r); code != 0 || err != nil {
			t.Fatal(err, told)
		}
		var kinds []string
		for _, x := range r.Tensors {
			if x.Quantized {
				kinds = append(kinds, x.Kind+" "+x.Name)
			}
		}
		return strings.ReplaceAll(strings.Join(kinds, ", "), "aten_addmm_4/T", "T__3")
	}
	if got, want := plan("model.onnx"), plan("inlined.onnx"); got != want {
		t.Errorf("with functions %s\nwithout %s", got, want)
	}
}
