package report

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"narrow"
	"narrow/diag"
	"narrow/engine/ort"
	"narrow/evaluate"
	"narrow/export"
	"narrow/inspect"
	"narrow/internal/testnet"
	"narrow/scheme"
	"narrow/strategy"
)

// made is one calibration of the bundled network by web/test/strategy.json, and
// what was measured on it, for all tests.
var made = sync.OnceValue(func() (m struct {
	source   []byte
	strategy *strategy.Strategy
	done     *narrow.Calibrated
	test     *evaluate.Result
	measured *inspect.Result
	err      error
}) {
	if m.source, m.err = os.ReadFile("web/test/strategy.json"); m.err != nil {
		return m
	}
	var list diag.List
	m.strategy, list = strategy.Parse("strategy.json", m.source)
	if m.err = list.Err(); m.err != nil {
		return m
	}
	model, err := narrow.Open(context.Background(), "../models/fashion_dscnn.onnx")
	if m.err = err; err != nil {
		return m
	}
	planned, err := model.Plan(m.strategy, narrow.PlanOptions{Accuracy: narrow.Guide})
	if m.err = err; err != nil {
		return m
	}
	run, err := ort.Open("")
	if m.err = err; err != nil {
		return m
	}
	ctx, images := context.Background(), testnet.Noise(16, 8, 1)
	if m.done, m.err = planned.Calibrate(ctx, run, images, narrow.CalibrateOptions{SamplesSHA256: "5a"}); m.err != nil {
		return m
	}
	if m.test, m.err = m.done.Test(ctx, run, images, narrow.TestOptions{}); m.err != nil {
		return m
	}
	m.measured, m.err = inspect.Measure(ctx, m.done, run, images, inspect.Options{})
	return m
})

func document(t *testing.T, change func(*Input)) (*Document, error) {
	t.Helper()
	m := made()
	if m.err != nil {
		t.Fatal(m.err)
	}
	in := Input{Calibrated: m.done, Test: m.test, Measured: m.measured}
	if change != nil {
		change(&in)
	}
	return New(in)
}

