package ort

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"narrow/engine"
	"narrow/graph"
)

// TestLoadCancelled: ONNX Runtime cannot be stopped while it optimizes, so
// Load does not wait for it, and what it makes in the end is freed.
func TestLoadCancelled(t *testing.T) {
	r := runner(t)
	before := r.Live()
	// Constants that ONNX Runtime multiplies while it loads, for a second or so.
	n := newNet().input("x", graph.Float32, 1024).output("y", graph.Float32, 1024, 1024)
	n.constant(randomTensor("w", 1024, 1024)).constant(randomTensor("c0", 1024, 1024))
	const products = 40
	for i := range products {
		n.op("MatMul", []string{fmt.Sprint("c", i), "w"}, []string{fmt.Sprint("c", i+1)})
	}
	n.op("Add", []string{"x", fmt.Sprint("c", products)}, []string{"y"})

	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	start := time.Now()
	s, err := r.Load(ctx, n.Model, engine.LoadOptions{Threads: 1})
	if s != nil || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), `"net"`) {
		t.Fatalf("%v, %v", s, err)
	}
	if r.Live() == before {
		t.Error("Load waited until the engine was done")
	}
	for r.Live() != before && time.Since(start) < 20*time.Second { // the test's end looks again
		time.Sleep(time.Millisecond)
	}
}
