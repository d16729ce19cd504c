package strategy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"narrow/diag"
	"narrow/scheme"
	"narrow/strategy"
)

// at finds the findings at a piece of the file.
func at(src, piece string, list diag.List) diag.List {
	var found diag.List
	off := strings.Index(src, piece)
	for _, f := range list {
		if f.Range.Start.Offset == off {
			found = append(found, f)
		}
	}
	return found
}

func TestFindings(t *testing.T) {
	const cpu = `"target_device": "CPU", `
	rule := func(body string) string {
		return "{" + cpu + `"layer_quantize_config": [{"layer_type": "Conv2d", "quantizable_data_type": ["weights", "bias", "activation"], ` + body + "}]}"
	}
	tests := []struct {
		name, src string
		// place is the piece of src that the finding starts at.
		place, code string
		sev         diag.Severity
		suggest     string
	}{
		{"unknown key", `{"target_devise": "CPU"}`, `"target_devise"`, "unknown-key", diag.Error, "target_device"},
		{"unknown setting", `{"overall_quantize_config": {"bitwidth": 8}}`, `"bitwidth"`, "unknown-key", diag.Error, "bit_width"},
		{"unknown kind", `{"tensor_quantize_config": {"wieghts": {}}}`, `"wieghts"`, "unknown-key", diag.Error, "weights"},
		{"unknown value", `{"target_device": "TPU"}`, `"TPU"`, "unknown-value", diag.Error, "DPU"},
		{"another case", "{" + cpu + `"overall_quantize_config": {"datatype": "BFloat16"}}`, `"BFloat16"`, "spelling", diag.Note, "bfloat16"},
		{"bool is no width", `{"overall_quantize_config": {"bit_width": true}}`, "true}", "wrong-type", diag.Error, ""},
		{"width out of bounds", `{"overall_quantize_config": {"bit_width": 33}}`, "33", "bad-value", diag.Error, ""},
		{"percentage zero", `{"overall_quantize_config": {"percentage": 0}}`, "0}", "bad-value", diag.Error, ""},
		{"duplicate", `{"include_cle": true, "include_cle" : true}`, `"include_cle" :`, "duplicate-key", diag.Error, ""},
		{"layer type", rule(`"overall_quantize_config": {}`)[:0] + `{"layer_quantize_config": [{"layer_type": "Conv2s", "quantizable_data_type": [], "overall_quantize_config": {}}]}`, `"Conv2s"`, "unknown-layer-type", diag.Error, "Conv2d"},
		{"qualified layer type", `{"layer_quantize_config": [{"layer_type": "torch.nn.Conv", "quantizable_data_type": [], "overall_quantize_config": {}}]}`, `"torch.nn.Conv"`, "unknown-layer-type", diag.Error, "torch.nn.Conv1d"},
		{"foreign layer type", `{"layer_quantize_config": [{"layer_type": "timm.layers.Foo", "quantizable_data_type": [], "overall_quantize_config": {}}]}`, `"timm.layers.Foo"`, "foreign-type", diag.Warning, ""},
		{"both", `{"layer_quantize_config": [{"layer_type": "Conv", "layer_name": "x", "quantizable_data_type": [], "overall_quantize_config": {}}]}`, `"x"`, "both-type-and-name", diag.Error, ""},
		{"neither", `{"layer_quantize_config": [ {"layer_name": null, "quantizable_data_type": [], "overall_quantize_config": {}}]}`, `{"layer_name"`, "no-type-or-name", diag.Error, ""},
		{"no overall", `{"layer_quantize_config": [ {"layer_type": "Conv", "quantizable_data_type": []}]}`, `{"layer_type"`, "missing-key", diag.Error, ""},
		{"empty kinds", `{"quantizable_data_type": [], "overall_quantize_config": {"bit_width": 4}}`, `[]`, "empty-kinds", diag.Error, ""},
		{"empty kinds of a rule", `{"layer_quantize_config": [{"layer_type": "Conv", "quantizable_data_type": [], "overall_quantize_config": {"bit_width": 4}}]}`, `[],`, "empty-kinds", diag.Error, ""},

		{"diffs with float", "{" + cpu + `"overall_quantize_config": {"scale_type": "float", "calib_statistic_method": "max"}}`, `"float"`, "method-scale-type", diag.Error, ""},
		{"modal with float", "{" + cpu + `"overall_quantize_config": {"scale_type": "float", "method": "maxmin"}}`, `"float"`, "statistic-scale-type", diag.Error, ""},
		{"mse with poweroftwo", "{" + cpu + `"overall_quantize_config": {"method": "mse"}}`, `"mse"`, "method-scale-type", diag.Error, ""},
		{"asymmetric poweroftwo", "{" + cpu + `"overall_quantize_config": {"symmetry": false}}`, `false`, "symmetry-scale-type", diag.Error, ""},
		{"unsigned poweroftwo", "{" + cpu + `"overall_quantize_config": {"signed": false}}`, `false`, "signed-scale-type", diag.Error, ""},
		{"max with poweroftwo", "{" + cpu + `"overall_quantize_config": {"calib_statistic_method": "max"}}`, `"max"`, "statistic-scale-type", diag.Error, ""},
		{"per channel activation", "{" + cpu + `"tensor_quantize_config": {"activation": {"per_channel": true}}}`, `true`, "per-channel-kind", diag.Error, ""},
		{"per channel entropy", "{" + cpu + `"tensor_quantize_config": {"weights": {"per_channel": true, "method": "entropy", "scale_type": "float"}}}`, `"entropy"`, "method-per-channel", diag.Error, ""},
		{"asymmetric entropy", "{" + cpu + `"tensor_quantize_config": {"weights": {"symmetry": false, "method": "entropy", "scale_type": "float"}}}`, `"entropy"`, "method-symmetry", diag.Error, ""},
		{"asymmetric bias", "{" + cpu + `"tensor_quantize_config": {"bias": {"symmetry": false, "method": "maxmin", "scale_type": "float"}}}`, `false`, "bias-symmetry", diag.Warning, ""},
		{"rule against inherited", rule(`"overall_quantize_config": {"scale_type": "float", "calib_statistic_method": "max"}`), `"float"`, "method-scale-type", diag.Error, ""},

		{"DPU method", `{"overall_quantize_config": {"method": "mse"}}`, `"mse"`, "dpu-method", diag.Error, ""},
		{"DPU round", `{"overall_quantize_config": {"round_mode": "std_round"}}`, `"std_round"`, "dpu-round-mode", diag.Error, ""},
		{"DPU symmetry", `{"overall_quantize_config": {"symmetry": false}}`, `false`, "dpu-symmetry", diag.Error, ""},
		{"DPU per channel", `{"overall_quantize_config": {"per_channel": true}}`, `true`, "dpu-per-channel", diag.Error, ""},
		{"DPU signed", `{"overall_quantize_config": {"signed": false}}`, `false`, "dpu-signed", diag.Error, ""},
		{"DPU scale", `{"overall_quantize_config": {"scale_type": "float"}}`, `"float"`, "dpu-scale-type", diag.Error, ""},
		{"DPU statistic", `{"overall_quantize_config": {"calib_statistic_method": "mean"}}`, `"mean"`, "dpu-calib-statistic-method", diag.Error, ""},
		{"DPU widths", `{"tensor_quantize_config": {"bias": {"bit_width": 16}}}`, `16`, "dpu-bit-width", diag.Error, ""},
		{"DPU widths in a rule", `{"layer_quantize_config": [{"layer_type": "Conv", "quantizable_data_type": ["activation"], "overall_quantize_config": {"bit_width": 4}}]}`, `4}`, "dpu-bit-width", diag.Error, ""},

		{"method with bfloat16", "{" + cpu + `"overall_quantize_config": {"datatype": "bfloat16", "method": "mse"}}`, `"method"`, "no-effect", diag.Warning, ""},
		{"datatype that rules set", "{" + cpu + `"quantizable_data_type": ["weights"], "tensor_quantize_config": {"bias": {"datatype": "bfloat16"}}, "layer_quantize_config": [{"layer_type": "Conv", "quantizable_data_type": ["bias"], "overall_quantize_config": {"datatype": "float32"}}]}`, `"datatype"`, "no-effect", diag.Note, ""},
		{"percentage alone", "{" + cpu + `"overall_quantize_config": {"percentage": 99.9}}`, `"percentage"`, "no-effect", diag.Warning, ""},
		{"statistic of weights", "{" + cpu + `"tensor_quantize_config": {"weights": {"calib_statistic_method": "modal"}}}`, `"calib_statistic_method"`, "no-effect", diag.Warning, ""},
		{"kind not listed", "{" + cpu + `"quantizable_data_type": ["weights"], "tensor_quantize_config": {"bias": {"bit_width": 4}}}`, `"bias"`, "no-effect", diag.Warning, ""},
		{"shadowed", "{" + cpu + `"layer_quantize_config": [{"layer_type": "torch.nn.ReLU", "quantizable_data_type": [], "overall_quantize_config": {}}, {"layer_type": "Relu", "quantizable_data_type": [], "overall_quantize_config": {}}]}`, `"torch.nn.ReLU"`, "shadowed-rule", diag.Warning, ""},
		{"fraction", "{" + cpu + `"overall_quantize_config": {"method": "percentile", "percentage": 0.9999, "scale_type": "float", "calib_statistic_method": "max"}}`, `0.9999`, "small-percentage", diag.Note, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, list := strategy.Parse("s.json", []byte(tt.src))
			found := at(tt.src, tt.place, list)
			i := slices.IndexFunc(found, func(f diag.Finding) bool { return f.Code == tt.code })
			if i < 0 {
				t.Fatalf("no %s at %s:\n%s\n%v", tt.code, tt.place, tt.src, list)
			}
			f := found[i]
			if f.Severity != tt.sev {
				t.Errorf("severity %s, want %s", f.Severity, tt.sev)
			}
			if tt.suggest != "" && (len(f.Suggestions) == 0 || f.Suggestions[0] != tt.suggest) {
				t.Errorf("suggestions %q, want %q first", f.Suggestions, tt.suggest)
			}
			if f.Message.IsZero() || f.Path == "" {
				t.Errorf("message %q, path %q", f.Message, f.Path)
			}
			if len(list) != 1 {
				t.Errorf("%d findings, want 1: %v", len(list), list)
			}
		})
	}
}