func mustDocument(t *testing.T, change func(*Input)) *Document {
	t.Helper()
	d, err := document(t, change)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// layer returns the place of the layer whose name holds part.
func layer(t *testing.T, d *Document, part string) int {
	t.Helper()
	i := slices.IndexFunc(d.Layers, func(l Layer) bool { return strings.Contains(l.Name, part) })
	if i < 0 {
		t.Fatalf("no layer %s", part)
	}
	return i
}

// weights returns the weights of a layer.
func weights(t *testing.T, d *Document, layer int) Tensor {
	t.Helper()
	for _, i := range d.Layers[layer].Tensors {
		if d.Tensors[i].Kind == scheme.Weights {
			return d.Tensors[i]
		}
	}
	t.Fatalf("layer %d has no weights", layer)
	return Tensor{}
}

func TestNewRules(t *testing.T) {
	d := mustDocument(t, nil)
	rules := d.Strategy.Rules
	if len(rules) != 3 {
		t.Fatalf("%d rules", len(rules))
	}
	narrowed := layer(t, d, "features.5/pointwise/conv")
	// Every convolution but the one that rule 2 names; lines as in the file.
	var convs []int
	for i, l := range d.Layers {
		if l.Op == "Conv" && i != narrowed {
			convs = append(convs, i)
		}
	}
	if len(convs) < 10 || !slices.Equal(rules[0].Layers, convs) || !slices.Equal(rules[0].Lost, []int{narrowed}) {
		t.Errorf("rule 1 applies to %v and loses %v, want %v and %d", rules[0].Layers, rules[0].Lost, convs, narrowed)
	}
	if !slices.Equal(rules[1].Layers, []int{narrowed}) || len(rules[1].Lost) != 0 || d.Layers[narrowed].Rule != 1 {
		t.Errorf("rule 2 is %+v, layer %+v", rules[1], d.Layers[narrowed])
	}
	lines := strings.Split(string(made().source), "\n")
	for i, r := range rules {
		if strings.TrimSpace(lines[r.First-1]) != "{" || !strings.HasPrefix(strings.TrimSpace(lines[r.Last-1]), "}") {
			t.Errorf("rule %d stands on lines %d (%s) to %d (%s)", i+1, r.First, lines[r.First-1], r.Last, lines[r.Last-1])
		}
	}
	if rules[2].Text.String() != "layer rule 3 (by type Linear)" || d.Strategy.File != "strategy.json" || d.Strategy.Source != string(made().source) || d.Strategy.Restored {
		t.Errorf("strategy %q, rule 3 %q", d.Strategy.File, rules[2].Text)
	}
}

// TestNewSettings: each setting has the line that sets it, defaults have none,
// and what was overridden is told.
func TestNewSettings(t *testing.T) {
	d := mustDocument(t, nil)
	lines := strings.Split(string(made().source), "\n")
	x := weights(t, d, layer(t, d, "features.5/pointwise/conv"))
	want := map[strategy.Key]struct {
		value, text string // text is what the line holds, "" for a default
		over        []string
	}{
		strategy.KeyBitWidth:   {"4", `"bit_width": 4`, []string{"8"}},
		strategy.KeyPerChannel: {"true", `"per_channel": true`, []string{"false"}},
		strategy.KeyMethod:     {"maxmin", `"method": "maxmin"`, []string{"diffs"}},
		strategy.KeySigned:     {"true", "", nil},
	}
	found := 0
	for _, s := range d.Settings[x.Settings] {
		if s.Key == strategy.KeyStatistic || s.Key == strategy.KeyPercentage {
			t.Errorf("%v does not count for weights by maxmin", s.Key)
		}
		w, ok := want[s.Key]
		if !ok {
			continue
		}
		found++
		var over []string
		for _, o := range s.Overridden {
			over = append(over, o.Value)
		}
		if s.Value != w.value || (w.text == "") != (s.Line == 0) || s.Line > 0 && !strings.Contains(lines[s.Line-1], w.text) || !slices.Equal(over, w.over) {
			t.Errorf("%v is %+v, want %+v", s.Key, s, w)
		}
		if s.Reason.IsZero() {
			t.Errorf("%v has no reason", s.Key)
		}
	}
	if found != len(want) {
		t.Errorf("%d of %d settings found", found, len(want))
	}
	if n := len(d.Settings); n < 4 || n > len(d.Tensors)/3 {
		t.Errorf("%d lists of settings for %d tensors: equal ones are one", n, len(d.Tensors))
	}
}

// TestNewShowsWhatWasMeasured: numbers come through as they were handed in.
func TestNewShowsWhatWasMeasured(t *testing.T) {
	d := mustDocument(t, nil)
	m := made()
	if len(d.Layers) != len(m.measured.Layers) || len(d.Tensors) != len(m.measured.Tensors) {
		t.Fatalf("%d layers and %d tensors", len(d.Layers), len(d.Tensors))
	}
	for i, l := range d.Layers {
		from := m.measured.Layers[i]
		if l.Name != from.Name || l.Activation != from.Activation || l.Weights != from.Weights || float64(l.Error.SQNR) != float64(from.Error.SQNR) || float64(l.Error.Cosine) != from.Error.Cosine {
			t.Errorf("layer %d is %+v, was measured %+v", i, l, from)
		}
	}
	for i, x := range d.Tensors {
		from := m.measured.Tensors[i]
		if x.Name != from.Name || x.Layer != from.LayerIndex || float64(x.Seen.Clipped) != from.Clipped || float64(x.Seen.Zeroed) != from.Zeroed || !slices.Equal(x.Seen.Histogram.Counts, from.Histogram.Counts) {
			t.Errorf("tensor %d is %s, was measured %s", i, x.Name, from.Name)
		}
		e := m.done.Result.Encodings[m.done.Plan.Tensors[i]]
		if x.Scales != len(e.Scale) || x.Scales > 0 && (x.Scale != [2]float32{slices.Min(e.Scale), slices.Max(e.Scale)} || x.Min != e.Min || x.Max != e.Max) {
			t.Errorf("tensor %d has %d scales %v in %d..%d, encoding %+v", i, x.Scales, x.Scale, x.Min, x.Max, e)
		}
	}
	x := weights(t, d, layer(t, d, "features.5/pointwise/conv"))
	if x.Datatype != "int4" || x.Scales != 128 || x.Axis != 0 || x.Seen.Channels.Count != 128 || len(x.Seen.Channels.High) != 128 {
		t.Errorf("int4 weights are %s with %d scales along %d and channels %+v", x.Datatype, x.Scales, x.Axis, x.Seen.Channels)
	}
	if d.Measured.Samples != 16 || d.Result.Samples != 16 || float64(d.Result.SQNR) != float64(m.test.SQNR) || d.Result.Float != nil {
		t.Errorf("result %+v on %+v", d.Result, d.Measured)
	}
	if len(d.FloatTensors) != len(m.done.Plan.FloatTensors) || len(d.Rewrites) != len(m.done.Rewrites.Changes) || len(d.Rewrites) == 0 {
		t.Errorf("%d unquantized, %d rewrites", len(d.FloatTensors), len(d.Rewrites))
	}
}

func TestNewFacts(t *testing.T) {
	d := mustDocument(t, func(in *Input) {
		in.Commands = [][]string{{"narrow", "run"}}
		in.Facts = []Fact{{FactEngine, "1.30"}}
		in.Findings = diag.List{{Severity: diag.Warning, Code: "x", Range: diag.Range{File: "f", Start: diag.Pos{Line: 3}}, Message: diag.Textf("no mistakes"), Fix: diag.Verbatim("so what")}}
	})
	got := map[FactName]string{}
	for _, f := range d.Reproduce.Facts {
		got[f.Name] = f.Value
	}
	want := map[FactName]string{
		FactVersion: narrow.Version(), FactEngine: "1.30", FactModel: made().done.Model.SHA256, FactStrategy: made().strategy.SHA256(), FactSamples: "5a",
		FactCount: "16", FactBatches: "2", FactPropagate: "progressive", FactAccuracy: "guide",
	}
	for name, v := range want {
		if got[name] != v {
			t.Errorf("%s is %q, want %q", name, got[name], v)
		}
	}
	text, err := json.Marshal(d.Findings)
	if w := `[{"severity":"warning","code":"x","file":"f","line":3,"message":["no mistakes","没有错误"],"fix":"so what"}]`; err != nil || string(text) != w {
		t.Errorf("findings %s, %v, want %s", text, err, w)
	}
}

// TestNewOfFolder: what quant_info.json keeps is shown as such, and with the
// author's file the lines are those of that file again.
func TestNewOfFolder(t *testing.T) {
	m := made()
	if m.err != nil {
		t.Fatal(m.err)
	}
	dir := t.TempDir()
	if err := m.done.Save(dir); err != nil {
		t.Fatal(err)
	}
	loaded, err := narrow.Load(dir, m.done.Model, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := mustDocument(t, func(in *Input) { in.Calibrated = loaded })
	if !d.Strategy.Restored || d.Strategy.File != export.QuantInfoFile || !strings.HasPrefix(d.Strategy.Source, "{\n  \"") {
		t.Errorf("restored %v, file %q, source %.40q", d.Strategy.Restored, d.Strategy.File, d.Strategy.Source)
	}
	lines := strings.Split(d.Strategy.Source, "\n")
	for _, list := range d.Settings {
		for _, s := range list {
			if s.Line > 0 && !strings.Contains(lines[s.Line-1], s.Key.String()) {
				t.Errorf("%v points at line %d: %s", s.Key, s.Line, lines[s.Line-1])
			}
		}
	}
	author := mustDocument(t, func(in *Input) { in.Calibrated, in.Strategy = loaded, m.strategy })
	fresh := mustDocument(t, nil)
	a, _ := json.Marshal(author)
	b, _ := json.Marshal(fresh)
	if string(a) != string(b) {
		t.Error("with the author's file, the page of a loaded calibration is not that of a fresh one")
	}
}

func TestNewRefuses(t *testing.T) {
	other, _ := strategy.Parse("other.json", []byte(`{"target_device": "GPU"}`))
	short := *made().measured
	short.Tensors = short.Tensors[1:]
	tests := []struct {
		change func(*Input)
		want   string
	}{
		{func(in *Input) { in.Strategy = other }, "the strategy other.json is not the one that"},
		{func(in *Input) { in.Measured = &short }, "it is of another one"},
	}
	for _, tt := range tests {
		if _, err := document(t, tt.change); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want %q", err, tt.want)
		}
	}
}

// TestNewWithoutSamples: nothing measured is not nothing wrong.
func TestNewWithoutSamples(t *testing.T) {
	d := mustDocument(t, func(in *Input) { in.Test, in.Measured = nil, nil })
	if d.Result != nil || d.Measured != nil || d.Layers[0].Error != nil || d.Tensors[0].Seen != nil {
		t.Errorf("%+v, %+v", d.Result, d.Measured)
	}
	full := mustDocument(t, nil)
	for i, l := range d.Layers {
		if w := full.Layers[i]; l.Weights != w.Weights || l.Activation != w.Activation {
			t.Errorf("%s is stored as %q and %q, with samples %q and %q", l.Name, l.Weights, l.Activation, w.Weights, w.Activation)
		}
	}
	for i, x := range d.Tensors {
		if x.Datatype != full.Tensors[i].Datatype {
			t.Errorf("%s is %s, with samples %s", x.Name, x.Datatype, full.Tensors[i].Datatype)
		}
	}
}
