package parity

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"

	"narrow"
	"narrow/calibrate"
	"narrow/calibrate/ort"
	"narrow/graph"
	"narrow/plan"
	"narrow/samples"
	"narrow/scheme"
	"narrow/strategy"
)

// run is one recorded run.
type run struct{ model, config string }

func recordedRuns(t *testing.T) []run {
	dirs, err := filepath.Glob("testdata/e2e/*/*")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no recorded runs: %v", err)
	}
	var rs []run
	for _, d := range dirs {
		rs = append(rs, run{filepath.Base(filepath.Dir(d)), filepath.Base(d)})
	}
	return rs
}

// outcome is what a run's comparison gave.
type outcome struct {
	run
	tensors, equal int
	maxDiff        float64 // largest relative scale difference
	share          float64 // of output elements within one step
	missing, extra []string
	unequal        []string
}

func TestParity(t *testing.T) {
	r, err := ort.Open(os.Getenv("NARROW_ORT_LIB"))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range recordedRuns(t) {
		t.Run(x.model+"/"+x.config, func(t *testing.T) {
			o := compare(t, plain{r}, x)
			t.Logf("%d tensors, %d equal, largest scale difference %.2g, output within a step %.4f", o.tensors, o.equal, o.maxDiff, o.share)
			for _, m := range o.missing {
				t.Errorf("narrow quantizes no %s", m)
			}
			for _, m := range o.extra {
				t.Errorf("the reference quantizes no %s", m)
			}
			for _, m := range o.unequal {
				t.Errorf("%s", m)
			}
			if o.share < 0.999 {
				t.Errorf("only %.4f of the output within one step", o.share)
			}
		})
	}
}

