package export_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"narrow/calibrate"
	"narrow/engine"
	"narrow/export"
	"narrow/graph"
	"narrow/graph/graphtext"
	"narrow/internal/kernel"
	"narrow/plan"
	"narrow/scheme"
)

type tensor = plan.Tensor

// settingsText writes a strategy that quantizes everything one way.
func settingsText(bits int, mode scheme.RoundMode, symmetric, signed, narrowRange, pow2, perChannel bool) string {
	scale, method, statistic := "float", "maxmin", "max"
	if pow2 {
		scale, statistic = "poweroftwo", "modal"
	}
	return fmt.Sprintf(`{"target_device": "CPU", "include_bias_corr": false, "include_cle": false, "overall_quantize_config": {"datatype": "int", "bit_width": %d, "method": %q,
		"round_mode": %q, "symmetry": %v, "signed": %v, "narrow_range": %v, "scale_type": %q, "calib_statistic_method": %q},
		"tensor_quantize_config": {"weights": {"per_channel": %v}}}`, bits, method, mode, symmetric, signed, narrowRange, scale, statistic, perChannel)
}

// TestRoundingExact compares every element of an exported quantizer with the
// simulation's kernel, over widths, round modes, scales and zero points.
func TestRoundingExact(t *testing.T) {
	m := graphtext.MustParse(`<ir_version: 8, opset_import: ["": 13]> g (float[N, 1, 1, 500] x) => (float[N, 1, 1, 500] y) { [p] y = MaxPool <kernel_shape = [1, 1]> (x) }`)
	r := rand.New(rand.NewPCG(1, 2))
	for _, bits := range []int{2, 3, 4, 5, 8, 9, 12, 16, 17, 24, 25, 32} {
		for mode := scheme.HalfEven; mode <= scheme.StdRound; mode++ {
			for _, form := range []struct{ symmetric, signed, narrow, pow2 bool }{
				{true, true, false, true}, {true, true, true, false}, {false, true, false, false}, {true, false, false, false},
			} {
				p, list, err := plan.Build(m, settings(t, settingsText(bits, mode, form.symmetric, form.signed, form.narrow, form.pow2, false)))
				if err != nil || list.HasErrors() {
					t.Fatal(err, list)
				}
				in := &calibrate.Calibrated{Plan: p, Encodings: map[*tensor]scheme.Encoding{}}
				lo, hi := p.Tensors[0].Settings.Settings.Range()
				e := scheme.Encoding{Scale: []float32{float32(3 * math.Exp(r.Float64()*4-6))}, ZeroPoint: []int64{0}, Axis: -1, Min: lo, Max: hi}
				if form.pow2 {
					e.FixPosition = []int{r.IntN(20) - 4}
					e.Scale[0] = scheme.FixScale(e.FixPosition[0])
				}
				if !form.symmetric {
					e.ZeroPoint[0] = lo + r.Int64N(hi-lo+1)
				}
				for _, x := range p.Tensors {
					in.Encodings[x] = e
				}
				x := make([]float32, 500)
				for i := range x {
					q := float64(lo) + (float64(hi-lo)*(r.Float64()*1.2-0.1) - float64(e.ZeroPoint[0]))
					switch i % 4 {
					case 0: // a tie, or what float32 has next to it
						q = math.Floor(q) + 0.5
					case 1:
						q = math.Floor(r.NormFloat64()*20) + 0.5
					}
					x[i] = float32(q * float64(e.Scale[0]))
					if i%8 == 4 {
						x[i] = math.Nextafter32(x[i], float32(r.NormFloat64()))
					}
				}
				x[498], x[499] = 3e38, -3e38
				a := kernel.Affine{Scale: e.Scale[0], ZeroPoint: e.ZeroPoint[0], Lo: lo, Hi: hi, Round: kernel.Round(mode)}
				want := make([]float32, len(x))
				kernel.FakeQuantize(want, x, a)
				kernel.FakeQuantize(want, want, a) // behind the MaxPool once more
				out, list := qdq(t, in, export.Options{ExactRounding: true})
				if len(list) > 0 {
					t.Errorf("findings %v", list)
				}
				got := runFast(t, out, x)
				for i := range x {
					if got[i] != want[i] {
						t.Errorf("%d bits, %v, %+v, scale %v, zero point %d: %v becomes %v, not %v", bits, mode, form, e.Scale[0], e.ZeroPoint[0], x[i], got[i], want[i])
						break
					}
				}
				out, _ = qdq(t, in, export.Options{For: export.OpenVINO})
				got = runFast(t, out, x)
				for i := range x {
					if d := math.Abs(float64(got[i]) - float64(want[i])); d > 1.001*float64(e.Scale[0])+1e-6*math.Abs(float64(want[i])) {
						t.Errorf("plain: %d bits, %v, %+v, scale %v, zero point %d: %v becomes %v, not %v", bits, mode, form, e.Scale[0], e.ZeroPoint[0], x[i], got[i], want[i])
						break
					}
				}
			}
		}
	}
}

