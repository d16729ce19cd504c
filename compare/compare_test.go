package compare_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"narrow"
	"narrow/calibrate"
	"narrow/compare"
	"narrow/diag"
	"narrow/engine"
	"narrow/evaluate"
	"narrow/graph"
	"narrow/internal/testnet"
)

func labels(n int) []int {
	l := make([]int, n)
	for i := range l {
		l[i] = i % 10
	}
	return l
}

const (
	guide = `{"target_device": "CPU", "include_cle": false, "include_bias_corr": false,
		"overall_quantize_config": {"method": "maxmin", "scale_type": "float", "calib_statistic_method": "max", "round_mode": "half_even"}}`
	perChannel = `{"target_device": "CPU", "include_cle": false,
		"overall_quantize_config": {"method": "maxmin", "scale_type": "float", "calib_statistic_method": "max", "round_mode": "half_even"},
		"tensor_quantize_config": {"weights": {"per_channel": true, "bit_width": 4}}}`
	// A quantizer between a Conv and its Clip needs a tap that others lack.
	inner = `{"target_device": "CPU", "include_cle": false,
		"layer_quantize_config": [{"layer_type": "Clip", "layer_name": null, "quantizable_data_type": ["input", "activation"], "overall_quantize_config": {"datatype": "bfloat16"}}]}`
	dpu = `{}`
)

// entries lays strategies over the bundled network; they are called a, b, ...
func entries(t *testing.T, accuracy narrow.Accuracy, texts ...string) []compare.Entry {
	t.Helper()
	m := testnet.Bundled(t)
	var out []compare.Entry
	for i, text := range texts {
		out = append(out, entry(t, m, accuracy, string(rune('a'+i)), text))
	}
	return out
}

func entry(t *testing.T, m *narrow.Model, accuracy narrow.Accuracy, name, text string) compare.Entry {
	t.Helper()
	return compare.Entry{Name: name, Planned: testnet.PlanFor(t, m, text, accuracy)}
}

// alone calibrates, tests and exports one strategy as run does.
func alone(t *testing.T, e compare.Entry, how calibrate.Propagation) (*evaluate.Result, int64) {
	t.Helper()
	ctx, runner := context.Background(), testnet.Runner(t)
	c, err := e.Planned.Calibrate(ctx, runner, testnet.Blobs(24, 8), narrow.CalibrateOptions{Propagate: how})
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Test(ctx, runner, testnet.Blobs(40, 8), narrow.TestOptions{Labels: engine.Labels{Classes: labels(40)}})
	if err != nil {
		t.Fatal(err)
	}
	x, err := c.Export(narrow.ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "model.onnx")
	if err := x.Save(file); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return res, st.Size()
}

// TestEqualsEachAlone: whatever is shared, every number is the one that the
// strategy has when it is calibrated, tested and exported by itself.
func TestEqualsEachAlone(t *testing.T) {
	for _, tt := range []struct {
		how      calibrate.Propagation
		accuracy narrow.Accuracy
		texts    []string
		runs     []int
	}{
		{calibrate.Progressive, narrow.Guide, []string{guide, perChannel, dpu}, []int{1, 2, 3}},
		{calibrate.Float, narrow.Guide, []string{guide, dpu, perChannel, inner}, []int{1, 2, 1, 3}},
		{calibrate.Float, narrow.High, []string{guide, perChannel}, []int{1, 2}}, // each chooses for itself
	} {
		t.Run(fmt.Sprintf("%v %v", tt.how, tt.accuracy), func(t *testing.T) {
			es := entries(t, tt.accuracy, tt.texts...)
			got, err := compare.Run(context.Background(), testnet.Runner(t), es, testnet.Blobs(24, 8), testnet.Blobs(40, 8), compare.Options{Propagate: tt.how, Labels: engine.Labels{Classes: labels(40)}})
			if err != nil {
				t.Fatal(err)
			}
			if got.Calibrated != 24 || got.Tested != 40 || got.Classes != 10 {
				t.Errorf("%d samples calibrated, %d tested, %d classes", got.Calibrated, got.Tested, got.Classes)
			}
			if tt.accuracy == narrow.High && got.Notes()[1].String() != "Each strategy was calibrated on 24 samples by a run of its own: high accuracy chooses for each." {
				t.Error(got.Notes())
			}
			if st, err := os.Stat(es[0].Planned.Model.Path); err != nil || got.Float.Bytes != st.Size() {
				t.Errorf("the float network has %d bytes, %v", got.Float.Bytes, err)
			}
			for i, row := range got.Strategies {
				res, size := alone(t, es[i], tt.how)
				want := evaluate.Result{Samples: 40, Float: got.Float.Accuracy, Quantized: row.Accuracy, Agreement: row.Agreement, SQNR: row.SQNR, Exact: row.Exact, Outputs: row.Outputs}
				if !reflect.DeepEqual(*res, want) {
					t.Errorf("%s: %+v\nalone %+v", row.Name, want, *res)
				}
				if row.Bytes != size {
					t.Errorf("%s: exported to %d bytes, alone %d", row.Name, row.Bytes, size)
				}
				if row.Run != tt.runs[i] {
					t.Errorf("%s: calibrated in run %d, want %d", row.Name, row.Run, tt.runs[i])
				}
			}
			if got.Strategies[0].SQNR == got.Strategies[1].SQNR {
				t.Error("two strategies that differ should not come out equal")
			}
		})
	}
}

