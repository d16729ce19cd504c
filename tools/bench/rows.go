package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"narrow"
	"narrow/engine"
	"narrow/engine/ort"
	"narrow/graph"
	"narrow/plan"
	"narrow/strategy"
)

const batchSize = 8

// bench measures on one engine.
type bench struct {
	engine           *ort.Runner
	threads, samples int
}

// row is one line of the table.
type row struct {
	name   string
	target float64 // at most this ratio; 0: none set
	// run works through the batches and returns what each after the first took.
	run func(context.Context, engine.Batches) (cost, error)
}

// The strategies that are measured. An empty file is the DPU's default.
const dpuDefault = `{}`

func cpu(method string) string {
	return fmt.Sprintf(`{"target_device": "CPU", "include_cle": false, "include_bias_corr": false,
		"overall_quantize_config": {"method": %q, "round_mode": "half_even", "scale_type": "float", "calib_statistic_method": "max"}}`, method)
}

// calibrations are the rows that calibrate.
func calibrations() []calibration {
	return []calibration{
		{"calib maxmin, float", cpu("maxmin"), 1.3},
		{"calib diffs, poweroftwo (DPU default)", dpuDefault, 1.6},
		{"calib percentile", cpu("percentile"), 1.7},
		{"calib entropy", cpu("entropy"), 1.7},
		{"calib mse", cpu("mse"), 1.7},
	}
}

type calibration struct {
	name, strategy string
	target         float64
}

func strategyOf(name string) (string, error) {
	for _, c := range calibrations() {
		if c.name == name {
			return c.strategy, nil
		}
	}
	return "", fmt.Errorf("no row %q", name)
}

// rows returns plain inference first, then everything that is compared with it.
func (b *bench) rows(m *narrow.Model) ([]row, error) {
	plain, err := b.session(m.Graph, nil)
	if err != nil {
		return nil, err
	}
	rows := []row{{name: "plain", run: plain}}
	res, err := resolve(m, cpu("maxmin"))
	if err != nil {
		return nil, err
	}
	sim, err := res.Plan.Simulation(plan.SimulationOptions{})
	if err != nil {
		return nil, err
	}
	for _, x := range []struct {
		name     string
		anyOrder func(int) bool
	}{
		{"taps that do nothing, C order", nil},
		{"taps that do nothing, any order", func(int) bool { return true }},
	} {
		run, err := b.session(sim.Model, x.anyOrder)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row{name: x.name, run: run})
	}
	for _, x := range calibrations() {
		res, err := resolve(m, x.strategy)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row{x.name, x.target, b.calib(res)})
	}
	for _, mode := range []string{"half_even", "half_up", "half_down", "std_round"} {
		run, err := b.test(m, mode)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row{"test, " + mode, 1.5, run})
	}
	return rows, nil
}

func resolve(m *narrow.Model, text string) (*narrow.Planned, error) {
	s, _ := strategy.Parse("bench.json", []byte(text))
	return m.Plan(s, narrow.PlanOptions{Accuracy: narrow.Guide})
}

// session runs a network whose taps, if any, do nothing. It stays loaded: the
// process ends soon enough.
func (b *bench) session(m *graph.Model, anyOrder func(int) bool) (func(context.Context, engine.Batches) (cost, error), error) {
	s, err := b.engine.Load(context.Background(), m, engine.LoadOptions{Threads: b.threads, AnyOrder: anyOrder})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, in engine.Batches) (cost, error) {
		var w watch
		for batch, err := range in {
			if err != nil {
				return cost{}, err
			}
			if _, err := s.Run(ctx, batch.Inputs, nil); err != nil {
				return cost{}, err
			}
			w.batch(0)
		}
		return w.perBatch(), nil
	}, nil
}

func (b *bench) calib(res *narrow.Planned) func(context.Context, engine.Batches) (cost, error) {
	return func(ctx context.Context, in engine.Batches) (cost, error) {
		var w watch
		_, err := res.Calibrate(ctx, b.engine, in, narrow.CalibrateOptions{Threads: b.threads, Progress: w.batch})
		return w.perBatch(), err
	}
}

func (b *bench) test(m *narrow.Model, mode string) (func(context.Context, engine.Batches) (cost, error), error) {
	res, err := resolve(m, fmt.Sprintf(`{"target_device": "CPU", "include_cle": false, "include_bias_corr": false, "overall_quantize_config":
		{"method": "maxmin", "round_mode": %q, "scale_type": "float", "calib_statistic_method": "max"}, "tensor_quantize_config": {"activation": {"round_mode": %q}}}`, mode, mode))
	if err != nil {
		return nil, err
	}
	done, err := res.Calibrate(context.Background(), b.engine, batches(m, batchSize), narrow.CalibrateOptions{Threads: b.threads})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, in engine.Batches) (cost, error) {
		var w watch
		_, err := done.Test(ctx, b.engine, in, narrow.TestOptions{Threads: b.threads, Progress: w.batch, QuantizedOnly: true})
		return w.perBatch(), err
	}, nil
}

// cost is what one batch took.
type cost struct{ wall, cpu time.Duration }

// watch tells the cost per batch, the first left out: it includes loading.
type watch struct {
	first, last       time.Time
	firstCPU, lastCPU time.Duration
	n                 int
}

func (w *watch) batch(int) {
	w.last, w.lastCPU = time.Now(), cpuTime()
	if w.n == 0 {
		w.first, w.firstCPU = w.last, w.lastCPU
	}
	w.n++
}

func (w *watch) perBatch() cost {
	if w.n < 2 {
		return cost{}
	}
	n := time.Duration(w.n - 1)
	return cost{w.last.Sub(w.first) / n, (w.lastCPU - w.firstCPU) / n}
}

// batches yields n samples of noise for every input of m, from one batch's
// memory: the samples take no memory of their own.
func batches(m *narrow.Model, n int) engine.Batches {
	in := map[string]engine.Tensor{}
	r := rand.New(rand.NewPCG(1, 2))
	ix := graph.NewIndex(m.Graph.Graph)
	for _, v := range m.Graph.Graph.Inputs {
		if !ix.IsInput(v.Name) {
			continue
		}
		t := engine.Tensor{Type: v.Type, Shape: []int64{batchSize}}
		for _, d := range v.Shape[1:] {
			t.Shape = append(t.Shape, max(d.Size, 1))
		}
		t.Floats = make([]float32, t.Len())
		for i := range t.Floats {
			t.Floats[i] = float32(r.NormFloat64())
		}
		in[v.Name] = t
	}
	return func(yield func(*engine.Batch, error) bool) {
		for at := 0; at < n; at += batchSize {
			if !yield(&engine.Batch{First: at, Count: batchSize, Inputs: in}, nil) {
				return
			}
		}
	}
}
