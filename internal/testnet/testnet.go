// Package testnet has what tests of several packages begin with: the engine,
// networks, strategies laid over them, samples. Texts and sizes go in, what was
// made of them comes out; whatever goes wrong ends the test. Nothing but tests
// may import it.
package testnet

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"narrow"
	"narrow/engine/ort"
	"narrow/graph/graphtext"
	"narrow/graph/onnx"
	"narrow/strategy"
)

// library opens ONNX Runtime once for all tests of a package.
var library = sync.OnceValues(func() (*ort.Runner, error) { return ort.Open("") })

// Runner returns the one engine of a package's tests. After the test no object
// of ONNX Runtime's may be left that was not there before it.
func Runner(t testing.TB) *ort.Runner {
	t.Helper()
	r, err := library()
	if err != nil {
		t.Fatalf("%v\nrun `make test`, which sets it up", err)
	}
	before := r.Live()
	t.Cleanup(func() {
		if after := r.Live(); after != before {
			t.Errorf("objects left over: %+v before, %+v after", before, after)
		}
	})
	return r
}

// Open opens a model's file.
func Open(t testing.TB, path string) *narrow.Model {
	t.Helper()
	m, err := narrow.Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Bundled opens the network that comes with narrow: an input "image" of
// 1x28x28, ten classes.
func Bundled(t testing.TB) *narrow.Model {
	t.Helper()
	root := "."
	for {
		_, err := os.Stat(filepath.Join(root, "go.mod"))
		if err == nil {
			return Open(t, filepath.Join(root, "models", "fashion_dscnn.onnx"))
		}
		if !errors.Is(err, fs.ErrNotExist) || len(root) > 64 {
			t.Fatalf("looking for the folder of narrow's go.mod: %v", err)
		}
		root = filepath.Join("..", root)
	}
}

// Parse writes the text form of a network as a file and opens that.
func Parse(t testing.TB, text string) *narrow.Model {
	t.Helper()
	m, err := graphtext.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "net.onnx")
	if err := onnx.Save(m, path); err != nil {
		t.Fatal(err)
	}
	return Open(t, path)
}

// Strategy reads the text of a strategy file.
func Strategy(t testing.TB, text string) *strategy.Strategy {
	t.Helper()
	s, list := strategy.Parse("strategy.json", []byte(text))
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	return s
}

// Plan lays the text of a strategy file over m.
func Plan(t testing.TB, m *narrow.Model, text string) *narrow.Planned {
	t.Helper()
	return PlanFor(t, m, text, narrow.Guide)
}

// PlanFor is Plan for an accuracy.
func PlanFor(t testing.TB, m *narrow.Model, text string, a narrow.Accuracy) *narrow.Planned {
	t.Helper()
	s, _ := strategy.Parse("strategy.json", []byte(text))
	p, err := m.Plan(s, narrow.PlanOptions{Accuracy: a})
	if err != nil {
		t.Fatal(err)
	}
	return p
}
