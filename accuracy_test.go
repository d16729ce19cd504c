package narrow_test

import (
	"bytes"
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"narrow"
	"narrow/engine"
	"narrow/evaluate"
	"narrow/export"
	"narrow/internal/testnet"
	"narrow/scheme"
)

// highConfigs are strategies that are refined each in its own way: powers of
// two with biases of 8 bits, one scale a tensor, biases that must stay, scales
// per channel with biases that are not quantized, 12 bits.
var highConfigs = map[string]string{
	"default": "{}",
	"per tensor": `{"target_device": "CPU",
		"overall_quantize_config": {"method": "maxmin", "scale_type": "float", "calib_statistic_method": "max", "round_mode": "half_even"}}`,
	"int4 weights": `{"target_device": "CPU", "include_cle": false, "include_bias_corr": false,
		"overall_quantize_config": {"method": "maxmin", "scale_type": "float", "calib_statistic_method": "max", "round_mode": "half_even"},
		"tensor_quantize_config": {"weights": {"bit_width": 4}}}`,
	"per channel": `{"target_device": "CPU", "quantizable_data_type": ["weights", "activation"],
		"overall_quantize_config": {"method": "maxmin", "scale_type": "float", "calib_statistic_method": "max", "round_mode": "half_even"},
		"tensor_quantize_config": {"weights": {"per_channel": true, "bit_width": 12}, "activation": {"symmetry": false}}}`,
}

