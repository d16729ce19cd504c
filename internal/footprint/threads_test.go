package footprint

import (
	"slices"
	"testing"

	"narrow/graph"
)

func TestThreads(t *testing.T) {
	net := func(weights int64, shape ...int64) *graph.Model {
		in := &graph.Value{Name: "x", Type: graph.Float32}
		for _, d := range shape {
			in.Shape = append(in.Shape, graph.Dim{Size: d})
		}
		return &graph.Model{Graph: &graph.Graph{
			Inputs:       []*graph.Value{in},
			Initializers: []*graph.Tensor{{Name: "w", Type: graph.Float32, Dims: []int64{weights}}},
		}}
	}
	for _, c := range []struct {
		name string
		m    *graph.Model
		want int
	}{
		{"small", net(300_000, -1, 3, 32, 32), 1},
		{"samples do not count", net(300_000, 1<<20, 3, 32, 32), 1},
		{"large images", net(500_000, 1, 3, 224, 224), 4},
		{"many weights", net(100_000_000, -1, 128), 4},
		{"open sizes", net(300_000, -1, 3, -1, -1), 4},
	} {
		if got := Threads(c.m, 4); got != c.want {
			t.Errorf("%s: %d threads, want %d", c.name, got, c.want)
		}
		for n, want := range []bool{c.want == 1, c.want == 1, false} {
			c.m.Graph.Nodes = slices.Repeat([]*graph.Node{{OpType: "MatMul"}, {OpType: "Conv"}}, n)
			if got := Unoptimized(c.m); got != want {
				t.Errorf("%s with %d convolutions: unoptimized %v", c.name, n, got)
			}
		}
	}
}
