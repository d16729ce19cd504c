package refine

import (
	"context"
	"testing"

	"narrow/calibrate"
	"narrow/engine"
)

// What few samples leave no doubt of is not judged on more, and to the same end.
func TestSettle(t *testing.T) {
	for _, c := range []struct {
		name    string
		a, b    func(i int) float64 // the noise of sample i
		samples int
	}{
		{"clearly better", func(i int) float64 { return 0.01 + 0.001*float64(i%3) }, func(i int) float64 { return 0.1 + 0.01*float64(i%3) }, 24},
		{"clearly worse", func(i int) float64 { return 0.1 + 0.01*float64(i%5) }, func(i int) float64 { return 0.01 }, 24},
		{"alike", func(i int) float64 { return 0.1 + 0.05*float64(i%3) }, func(i int) float64 { return 0.1 + 0.05*float64((i+1)%3) }, 64},
	} {
		j, x, y := judged([][]squares{noisy(0)}, [][]squares{noisy(0)})
		j.cut, j.want, j.samples = nil, nil, 64
		known := map[*calibrate.Calibrated][]errorsOf{}
		for i := range 64 {
			j.cut = append(j.cut, &engine.Batch{Count: 1})
			j.want = append(j.want, nil)
			known[x] = append(known[x], errorsOf{{each: noisy(c.a(i))}})
			known[y] = append(known[y], errorsOf{{each: noisy(c.b(i))}})
		}
		j.known = known
		got, err := j.settle(context.Background(), x, y)
		if err != nil {
			t.Fatal(err)
		}
		all, err := j.gain(context.Background(), x, y)
		if err != nil {
			t.Fatal(err)
		}
		if got.samples != c.samples || got.better(false) != all.better(false) {
			t.Errorf("%s: %+v, %+v on all", c.name, got, all)
		}
	}
}
