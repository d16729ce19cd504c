package export_test

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"narrow/calibrate"
	"narrow/export"
	"narrow/graph"
	"narrow/graph/graphtext"
	"narrow/graph/names"
	"narrow/plan"
)

var listed = regexp.MustCompile(`(?m)^        self\.module_(\d+) = py_nndct\.nn\.(\w+)\((.*)\) #(.*)$`)

// compiles has Python look at a listing, where it is installed.
func compiles(t *testing.T, text []byte) {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		return
	}
	file := filepath.Join(t.TempDir(), "m.py")
	if err := os.WriteFile(file, text, 0o666); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("python3", "-c", "import ast, sys; ast.parse(open(sys.argv[1], encoding='utf-8').read())", file)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("Python: %s\n%s", out, text)
	}
}

// TestListing holds the listings of the recorded networks: valid Python, one
// line per layer, each comment the name of its layer and of no other.
func TestListing(t *testing.T) {
	for _, model := range []string{"tinyresnet", "tinymobile", "tinyunet", "tinymlp", "tinyswish", "tinyhswish"} {
		m := load(t, reference("models", model, "model.onnx"))
		p, _, err := plan.Build(m, settings(t, "{}"))
		if err != nil {
			t.Fatal(err)
		}
		name, text := export.Listing(&calibrate.Calibrated{Plan: p, Source: calibrate.Source{ModelPath: "a/" + model + ".onnx", Version: "1.2.3"}})
		if name != model+".py" {
			t.Errorf("the file is called %s", name)
		}
		golden(t, model+".py", text)
		compiles(t, text)
		resolves(t, p, text)
	}
}

// resolves checks that every comment of a listing means one layer, a different
// one each.
func resolves(t *testing.T, p *plan.Plan, text []byte) {
	t.Helper()
	lines := listed.FindAllStringSubmatch(string(text), -1)
	if inputs := 1; len(lines) != len(p.Operations)+inputs {
		t.Errorf("%d lines for %d operations:\n%s", len(lines), len(p.Operations), text)
	}
	table := names.New(p.Model)
	seen := map[*graph.Node]bool{}
	for _, l := range lines {
		name := l[4]
		if strings.HasPrefix(name, `"`) {
			if err := json.Unmarshal([]byte(name), &name); err != nil {
				t.Errorf("comment %s: %v", l[4], err)
			}
		}
		f := table.Find(name)
		switch {
		case l[2] == "Input":
			if f.Form != names.InputName {
				t.Errorf("input comment %q means %v", name, f)
			}
		case len(f.Nodes) != 1:
			t.Errorf("comment %q means %d layers", name, len(f.Nodes))
		case seen[f.Nodes[0]]:
			t.Errorf("comment %q means a layer that another comment means", name)
		default:
			seen[f.Nodes[0]] = true
		}
	}
}

// TestListingOddNames survives what names and paths can hold.
func TestListingOddNames(t *testing.T) {
	for _, odd := range []string{"a\nb", `say "hi"`, `it's #1 \`, "层", "\x00\x7f", " blank ", "tab\t", "class", ")#(", "a\u2028b", "\xff\xfe"} {
		m := graphtext.MustParse(`<ir_version: 8, opset_import: ["": 13, "my.ops": 1]> g (float[N, 4] x) => (float[N, 4] y) {
			[n] a = Relu (x)
			[o] y = my.ops.Odd (a)
		}`)
		m.Graph.Nodes[0].Name = odd
		m.Graph.Nodes[1].OpType = "Od'd\n" + odd
		for _, n := range m.Graph.Nodes {
			for i, in := range n.Inputs {
				if in == "x" {
					n.Inputs[i] = odd + "x"
				}
			}
		}
		m.Graph.Inputs[0].Name = odd + "x"
		p, _, err := plan.Build(m, settings(t, "{}"))
		if err != nil {
			t.Fatal(err)
		}
		name, text := export.Listing(&calibrate.Calibrated{Plan: p, Source: calibrate.Source{ModelPath: `c:\nets\` + odd + ".onnx", Version: "1"}})
		if strings.ContainsAny(name, "\n/\\ \x00'\"") {
			t.Errorf("the file is called %q", name)
		}
		compiles(t, text)
		if utf8.ValidString(odd) { // no other name can stand in a strategy file
			resolves(t, p, text)
		}
	}
}

func TestModelName(t *testing.T) {
	m := graphtext.MustParse(small)
	for path, want := range map[string]string{
		"a/b/resnet18.onnx": "resnet18", "mobilenet_v1_0.25_224.onnx": "mobilenet_v1_0_25_224", "7up.onnx": "Model_7up", "": "Model",
		"class.onnx": "Model_class", `c:\x\net-1.onnx`: "net_1", "模型.onnx": "Model",
	} {
		if got := export.ModelName(m, path); got != want {
			t.Errorf("%q gives %q, not %q", path, got, want)
		}
	}
}

// vaiFile is vai_q_pytorch's quant_info.json.
type vaiFile struct {
	Param, Output, Input map[string]json.RawMessage
}

// TestVAI holds names and forms against what vai_q_pytorch itself wrote.
func TestVAI(t *testing.T) {
	for _, c := range []struct{ model, config string }{
		{"tinyresnet", "dpu_diffs"}, {"tinyresnet", "int8_perchannel"}, {"tinymlp", "int8_maxmin"}, {"tinymobile", "int8_asym"},
	} {
		m := load(t, reference("models", c.model, "model.onnx"))
		cal := calibrateOn(t, m, settings(t, config(t, c.config)))
		ref, err := os.ReadFile(reference("e2e", c.model, c.config, "quantize_result", "quant_info.json"))
		if err != nil {
			t.Fatal(err)
		}
		var want vaiFile
		if err := json.Unmarshal(ref, &want); err != nil {
			t.Fatal(err)
		}
		for key := range want.Param {
			cal.ModelPath, _, _ = strings.Cut(key, "::")
		}
		text, err := export.VAI(cal.Calibrated, "")
		if err != nil {
			t.Fatal(err)
		}
		var got vaiFile
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		sameForm(t, c.model+" param", got.Param, want.Param)
		if c.model != "tinymobile" { // ReLU6 is ReLU there
			sameForm(t, c.model+" output", got.Output, want.Output)
		}
	}
}

var digits = regexp.MustCompile(`-?[0-9.]+(e-?[0-9]+)?`)

// sameForm compares keys, and values but for their numbers.
func sameForm(t *testing.T, what string, got, want map[string]json.RawMessage) {
	t.Helper()
	form := func(v json.RawMessage) string {
		return strings.Join(strings.Fields(digits.ReplaceAllString(string(v), "n")), "")
	}
	for key, v := range want {
		g, ok := got[key]
		if !ok {
			t.Errorf("%s: %s is missing among %v", what, key, slices.Sorted(maps.Keys(got)))
		} else if form(g) != form(v) {
			t.Errorf("%s: %s has the form %s, not %s", what, key, form(g), form(v))
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			t.Errorf("%s: %s is not in the recorded file", what, key)
		}
	}
}
