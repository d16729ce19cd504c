package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"narrow/graph"
	"narrow/graph/graphtext"
)

// numbered yields samples whose one element is their number, in batches of the
// sizes given, with a value that all share.
func numbered(sizes ...int) Batches {
	return func(yield func(*Batch, error) bool) {
		at := 0
		for _, n := range sizes {
			b := &Batch{First: at, Count: n, Shared: map[string]bool{"rate": true}, Inputs: map[string]Tensor{
				"rate": {Type: graph.Int64, Shape: []int64{}, Raw: []byte{7, 0, 0, 0, 0, 0, 0, 0}},
			}}
			x := Tensor{Type: graph.Float32, Shape: []int64{int64(n), 1, 2}}
			i := Tensor{Type: graph.Int16, Shape: []int64{int64(n)}}
			for range n {
				x.Floats = append(x.Floats, float32(at), -float32(at))
				i.Raw = append(i.Raw, byte(at), 0)
				b.Names = append(b.Names, fmt.Sprintf("s%d", at))
				at++
			}
			b.Inputs["x"], b.Inputs["i"] = x, i
			if !yield(b, nil) {
				return
			}
		}
	}
}

// describe tells a batch's numbers.
func (b *Batch) describe() string {
	x, i := b.Inputs["x"], b.Inputs["i"]
	if x.Len() != len(x.Floats) || 2*i.Len() != len(i.Raw) || b.Inputs["rate"].Raw[0] != 7 || len(b.Inputs["rate"].Shape) != 0 {
		return "broken"
	}
	var nums []string
	for k := range i.Raw {
		if k%2 == 0 {
			if x.Floats[k] != float32(i.Raw[k]) || x.Floats[k+1] != -x.Floats[k] {
				return "broken"
			}
			nums = append(nums, fmt.Sprint(i.Raw[k]))
		}
	}
	return fmt.Sprintf("%d+%d[%s]%s", b.First, b.Count, strings.Join(nums, " "), strings.Join(b.Names, ""))
}

func all(t *testing.T, in Batches) string {
	t.Helper()
	var out []string
	for b, err := range in {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b.describe())
	}
	return strings.Join(out, " ")
}

func TestRebatch(t *testing.T) {
	want := "0+2[0 1]s0s1 2+2[2 3]s2s3 4+1[4]s4"
	for _, sizes := range [][]int{{5}, {1, 1, 1, 1, 1}, {2, 3}, {3, 2}, {4, 1}, {1, 4}, {2, 2, 1}} {
		if got := all(t, Rebatch(numbered(sizes...), 2)); got != want {
			t.Errorf("batches of %v become %s, want %s", sizes, got, want)
		}
	}
	if got := all(t, Rebatch(numbered(1, 1), 9)); got != "0+2[0 1]s0s1" {
		t.Errorf("two of nine: %s", got)
	}
	if got := all(t, Rebatch(numbered(), 2)); got != "" {
		t.Errorf("none: %s", got)
	}
}

