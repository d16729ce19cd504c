// Command latency compares exported models with the float models that they
// come from, in ONNX Runtime.
//
//	go run ./tools/latency [-rounds 15] [-threads 2] [-nodes] MODEL.onnx...
//
// In go models with one image or feature input; out comes a Markdown table on
// standard output: size of the file and latency of batches of 1 and 8, as a
// ratio to the float model. The files are loaded as any program would load
// them. Each round runs all models in turn, so that a slow minute of a shared
// machine hits all; a figure is the median of the rounds' ratios. Input is
// made up: neither latency nor size depend on the values.
package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"narrow"
	"narrow/engine"
	"narrow/engine/ort"
	"narrow/graph"
	"narrow/graph/onnx"
	"narrow/internal/machine"
	"narrow/internal/ortlib"
	"narrow/strategy"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "latency:", err)
		os.Exit(1)
	}
}

// exports are the strategies whose exports are measured.
var exports = []struct{ name, text string }{
	{"int8 per channel", `{"target_device": "CPU", "include_cle": false, "include_bias_corr": false,
		"overall_quantize_config": {"method": "maxmin", "round_mode": "half_even", "scale_type": "float", "calib_statistic_method": "max"},
		"tensor_quantize_config": {"weights": {"per_channel": true}}}`},
	{"DPU default", `{}`},
}

var batchSizes = []int{1, 8}

type bench struct {
	engine  *ort.Runner
	dir     string
	rounds  int
	threads int
	nodes   bool
}

func run(ctx context.Context) error {
	rounds := flag.Int("rounds", 15, "how often each model is measured")
	threads := flag.Int("threads", runtime.NumCPU(), "threads of one run")
	lib := flag.String("ort-lib", "", "ONNX Runtime's shared library")
	nodes := flag.Bool("nodes", false, "tell what nodes ONNX Runtime's optimizations leave")
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		return fmt.Errorf("no models given")
	}
	path, err := ortlib.Find(*lib)
	if err != nil {
		return err
	}
	b := &bench{rounds: *rounds, threads: *threads, nodes: *nodes}
	if b.engine, err = ort.Open(path); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "latency-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	fmt.Printf("%d threads on %s; ONNX Runtime %s; median of %d rounds.\n\n", b.threads, machine.Processor(), b.engine.Version(), b.rounds)
	fmt.Println("| model | | size | batch of 1 | of float | batch of 8 | of float |")
	fmt.Println("|---|---|---|---|---|---|---|")
	for _, model := range flag.Args() {
		if err := b.model(ctx, model); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(model), err)
		}
	}
	return nil
}

// model measures one model and its exports.
func (b *bench) model(ctx context.Context, path string) error {
	m, err := narrow.Open(ctx, path)
	if err != nil {
		return err
	}
	names, files := []string{"float"}, []string{path}
	for i, e := range exports {
		file := filepath.Join(b.dir, fmt.Sprintf("%d.onnx", i))
		if err := b.export(ctx, m, e.text, file); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
		names, files = append(names, e.name), append(files, file)
	}
	sessions := make([]engine.Session, len(files))
	for i, f := range files {
		optimized := filepath.Join(b.dir, "optimized.onnx")
		if sessions[i], err = b.engine.LoadFile(ctx, f, ort.FileOptions{Threads: b.threads, Optimized: optimized}); err != nil {
			return err
		}
		defer sessions[i].Close()
		if b.nodes {
			if err := tell(filepath.Base(path)+", "+names[i], optimized); err != nil {
				return err
			}
		}
	}
	times := make([][][]float64, len(files)) // by file, batch size, round: seconds
	for i := range times {
		times[i] = make([][]float64, len(batchSizes))
	}
	for k, size := range batchSizes {
		in := input(m, size)
		repeat := 1
		for round := range b.rounds + 1 {
			for i, s := range sessions {
				start := time.Now()
				for range repeat {
					if _, err := s.Run(ctx, in, nil); err != nil {
						return err
					}
				}
				d := time.Since(start).Seconds() / float64(repeat)
				if round == 0 { // warms up, and tells how many runs take 20 ms
					if i == 0 {
						repeat = max(1, min(200, int(0.02/d)))
					}
					continue
				}
				times[i][k] = append(times[i][k], d)
			}
		}
	}
	for i, name := range names {
		st, err := os.Stat(files[i])
		if err != nil {
			return err
		}
		title := ""
		if i == 0 {
			title = filepath.Base(path)
		}
		fmt.Printf("| %s | %s | %.0f KB |", title, name, float64(st.Size())/1000)
		for k := range batchSizes {
			ratios := make([]float64, b.rounds)
			for r := range ratios {
				ratios[r] = times[i][k][r] / times[0][k][r]
			}
			fmt.Printf(" %.2f ms | %.2f |", median(times[i][k])*1000, median(ratios))
		}
		fmt.Println()
	}
	return nil
}

func (b *bench) export(ctx context.Context, m *narrow.Model, text, file string) error {
	s, _ := strategy.Parse("strategy.json", []byte(text))
	p, err := m.Plan(s, narrow.PlanOptions{Accuracy: narrow.Guide})
	if err != nil {
		return err
	}
	in := input(m, 8)
	c, err := p.Calibrate(ctx, b.engine, func(yield func(*engine.Batch, error) bool) {
		yield(&engine.Batch{Count: 8, Inputs: in}, nil)
	}, narrow.CalibrateOptions{Threads: b.threads})
	if err != nil {
		return err
	}
	q, err := c.Export(narrow.ExportOptions{})
	if err != nil {
		return err
	}
	return q.Save(file)
}

// input makes up a batch.
func input(m *narrow.Model, batch int) map[string]engine.Tensor {
	r := rand.New(rand.NewPCG(1, 2))
	in := map[string]engine.Tensor{}
	for _, spec := range m.Inputs() {
		t := engine.Tensor{Type: graph.Float32, Shape: slices.Clone(spec.Dims)}
		n := 1
		for i, d := range t.Shape {
			if d < 0 || i == 0 {
				t.Shape[i] = int64(batch)
			}
			n *= int(t.Shape[i])
		}
		t.Floats = make([]float32, n)
		for i := range t.Floats {
			t.Floats[i] = float32(r.NormFloat64())
		}
		in[spec.Name] = t
	}
	return in
}

// tell counts the nodes of an optimized model by operator.
func tell(what, file string) error {
	m, err := onnx.Load(file)
	if err != nil {
		return err
	}
	count := map[string]int{}
	for _, n := range m.Graph.Nodes {
		count[n.OpType]++
	}
	var parts []string
	for _, op := range slices.Sorted(maps.Keys(count)) {
		parts = append(parts, fmt.Sprintf("%s %d", op, count[op]))
	}
	fmt.Fprintf(os.Stderr, "%s: %s\n", what, strings.Join(parts, ", "))
	return nil
}

func median(x []float64) float64 {
	s := slices.Sorted(slices.Values(x))
	return s[len(s)/2]
}