// document is the JSON form without times.
func document(t *testing.T, c *compare.Comparison) []byte {
	t.Helper()
	for i := range c.Strategies {
		if c.Strategies[i].Seconds <= 0 {
			t.Error("calibration took no time")
		}
		c.Strategies[i].Seconds = 0
	}
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestSameBytes: the number of threads changes nothing but times.
func TestSameBytes(t *testing.T) {
	var want []byte
	for _, threads := range []int{1, 2, 3} {
		got, err := compare.Run(context.Background(), testnet.Runner(t), entries(t, narrow.Guide, guide, perChannel, dpu), testnet.Blobs(24, 8), testnet.Blobs(40, 8),
			compare.Options{Propagate: calibrate.Float, Threads: threads})
		if err != nil {
			t.Fatal(err)
		}
		data := document(t, got)
		if want == nil {
			want = data
		}
		if !bytes.Equal(data, want) {
			t.Errorf("%d threads:\n%s\none:\n%s", threads, data, want)
		}
	}
	if bytes.Contains(want, []byte("top1")) {
		t.Error("there is an accuracy without labels")
	}
}

// lines writes texts in English.
func lines(texts []diag.Text) string {
	var b []string
	for _, t := range texts {
		b = append(b, t.String())
	}
	return strings.Join(b, "\n")
}

// TestNotes says what ran once, and for whom.
func TestNotes(t *testing.T) {
	var steps []compare.Step
	got, err := compare.Run(context.Background(), testnet.Runner(t), entries(t, narrow.Guide, guide, dpu, perChannel, inner), testnet.Blobs(16, 8), testnet.Blobs(8, 8),
		compare.Options{Propagate: calibrate.Float, Progress: func(s compare.Step) { steps = append(steps, s) }})
	if err != nil {
		t.Fatal(err)
	}
	notes := lines(got.Notes())
	for _, want := range []string{
		"Tested on 8 samples; the float network ran once for all.",
		"Calibrated on 16 samples in float propagation.",
		"In one run of the network: a and c.",
		"By a run of its own: b and d, since ",
	} {
		if !strings.Contains(notes, want) {
			t.Errorf("the notes miss %q:\n%s", want, notes)
		}
	}
	last := steps[len(steps)-1]
	if last != (compare.Step{Stage: compare.Testing, Done: 8}) || steps[0].Stage != compare.Calibrating || steps[0].Strategy != "a, b, c, d" {
		t.Errorf("steps from %+v to %+v", steps[0], last)
	}
	runs := 0
	for _, s := range steps {
		if s.Stage == compare.Calibrating && s.Done == 16 {
			runs++
		}
	}
	if runs != 3 {
		t.Errorf("the network ran over the samples %d times, want 3", runs)
	}
}

// TestOpenShapes counts multiply-adds for the shapes that the samples have.
func TestOpenShapes(t *testing.T) {
	model := testnet.Parse(t, `<ir_version: 8, opset_import: ["": 17]>
g (float[N, 3, H, W] x) => (float[N, 2, H, W] y)
<float[2, 3, 3, 3] w = {0.5, ...}>
{
  y = Conv <pads = [1, 1, 1, 1], kernel_shape = [3, 3]> (x, w)
}
`)
	var in engine.Batches = func(yield func(*engine.Batch, error) bool) {
		x := engine.Tensor{Type: graph.Float32, Shape: []int64{2, 3, 5, 7}, Floats: make([]float32, 2*3*5*7)}
		for i := range x.Floats {
			x.Floats[i] = float32(i%13) - 6
		}
		yield(&engine.Batch{Count: 2, Inputs: map[string]engine.Tensor{"x": x}}, nil)
	}
	got, err := compare.Run(context.Background(), testnet.Runner(t), []compare.Entry{entry(t, model, narrow.Guide, "a", guide), entry(t, model, narrow.Guide, "b", dpu)}, in, in, compare.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(2 * 5 * 7 * 27); got.Float.MACs != want {
		t.Errorf("%d multiply-adds, want %d", got.Float.MACs, want)
	}
}

// TestErrors names the strategy, and ends when it is told to.
func TestErrors(t *testing.T) {
	ctx := context.Background()
	if _, err := compare.Run(ctx, testnet.Runner(t), nil, testnet.Blobs(8, 8), testnet.Blobs(8, 8), compare.Options{}); err == nil {
		t.Error("nothing was compared")
	}
	mixed := append(entries(t, narrow.Guide, guide), entries(t, narrow.Guide, dpu)...)
	if _, err := compare.Run(ctx, testnet.Runner(t), mixed, testnet.Blobs(8, 8), testnet.Blobs(8, 8), compare.Options{}); err == nil || !strings.Contains(err.Error(), "another model") {
		t.Errorf("entries of two models: %v", err)
	}
	bad := errors.New("the disk is gone")
	broken := func(yield func(*engine.Batch, error) bool) { yield(nil, bad) }
	es := entries(t, narrow.Guide, guide, dpu)
	if _, err := compare.Run(ctx, testnet.Runner(t), es, broken, testnet.Blobs(8, 8), compare.Options{}); !errors.Is(err, bad) || !strings.HasPrefix(err.Error(), "a: ") {
		t.Errorf("broken samples: %v", err)
	}
	if _, err := compare.Run(ctx, testnet.Runner(t), es, testnet.Blobs(8, 8), testnet.Blobs(8, 8), compare.Options{Labels: engine.Labels{Classes: labels(7)}}); err == nil || !strings.Contains(err.Error(), "7 labels") {
		t.Errorf("too few labels: %v", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	_, err := compare.Run(ctx, testnet.Runner(t), es, testnet.Blobs(80, 8), testnet.Blobs(8, 8), compare.Options{Progress: func(compare.Step) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("broken off: %v", err)
	}
}
