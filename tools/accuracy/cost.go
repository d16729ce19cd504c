package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"narrow"
	"narrow/internal/scratch"
)

// costs prints what [narrow.High] takes of the processor and of memory beside
// [narrow.Guide]: both in turn, each in a process of its own, so many times, by every
// strategy. Processor times are the medians. That is of the calibration alone, or of all of
// `narrow calib` where the command is given.
func (o options) costs(ctx context.Context, times int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	measure := func(n network, s row, way narrow.Accuracy) (measured, error) {
		return o.apart(ctx, self, n, s, "-only-calibrate", way.String())
	}
	if o.command != "" {
		measure = func(n network, s row, way narrow.Accuracy) (measured, error) { return o.whole(ctx, n, s, way) }
	}
	fmt.Println("| network | strategy | guide | high | times | memory |")
	fmt.Println("|---|---|---|---|---|---|")
	for _, n := range networks {
		for _, s := range strategies {
			if !o.wants(n) || s.accuracy != narrow.High || o.rows != nil && !slices.Contains(o.rows, s.name) {
				continue
			}
			var seconds [2][]float64
			var memory [2]float64
			for range times {
				for i, way := range []narrow.Accuracy{narrow.Guide, narrow.High} {
					m, err := measure(n, s, way)
					if err != nil {
						return err
					}
					seconds[i] = append(seconds[i], m.Seconds)
					memory[i] = max(memory[i], m.Megabytes)
				}
			}
			guide, high := median(seconds[0]), median(seconds[1])
			fmt.Printf("| %s | %s | %.3f s | %.3f s | %.2f | %+.0f MB |\n", n.title, s.file, guide, high, high/guide, memory[1]-memory[0])
		}
	}
	return nil
}

// whole measures `narrow calib` on the samples that calibrate.
func (o options) whole(ctx context.Context, n network, s row, way narrow.Accuracy) (m measured, err error) {
	dir, err := scratch.New()
	if err != nil {
		return m, err
	}
	defer dir.Remove()
	src, err := files.ReadFile("strategies/" + s.file)
	if err != nil {
		return m, err
	}
	config := filepath.Join(dir.Path, "strategy.json")
	if err := os.WriteFile(config, src, 0o600); err != nil {
		return m, err
	}
	args := []string{
		"calib", "--model", filepath.Join(o.models, n.model), "--data", filepath.Join(o.data, n.calib), "--config-file", config,
		"--accuracy", way.String(), "--subset-len", fmt.Sprint(o.calib), "--batch-size", fmt.Sprint(calibBatch), "--preprocess", string(n.preprocess.Preset), "-o", filepath.Join(dir.Path, "result"),
	}
	for flag, values := range map[string][]float64{"--mean": n.preprocess.Mean, "--std": n.preprocess.Std} {
		if values != nil {
			args = append(args, flag, joined(values))
		}
	}
	if n.sorted {
		args = append(args, "--shuffle", "--seed", fmt.Sprint(o.seed))
	}
	if o.lib != "" {
		args = append(args, "--ort-lib", o.lib)
	}
	cmd := exec.CommandContext(ctx, o.command, args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return m, fmt.Errorf("%s, %s: %w\n%s", n.name, s.name, err, out)
	}
	used, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return m, errors.New("this system does not tell what a program took")
	}
	state := cmd.ProcessState
	m.Seconds, m.Megabytes = (state.UserTime() + state.SystemTime()).Seconds(), float64(used.Maxrss)*1024/1e6
	return m, nil
}

func joined(values []float64) string {
	var parts []string
	for _, v := range values {
		parts = append(parts, strconv.FormatFloat(v, 'g', -1, 64))
	}
	return strings.Join(parts, ",")
}

func median(x []float64) float64 {
	slices.Sort(x)
	return (x[(len(x)-1)/2] + x[len(x)/2]) / 2
}