func refined(t *testing.T, r *narrow.Planned, in engine.Batches, threads int) *narrow.Calibrated {
	t.Helper()
	c, err := r.Calibrate(context.Background(), testnet.Runner(t), in, narrow.CalibrateOptions{Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRefineGains: the refined network is nearer to the float one than the
// guide's way brings it, and survives saving, loading and exporting to the bit.
func TestRefineGains(t *testing.T) {
	for name, config := range highConfigs {
		t.Run(name, func(t *testing.T) {
			m := testnet.Bundled(t)
			_, guide := outputs(t, calibrated(t, testnet.Plan(t, m, config), narrow.CalibrateOptions{}))
			c := refined(t, testnet.PlanFor(t, m, config, narrow.High), pictures(40), 2)
			want, high := outputs(t, c)
			// With weights of 12 bits there is nothing to gain, and little to lose.
			margin := evaluate.Decibel(1)
			if name == "per channel" {
				margin = -1
			}
			if !(high.SQNR > guide.SQNR+margin) {
				t.Errorf("SQNR %v dB, the guide's way %v dB", high.SQNR, guide.SQNR)
			}
			dir := save(t, c)
			loaded, err := narrow.Load(dir, testnet.Bundled(t), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := outputs(t, loaded); !slices.Equal(got, want) {
				t.Error("outputs differ after loading")
			}
			if again := save(t, loaded); !maps.Equal(content(t, again), content(t, dir)) {
				t.Error("saving what was loaded writes other bytes")
			}
			if !bytes.Equal(exported(t, c), exported(t, loaded)) {
				t.Error("exporting what was loaded writes other bytes")
			}
		})
	}
}

// TestRefineSameBytes: neither threads nor batches reach a result.
func TestRefineSameBytes(t *testing.T) {
	for _, name := range []string{"default", "int4 weights"} {
		var first map[string]string
		for i, threads := range []int{1, 3} {
			in := engine.Rebatch(pictures(40), []int{40, 7}[i])
			got := content(t, save(t, refined(t, testnet.PlanFor(t, testnet.Bundled(t), highConfigs[name], narrow.High), in, threads)))
			if i == 0 {
				first = got
				if !strings.Contains(first[export.QuantInfoFile], `"integers": "`) {
					t.Fatal("no integers are kept")
				}
			}
			if got[export.BiasCorrFile] != first[export.BiasCorrFile] {
				t.Errorf("%s: %s differs with %d threads and other batches", name, export.BiasCorrFile, threads)
			}
			tensors := func(s string) string { return s[strings.Index(s, `"tensors"`):] }
			if strip(tensors(got[export.QuantInfoFile])) != strip(tensors(first[export.QuantInfoFile])) {
				t.Errorf("%s: %s differs with %d threads and other batches", name, export.QuantInfoFile, threads)
			}
		}
	}
}

// strip leaves out how many batches there were.
func strip(s string) string {
	lines := strings.Split(s, "\n")
	return strings.Join(slices.DeleteFunc(lines, func(l string) bool { return strings.Contains(l, `"batches"`) }), "\n")
}

// TestRefineUnusualModels refines what is unlike an image classifier, and
// holds exports to the outputs of Test.
func TestRefineUnusualModels(t *testing.T) {
	ctx := context.Background()
	for _, u := range unusual {
		for _, name := range []string{"default", "per tensor"} {
			t.Run(u.name+"/"+name, func(t *testing.T) {
				m := testnet.Parse(t, u.net)
				in := someBatches(m.Graph, u.shared, u.one)
				c := refined(t, testnet.PlanFor(t, m, highConfigs[name], narrow.High), in, 2)
				opts := narrow.ExportOptions{ExactRounding: true}
				var want [][]engine.Tensor
				if _, err := c.Test(ctx, testnet.Runner(t), in, narrow.TestOptions{Threads: 2, Output: func(_ int, outs []engine.Tensor) error {
					want = append(want, slices.Clone(outs))
					return nil
				}, AsExported: &opts}); err != nil {
					t.Fatal(err)
				}
				x, err := c.Export(opts)
				if err != nil {
					t.Fatal(err)
				}
				file := filepath.Join(t.TempDir(), "q.onnx")
				if err := x.Save(file); err != nil {
					t.Fatal(err)
				}
				runExport(t, testnet.Runner(t), c, file, true, in, want)
			})
		}
	}
}

// TestRefinedIntegersDamaged: integers that do not fit are told with the
// tensor's name.
func TestRefinedIntegersDamaged(t *testing.T) {
	c := refined(t, testnet.PlanFor(t, testnet.Bundled(t), "{}", narrow.High), pictures(40), 2)
	dir := save(t, c)
	file := filepath.Join(dir, export.QuantInfoFile)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(data, []byte(`"integers": "`)) + len(`"integers": "`)
	end := at + bytes.IndexByte(data[at:], '"')
	damaged := slices.Concat(data[:at], []byte("AAAA"), data[end:])
	if err := os.WriteFile(file, damaged, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = narrow.Load(dir, testnet.Bundled(t), nil)
	if err == nil || !strings.Contains(err.Error(), "its integers are 3 bytes") || !strings.Contains(err.Error(), "weights of layer") {
		t.Errorf("error %v", err)
	}
}

func TestParseAccuracy(t *testing.T) {
	for text, want := range map[string]narrow.Accuracy{"guide": narrow.Guide, "high": narrow.High} {
		if got, err := scheme.ParseAccuracy(text); got != want || err != nil {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "best"} {
		if _, err := scheme.ParseAccuracy(text); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
	if a := (narrow.PlanOptions{}).Accuracy; a != narrow.High {
		t.Errorf("the default is %v", a)
	}
}

// TestHighCoversTwoSidedRanges: where each sample has a range of its own, the
// range that holds for all covers all. The largest scale and the commonest zero point,
// as the guide has them, belong to different samples.
func TestHighCoversTwoSidedRanges(t *testing.T) {
	const config = `{"target_device": "CPU", "include_cle": false, "include_bias_corr": false,
		"overall_quantize_config": {"method": "maxmin", "scale_type": "float", "calib_statistic_method": "max", "round_mode": "half_even"},
		"tensor_quantize_config": {"activation": {"symmetry": false}, "input": {"symmetry": false}}}`
	dark := func(yield func(*engine.Batch, error) bool) {
		for b, err := range pictures(8) {
			if err == nil {
				for _, x := range b.Inputs {
					per := len(x.Floats) / b.Count
					for i := range x.Floats {
						if (b.First+i/per)%4 == 0 {
							x.Floats[i] = -4 - x.Floats[i] // one of four samples lies below zero
						}
					}
				}
			}
			if !yield(b, err) {
				return
			}
		}
	}
	c := refined(t, testnet.PlanFor(t, testnet.Bundled(t), config, narrow.High), dark, 2)
	for _, p := range c.Plan.Tensors {
		if p.Kind != scheme.Input {
			continue
		}
		e := c.Result.Encodings[p]
		lo, hi := float64(e.Min-e.ZeroPoint[0])*float64(e.Scale[0]), float64(e.Max-e.ZeroPoint[0])*float64(e.Scale[0])
		if lo > -4.9 || hi < 0.9 {
			t.Errorf("%s is quantized over %v..%v; its samples reach from -5 to 1", p.Name, lo, hi)
		}
	}
}
