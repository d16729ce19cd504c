package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"narrow"
	"narrow/engine"
	"narrow/samples"
	"narrow/strategy"
)

const (
	// slack is how many dB the worst output may lose against the guide's way.
	slack = 0.1
	// fewestTests is how many samples there must be to test on.
	fewestTests = 64
)

// neverWorse calibrates every network of a folder in both ways, by every strategy and
// on several numbers of samples, and tells where [narrow.High] is worse on other
// samples by more than slack. A network NAME.onnx has its samples, ready for its
// inputs, in NAME.npy or NAME.npz; the last tests of them test.
func (o options) neverWorse(ctx context.Context, dir string, counts []int) error {
	runner, err := o.engine()
	if err != nil {
		return err
	}
	nets, err := filepath.Glob(filepath.Join(dir, "*.onnx"))
	if err != nil {
		return err
	}
	fmt.Println("| network | strategy | samples | guide | high | gain | kept |")
	fmt.Println("|---|---|---|---|---|---|---|")
	cases, worse := 0, 0
	for _, net := range nets {
		name := strings.TrimSuffix(filepath.Base(net), ".onnx")
		if o.networks != nil && !slices.Contains(o.networks, name) {
			continue
		}
		model, err := narrow.Open(ctx, net)
		if err != nil {
			return err
		}
		data := strings.TrimSuffix(net, ".onnx") + ".npz"
		if _, err := os.Stat(data); err != nil {
			data = strings.TrimSuffix(net, ".onnx") + ".npy"
		}
		all, err := samples.Open(data, model.Inputs(), samples.Options{})
		if err != nil {
			return err
		}
		tests := min(max(all.Len()/4, fewestTests), o.tests())
		if err := all.Close(); err != nil {
			return err
		}
		test, err := samples.Open(data, model.Inputs(), samples.Options{Skip: all.Len() - tests})
		if err != nil {
			return err
		}
		for _, s := range strategies {
			if s.accuracy != narrow.High || o.rows != nil && !slices.Contains(o.rows, s.name) {
				continue
			}
			for _, n := range counts {
				if n+tests > all.Len() {
					continue
				}
				gain, line, err := neverWorseRow(ctx, runner, model, s, data, n, test)
				if err != nil {
					fmt.Printf("| %s | %s | %d | | | | %v |\n", name, s.file, n, err)
					continue
				}
				if cases++; gain < -slack {
					worse++
				}
				fmt.Printf("| %s | %s | %d | %s |\n", name, s.file, n, line)
			}
		}
		if err := test.Close(); err != nil {
			return err
		}
	}
	fmt.Printf("\n%d of %d are worse by more than %g dB\n", worse, cases, slack)
	if worse > 0 {
		return fmt.Errorf("%d of %d are worse than by --accuracy guide", worse, cases)
	}
	return nil
}

func (o options) tests() int {
	if o.test > 0 {
		return o.test
	}
	return 400
}

func neverWorseRow(ctx context.Context, runner engine.Runner, model *narrow.Model, s row, data string, n int, test *samples.Set) (gain float64, line string, err error) {
	file := "strategies/" + s.file
	src, err := files.ReadFile(file)
	if err != nil {
		return 0, "", err
	}
	parsed, _ := strategy.Parse("tools/accuracy/"+file, src)
	set, err := samples.Open(data, model.Inputs(), samples.Options{SubsetLen: n})
	if err != nil {
		return 0, "", err
	}
	defer set.Close()
	var db [2]float64
	var kept string
	for i, a := range []narrow.Accuracy{narrow.Guide, narrow.High} {
		planned, err := model.Plan(parsed, narrow.PlanOptions{Accuracy: a})
		if err != nil {
			return 0, "", err
		}
		c, err := planned.Calibrate(ctx, runner, set.Batches(ctx, calibBatch), narrow.CalibrateOptions{})
		if err != nil {
			return 0, "", fmt.Errorf("%v: %w", a, err)
		}
		res, err := c.Test(ctx, runner, test.Batches(ctx, testBatch), narrow.TestOptions{})
		if err != nil {
			return 0, "", err
		}
		db[i] = float64(res.SQNR)
		if i == 1 {
			kept = c.Accuracy.String()
			for _, f := range c.Result.Findings {
				if f.Code == "guide-kept" {
					kept = "guide"
				}
			}
		}
	}
	gain = db[1] - db[0]
	if math.IsInf(db[0], 1) && math.IsInf(db[1], 1) {
		gain = 0
	}
	return gain, fmt.Sprintf("%.2f dB | %.2f dB | %+.2f | %s", db[0], db[1], gain, kept), nil
}

func numbers(s string) ([]int, error) {
	var out []int
	for _, f := range list(s) {
		n, err := strconv.Atoi(f)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}
