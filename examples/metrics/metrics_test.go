// Package metrics tests the programs in this folder, which are for --metric.
package metrics

import (
	"context"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"narrow/engine"
	"narrow/graph"
	"narrow/metric"
)

// withNumpy returns a Python that has numpy, "" where there is none.
var withNumpy = sync.OnceValue(func() string {
	for _, p := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(p, "-c", "import numpy").Run() == nil {
			return p
		}
	}
	return ""
})

func python(t *testing.T) string {
	t.Helper()
	if withNumpy() == "" {
		t.Skip("no python3 has numpy")
	}
	return withNumpy()
}

// network is what is given to a program: outputs for each of its samples.
type network []engine.Tensor

func tensor(x []float32, shape ...int64) engine.Tensor {
	return engine.Tensor{Type: graph.Float32, Shape: shape, Floats: x}
}

// figures has a program tell figures of a float and a quantized network, sample by
// sample.
func figures(t *testing.T, labels engine.Labels, float, quantized network, args ...string) (f, q *metric.Figures) {
	t.Helper()
	c, err := metric.NewCommand(append([]string{python(t)}, args...), metric.CommandOptions{Outputs: []string{"out"}, Stderr: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	over := func(n network, isFloat bool) *metric.Figures {
		var batches []*engine.Batch
		var outs [][]engine.Tensor
		for i, x := range n {
			batches = append(batches, &engine.Batch{First: i, Count: 1, Names: []string{string(rune('a'+i)) + ".png"}})
			outs = append(outs, []engine.Tensor{x})
		}
		f, err := metric.Over(context.Background(), c, metric.Set{Samples: len(n), Labels: labels}, isFloat, batches, nil, outs)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	return over(float, true), over(quantized, false)
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func near(t *testing.T, what string, f *metric.Figures, want float64) {
	t.Helper()
	if f.Value == nil || math.Abs(*f.Value-want) > 1e-6 {
		t.Errorf("%s is %v, not %v (%+v)", what, f.Value, want, f.All)
	}
}

// heads writes one box for each head: class 1 of 2, corners 8, 8, 24, 40 of 64
// pixels, with a score; shifted moves it to the right.
var heads = map[string]func(score, shift float32) engine.Tensor{
	"yolov8": func(score, shift float32) engine.Tensor {
		x := make([]float32, 6*3)
		for i, v := range []float32{16 + shift, 24, 16, 32, 0, score} {
			x[3*i+1] = v // the second of three anchors
		}
		return tensor(x, 1, 6, 3)
	},
	"yolov5": func(score, shift float32) engine.Tensor {
		return tensor([]float32{0, 0, 0, 0, 0, 0, 0, 16 + shift, 24, 16, 32, 0.5, 0, 2 * score}, 1, 2, 7)
	},
	// Cells of 8, 16 and 32 pixels: 64 + 16 + 4. The box hangs on the cell 1, 1 of
	// 16 pixels.
	"yolox": func(score, shift float32) engine.Tensor {
		x := make([]float32, 84*7)
		copy(x[(64+4+1)*7:], []float32{shift / 16, 0.5, 0, float32(math.Log(2)), 0.5, 0, 2 * score})
		return tensor(x, 1, 84, 7)
	},
	// Distances from the centre 24, 24 of that cell: 1, 1, 0, 1 cells.
	"nanodet": func(score, shift float32) engine.Tensor {
		x := make([]float32, 84*(2+4*4))
		own := x[(64+4+1)*18:]
		own[1] = score
		for i, d := range []float32{1 - shift/16, 1, 0 + shift/16, 1} {
			// Between two bins as far as d is between their numbers.
			low := float32(math.Floor(float64(d)))
			for bin := range 4 {
				own[2+4*i+bin] = -100
			}
			own[2+4*i+int(low)] = float32(math.Log(float64(1 - (d - low) + 1e-30)))
			if d > low {
				own[2+4*i+int(low)+1] = float32(math.Log(float64(d - low)))
			}
		}
		return tensor(x, 1, 84, 18)
	},
}

func TestDetector(t *testing.T) {
	truth := file(t, "truth.csv", "name,class,x1,y1,x2,y2\na.png,1,8,8,24,40\nb.png,1,8,8,24,40\n")
	for head, box := range heads {
		args := []string{"detector.py", "--head", head, "--size", "64", "--classes", "2"}
		float := network{box(0.4, 0), box(0.3, 0)}
		// 0.4 pixels aside is the same box, 12 pixels are another one; one score is lost.
		f, q := figures(t, engine.Labels{}, float, network{box(0.06, 0.4), box(0.3, 12)}, args...)
		near(t, head+": kept of its own", f, 1)
		near(t, head+": kept", q, 0.5)
		_, q = figures(t, engine.Labels{}, float, network{box(0.04, 0), box(0.3, 0)}, args...)
		near(t, head+": kept with a score lost", q, 0.5)

		args = append(args, "--truth", truth)
		f, q = figures(t, engine.Labels{}, float, network{box(0.2, 0.4), box(0.4, 12)}, args...)
		near(t, head+": mAP of the float network", f, 1)
		// The wrong box comes first: half of the truth is found, at a precision of 1/2.
		near(t, head+": mAP", q, 0.25)
	}
}

func TestSegmenter(t *testing.T) {
	// Two classes at four positions: 0 1 0 1, and 0 0 0 1.
	float := network{tensor([]float32{1, 0, 1, 0, 0, 1, 0, 1}, 1, 2, 2, 2)}
	quantized := network{tensor([]float32{1, 1, 1, 0, 0, 0, 0, 1}, 1, 2, 2, 2)}
	f, q := figures(t, engine.Labels{}, float, quantized, "segmenter.py")
	near(t, "IoU with itself", f, 1)
	near(t, "IoU with the float network", q, (2.0/3+1.0/2)/2)
	labels := engine.Labels{Classes: []int{0, 255, 1, 1}, Shape: []int64{2, 2}}
	f, _ = figures(t, labels, float, quantized, "segmenter.py")
	near(t, "IoU with labels", f, 0.5)
}

func TestCTC(t *testing.T) {
	// Classes of the steps, 0 the blank; samples of other lengths go into an .npz.
	steps := func(classes ...int) engine.Tensor {
		x := make([]float32, 5*len(classes))
		for i, c := range classes {
			x[5*i+c] = 1
		}
		return tensor(x, 1, int64(len(classes)), 5)
	}
	float := network{steps(1, 1, 0, 1, 2), steps(3, 0, 4)} // aab, cd
	quantized := network{steps(1, 1, 0, 2, 2), steps(3, 0, 4)}
	f, q := figures(t, engine.Labels{}, float, quantized, "ctc.py")
	near(t, "error rate against itself", f, 0)
	near(t, "error rate", q, 1.0/5)
	truth, characters := file(t, "truth.csv", "name,text\na.png,aab\nb.png,ddd\n"), file(t, "dict.txt", "a\nb\nc\nd\n")
	f, q = figures(t, engine.Labels{}, float, quantized, "ctc.py", "--truth", truth, "--characters", characters)
	near(t, "error rate of the float network", f, 2.0/6)
	near(t, "error rate with a truth", q, 3.0/6)
	if v, ok := q.All.Find("exact"); !ok || *v != 0 {
		t.Errorf("the share of exact texts: %+v", q.All)
	}
}