// runFast runs m on one input without a file between.
func runFast(t *testing.T, m *graph.Model, x []float32) []float32 {
	t.Helper()
	s, err := runner(t).Load(context.Background(), m, engine.LoadOptions{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := s.Run(context.Background(), map[string]engine.Tensor{"x": {Type: graph.Float32, Shape: []int64{1, 1, 1, int64(len(x))}, Floats: x}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out["y"].Floats
}

// TestWeightsExact reads exported weights in ONNX Runtime and holds them against
// the kernel bit for bit.
func TestWeightsExact(t *testing.T) {
	const n, k = 7, 11
	r := rand.New(rand.NewPCG(3, 4))
	w := make([]float32, n*k)
	for i := range w {
		w[i] = float32(r.NormFloat64())
		if i%n == 3 {
			w[i] = 0 // a dead channel
		}
	}
	m := graphtext.MustParse(fmt.Sprintf(`<ir_version: 8, opset_import: ["": 13]> g (float[%d, %d] x) => (float[%d, %d] y) <float[%d, %d] w = {0, ...}> { [fc] y = MatMul (x, w) }`, k, k, k, n, k, n))
	m.Graph.SetInitializer(graph.NewFloats("w", []int64{k, n}, w))
	for _, bits := range []int{2, 3, 4, 5, 8, 11, 16, 17, 25, 32} {
		for mode := scheme.HalfEven; mode <= scheme.StdRound; mode++ {
			for _, form := range []struct{ symmetric, signed, perChannel bool }{{true, true, false}, {true, true, true}, {false, true, true}} {
				text := settingsText(bits, mode, form.symmetric, form.signed, false, false, form.perChannel)
				s := settings(t, `{"quantizable_data_type": ["weights"], `+text[1:])
				p, list, err := plan.Build(m, s)
				if err != nil || list.HasErrors() || len(p.Tensors) != 1 {
					t.Fatal(err, list, len(p.Tensors))
				}
				x := p.Tensors[0]
				lo, hi := x.Settings.Settings.Range()
				e := scheme.Encoding{Axis: x.Axis, Min: lo, Max: hi}
				channels := 1
				if x.Axis >= 0 {
					channels = n
				}
				for c := range channels {
					scale, zero := float32(4/float64(hi)), int64(0)
					if x.Axis >= 0 {
						scale *= float32(1 + c)
						if c == 3 {
							scale = 1e-30
						}
					}
					if !form.symmetric {
						zero = lo + r.Int64N(hi-lo+1)
					}
					e.Scale, e.ZeroPoint = append(e.Scale, scale), append(e.ZeroPoint, zero)
				}
				as := make([]kernel.Affine, channels)
				for c := range as {
					as[c] = kernel.Affine{Scale: e.Scale[c], ZeroPoint: e.ZeroPoint[c], Lo: lo, Hi: hi, Round: kernel.Round(mode)}
				}
				want := make([]float32, len(w))
				(*kernel.Pool)(nil).FakeQuantizeChannels(want, w, kernel.NewLayout([]int64{k, n}, x.Axis), as)
				out, list := qdq(t, &calibrate.Calibrated{Plan: p, Encodings: map[*tensor]scheme.Encoding{x: e}}, export.Options{})
				read := out.Graph.Nodes[len(out.Graph.Nodes)-1].Inputs[1]
				sess, err := runner(t).Load(context.Background(), out, engine.LoadOptions{Threads: 1, Outputs: []string{read}})
				if err != nil {
					t.Fatal(err)
				}
				got, err := sess.Run(context.Background(), map[string]engine.Tensor{"x": {Type: graph.Float32, Shape: []int64{k, k}, Floats: make([]float32, k*k)}}, nil)
				if err != nil {
					t.Fatal(err)
				}
				sess.Close()
				for i, v := range got[read].Floats {
					if v != want[i] {
						t.Errorf("%d bits, %v, %+v: weight %d is %v, not %v (%v)", bits, mode, form, i, v, want[i], list)
						break
					}
				}
			}
		}
	}
}
