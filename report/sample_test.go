package report

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"narrow/diag"
	"narrow/evaluate"
	"narrow/inspect"
	"narrow/scheme"
	"narrow/strategy"
)

var pages = flag.String("pages", "", "write the generated pages into this folder, for the browser's test")

// hostile is a name that would be markup, script and the end of the data, if
// anything took it for such.
const hostile = `</script><script>document.title='taken'</script><img src=x onerror="document.title='taken'">&amp;` + "\u2028'\"`${}"

// served is the layer of generated that has no quantizer of its own.
const served = 6

// generated returns a document with n tensors, as large as a report of so large
// a network is: long names, full histograms, many channels. Every datatype, a
// layer without error and one without a number, and names that are hostile.
func generated(n int) *Document {
	agreement := 0.9321
	wer, worse, more, better, best := Number(0.111), Number(0.125), Number(0.014), Number(0.412), Number(0.398)
	d := &Document{
		Format: Format, Model: Model{Name: "generated.onnx" + hostile, Path: "models/generated.onnx", SHA256: fmt.Sprintf("%064x", n)},
		Result: &Result{
			Samples: 1000, Float: &evaluate.Accuracy{Top1: 0.75, Top5: 0.925}, Quantized: &evaluate.Accuracy{Top1: 0.7321, Top5: 0.9187},
			Agreement: &agreement, SQNR: 17.25, Worst: hostile, Metric: &Metric{Name: "wer" + hostile, LowerIsBetter: true, Float: &wer, Quantized: &worse, Drop: &more},
			Outputs: []evaluate.Output{
				{Name: hostile, Shape: []int64{1000}, SQNR: 17.25, Cosine: 0.991, MaxError: 12345.6, Classes: 1000, Agreement: &agreement},
				{Name: "boxes", Shape: []int64{-1, 4}, SQNR: 31, Cosine: 0.9999, MaxError: 0.5},
			},
		},
		Cost: &Cost{
			Bytes: 3_600_000, FloatBytes: 14_000_000, MACs: 1_800_000_000, Relative: 0.065, Pairs: []MACs{{"4 × 8", 200_000_000}, {"8 × 8", 1_600_000_000}},
			Uncounted: []string{"loop (Loop)"}, Files: []File{{"generated.onnx", 14_100_000}, {"generated.qdq.onnx", 3_700_000}},
		},
		Measured: &Measured{Samples: 256, Reference: inspect.Exact},
		Strategy: &Strategy{
			File: "strategy.json", Target: "GPU", SHA256: fmt.Sprintf("%064x", n+1),
			Source: "{\n  \"overall_quantize_config\": {\"bit_width\": 8}, // " + hostile[:8] + "\n  \"layer_quantize_config\": [\n    {\"layer_type\": \"Conv\",\n     \"overall_quantize_config\": {\"bit_width\": 4}}\n  ]\n}\n",
			Rules:  []Rule{{Text: Text{diag.Textf("layer rule %d (by type %s)", 1, "Conv")}, First: 4, Last: 5, Kinds: []scheme.Kind{scheme.Weights}}},
		},
		Findings: []Finding{
			{Severity: diag.Warning, File: "strategy.json", Line: 2, Message: Text{diag.Verbatim("a warning " + hostile)}, Fix: Text{diag.Verbatim("a way out")}},
			{Severity: diag.Note, Message: Text{diag.Verbatim("a note")}},
			{
				Severity: diag.Warning, Code: "join-step", Message: Text{diag.Verbatim("12345 values are one")}, Layers: []int{1, 7},
				Fix: Text{diag.Textf("leave it in float, by layer_quantize_config: %s", inspect.Rule("spared", scheme.Activation))},
			},
		},
		Rewrites:     []Rewrite{{Rule: "fold-batchnorm", Node: hostile, Note: Text{diag.Textf("folded into %s", hostile)}}},
		FloatTensors: []FloatTensor{{Name: hostile, Kind: scheme.Activation, Layer: 1, Why: Text{diag.Verbatim("it is in a group")}}},
		Reproduce: &Reproduce{
			Commands: [][]string{{"narrow", "run", "--data", "it's here", "--model", "models/generated.onnx"}},
			Facts:    []Fact{{FactVersion, "devel"}, {FactModel, fmt.Sprintf("%064x", n)}},
		},
	}
	one, less, half := 1.0, 0.5, evaluate.Decibel(21.5)
	d.Compare = &Compare{
		Samples: 1000, Float: &evaluate.Accuracy{Top1: 0.75, Top5: 0.925}, FloatBytes: 14_000_000,
		Rows: []CompareRow{
			{Name: "int8.json", Source: "{\n  \"target_device\": \"CPU\"\n}\n", Words: []Text{{diag.Verbatim("the first " + hostile)}}, Quantized: &evaluate.Accuracy{Top1: 0.7321, Top5: 0.9187}, Agreement: &one, SQNR: &half, Bytes: 3_600_000, MACs: []MACs{{"8×8", 1_800_000_000}}, Cost: &one, Metric: &Metric{Name: "map50", Float: &better, Quantized: &best}},
			{Name: "int4.json", Source: "{\n  // " + hostile[:8] + "\n}\n", Words: []Text{{diag.Verbatim("weights 8 to 4 bits")}}, Quantized: &evaluate.Accuracy{Top1: 0.70, Top5: 0.90}, Agreement: &one, SQNR: &half, Bytes: 1_900_000, MACs: []MACs{{"4×8", 1_700_000_000}, {"8×8", 100_000_000}}, Cost: &less, Metric: &Metric{Name: "map50", Float: &better, Quantized: &worse}},
			{Name: "int2.json", Words: []Text{{diag.Verbatim("weights 8 to 2 bits")}}, Error: Text{diag.Textf("no mistakes")}},
		},
	}
	d.Settings = [][]Setting{
		{{Key: strategy.KeyDatatype, Value: "int", Reason: Text{diag.Textf("default for the %s", "DPU")}}, {Key: strategy.KeyBitWidth, Value: "8", Line: 2, Reason: Text{diag.Verbatim("overall_quantize_config")}}},
		{{Key: strategy.KeyDatatype, Value: "int", Reason: Text{diag.Textf("default for the %s", "DPU")}}, {Key: strategy.KeyBitWidth, Value: "4", Line: 5, Reason: Text{diag.Verbatim("layer rule 1")}, Overridden: []Overridden{{Value: "8", Line: 2, Reason: Text{diag.Verbatim("overall_quantize_config")}}}}},
	}
	types := []string{"int8", "int4", "int16", "bfloat16", "float16", "float32"}
	counts := make(Counts, inspect.Bins)
	for i := range counts {
		counts[i] = int64(1e7 * math.Exp(-math.Pow(float64(i)-64, 2)/300))
	}
	for len(d.Tensors) < n {
		at := len(d.Layers)
		l := Layer{
			Name: fmt.Sprintf("/backbone/stages.%d/blocks.%d/attention/projection/Conv", at/40, at%40), Op: "Conv",
			Module:  fmt.Sprintf("backbone.stages.%d.blocks.%d.attention.projection", at/40, at%40),
			Weights: types[at%len(types)], Activation: types[at%len(types)], Rule: 0,
			Error: &Error{SQNR: Number(30 + 20*math.Sin(float64(at))), Cosine: Number(1 - math.Pow(10, -3+2*math.Sin(float64(at)))), MSE: 1e-3 / math.Pi, MaxDiff: 0.5 / math.Pi},
		}
		l.Spare, l.Result, l.MACs, l.BitShare, l.Bytes, l.FloatBytes = inspect.Rule(l.Name, scheme.Weights, scheme.Activation), len(d.Tensors)+2, 1_234_567, 0.003, 4096, 16384
		if at > 0 {
			l.Inputs = []int{at - 1}
		}
		switch at % 5 {
		case 4: // around three others
			l.Inputs = []int{at - 4, at - 1}
		case 2: // of several nodes, the last of which reads the next layer
			l.Inputs = []int{at - 1, at + 1}
		}
		switch at {
		case 1:
			l.Name = hostile
		case 2:
			l.Error = &Error{SQNR: Number(math.Inf(1)), Exact: true, Cosine: 1}
		case 3:
			l.Error = &Error{SQNR: Number(math.NaN()), Cosine: Number(math.NaN()), MSE: Number(math.Inf(1)), MaxDiff: Number(math.Inf(1))}
		case 4:
			l.Error = nil
		case 5:
			l.Error.SQNR = -3
		case served: // nothing of its own: the layer before stores its result
			l.Result, l.Spare, l.Tensors = len(d.Tensors)-1, inspect.Rule(d.Layers[at-1].Name, scheme.Activation), []int{}
		}
		for _, k := range []scheme.Kind{scheme.Weights, scheme.Bias, scheme.Activation} {
			if at == served {
				break
			}
			t := Tensor{
				Name: l.Name + "." + k.String(), Kind: k, Layer: at, Datatype: l.Weights, Settings: at % 2, Axis: -1,
				Where: Text{diag.Textf("the result of %s", "Conv")},
				Seen: &Seen{
					Elements: 123456789, Min: -3.2512341, Max: 3.2598762, Clipped: Number(0.0123 / math.Pi), Zeroed: Number(0.00001 * float64(at) / math.Pi),
					Own: Error{SQNR: 35 / math.E, Cosine: 1 - 1e-4/math.Pi, MSE: 1e-4 / math.Pi, MaxDiff: 0.01 / math.Pi}, Accumulated: l.Error,
					Histogram: &Histogram{Low: -3.2, Width: 0.05, Counts: counts},
				},
			}
			if at%len(types) < 3 {
				t.Scales, t.Scale, t.Min, t.Max = 1, [2]float32{0.02, 0.02}, -128, 127
			}
			if k == scheme.Weights {
				t.Axis = 0
				ch := &Channels{Count: 512, Per: 1}
				for i := range ch.Count {
					v := float32(1 + i%7)
					ch.Min, ch.Max = append(ch.Min, -v/3), append(ch.Max, v/2)
					if t.Scales > 0 {
						ch.Low, ch.High = append(ch.Low, -v/2), append(ch.High, v/2)
					}
				}
				if t.Scales > 0 {
					t.Scales, t.Scale = 512, [2]float32{0.01, 0.05}
				}
				t.Seen.Channels = ch
			}
			l.Tensors = append(l.Tensors, len(d.Tensors))
			d.Tensors = append(d.Tensors, t)
		}
		d.Strategy.Rules[0].Layers = append(d.Strategy.Rules[0].Layers, at)
		d.Layers = append(d.Layers, l)
	}
	if last := len(d.Layers) - 1; last > 0 {
		d.Layers[last].Inputs = []int{last - 1}
	}
	limitChannels(d.Tensors)
	limitHistograms(d.Tensors)
	return d
}