func compare(t *testing.T, r calibrate.Runner, x run) outcome {
	ctx := context.Background()
	ref, err := readRecorded(filepath.Join("testdata/e2e", x.model, x.config))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join("testdata/models", x.model)
	m, err := narrow.Open(filepath.Join(dir, "model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	s := strategy.Default()
	if x.config != "none" {
		file := filepath.Join("testdata/configs", x.config+".json")
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s, _ = strategy.Parse(file, src)
	}
	res, _, err := m.Resolve(s)
	if err != nil {
		t.Fatal(err)
	}
	set, err := samples.Open(filepath.Join(dir, "calib.npy"), m.Inputs(), samples.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := res.Calibrate(ctx, r, narrow.Batches(ctx, set, 4), calibrate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	o := outcome{run: x}
	ours := ourTensors(c)
	for name, want := range ref.flat() {
		key, ok := ref.key(name)
		if !ok {
			t.Fatalf("no listing line for %s", name)
		}
		o.tensors++
		got, ok := ours[key]
		if !ok {
			o.missing = append(o.missing, fmt.Sprintf("%s (%s)", name, key))
			continue
		}
		delete(ours, key)
		if d, msg := got.differs(want); msg != "" {
			o.unequal = append(o.unequal, fmt.Sprintf("%s (%s): %s", name, key, msg))
			o.maxDiff = math.Max(o.maxDiff, d)
		} else {
			o.equal++
			o.maxDiff = math.Max(o.maxDiff, d)
		}
	}
	for key, g := range ours {
		if g.t.Settings.Settings.Datatype == scheme.Int {
			o.extra = append(o.extra, key)
		}
	}
	sort.Strings(o.missing)
	sort.Strings(o.extra)
	sort.Strings(o.unequal)
	o.share = outputShare(t, r, c, dir, filepath.Join("testdata/e2e", x.model, x.config, "quant_output.npy"))
	return o
}

func outputShare(t *testing.T, r calibrate.Runner, c *narrow.Calibrated, dir, wantFile string) float64 {
	ctx := context.Background()
	set, err := samples.Open(filepath.Join(dir, "test.npy"), c.Model.Inputs(), samples.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []float32
	if _, err := c.Test(ctx, r, narrow.Batches(ctx, set, 4), calibrate.TestOptions{Output: func(_ int, outs []calibrate.Tensor) error {
		got = append(got, outs[0].Floats...)
		return nil
	}}, true); err != nil {
		t.Fatal(err)
	}
	want := readNPY(t, wantFile)
	if len(want) != len(got) {
		t.Fatalf("%d outputs, not %d", len(got), len(want))
	}
	step := 0.0
	out := c.Plan.Model.Graph.Outputs[0].Name
	if e, ok := c.Encoding(out, scheme.Activation); ok && len(e.Scale) > 0 {
		step = float64(e.Scale[0])
	}
	in := 0
	for i := range got {
		tol := step * 1.001
		if step == 0 {
			tol = math.Max(math.Abs(float64(want[i])), 0.05) / 128
		}
		if math.Abs(float64(got[i])-float64(want[i])) <= tol {
			in++
		}
	}
	return float64(in) / float64(len(got))
}

// readNPY reads a float32 .npy of version 1 in C order.
func readNPY(t *testing.T, file string) []float32 {
	set, err := samples.Open(file, []samples.InputSpec{{Name: "x", Type: samples.Float32}}, samples.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var out []float32
	for b, err := range set.Batches(context.Background(), 1) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b.Inputs["x"].Floats...)
	}
	return out
}

// ourTensor is a quantized tensor of narrow's.
type ourTensor struct {
	t *plan.Tensor
	e scheme.Encoding
}

// differs returns the largest relative difference of scales, and what is wrong
// beyond spec.md section 6.
func (o ourTensor) differs(want [][]any) (float64, string) {
	if len(want) != len(o.e.Scale) && len(want) == 1 {
		if list, ok := want[0][1].([]any); ok { // per channel: lists inside
			worst := 0.0
			for i, w := range list {
				d := math.Abs(float64(o.e.Scale[i])-w.(float64)) / w.(float64)
				worst = math.Max(worst, d)
			}
			if worst > 1e-6 {
				return worst, fmt.Sprintf("scales differ by %.3g", worst)
			}
			return worst, ""
		}
	}
	worst := 0.0
	for i, w := range want {
		if len(w) == 2 {
			if p := int(w[1].(float64)); p != o.e.FixPosition[i] {
				return 1, fmt.Sprintf("fix position %d, not %d", o.e.FixPosition[i], p)
			}
			continue
		}
		switch sc := w[1].(type) {
		case float64:
			worst = math.Max(worst, math.Abs(float64(o.e.Scale[i])-sc)/sc)
			if z, ok := w[2].(float64); ok && int64(z) != o.e.ZeroPoint[i] {
				return worst, fmt.Sprintf("zero point %d, not %v", o.e.ZeroPoint[i], z)
			}
		case []any:
			for j, v := range sc {
				worst = math.Max(worst, math.Abs(float64(o.e.Scale[j])-v.(float64))/v.(float64))
			}
		}
	}
	if worst > 1e-6 {
		return worst, fmt.Sprintf("scale %v, not %v (relative difference %.3g)", o.e.Scale[0], want[0][1], worst)
	}
	return worst, ""
}

// ourTensors lists narrow's tensors by a key that both sides can make.
func ourTensors(c *narrow.Calibrated) map[string]ourTensor {
	producer := map[string]*graph.Node{}
	for _, n := range c.Plan.Model.Graph.Nodes {
		for _, o := range n.Outputs {
			producer[o] = n
		}
	}
	// Keys of activations count the uses of one module.
	count := map[string]int{}
	keyOf := map[*graph.Node]string{}
	for _, n := range c.Plan.Model.Graph.Nodes {
		k := nodePath(n.Name) + " " + onnxKind(n)
		count[k]++
		keyOf[n] = fmt.Sprintf("%s #%d", k, count[k])
	}
	out := map[string]ourTensor{}
	for _, t := range c.Plan.Tensors {
		var key string
		switch {
		case t.Kind == scheme.Weights || t.Kind == scheme.Bias:
			key = fmt.Sprintf("%s %v", nodePath(t.Layer.Node.Name), t.Kind)
		case t.Kind == scheme.Input && t.Uses == nil:
			key = "input"
		case t.Kind == scheme.Input:
			key = "entering " + keyOf[t.Uses[0].Node]
		default:
			key = keyOf[producer[t.Name]]
		}
		out[key] = ourTensor{t, c.Result.Encodings[t]}
	}
	return out
}

func onnxKind(n *graph.Node) string {
	switch n.OpType {
	case "Gemm":
		return "Linear"
	case "Clip":
		return "Relu"
	case "Mul":
		return "Act"
	case "HardSwish":
		return "Act"
	}
	return n.OpType
}

var repeatRE = regexp.MustCompile(`_\d+$`)

// nodePath returns the module path of /layer1/layer1.0/conv1/Conv.
func nodePath(name string) string {
	segs := strings.Split(strings.TrimPrefix(name, "/"), "/")
	segs = segs[:len(segs)-1]
	path := ""
	for i, s := range segs {
		if i == len(segs)-1 {
			s = repeatRE.ReplaceAllString(s, "")
		}
		if j := strings.LastIndex(s, "."); j >= 0 {
			s = s[j+1:]
		}
		if i > 0 {
			path += "."
		}
		path += s
	}
	return path
}

// flat returns all recorded tensors; those of the section input are marked.
func (r *recorded) flat() map[string][][]any {
	out := map[string][][]any{}
	for n, v := range r.Param {
		out[n] = v
	}
	for n, v := range r.Output {
		out[n] = v
	}
	for n, v := range r.Input {
		out["entering "+n] = v
	}
	return out
}

var kinds = map[string]string{
	"Conv2d": "Conv", "ConvTranspose2d": "ConvTranspose", "Linear": "Linear", "ReLU": "Relu", "relu6": "Relu",
	"MaxPool2d": "MaxPool", "Add": "Add", "AdaptiveAvgPool2d": "GlobalAveragePool", "AvgPool2d": "AveragePool",
	"Cat": "Concat", "Hardswish": "Act", "LeakyReLU": "LeakyRelu", "Sigmoid": "Sigmoid", "Interpolate": "Resize",
	"flatten": "Flatten", "Module": "Act",
}

// key returns the key of a recorded tensor.
func (r *recorded) key(name string) (string, bool) {
	_, local, _ := strings.Cut(name, "::")
	if strings.HasSuffix(local, "input_0") && !strings.HasPrefix(name, "entering") {
		return "input", true
	}
	if p, ok := strings.CutSuffix(local, ".weight"); ok {
		return p + " weights", true
	}
	if p, ok := strings.CutSuffix(local, ".bias"); ok {
		return p + " bias", true
	}
	prefix := ""
	if n, ok := strings.CutPrefix(name, "entering "); ok {
		prefix, name = "entering ", n
	}
	count := map[string]int{}
	for _, l := range r.layers {
		k := l.path + " " + kinds[l.kind]
		count[k]++
		if l.name == name {
			return fmt.Sprintf("%s%s #%d", prefix, k, count[k]), true
		}
	}
	return "", false
}

// plain hands taps over in C order.
type plain struct{ calibrate.Runner }

func (p plain) Load(ctx context.Context, m *graph.Model, o calibrate.LoadOptions) (calibrate.Session, error) {
	o.AnyOrder = nil
	return p.Runner.Load(ctx, m, o)
}
