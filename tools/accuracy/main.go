// Accuracy measures what quantization costs five trained networks under a row
// of strategies, and prints a table in Markdown: top-1 of the float and of the
// quantized network, how often they agree, the SQNR of the outputs, and what the
// calibration took.
//
//	go run ./tools/accuracy -models DIR -data DIR [-networks mobilenet,vit] [-rows dpu,dpu-high] [-arrays DIR]
//	go run ./tools/accuracy -models DIR -data DIR -cost 5 compares what both ways take of the processor and of memory,
//	of the calibration alone, or with -command NARROW of all of `narrow calib`
//	go run ./tools/accuracy -never-worse DIR [-counts 32,200] compares both ways on other networks
//
// Networks and data are not part of the project: see networks.go for the files
// that it expects. 200 samples calibrate, others test.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	o := options{}
	flag.StringVar(&o.models, "models", "", "folder of the networks")
	flag.StringVar(&o.data, "data", "", "folder of the samples")
	only := flag.String("networks", "", "names of the networks to measure, with commas between (default: all)")
	rows := flag.String("rows", "", "names of the strategies to measure, likewise")
	flag.StringVar(&o.lib, "ort-lib", "", "ONNX Runtime library")
	flag.Uint64Var(&o.seed, "seed", 1, "draws the calibration samples of lists that are in order")
	flag.IntVar(&o.calib, "calib", 200, "how many samples calibrate")
	flag.IntVar(&o.test, "test", 0, "how many of the others test, at most (default: all)")
	flag.StringVar(&o.profile, "profile", "", "write a processor profile of the calibration to this file (with one row)")
	worse := flag.String("never-worse", "", "instead, compare both ways on the networks of this folder, NAME.onnx with samples in NAME.npy or NAME.npz")
	counts := flag.String("counts", "32,64,128,200,512", "with -never-worse: how many samples calibrate")
	arrays := flag.String("arrays", "", "write what the networks are measured on into this folder, for tools/peers/accuracy.py, and measure nothing")
	costs := flag.Int("cost", 0, "instead, compare what both ways take of the processor and of memory, so many times in turn")
	flag.StringVar(&o.command, "command", "", "with -cost: the narrow command, all of whose calib is measured instead of the calibration alone")
	flag.StringVar(&o.way, "only-calibrate", "", "with -alone: calibrate this way, and test nothing")
	flag.IntVar(&o.repeat, "repeat", 1, "with -alone: calibrate so many times, for a profile")
	alone := flag.Bool("alone", false, "measure one row in this process, and print it as JSON: what the program calls itself with")
	flag.Parse()
	calibs, err := numbers(*counts)
	if err != nil || *worse == "" && (o.models == "" || o.data == "") || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	o.networks, o.rows = list(*only), list(*rows)
	run := o.tables
	if *worse != "" {
		run = func(ctx context.Context) error { return o.neverWorse(ctx, *worse, calibs) }
	}
	switch {
	case *costs > 0:
		run = func(ctx context.Context) error { return o.costs(ctx, *costs) }
	case *alone:
		run = o.alone
	case *arrays != "":
		run = func(ctx context.Context) error { return o.writeArrays(ctx, *arrays) }
	}
	if err := run(ctx); err != nil {
		if errors.Is(ctx.Err(), context.Canceled) {
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

// options are the command line.
type options struct {
	models, data, lib string
	networks, rows    []string
	seed              uint64
	calib, test       int
	profile, way      string
	command           string
	repeat            int
}

func (o options) wants(n network) bool {
	if n.optional {
		if _, err := os.Stat(filepath.Join(o.models, n.model)); err != nil {
			return false
		}
	}
	return o.networks == nil || slices.Contains(o.networks, n.name)
}

// tables prints the tables. Each row is measured in a process of its own, so
// that its memory and processor time are its own.
func (o options) tables(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, n := range networks {
		if !o.wants(n) {
			continue
		}
		first := true
		for _, s := range strategies {
			if o.rows != nil && !slices.Contains(o.rows, s.name) {
				continue
			}
			m, err := o.apart(ctx, self, n, s)
			if err != nil {
				return err
			}
			if first {
				fmt.Printf("\n%s (`%s`), %d samples calibrate, %d others test\n\n", n.title, n.model, m.Calibrated, m.Tested)
				fmt.Println("| strategy | accuracy | float top-1 | top-1 | lost | agreement | SQNR | in integers | processor | memory |")
				fmt.Println("|---|---|---|---|---|---|---|---|---|---|")
				first = false
			}
			fmt.Printf("| %s | %v | %s |\n", s.title, s.accuracy, strings.Join(m.cells(), " | "))
		}
	}
	return nil
}

// apart measures one row in a process of its own, with more arguments than the row's.
func (o options) apart(ctx context.Context, self string, n network, s row, more ...string) (m measured, err error) {
	cmd := exec.CommandContext(ctx, self, slices.Concat([]string{"-alone"}, more, o.args(n, s))...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &m)
	}
	if err != nil {
		err = fmt.Errorf("%s, %s: %w", n.name, s.name, err)
	}
	return m, err
}

func (o options) args(n network, s row) []string {
	return []string{
		"-models", o.models, "-data", o.data, "-networks", n.name, "-rows", s.name, "-ort-lib", o.lib,
		"-seed", fmt.Sprint(o.seed), "-calib", fmt.Sprint(o.calib), "-test", fmt.Sprint(o.test), "-profile", o.profile,
	}
}
