package main

import (
	"maps"
	"os"
	"strings"
	"testing"
)

// TestOutputsThatAreInputs: no command writes over what it reads.
func TestOutputsThatAreInputs(t *testing.T) {
	model := sandbox(t)
	data, err := os.ReadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("m.onnx", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := execute("calib --model m.onnx --data x.npy -o out"); code != 0 {
		t.Fatal(stderr)
	}
	if err := os.Symlink("m.onnx", "link.onnx"); err != nil {
		t.Fatal(err)
	}
	if err := os.Link("x.npy", "out/report.html"); err != nil {
		t.Fatal(err)
	}
	before := tree(t, ".")
	for args, want := range map[string]string{
		"calib --model m.onnx --data x.npy --save-stats m.onnx":                              "--save-stats m.onnx is what --model reads",
		"calib --model link.onnx --data x.npy --save-stats m.onnx":                           "--save-stats m.onnx is what --model reads",
		"calib --model m.onnx --data x.npy --config-file other.json --checkpoint other.json": "--checkpoint other.json is what --config-file reads",
		"test --model m.onnx -o out --data x.npy --save-output x.npy":                        "--save-output x.npy is what --data reads",
		"run --model out/quant_info.json --data x.npy -o out":                                "writes out/quant_info.json, which is what --model reads",
		"run --model m.onnx --data x.npy -o out":                                             "writes out/report.html, which is what --data reads",
		"compare --model m.onnx --data x.npy --html x.npy other.json other2.json":            "--html x.npy is what --data reads",
	} {
		code, _, stderr := execute(args)
		if code != 2 || !strings.Contains(stderr, want) {
			t.Errorf("narrow %s: exit code %d, %s", args, code, stderr)
		}
	}
	if after := tree(t, "."); !maps.Equal(before, after) {
		t.Errorf("files have changed: %v", difference(before, after))
	}
}

// TestOpsetTooEarly: an operator set that the rest of the strategy does not go
// with is told by lint, and by calib before its work.
func TestOpsetTooEarly(t *testing.T) {
	model := sandbox(t)
	text := `{"target_device": "CPU", "include_cle": false, "overall_quantize_config": {"method": "maxmin", "round_mode": "half_even", "scale_type": "float", "calib_statistic_method": "max"},
 "onnx_opset_version": OPSET, "tensor_quantize_config": {"weights": {WEIGHTS}}}`
	for _, tt := range []struct {
		opset, weights string
		want           string
	}{
		{"20", `"per_channel": true`, ""},
		{"20", `"bit_width": 16`, "needs 21"},
		{"21", `"bit_width": 16`, ""},
		{"11", `"per_channel": true`, "the model is written for"},
	} {
		if err := os.WriteFile("s.json", []byte(strings.NewReplacer("OPSET", tt.opset, "WEIGHTS", tt.weights).Replace(text)), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range []string{"lint s.json --model " + model, "calib --config-file s.json --data x.npy --model " + model} {
			code, stdout, stderr := execute(args)
			all := stdout + stderr
			if tt.want == "" && code != 0 || tt.want != "" && (code != 2 || !strings.Contains(all, tt.want) || !strings.Contains(all, "s.json:2:")) {
				t.Errorf("narrow %s, opset %s, %s: exit code %d, %s", args, tt.opset, tt.weights, code, all)
			}
		}
	}
}
