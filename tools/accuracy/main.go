// Accuracy measures what quantization costs five trained networks under a row
// of strategies, and prints a table in Markdown: top-1 of the float and of the
// quantized network, how often they agree, and the SQNR of the outputs.
//
//	go run ./tools/accuracy -models DIR -data DIR [-networks mobilenet,vit] [-rows dpu,dpu-high]
//
// Networks and data are not part of the project: see networks.go for the files
// that it expects. The first 200 samples calibrate, all test.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"narrow"
	"narrow/engine"
	"narrow/engine/ort"
	"narrow/internal/ortlib"
	"narrow/samples"
	"narrow/strategy"
)

const (
	calibCount = 200
	calibBatch = 16
	testBatch  = 50
)

func main() {
	models := flag.String("models", "", "folder of the networks")
	data := flag.String("data", "", "folder of the samples")
	only := flag.String("networks", "", "names of the networks to measure, with commas between (default: all)")
	rows := flag.String("rows", "", "names of the strategies to measure, likewise")
	lib := flag.String("ort-lib", "", "ONNX Runtime library")
	flag.Parse()
	if *models == "" || *data == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *models, *data, *lib, list(*only), list(*rows)); err != nil {
		if errors.Is(err, context.Canceled) {
			err = errors.New("interrupted")
		}
		fmt.Fprintln(os.Stderr, "accuracy:", err)
		os.Exit(1)
	}
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

func run(ctx context.Context, models, data, lib string, only, rows []string) error {
	path, err := ortlib.Find(lib)
	if err != nil {
		return err
	}
	runner, err := ort.Open(path)
	if err != nil {
		return err
	}
	for _, n := range networks {
		if only != nil && !slices.Contains(only, n.name) {
			continue
		}
		if err := n.table(ctx, runner, models, data, rows); err != nil {
			return fmt.Errorf("%s: %w", n.name, err)
		}
	}
	return nil
}

// table prints the rows of one network.
func (n network) table(ctx context.Context, runner engine.Runner, models, data string, rows []string) error {
	model, err := narrow.Open(ctx, filepath.Join(models, n.model))
	if err != nil {
		return err
	}
	open := func(file, labels string, subset int) (*samples.Set, error) {
		o := samples.Options{SubsetLen: subset, Preprocess: n.preprocess}
		if labels != "" {
			o.Labels = filepath.Join(data, labels)
		}
		return samples.Open(filepath.Join(data, file), model.Inputs(), o)
	}
	calib, err := open(n.calib, "", calibCount)
	if err != nil {
		return err
	}
	defer calib.Close()
	test, err := open(n.test, n.labels, 0)
	if err != nil {
		return err
	}
	defer test.Close()
	fmt.Printf("\n%s (`%s`), %d samples calibrate, %d test\n\n", n.title, n.model, calib.Len(), test.Len())
	fmt.Println("| strategy | accuracy | float top-1 | top-1 | lost | agreement | SQNR | calibration |")
	fmt.Println("|---|---|---|---|---|---|---|---|")
	for _, s := range strategies {
		if rows != nil && !slices.Contains(rows, s.name) {
			continue
		}
		start := time.Now()
		c, err := s.calibrate(ctx, runner, model, calib)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		took := time.Since(start)
		labels := test.Labels()
		res, err := c.Test(ctx, runner, test.Batches(ctx, testBatch), narrow.TestOptions{Labels: labels})
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Printf("| %s | %v | %s | %s | %.1f | %s | %s | %.1f s |\n", s.title, s.accuracy,
			percent(res.Float.Top1), percent(res.Quantized.Top1), 100*(res.Float.Top1-res.Quantized.Top1),
			percent(*res.Agreement), decibel(float64(res.SQNR)), took.Seconds())
	}
	return nil
}

func (s row) calibrate(ctx context.Context, runner engine.Runner, model *narrow.Model, set *samples.Set) (*narrow.Calibrated, error) {
	file := "strategies/" + s.file
	src, err := files.ReadFile(file)
	if err != nil {
		return nil, err
	}
	parsed, _ := strategy.Parse("tools/accuracy/"+file, src)
	planned, err := model.Plan(parsed, narrow.PlanOptions{Accuracy: s.accuracy})
	if err != nil {
		return nil, err
	}
	return planned.Calibrate(ctx, runner, set.Batches(ctx, calibBatch), narrow.CalibrateOptions{})
}

func percent(x float64) string { return fmt.Sprintf("%.1f %%", 100*x) }

func decibel(d float64) string {
	if math.IsInf(d, 1) {
		return "exact"
	}
	return fmt.Sprintf("%.1f dB", d)
}
