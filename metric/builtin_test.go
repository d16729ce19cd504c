package metric

import (
	"context"
	"math"
	"strings"
	"testing"

	"narrow/engine"
	"narrow/graph"
)

func floats(shape []int64, x ...float32) engine.Tensor {
	return engine.Tensor{Type: graph.Float32, Shape: shape, Floats: x}
}

func TestBuiltins(t *testing.T) {
	rows, masks := []int64{2, 3}, []int64{2, 2, 1, 2}
	float := []engine.Tensor{floats(rows, 1, 2, 3, 3, 2, 1)}
	off := []engine.Tensor{floats(rows, 3, 2, 1, 3, 2, 1)}
	// Classes by position, of two samples with two positions: float 0 1 0 1.
	seen := []engine.Tensor{floats(masks, 1, 0, 0, 1, 1, 0, 0, 1)}
	other := []engine.Tensor{floats(masks, 1, 1, 0, 0, 1, 0, 0, 1)} // 0 0 0 1
	labels := engine.Labels{Classes: []int{2, 0}}
	maps := engine.Labels{Classes: []int{0, 255, 1, 1}, Shape: []int64{1, 2}}
	for _, tt := range []struct {
		name          string
		labels        engine.Labels
		float, outs   []engine.Tensor
		ofFloat, want float64 // NaN: none
	}{
		{"top1", labels, float, off, 1, 0.5},
		{"top5", labels, float, off, 1, 1},
		{"sqnr", labels, float, off, math.NaN(), 10 * math.Log10(28.0/8)},
		{"sqnr", labels, float, float, math.NaN(), exact},
		{"cosine", labels, float, off, math.NaN(), 24.0 / 28},
		{"mse", labels, float, off, math.NaN(), 8.0 / 6},
		{"iou", engine.Labels{}, seen, other, math.NaN(), (2.0/3 + 1.0/2) / 2},
		// With labels: float says 0, (255), 0, 1 for 0, -, 1, 1.
		{"iou", maps, seen, other, (1.0/2 + 1.0/2) / 2, (1.0/2 + 1.0/2) / 2},
	} {
		m, err := NewBuiltin(tt.name, []*graph.Value{{Name: "out"}}, tt.labels)
		if err != nil {
			t.Fatal(err)
		}
		b := []*engine.Batch{{Count: 2}}
		f, err := Over(context.Background(), m, Set{Samples: 2}, true, b, nil, [][]engine.Tensor{tt.float})
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		q, err := Over(context.Background(), m, Set{Samples: 2}, false, b, [][]engine.Tensor{tt.float}, [][]engine.Tensor{tt.outs})
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if (f.Value == nil) != math.IsNaN(tt.ofFloat) || f.Value != nil && *f.Value != tt.ofFloat {
			t.Errorf("%s of the float network: %v, not %v", tt.name, f.Value, tt.ofFloat)
		}
		if q.Name != tt.name || math.Abs(*q.Value-tt.want) > 1e-9 {
			t.Errorf("%s: %v, not %v", tt.name, *q.Value, tt.want)
		}
	}
}

// TestBuiltinsRefuse: what does not fit is told, not measured.
func TestBuiltinsRefuse(t *testing.T) {
	for name, want := range map[string]string{"map": "there is no metric", "top1": "without labels"} {
		if _, err := NewBuiltin(name, nil, engine.Labels{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	rows := []engine.Tensor{floats([]int64{2, 3}, 1, 2, 3, 3, 2, 1)}
	nan := []engine.Tensor{floats([]int64{2, 3}, 1, 2, 3, 3, 2, float32(math.NaN()))}
	for _, tt := range []struct {
		name   string
		labels engine.Labels
		outs   []engine.Tensor
		want   string
	}{
		{"iou", engine.Labels{}, rows, "no output of the network is a segmentation"},
		{"iou", engine.Labels{Classes: []int{1, 1, 1, 1}, Shape: []int64{2}}, rows, "the labels fit no output"},
		{"sqnr", engine.Labels{}, nan, "is no number"},
	} {
		m, err := NewBuiltin(tt.name, []*graph.Value{{Name: "out"}}, tt.labels)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Over(context.Background(), m, Set{Samples: 2}, false, []*engine.Batch{{Count: 2}}, [][]engine.Tensor{rows}, [][]engine.Tensor{tt.outs})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