// Samples of several shapes stay apart, those of one that follow one another together.
func TestRebatchShapes(t *testing.T) {
	in := func(yield func(*Batch, error) bool) {
		first := 0
		for _, shape := range [][]int64{{2, 3}, {1, 3}, {2, 4}, {1, 3}, {1, 3}} {
			x := Tensor{Type: graph.Float32, Shape: shape, Floats: make([]float32, shape[0]*shape[1])}
			for i := range x.Floats {
				x.Floats[i] = float32(first)
			}
			if !yield(&Batch{First: first, Count: int(shape[0]), Inputs: map[string]Tensor{"x": x}}, nil) {
				return
			}
			first += int(shape[0])
		}
	}
	var got []string
	for b, err := range Rebatch(in, 2) {
		if err != nil {
			t.Fatal(err)
		}
		x := b.Inputs["x"]
		if len(x.Floats) != int(x.Shape[0]*x.Shape[1]) {
			t.Errorf("%v holds %d elements", x.Shape, len(x.Floats))
		}
		got = append(got, fmt.Sprintf("%d+%d%v", b.First, b.Count, x.Shape))
	}
	if want := []string{"0+2[2 3]", "2+1[1 3]", "3+2[2 4]", "5+2[2 3]"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestRebatchStops(t *testing.T) {
	n := 0
	for range Rebatch(numbered(1, 1, 1, 1), 2) {
		n++
		break
	}
	if n != 1 {
		t.Errorf("%d batches after break", n)
	}
	broken := errors.New("broken")
	for b, err := range Rebatch(func(yield func(*Batch, error) bool) { yield(nil, broken) }, 2) {
		if b != nil || !errors.Is(err, broken) {
			t.Errorf("%v, %v", b, err)
		}
	}
}

// TestFit: batches become what the model takes; what must stay as it is, stays.
func TestFit(t *testing.T) {
	model := func(net string) *graph.Model { return graphtext.MustParse(net) }
	fixed4 := model(`g (float[4, 1, 2] x, int16[4] i, int64 rate) => (float[4, 1, 2] y) { y = Relu (x) }`)
	open := model(`g (float[N, 1, 2] x, int16[N] i, int64 rate) => (float[N, 1, 2] y) { y = Relu (x) }`)
	for _, c := range []struct {
		name string
		m    *graph.Model
		size int
		want string
	}{
		{"as they come", open, 0, "0+3[0 1 2]s0s1s2 3+2[3 4]s3s4"},
		{"a size asked for", open, 4, "0+4[0 1 2 3]s0s1s2s3 4+1[4]s4"},
		{"the model's size, padded", fixed4, 0, "0+4[0 1 2 3]s0s1s2s3 4+1[4 4 4 4]s4"},
		{"the model's size, not the one asked for", fixed4, 2, "0+4[0 1 2 3]s0s1s2s3 4+1[4 4 4 4]s4"},
	} {
		if got := all(t, Fit(numbered(3, 2), c.m, c.size)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	kept := func(yield func(*Batch, error) bool) {
		for b := range numbered(1, 1) {
			b.Size = 1
			if !yield(b, nil) {
				return
			}
		}
	}
	if got := all(t, Fit(kept, open, 8)); got != "0+1[0]s0 1+1[1]s1" {
		t.Errorf("batches that must stay: %s", got)
	}
	for b := range Fit(numbered(3), fixed4, 0) {
		if b.Rows() != 4 || b.Count != 3 {
			t.Errorf("padded to %d of %d", b.Rows(), b.Count)
		}
	}
}

func TestFixedBatch(t *testing.T) {
	for net, want := range map[string]int{
		`g (float[N, 2] x) => (float[N, 2] y) { y = Relu (x) }`:                                     0,
		`g (float[3, 2] x) => (float[3, 2] y) { y = Relu (x) }`:                                     3,
		`g (float[2, 1, 4] state, float[N, 2] x) => (float[N, 2] y) { y = Relu (x) }`:               0,
		`g (float r, float[3, 2] x) => (float[3, 2] y) { y = Relu (x) }`:                            3,
		`g (float[3, 2] x, float[2] w) => (float[3, 2] y) <float[2] w = {1, 2}> { y = Add (x, w) }`: 3,
		`g (float r) => (float y) { y = Relu (r) }`:                                                 0,
		`g (float[N, 2] x) => (float[1, 2] y) { y = Relu (x) }`:                                     1,
		`g (float[N, 2] x) => (float[1] y) { y = Relu (x) }`:                                        0,
		`g (float[N, 2] x) => (float[1, 2] y, float[N, 2] z) { y = Relu (x) z = Relu (x) }`:         0,
	} {
		if got := FixedBatch(graphtext.MustParse(net)); got != want {
			t.Errorf("%s: %d, want %d", net, got, want)
		}
	}
}

func TestBySample(t *testing.T) {
	for _, c := range []struct {
		shape       []int64
		rows, count int
		want        []int64
	}{
		{[]int64{6, 4, 2}, 4, 4, []int64{4, 6, 2}}, // time in front
		{[]int64{6, 4, 2}, 4, 3, []int64{3, 6, 2}},
		{[]int64{6, 4, 4}, 4, 4, []int64{6, 4, 4}}, // which of the two?
		{[]int64{4, 2}, 4, 4, []int64{4, 2}},
		{[]int64{4, 2}, 4, 3, []int64{3, 2}},
		{[]int64{5, 2}, 1, 1, []int64{1, 5, 2}},
		{[]int64{}, 1, 1, []int64{1}},
		{[]int64{8, 3}, 4, 4, []int64{4, 2, 3}},
		{[]int64{8, 3}, 4, 1, []int64{1, 2, 3}},
		{[]int64{7, 3}, 4, 4, []int64{7, 3}},
		{[]int64{0, 3}, 4, 4, []int64{0, 3}},
	} {
		x := Tensor{Type: graph.Float32, Shape: c.shape}
		for i := range x.Len() {
			x.Floats = append(x.Floats, float32(i))
		}
		got := x.bySample(c.rows, c.count, -1)
		if !slices.Equal(got.Shape, c.want) || got.Len() != len(got.Floats) {
			t.Errorf("%v of %d rows, %d real: %v with %d elements, want %v", c.shape, c.rows, c.count, got.Shape, len(got.Floats), c.want)
		}
	}
}

// TestToFront: an axis that is known moves to the front, and the elements of a
// sample stay in order.
func TestToFront(t *testing.T) {
	x := Tensor{Type: graph.Float32, Shape: []int64{2, 3, 2}, Floats: []float32{0, 1, 10, 11, 20, 21, 2, 3, 12, 13, 22, 23}}
	got := x.bySample(3, 2, 1)
	if !slices.Equal(got.Shape, []int64{2, 2, 2}) || !slices.Equal(got.Floats, []float32{0, 1, 2, 3, 10, 11, 12, 13}) {
		t.Errorf("%v %v", got.Shape, got.Floats)
	}
	// Of 2 samples the first axis could be taken for the samples'.
	x = Tensor{Type: graph.Int64, Shape: []int64{2, 2}, Raw: []byte{0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0}}
	if got := x.bySample(2, 2, 1); got.Raw[8] != 2 || got.Raw[16] != 1 {
		t.Errorf("%v", got.Raw)
	}
}
