// Xmodelcheck holds the .xmodel of a network against the quantized network: it
// calibrates, writes the file, reads it again, checks every operator's shape as
// XIR infers it, computes every operator from its definition, and compares all
// integers with those of narrow test.
//
//	go run ./tools/xmodelcheck -data DIR/calib.npy net.onnx...
//
// Without -data the samples are noise. It prints a line for each network and
// way, and exits with 1 where anything differs.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"narrow"
	"narrow/diag"
	"narrow/engine"
	"narrow/engine/ort"
	"narrow/export"
	"narrow/export/xmodel"
	"narrow/graph"
	"narrow/internal/xirtest"
	"narrow/samples"
	"narrow/strategy"
)

type options struct {
	data, config string
	calib        int
}

func main() {
	var o options
	flag.StringVar(&o.data, "data", "", "samples, as narrow calib takes them")
	flag.StringVar(&o.config, "config", "", "strategy file")
	flag.IntVar(&o.calib, "calib", 16, "how many samples calibrate")
	flag.Parse()
	run, err := ort.Open("")
	if err != nil {
		fmt.Fprintln(os.Stderr, "xmodelcheck:", err)
		os.Exit(1)
	}
	failed := false
	for _, path := range flag.Args() {
		for _, a := range []narrow.Accuracy{narrow.Guide, narrow.High} {
			text, err := o.check(context.Background(), run, path, a)
			if err != nil {
				failed = true
				text = err.Error()
			}
			fmt.Printf("%s %v: %s\n", filepath.Base(path), a, text)
		}
	}
	if failed {
		os.Exit(1)
	}
}

// check tells how the file of one network, calibrated in the way a, compares.
func (o options) check(ctx context.Context, run engine.Runner, path string, a narrow.Accuracy) (string, error) {
	m, err := narrow.Open(ctx, path)
	if err != nil {
		return "", err
	}
	st := strategy.Default()
	if o.config != "" {
		if st, err = strategy.Load(o.config); err != nil {
			return "", err
		}
	}
	p, err := m.Plan(st, narrow.PlanOptions{Accuracy: a})
	if err != nil {
		return "", err
	}
	in, err := o.batches(ctx, m)
	if err != nil {
		return "", err
	}
	c, err := p.Calibrate(ctx, run, in, narrow.CalibrateOptions{})
	if err != nil {
		return "", err
	}
	start := time.Now()
	f, err := xmodel.New(c.Result, xmodel.Options{Name: export.ModelName(m.Graph, path)})
	if list, ok := diag.AsFindings(err); ok {
		return fmt.Sprintf("refused: %v and %d more", list[0], len(list)-1), nil
	}
	if err != nil {
		return "", err
	}
	var file bytes.Buffer
	if _, err := f.WriteTo(&file); err != nil {
		return "", err
	}
	took := time.Since(start)
	g, err := xirtest.Decode(file.Bytes())
	if err != nil {
		return "", err
	}
	if err := xirtest.Check(g); err != nil {
		return "", err
	}
	dump := map[string][]byte{}
	for b, err := range in {
		if err != nil {
			return "", err
		}
		if err := f.Dump(ctx, run, c.Result, one(b), func(name string, data []byte) error {
			dump[name] = bytes.Clone(data)
			return nil
		}); err != nil {
			return "", err
		}
		break
	}
	h, err := xirtest.Hold(g, f, dump)
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("%d operators, %d fix operators with %d integers, %d operators differ; %.1f MB in %.0f ms",
		len(g.Ops), h.Fixes, h.Integers, len(h.Wrong), float64(file.Len())/1e6, took.Seconds()*1000)
	if len(h.Wrong) > 0 {
		return "", fmt.Errorf("%s; the first: %s", text, h.Wrong[0])
	}
	return text, nil
}

// batches yields the calibration samples.
func (o options) batches(ctx context.Context, m *narrow.Model) (engine.Batches, error) {
	if o.data != "" {
		set, err := samples.Open(o.data, m.Inputs(), samples.Options{SubsetLen: o.calib})
		if err != nil {
			return nil, err
		}
		return set.Batches(ctx, 4), nil
	}
	return func(yield func(*engine.Batch, error) bool) {
		r := rand.New(rand.NewPCG(1, 2))
		for first := range o.calib {
			b := &engine.Batch{First: first, Count: 1, Inputs: map[string]engine.Tensor{}}
			for _, v := range m.Inputs() {
				x := engine.Tensor{Type: graph.Float32}
				for i, d := range v.Dims {
					if i == 0 || d < 0 {
						d = 1
					}
					x.Shape = append(x.Shape, d)
				}
				x.Floats = make([]float32, x.Len())
				for i := range x.Floats {
					x.Floats[i] = float32(r.NormFloat64())
				}
				b.Inputs[v.Name] = x
			}
			if !yield(b, nil) {
				return
			}
		}
	}, nil
}

// one returns the first sample of a batch.
func one(b *engine.Batch) map[string]engine.Tensor {
	in := map[string]engine.Tensor{}
	for name, x := range b.Inputs {
		if rows := int64(b.Rows()); rows > 1 && len(x.Shape) > 0 && x.Shape[0] == rows {
			x = x.Clone()
			x.Shape[0], x.Floats = 1, x.Floats[:int64(len(x.Floats))/rows]
		}
		in[name] = x
	}
	return in
}