// TestGood holds files that lint must have nothing to say about.
func TestGood(t *testing.T) {
	files, err := filepath.Glob("../examples/configs/*.json")
	if err != nil || len(files) < 4 {
		t.Fatalf("examples/configs: %v, %v", files, err)
	}
	good := map[string]string{
		"nothing":            `{}`,
		"comments":           "\ufeff// c\n{ /* c */ \"include_cle\": false, // c\n}",
		"integer as float":   `{"overall_quantize_config": {"bit_width": 8.0}}`,
		"integer percentage": `{"target_device": "CPU", "overall_quantize_config": {"method": "percentile", "percentage": 99, "scale_type": "float", "calib_statistic_method": "max"}}`,
		"percentage above":   `{"target_device": "CPU", "overall_quantize_config": {"percentage": 99.9}, "layer_quantize_config": [{"layer_type": "Conv", "quantizable_data_type": ["activation"], "overall_quantize_config": {"method": "percentile", "scale_type": "float", "calib_statistic_method": "max"}}]}`,
		"alias":              `{"overall_quantize_config": {"data_type": "int"}}`,
		"narrow DPU":         `{"overall_quantize_config": {"narrow_range": true}}`,
		"asymmetric percentile": `{"target_device": "CPU", "overall_quantize_config": {"method": "percentile", "scale_type": "float", "calib_statistic_method": "max"},
			"tensor_quantize_config": {"activation": {"symmetry": false}}}`,
		"only rules quantize": `{"quantizable_data_type": [], "layer_quantize_config": [{"layer_name": "a", "quantizable_data_type": ["weights"], "overall_quantize_config": {"bit_width": 4}}]}`,
		"complete rule": `{"target_device": "CPU", "layer_quantize_config": [{"layer_type": "nn.Linear", "layer_name": null, "quantizable_data_type": ["weights"],
			"overall_quantize_config": {"datatype": "int", "bit_width": 8, "method": "maxmin", "round_mode": "half_even", "symmetry": true, "per_channel": true, "signed": true, "narrow_range": false, "scale_type": "float", "calib_statistic_method": "max"}}]}`,
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		good[filepath.Base(f)] = string(b)
	}
	for _, target := range []scheme.Target{scheme.DPU, scheme.CPU, scheme.GPU} {
		for _, d := range []scheme.Datatype{scheme.Int, scheme.BFloat16, scheme.Float16, scheme.Float32} {
			good[fmt.Sprintf("template %s %s", target, d)] = string(strategy.Template(target, d))
		}
	}
	good["default"] = string(strategy.Default().MarshalResolved())
	for name, src := range good {
		t.Run(name, func(t *testing.T) {
			_, list := strategy.Parse("s.json", []byte(src))
			if name == "default" { // it writes all settings, also those without effect
				list = slices.DeleteFunc(list, func(f diag.Finding) bool { return f.Code == "no-effect" })
			}
			if len(list) > 0 {
				t.Errorf("%s\n%v", src, list)
			}
		})
	}
}

