package narrow_test

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"

	"narrow"
	"narrow/engine"
	"narrow/engine/ort"
	"narrow/graph"
	"narrow/strategy"
)

// pictures yields n pictures of 28x28 grey pixels in 0..1, 16 at a time. Real
// ones come from [samples.Set.Batches].
func pictures(n int) engine.Batches {
	return func(yield func(*engine.Batch, error) bool) {
		r := rand.New(rand.NewPCG(1, 2))
		for first := 0; first < n; first += 16 {
			count := min(16, n-first)
			pixels := make([]float32, count*28*28)
			for i := range pixels {
				pixels[i] = r.Float32()
			}
			b := &engine.Batch{First: first, Count: count, Inputs: map[string]engine.Tensor{
				"image": {Type: graph.Float32, Shape: []int64{int64(count), 1, 28, 28}, Floats: pixels},
			}}
			if !yield(b, nil) {
				return
			}
		}
	}
}

// The whole path: from a model and a strategy file to a quantized model that
// ONNX Runtime runs.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "narrow")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	model, err := narrow.Open(ctx, "models/fashion_dscnn.onnx")
	if err != nil {
		log.Fatal(err)
	}
	// Mistakes in the file are the error, all of them at once.
	s, err := strategy.Load("examples/configs/int_config.json")
	if err != nil {
		log.Fatal(err)
	}
	planned, err := model.Plan(s, narrow.PlanOptions{})
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range planned.Findings { // warnings and notes, such as this:
		fmt.Println(f.Severity, f.Code)
	}

	runner, err := ort.Open("") // wherever ONNX Runtime is
	if err != nil {
		log.Fatal(err)
	}
	calibrated, err := planned.Calibrate(ctx, runner, pictures(48), narrow.CalibrateOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(calibrated.Plan.Tensors), "tensors calibrated on", calibrated.Result.Samples, "samples")

	result, err := calibrated.Test(ctx, runner, pictures(64), narrow.TestOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Samples, "samples tested; most agree:", *result.Agreement > 0.5)

	exported, err := calibrated.Export(narrow.ExportOptions{})
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range exported.Findings { // what the form could not hold
		fmt.Println(f.Severity, f.Code)
	}
	if err := exported.Save(filepath.Join(dir, "fashion_dscnn.qdq.onnx")); err != nil {
		log.Fatal(err)
	}

	// A calibration can be kept, and tested or exported another day.
	if err := calibrated.Save(dir); err != nil {
		log.Fatal(err)
	}
	again, err := narrow.Load(dir, model, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("loaded:", again.Plan.Strategy.SHA256() == planned.Plan.Strategy.SHA256())
	entries, err := os.ReadDir(dir)
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range entries {
		fmt.Println(e.Name())
	}
	// Output:
	// 54 tensors calibrated on 48 samples
	// 64 samples tested; most agree: true
	// note bias-int32
	// loaded: true
	// bias_corr.json
	// fashion_dscnn.py
	// fashion_dscnn.qdq.onnx
	// quant_info.json
	// ties.json
}
