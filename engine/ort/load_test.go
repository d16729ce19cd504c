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

// TestUnreadInitializers: initializers that nothing reads are no reason to
// refuse a network, whatever their size; those that an inner graph reads stay.
func TestUnreadInitializers(t *testing.T) {
	r := runner(t)
	n := newNet().input("x", graph.Float32, 4).input("c", graph.Bool).output("y", graph.Float32, 4)
	for i, size := range []int64{1, 64, 256, 1000, 300_000} {
		n.constant(randomTensor(fmt.Sprint("unread", i), size))
	}
	n.constant(graph.NewFloats("inner", []int64{4}, []float32{1, 2, 3, 4})).constant(randomTensor("big", 4, 400))
	inner := func(name, from, out string) *graph.Graph {
		return &graph.Graph{
			Name: name, Nodes: []*graph.Node{{OpType: "Identity", Inputs: []string{from}, Outputs: []string{out}}},
			Outputs: []*graph.Value{{Name: out}},
		}
	}
	n.op("If", []string{"c"}, []string{"chosen"},
		&graph.Attr{Name: "then_branch", Kind: graph.AttrGraph, Graph: inner("then", "inner", "t")},
		&graph.Attr{Name: "else_branch", Kind: graph.AttrGraph, Graph: inner("else", "x", "e")})
	n.op("Add", []string{"x", "chosen"}, []string{"y"})
	before := len(n.Graph.Initializers)
	s := load(t, r, n.Model, engine.LoadOptions{})
	in := map[string]engine.Tensor{"x": vector(1, 1, 1, 1), "c": {Type: graph.Bool, Shape: []int64{}, Raw: []byte{1}}}
	if got := run(t, s, in, nil)["y"].Floats; fmt.Sprint(got) != "[2 3 4 5]" {
		t.Errorf("y is %v", got)
	}
	if len(n.Graph.Initializers) != before {
		t.Error("the caller's network has changed")
	}
}
