package inspect_test

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"

	"narrow"
	"narrow/calibrate"
	"narrow/calibrate/ort"
	"narrow/graph"
	"narrow/graph/onnx"
	"narrow/strategy"
)

var library = sync.OnceValues(func() (*ort.Runner, error) { return ort.Open("") })

// runner returns the one runner of the tests. After the test no object of
// ONNX Runtime's may be left that was not there before it.
func runner(t testing.TB) *ort.Runner {
	t.Helper()
	r, err := library()
	if err != nil {
		t.Fatal(err)
	}
	before := r.Live()
	t.Cleanup(func() {
		if after := r.Live(); after != before {
			t.Errorf("objects left over: %+v before, %+v after", before, after)
		}
	})
	return r
}

// bundled opens the network that comes with narrow.
func bundled(t testing.TB) *narrow.Model {
	t.Helper()
	m, err := narrow.Open("../models/fashion_dscnn.onnx")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// open writes the text form of a model as a file and opens that.
func open(t testing.TB, text string) *narrow.Model {
	t.Helper()
	g, err := graph.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "net.onnx")
	if err := onnx.Save(g, path); err != nil {
		t.Fatal(err)
	}
	m, err := narrow.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// random are n samples for m in batches of size, each the same whatever size
// is: normal numbers times scale.
func random(m *narrow.Model, n, size int, scale float32) calibrate.Batches {
	return func(yield func(*calibrate.Batch, error) bool) {
		r := rand.New(rand.NewPCG(1, 2))
		for first := 0; first < n; first += size {
			b := &calibrate.Batch{First: first, Count: min(size, n-first), Inputs: map[string]calibrate.Tensor{}}
			in := map[string]calibrate.Tensor{}
			for range b.Count {
				for _, v := range m.Graph.Graph.Inputs {
					t := in[v.Name]
					t.Type = graph.Float32
					t.Shape = []int64{int64(b.Count)}
					per := 1
					for _, d := range v.Shape[1:] {
						t.Shape = append(t.Shape, d.Size)
						per *= int(d.Size)
					}
					for range per {
						t.Floats = append(t.Floats, scale*float32(r.NormFloat64()))
					}
					in[v.Name] = t
				}
			}
			b.Inputs = in
			if !yield(b, nil) {
				return
			}
		}
	}
}

// calibrated calibrates m by a strategy on 24 random samples of that scale.
func calibrated(t testing.TB, m *narrow.Model, config string, scale float32) *narrow.Calibrated {
	t.Helper()
	return propagated(t, m, config, scale, calibrate.Progressive)
}

func propagated(t testing.TB, m *narrow.Model, config string, scale float32, how calibrate.Propagation) *narrow.Calibrated {
	t.Helper()
	s, list := strategy.Parse("strategy.json", []byte(config))
	if list.HasErrors() {
		t.Fatal(list)
	}
	r, list, err := m.Resolve(s)
	if err != nil || list.HasErrors() {
		t.Fatal(err, list)
	}
	c, err := r.Calibrate(context.Background(), runner(t), random(m, 24, 8, scale), calibrate.Options{Propagate: how})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
