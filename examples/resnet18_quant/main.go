// Command resnet18_quant is the guide's example script in Go: it calibrates and
// tests ResNet-18 by a strategy file, with the script's own flags.
//
//	go run ./examples/resnet18_quant --quant_mode calib --config_file int_config.json --data_dir imagenet/val
//	go run ./examples/resnet18_quant --quant_mode test  --config_file int_config.json --data_dir imagenet/val
//
// model_dir holds resnet18.onnx, exported from torchvision's model with
// torch.onnx.export; data_dir holds one folder of photographs per class.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"narrow"
	"narrow/engine"
	"narrow/engine/ort"
	"narrow/evaluate"
	"narrow/export"
	"narrow/samples"
	"narrow/strategy"
)

// options are the script's flags.
type options struct {
	mode      string
	config    string
	subset    int
	batch     int
	dataDir   string
	modelDir  string
	deploy    bool
	resultDir string
}

func main() {
	var o options
	flag.StringVar(&o.mode, "quant_mode", "calib", "float: no quantization, evaluate the float model; calib: find the scales; test: evaluate the quantized model")
	flag.StringVar(&o.config, "config_file", "", "quantization strategy file (default: the defaults for the DPU)")
	flag.IntVar(&o.subset, "subset_len", 0, "evaluate this many images (default: all)")
	flag.IntVar(&o.batch, "batch_size", 32, "images that run at once")
	flag.StringVar(&o.dataDir, "data_dir", "imagenet/val", "folder with one folder of images per class")
	flag.StringVar(&o.modelDir, "model_dir", ".", "folder of resnet18.onnx")
	flag.BoolVar(&o.deploy, "deploy", false, "in mode test: export the quantized model")
	flag.StringVar(&o.resultDir, "result_dir", "quantize_result", "folder of the results")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	m, err := narrow.Open(ctx, filepath.Join(o.modelDir, "resnet18.onnx"))
	if err != nil {
		return err
	}
	set, err := samples.Open(o.dataDir, m.Inputs(), samples.Options{
		SubsetLen: o.subset, Shuffle: o.subset > 0, Preprocess: samples.Preprocess{Preset: samples.Imagenet},
	})
	if err != nil {
		return err
	}
	runner, err := ort.Open("")
	if err != nil {
		return err
	}
	batches := set.Batches(ctx, o.batch)
	labels := set.Labels()
	switch o.mode {
	case "float":
		res, err := evaluate.Float(ctx, runner, m.Graph, batches, evaluate.Options{Labels: labels})
		if err != nil {
			return err
		}
		return show("float", res.Float)
	case "calib":
		return calib(ctx, o, m, runner, set, batches)
	case "test":
		c, err := narrow.Load(o.resultDir, m, nil)
		if err != nil {
			return err
		}
		res, err := c.Test(ctx, runner, batches, narrow.TestOptions{Labels: labels})
		if err != nil {
			return err
		}
		if err := show("quantized", res.Quantized); err != nil || !o.deploy {
			return err
		}
		q, err := c.Export(narrow.ExportOptions{})
		if err != nil {
			return err
		}
		for _, f := range q.Findings {
			fmt.Println(f)
		}
		return q.Save(filepath.Join(o.resultDir, "resnet18.qdq.onnx"))
	}
	return fmt.Errorf("--quant_mode is %q: it must be float, calib or test", o.mode)
}

func calib(ctx context.Context, o options, m *narrow.Model, runner engine.Runner, set *samples.Set, batches engine.Batches) error {
	s, err := strategy.Load(o.config)
	if err != nil {
		return err
	}
	p, err := m.Plan(s, narrow.PlanOptions{Accuracy: narrow.Guide})
	if err != nil {
		return err
	}
	hash, err := set.Hash(ctx)
	if err != nil {
		return err
	}
	c, err := p.Calibrate(ctx, runner, batches, narrow.CalibrateOptions{SamplesSHA256: hash})
	if err != nil {
		return err
	}
	if err := c.Save(o.resultDir); err != nil {
		return err
	}
	fmt.Printf("calibrated on %d images, wrote %s\n", c.Result.Samples, filepath.Join(o.resultDir, export.QuantInfoFile))
	return nil
}

func show(what string, a *evaluate.Accuracy) error {
	if a == nil {
		return errors.New("there are no labels: data_dir must hold one folder per class")
	}
	fmt.Printf("%s top-1 / top-5 accuracy: %.2f / %.2f\n", what, 100*a.Top1, 100*a.Top5)
	return nil
}
