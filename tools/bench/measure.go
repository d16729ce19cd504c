package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"narrow"
	"narrow/graph"
	"narrow/internal/kernel"
	"narrow/internal/machine"
)

// rest lets the threads of the row before come to rest.
const rest = 50 * time.Millisecond

func (b *bench) header(w io.Writer, rounds int) {
	fmt.Fprintf(w, `# Benchmarks

%d threads on %s; ONNX Runtime %s; kernels: %s. Written by

    go run ./tools/bench -out docs/benchmarks.md MODEL.onnx...

Batches of %d, float input from memory, %d samples a measurement, %d rounds; the figure is the median over rounds of the
time per batch next to that of plain inference in the same round, with the least and the largest. Processor time, over
all threads, stands beside it: other programs on the machine disturb it less. The first batch of each measurement, which
includes loading, is left out.
`, b.threads, machine.Processor(), b.engine.Version(), kernel.Implementation(), batchSize, b.samples, rounds)
}

// model measures one model and writes its section.
func (b *bench) model(ctx context.Context, w io.Writer, path string, rounds, memory int) error {
	m, err := open(path)
	if err != nil {
		return err
	}
	rows, err := b.rows(m)
	if err != nil {
		return err
	}
	wall, cpu := make([][]float64, len(rows)), make([][]float64, len(rows))
	var plain []time.Duration
	for round := range rounds {
		var base cost
		for i, r := range rows {
			time.Sleep(rest)
			d, err := r.run(ctx, batches(m, b.samples))
			if err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			if i == 0 {
				base = d
				plain = append(plain, d.wall)
			}
			wall[i] = append(wall[i], float64(d.wall)/float64(base.wall))
			cpu[i] = append(cpu[i], float64(d.cpu)/float64(max(base.cpu, 1)))
		}
		fmt.Fprintf(os.Stderr, "%s: round %d of %d\n", filepath.Base(path), round+1, rounds)
	}
	slices.Sort(plain)
	fmt.Fprintf(w, "\n## %s\n\nPlain inference: %.1f ms a sample (median).\n\n", filepath.Base(path),
		plain[len(plain)/2].Seconds()*1000/batchSize)
	fmt.Fprintf(w, "| | times plain inference | least to largest | processor time | at most |\n|---|---|---|---|---|\n")
	for i, r := range rows[1:] {
		x, c := wall[i+1], cpu[i+1]
		slices.Sort(x)
		slices.Sort(c)
		target := ""
		if r.target > 0 {
			target = fmt.Sprint(r.target)
		}
		fmt.Fprintf(w, "| %s | %.2f | %.2f to %.2f | %.2f | %s |\n", r.name, x[len(x)/2], x[0], x[len(x)-1], c[len(c)/2], target)
	}
	if memory == 0 {
		return nil
	}
	return b.memory(ctx, w, path, rows, memory)
}

// memory writes the peak memory of some rows, each in a process of its own.
func (b *bench) memory(ctx context.Context, w io.Writer, path string, rows []row, long int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	peak := func(row string, samples int) (int, error) {
		cmd := exec.CommandContext(ctx, self, "-child", row, "-samples", strconv.Itoa(samples), "-threads", strconv.Itoa(b.threads), path)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return 0, fmt.Errorf("memory of %s: %w", row, err)
		}
		return strconv.Atoi(strings.TrimSpace(string(out)))
	}
	base, err := peak("plain", b.samples)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\nPeak memory of plain inference: %d MB.\n\n| | over plain, %d samples | over plain, %d samples |\n|---|---|---|\n", base, b.samples, long)
	for _, r := range rows {
		if !strings.HasPrefix(r.name, "calib") {
			continue
		}
		short, err := peak(r.name, b.samples)
		if err != nil {
			return err
		}
		many, err := peak(r.name, long)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "| %s | %+d MB | %+d MB |\n", r.name, short-base, many-base)
		fmt.Fprintf(os.Stderr, "%s: memory of %s\n", filepath.Base(path), r.name)
	}
	return nil
}

// child runs one row and prints its process's peak memory in MB.
func (b *bench) child(ctx context.Context, path, name string) error {
	m, err := open(path)
	if err != nil {
		return err
	}
	var run func() error
	if name == "plain" {
		s, err := b.session(m.Graph, nil)
		if err != nil {
			return err
		}
		run = func() error { _, err := s(ctx, batches(m, b.samples)); return err }
	} else {
		text, err := strategyOf(name)
		if err != nil {
			return err
		}
		res, err := resolve(m, text)
		if err != nil {
			return err
		}
		run = func() error { _, err := b.calib(res)(ctx, batches(m, b.samples)); return err }
	}
	if err := run(); err != nil {
		return err
	}
	mb, err := peakMemory()
	if err != nil {
		return err
	}
	fmt.Println(mb)
	return nil
}

// open reads a model and opens its batch size.
func open(path string) (*narrow.Model, error) {
	m, err := narrow.Open(context.Background(), path)
	if err != nil {
		return nil, err
	}
	for _, v := range slices.Concat(m.Graph.Graph.Inputs, m.Graph.Graph.Outputs) {
		if len(v.Shape) > 0 {
			v.Shape[0] = graph.Dim{Size: -1, Param: "N"}
		}
	}
	return m, nil
}

// peakMemory returns the most memory this process has held, in MB.
func peakMemory() (int, error) {
	return field("/proc/self/status", "VmHWM:", 1024)
}

func field(file, key string, per int) (int, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if f := strings.Fields(s.Text()); len(f) > 1 && f[0] == key {
			n, err := strconv.Atoi(f[1])
			return n / per, err
		}
	}
	return 0, errors.New(file + " has no " + key)
}
