package samples_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"narrow/graph"
	"narrow/samples"
)

// Three samples from an .npy file, two at a time.
func Example() {
	dir, err := os.MkdirTemp("", "samples")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "x.npy")
	if err := writeArray(file, []int64{3, 2}, []float32{1, 2, 3, 4, 5, 6}); err != nil {
		log.Fatal(err)
	}

	// What the network takes: any number of pairs.
	inputs := []samples.InputSpec{{Name: "x", Type: graph.Float32, Dims: []int64{-1, 2}}}
	set, err := samples.Open(file, inputs, samples.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer set.Close()
	for b, err := range set.Batches(context.Background(), 2) {
		if err != nil {
			log.Fatal(err)
		}
		x := b.Inputs["x"]
		fmt.Println(b.First, b.Count, x.Shape, x.Floats)
	}
	// Output:
	// 0 2 [2 2] [1 2 3 4]
	// 2 1 [1 2] [5 6]
}

func writeArray(file string, shape []int64, values []float32) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	w, err := samples.NewNPYWriter(f, graph.Float32, shape)
	if err != nil {
		return err
	}
	if err := w.WriteFloats(values); err != nil {
		return err
	}
	return w.Close()
}
