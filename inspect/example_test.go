package inspect_test

import (
	"context"
	"fmt"
	"log"

	"narrow"
	"narrow/engine/ort"
	"narrow/inspect"
)

// Where does a network lose its accuracy, and which layer is to blame?
func Example() {
	ctx := context.Background()
	model, err := narrow.Open(context.Background(), "../models/fashion_dscnn.onnx")
	if err != nil {
		log.Fatal(err)
	}
	engine, err := ort.Open("")
	if err != nil {
		log.Fatal(err)
	}
	planned, err := model.Plan(nil, narrow.PlanOptions{})
	if err != nil {
		log.Fatal(err)
	}
	images := random(model, 32, 16, 1) // your own: Batches of a samples.Set
	done, err := planned.Calibrate(ctx, engine, images, narrow.CalibrateOptions{})
	if err != nil {
		log.Fatal(err)
	}

	// Side by side: what each layer's output has come to.
	measured, err := inspect.Measure(ctx, done, engine, images, inspect.Options{})
	if err != nil {
		log.Fatal(err)
	}
	last := measured.Layers[len(measured.Layers)-1]
	fmt.Printf("%d layers, %d tensors; the last layer is %s\n", len(measured.Layers), len(measured.Tensors), last.Name)

	// One layer at a time: what quantizing it costs the network.
	ranking, err := inspect.Sensitivity(ctx, done, engine, images, inspect.SensitivityOptions{})
	if err != nil {
		log.Fatal(err)
	}
	worst, best := ranking.Layers[0], ranking.Layers[len(ranking.Layers)-1]
	fmt.Println(len(ranking.Layers), "layers are ranked;", worst.SQNR < best.SQNR)
	// Output:
	// 22 layers, 54 tensors; the last layer is /classifier/Gemm
	// 22 layers are ranked; true
}