// TestAllAtOnce: one mistake does not hide another, and findings come sorted.
func TestAllAtOnce(t *testing.T) {
	src := `{
  "include_cle": 1,
  "target_device": "CPU"
  "overall_quantize_config": {"method": 'mse', "bitwidth": 8, "symmetry": False},
  "layer_quantize_config": [{"layer_type": "Conv2d"}, {}]
}`
	_, list := strategy.Parse("s.json", []byte(src))
	if len(list) < 9 {
		t.Errorf("%d findings: %v", len(list), list)
	}
	if !slices.IsSortedFunc(list, func(a, b diag.Finding) int { return a.Range.Start.Offset - b.Range.Start.Offset }) {
		t.Errorf("not sorted: %v", list)
	}
}

// TestNoCascade: what cannot be read gives no second finding elsewhere.
func TestNoCascade(t *testing.T) {
	for _, src := range []string{
		`{"target_device": "CPU", "overall_quantize_config": {"method": "minmax", "scale_type": "float", "calib_statistic_method": "max"}}`,
		`{"target_device": "CPU", "overall_quantize_config": {"metod": "maxmin", "scale_type": "float", "calib_statistic_method": "max"}}`,
		`{"target_device": "TPU", "overall_quantize_config": {"method": "maxmin", "scale_type": "float", "calib_statistic_method": "max"}}`,
		`{"target_devise": "CPU", "overall_quantize_config": {"method": "maxmin", "scale_type": "float", "calib_statistic_method": "max"}}`,
		`{"target_device": "CPU", "overall_quantize_config": {"datatype": "float8", "percentage": 99}}`,
		`{"target_device": "CPU", "overal_quantize_config": {"method": "maxmin", "calib_statistic_method": "max"}, "tensor_quantize_config": {"input": {"scale_type": "float"}}}`,
		`{"layer_quantize_config": [{"layer_nam": "x", "quantizable_data_type": ["weights"], "overall_quantize_config": {"bit_width": 4}}]}`,
		`{"target_device": "CPU", "overall_quantize_config": {"method": "mse", "scale_type": "float",`,
	} {
		_, list := strategy.Parse("s.json", []byte(src))
		if len(list) != 1 {
			t.Errorf("%d findings, want 1: %s\n%v", len(list), src, list)
		}
	}
}