// searched returns the page of a search with n trials of strategies for layers
// layers, each but a tenth of them with a rule for every layer.
func searched(n, layers int) *Document {
	float, limit, held := Number(0.75), Number(0.74), Number(0.0021)
	s := &Search{
		Objective: Objective{Name: "map50", Unit: Share, Float: &float, Limit: &limit}, Searched: 2000, HeldOut: 1000, HeldOutDrop: &held,
		Complete: true, File: "strategy.json", Best: n - 1,
	}
	for i := range n {
		var b strings.Builder
		b.WriteString("{\n  \"target_device\": \"CPU\",\n  \"layer_quantize_config\": [\n")
		for l := range layers {
			if i%10 == 0 {
				break
			}
			fmt.Fprintf(&b, "    {\n      \"layer_type\": null,\n      \"layer_name\": \"/stages.%d/blocks.%d/attention/Conv\",\n      \"quantizable_data_type\": [\"weights\", \"bias\", \"activation\"],\n"+
				"      \"overall_quantize_config\": {\"bit_width\": %d}\n    },\n", l/40, l%40, 4<<(uint32(l*7919+i*104729)*2654435761>>16%3))
		}
		b.WriteString("  ]\n}\n")
		drop := Number(0.02 - 0.03*float64(i)/float64(n) + 0.004*math.Sin(float64(i)))
		value, e := float-drop, Number(0.002)
		t := Trial{
			Number: i + 1, Phase: "mix", Words: Text{diag.Verbatim(fmt.Sprintf("mix %d of formats", i+1))}, Cost: Number(0.03 + 0.1*math.Abs(math.Sin(float64(i)/7))),
			Value: &value, Drop: &drop, StdErr: &e, Samples: 2000, State: TrialWithin, Strategy: s.AddStrategy(b.String()),
		}
		switch {
		case i == n-1:
			t.Phase, t.State, t.Samples, t.Cost = "confirm", TrialFound, 3000, 0.031
		case i == 1:
			t.Phase, t.State, t.Value, t.Drop, t.StdErr, t.Samples = "rank", TrialRanked, nil, nil, nil, 0
		case i == 2:
			t.State, t.Failed, t.Value, t.Drop, t.StdErr = TrialFailed, Text{diag.Verbatim("NaN in " + hostile)}, nil, nil, nil
		case i == 3:
			t.Phase = "a phase of tomorrow"
			t.State, t.Strategy, t.Words = TrialStopped, -1, Text{diag.Verbatim(hostile)}
		case drop > 0.01:
			t.State = TrialBeyond
		}
		s.Trials = append(s.Trials, t)
	}
	return &Document{Format: Format, Model: Model{Name: "generated.onnx" + hostile, Path: "generated.onnx"}, Search: s,
		Reproduce: &Reproduce{Commands: [][]string{{"narrow", "search"}}, Shortened: true, Facts: []Fact{{FactVersion, "devel"}}}}
}

// TestPages writes the pages that the browser clicks through: make test-report.
func TestPages(t *testing.T) {
	if *pages == "" {
		t.Skip("-pages names no folder")
	}
	write := func(name string, d *Document) {
		f, err := os.Create(filepath.Join(*pages, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := Write(f, d); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	write("generated.html", generated(1000))
	write("large.html", generated(3000))
	all := generated(10)
	write("search.html", searched(40, 20))
	write("comparison.html", &Document{Format: Format, Model: all.Model, Compare: all.Compare})
}
