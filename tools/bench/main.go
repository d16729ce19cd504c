// Command bench measures what quantizing costs next to plain inference, and
// writes a table.
//
//	go run ./tools/bench [-out docs/benchmarks.md] [-rounds 7] [-samples 64] [-memory 2000] MODEL.onnx...
//
// In go models with one image input; out comes Markdown. Every figure is a
// ratio to ONNX Runtime running the unmodified model over the same batches in
// the same process: each round measures plain inference and then every row,
// and a row's figure is the median over rounds, so that a slow minute of a
// shared machine hits both. Peak memory is that of a process of its own per
// figure, also next to plain inference's.
//
// tools/genmodels writes the ResNet-18.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	"narrow/engine/ort"
	"narrow/internal/ortlib"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	debug.SetGCPercent(20) // as the command does
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	out := flag.String("out", "", "Markdown `file` to write; standard output where empty")
	rounds := flag.Int("rounds", 7, "how often each row is measured")
	samples := flag.Int("samples", 64, "samples of one measurement, in batches of 8")
	memory := flag.Int("memory", 2000, "samples of the long memory measurement; 0 leaves memory out")
	threads := flag.Int("threads", runtime.NumCPU(), "threads of both sides")
	lib := flag.String("ort-lib", "", "ONNX Runtime's shared library")
	child := flag.String("child", "", "measure this row's memory only (used by bench itself)")
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		return fmt.Errorf("no models given; tools/genmodels/resnet18.py writes one")
	}
	path, err := ortlib.Find(*lib)
	if err != nil {
		return err
	}
	engine, err := ort.Open(path)
	if err != nil {
		return err
	}
	b := &bench{engine: engine, threads: *threads, samples: *samples}
	if *child != "" {
		return b.child(ctx, flag.Arg(0), *child)
	}

	var text strings.Builder
	b.header(&text, *rounds)
	for _, model := range flag.Args() {
		if err := b.model(ctx, &text, model, *rounds, *memory); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(model), err)
		}
	}
	if *out == "" {
		fmt.Print(text.String())
		return nil
	}
	return writeAbove(*out, text.String())
}

// marker ends what bench writes of a file: what stands below is kept.
const marker = "<!-- Below is not written by tools/bench. -->"

// writeAbove writes text into file, and keeps what stands there from the
// marker on.
func writeAbove(file, text string) error {
	old, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if i := bytes.Index(old, []byte(marker)); i >= 0 {
		text += "\n" + string(old[i:])
	}
	return os.WriteFile(file, []byte(text), 0o644)
}
