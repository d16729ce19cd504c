package observe_test

import (
	"fmt"
	"log"

	"narrow/calibrate/observe"
	"narrow/scheme"
	"narrow/strategy"
)

// Two batches of one tensor become a scale, and values are quantized with it.
func Example() {
	o, err := observe.New(observe.Config{Name: "x", Kind: scheme.Activation, Settings: strategy.Defaults(scheme.Activation), Target: scheme.DPU})
	if err != nil {
		log.Fatal(err)
	}
	for _, batch := range [][]float32{{0.5, -1.5, 0.25}, {1, 0.75, -0.125}} {
		if err := o.Observe(batch, []int64{1, 3}); err != nil {
			log.Fatal(err)
		}
	}
	e, err := o.Encoding()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("scale", e.Scale[0])

	integers, err := observe.Quantize[int8]([]float32{0.5, -1.5, 100}, o.Config().Settings, e, []int64{3})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(integers)
	// Output:
	// scale 0.015625
	// [32 -96 127]
}