func TestColumnsCountCharacters(t *testing.T) {
	_, list := strategy.Parse("s.json", []byte("{\n\t/* 目标 */ \"targt_device\": 1}"))
	if len(list) != 1 || list[0].Range.String() != "s.json:2:11" || list[0].Range.Start.Offset != 16 {
		t.Errorf("%v %+v", list, list[0].Range)
	}
}

// manyRules is a file of n rules.
func manyRules(n int) []byte {
	var b strings.Builder
	b.WriteString(`{"target_device": "CPU", "layer_quantize_config": [`)
	for i := range n {
		if i > 0 {
			b.WriteString(",\n")
		}
		fmt.Fprintf(&b, `{"layer_type": null, "layer_name": "features.%d.conv", "quantizable_data_type": ["weights", "bias", "activation"],
  "overall_quantize_config": {"datatype": "int", "bit_width": 8, "method": "maxmin", "round_mode": "half_even", "symmetry": true, "per_channel": false,
  "signed": true, "narrow_range": false, "scale_type": "float", "calib_statistic_method": "max"}, "tensor_quantize_config": {"weights": {"per_channel": true}}}`, i)
	}
	b.WriteString("]}")
	return []byte(b.String())
}

func BenchmarkParse(b *testing.B) {
	src := manyRules(1000)
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		strategy.Parse("s.json", src)
	}
}
