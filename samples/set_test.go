package samples

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"narrow/engine"
	"narrow/graph"
)

// writeFile writes data to dir/name and returns the path.
func writeFile(t testing.TB, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// writeNPY writes an array whose element i is i, or what f says.
func writeNPY(t testing.TB, path string, typ graph.DataType, shape []int64, f func(i int) float64) string {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w, err := NewNPYWriter(file, typ, shape)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WriteRaw(rawOf(typ, int(product(shape)), f)); err != nil {
		t.Fatal(err)
	}
	return path
}

func rawOf(typ graph.DataType, n int, f func(i int) float64) []byte {
	raw := make([]byte, n*sizeOf(typ))
	for i := range n {
		v := float64(i)
		if f != nil {
			v = f(i)
		}
		switch {
		case typ == graph.Float32:
			binary.LittleEndian.PutUint32(raw[4*i:], math.Float32bits(float32(v)))
		case isFloat(typ):
			putFloat(raw, typ, i, v)
		default:
			var b [8]byte
			binary.LittleEndian.PutUint64(b[:], uint64(int64(v)))
			copy(raw[i*sizeOf(typ):(i+1)*sizeOf(typ)], b[:])
		}
	}
	return raw
}

func writePNG(t testing.TB, dir, name string, w, h int, at func(x, y int) color.Color) string {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.Set(x, y, at(x, y))
		}
	}
	path := writeFile(t, dir, name, nil)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := png.Encode(f, img); err != nil {
		t.Fatal(err)
	}
	return path
}

func grey(v uint8) func(x, y int) color.Color {
	return func(x, y int) color.Color { return color.NRGBA{v, v, v, 255} }
}

func spec(typ graph.DataType, dims ...int64) []InputSpec {
	return []InputSpec{{Name: "x", Type: typ, Dims: dims}}
}

// elements returns an array's elements as float64.
func elements(a engine.Tensor) []float64 {
	if a.Type == graph.Float32 {
		out := make([]float64, len(a.Floats))
		for i, v := range a.Floats {
			out[i] = float64(v)
		}
		return out
	}
	out := make([]float64, len(a.Raw)/sizeOf(a.Type))
	for i := range out {
		out[i] = get(a.Raw, a.Type, i)
	}
	return out
}

// all runs through the set and returns the values of each input, joined, and
// the shape of each batch's first input.
func all(t testing.TB, s *Set, size int) (map[string][]float64, [][]int64) {
	t.Helper()
	out := map[string][]float64{}
	var shapes [][]int64
	next := 0
	for b, err := range s.Batches(context.Background(), size) {
		if err != nil {
			t.Fatal(err)
		}
		if b.First != next || b.Count != len(b.Names) {
			t.Fatalf("batch from %d of %d, %d names; expected from %d", b.First, b.Count, len(b.Names), next)
		}
		next += b.Count
		for name, a := range b.Inputs {
			if int(product(a.Shape)) != len(elements(a)) {
				t.Fatalf("shape %v holds %d elements", a.Shape, len(elements(a)))
			}
			out[name] = append(out[name], elements(a)...)
		}
		shapes = append(shapes, b.Inputs[s.src.plans()[0].spec.Name].Shape)
	}
	if next != s.Len() {
		t.Fatalf("%d samples came, %d expected", next, s.Len())
	}
	return out, shapes
}

func open(t testing.TB, path string, inputs []InputSpec, opts Options) *Set {
	t.Helper()
	s, err := Open(path, inputs, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// How arrays are laid out for a network. Element i of each array is i (mod
// 256 for uint8).
func TestArrayLayouts(t *testing.T) {
	chw := []float64{0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11} // 2x2x3 with channels moved first
	hwc := []float64{0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11} // 3x2x2 with channels moved last
	count := func(n int) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = float64(i)
		}
		return out
	}
	tests := []struct {
		name  string
		from  graph.DataType
		shape []int64
		to    []InputSpec
		pre   Preprocess
		want  []float64
		dims  []int64
	}{
		{"float as it is", graph.Float32, []int64{1, 3, 2, 2}, spec(graph.Float32, -1, 3, 2, 2), Preprocess{}, count(12), []int64{1, 3, 2, 2}},
		{"preset does not touch floats", graph.Float32, []int64{1, 3, 2, 2}, spec(graph.Float32, -1, 3, 2, 2), Preprocess{Preset: Imagenet}, count(12), []int64{1, 3, 2, 2}},
		{"float channels last", graph.Float32, []int64{1, 2, 2, 3}, spec(graph.Float32, -1, 3, 2, 2), Preprocess{}, chw, []int64{1, 3, 2, 2}},
		{"float channels first to last", graph.Float64, []int64{1, 3, 2, 2}, spec(graph.Float32, -1, 2, 2, 3), Preprocess{}, hwc, []int64{1, 2, 2, 3}},
		{"channels last, open sizes", graph.Float32, []int64{1, 2, 2, 3}, spec(graph.Float32, -1, 3, -1, -1), Preprocess{}, chw, []int64{1, 3, 2, 2}},
		{"float to half", graph.Float32, []int64{1, 4}, spec(graph.Float16, -1, 4), Preprocess{}, count(4), []int64{1, 4}},
		{"half to float", graph.Float16, []int64{1, 4}, spec(graph.Float32, -1, 4), Preprocess{}, count(4), []int64{1, 4}},
		{"half to double", graph.Float16, []int64{1, 4}, spec(graph.Float64, -1, 4), Preprocess{}, count(4), []int64{1, 4}},
		{"shape not told", graph.Float32, []int64{1, 2, 2, 3}, []InputSpec{{Name: "x", Type: graph.Float32}}, Preprocess{}, count(12), []int64{1, 2, 2, 3}},
		{"axis added", graph.Float32, []int64{1, 2, 3}, spec(graph.Float32, -1, 1, 2, 3), Preprocess{}, count(6), []int64{1, 1, 2, 3}},
		{"axis dropped", graph.Float32, []int64{1, 1, 2, 3}, spec(graph.Float32, -1, 2, 3), Preprocess{}, count(6), []int64{1, 2, 3}},
		{"flattened", graph.Float32, []int64{1, 2, 3}, spec(graph.Float32, -1, 6), Preprocess{}, count(6), []int64{1, 6}},
		{"scalar per sample", graph.Float32, []int64{3}, spec(graph.Float32, -1), Preprocess{}, count(3), []int64{3}},
		{"ints widened", graph.Int8, []int64{1, 3}, spec(graph.Int64, -1, -1), Preprocess{}, count(3), []int64{1, 3}},
		{"ints narrowed", graph.Int64, []int64{1, 3}, spec(graph.Int32, -1, 3), Preprocess{}, count(3), []int64{1, 3}},
		{"bool", graph.Bool, []int64{1, 2}, spec(graph.Bool, -1, 2), Preprocess{}, count(2), []int64{1, 2}},

		{"grey images", graph.Uint8, []int64{2, 2, 3}, spec(graph.Float32, -1, 1, 2, 3), Preprocess{}, count(12), []int64{2, 1, 2, 3}},
		{"grey images, open", graph.Uint8, []int64{2, 2, 3}, spec(graph.Float32, -1, -1, -1, -1), Preprocess{}, count(12), []int64{2, 1, 2, 3}},
		{"grey images without channels", graph.Uint8, []int64{2, 2, 3}, spec(graph.Float32, -1, 2, 3), Preprocess{}, count(12), []int64{2, 2, 3}},
		{"grey to colour", graph.Uint8, []int64{1, 1, 2}, spec(graph.Float32, -1, 3, 1, 2), Preprocess{}, []float64{0, 1, 0, 1, 0, 1}, []int64{1, 3, 1, 2}},
		{"grey images flattened", graph.Uint8, []int64{2, 2, 3}, spec(graph.Float32, -1, 6), Preprocess{}, count(12), []int64{2, 6}},
		{"flat bytes", graph.Uint8, []int64{2, 6}, spec(graph.Float32, -1, 6), Preprocess{}, count(12), []int64{2, 6}},
		{"colour, last to first", graph.Uint8, []int64{1, 2, 2, 3}, spec(graph.Float32, -1, 3, 2, 2), Preprocess{}, chw, []int64{1, 3, 2, 2}},
		{"colour, last to last", graph.Uint8, []int64{1, 2, 2, 3}, spec(graph.Float32, -1, 2, 2, 3), Preprocess{}, count(12), []int64{1, 2, 2, 3}},
		{"colour, first to first", graph.Uint8, []int64{1, 3, 2, 2}, spec(graph.Float32, -1, 3, 2, 2), Preprocess{}, count(12), []int64{1, 3, 2, 2}},
		{"colour, first to last", graph.Uint8, []int64{1, 3, 2, 2}, spec(graph.Float32, -1, 2, 2, 3), Preprocess{}, hwc, []int64{1, 2, 2, 3}},
		{"colour into bytes", graph.Uint8, []int64{1, 2, 2, 3}, spec(graph.Uint8, -1, 3, 2, 2), Preprocess{}, chw, []int64{1, 3, 2, 2}},
		{"colour into ints", graph.Uint8, []int64{1, 2, 2, 3}, spec(graph.Int32, -1, 3, 2, 2), Preprocess{}, chw, []int64{1, 3, 2, 2}},
		{"colour into doubles", graph.Uint8, []int64{1, 2, 2, 3}, spec(graph.Float64, -1, 3, 2, 2), Preprocess{}, chw, []int64{1, 3, 2, 2}},
		{"BGR", graph.Uint8, []int64{1, 1, 2, 3}, spec(graph.Float32, -1, 3, 1, 2), Preprocess{BGR: true}, []float64{2, 5, 1, 4, 0, 3}, []int64{1, 3, 1, 2}},
		{"BGR bytes", graph.Uint8, []int64{1, 2, 1, 3}, spec(graph.Uint8, -1, 2, 1, 3), Preprocess{BGR: true}, []float64{2, 1, 0, 5, 4, 3}, []int64{1, 2, 1, 3}},
		{"alpha dropped", graph.Uint8, []int64{1, 1, 2, 4}, spec(graph.Float32, -1, 3, 1, 2), Preprocess{}, []float64{0, 4, 1, 5, 2, 6}, []int64{1, 3, 1, 2}},
		{"scale", graph.Uint8, []int64{1, 3}, spec(graph.Float32, -1, 3), Preprocess{Scale: 0.5, Mean: []float64{1}, Std: []float64{2}}, []float64{-0.5, -0.25, 0}, []int64{1, 3}},
		{"crop", graph.Uint8, []int64{1, 3, 3}, spec(graph.Float32, -1, 1, 1, 1), Preprocess{Crop: Size{Short: 1}}, []float64{4}, []int64{1, 1, 1, 1}},
		{"bytes that are no images", graph.Uint8, []int64{1, 2, 2, 2}, spec(graph.Float32, -1, 2, 2, 2), Preprocess{}, count(8), []int64{1, 2, 2, 2}},
		{"preset leaves what fits", graph.Uint8, []int64{1, 2, 2, 3}, spec(graph.Float32, -1, 3, 2, 2), Preprocess{Preset: PM1, Scale: 1, Mean: []float64{0}}, chw, []int64{1, 3, 2, 2}},
		{"fixed batch", graph.Float32, []int64{2, 2}, spec(graph.Float32, 1, 2), Preprocess{}, count(4), []int64{1, 2}},
		{"fixed batch of two", graph.Float32, []int64{3, 1}, spec(graph.Float32, 2, 1), Preprocess{}, count(3), []int64{2, 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := writeNPY(t, filepath.Join(t.TempDir(), "x.npy"), tt.from, tt.shape, nil)
			s := open(t, path, tt.to, Options{Preprocess: tt.pre})
			got, shapes := all(t, s, 16)
			if !slices.Equal(got["x"], tt.want) || !slices.Equal(shapes[0], tt.dims) {
				t.Errorf("got %v of shape %v\nwant %v of shape %v", got["x"], shapes[0], tt.want, tt.dims)
			}
		})
	}
}

func TestIDX(t *testing.T) {
	dir := t.TempDir()
	plain := idxBytes(graph.Uint8, []int64{2, 2, 2}, []byte{0, 51, 102, 153, 204, 255, 0, 51})
	var packed strings.Builder
	zw := gzip.NewWriter(&packed)
	if _, err := zw.Write(plain); err != nil || zw.Close() != nil {
		t.Fatal(err)
	}
	labels := writeFile(t, dir, "labels-idx1-ubyte", idxBytes(graph.Uint8, []int64{2}, []byte{7, 9}))
	for name, data := range map[string][]byte{"images-idx3-ubyte": plain, "images-idx3-ubyte.gz": []byte(packed.String())} {
		s := open(t, writeFile(t, dir, name, data), spec(graph.Float32, -1, 1, 2, 2), Options{Labels: labels, Preprocess: Preprocess{Preset: Unit}})
		got, _ := all(t, s, 1)
		want := []float64{0, 0.2, 0.4, 0.6, 0.8, 1, 0, 0.2}
		for i, v := range got["x"] {
			if float32(v) != float32(want[i]) {
				t.Errorf("%s: %v, want %v", name, got["x"], want)
				break
			}
		}
		if l := s.Labels().Classes; !slices.Equal(l, []int{7, 9}) {
			t.Errorf("labels %v", l)
		}
	}
	// Big-endian floats.
	be := binary.BigEndian.AppendUint32(nil, math.Float32bits(2.5))
	s := open(t, writeFile(t, dir, "f", idxBytes(graph.Float32, []int64{1, 1}, be)), spec(graph.Float32, -1, 1), Options{})
	if got, _ := all(t, s, 1); got["x"][0] != 2.5 {
		t.Errorf("big-endian float: %v", got)
	}
}

// The states of a recurrent network have their batch axis elsewhere, or none.
func TestSeveralInputs(t *testing.T) {
	dir := t.TempDir()
	specs := []InputSpec{
		{Name: "input", Type: graph.Float32, Dims: []int64{-1, -1}},
		{Name: "state", Type: graph.Float32, Dims: []int64{2, -1, 3}},
		{Name: "sr", Type: graph.Int64, Dims: []int64{}},
	}
	files := map[string][]byte{}
	add := func(name string, typ graph.DataType, shape []int64) {
		p := writeNPY(t, filepath.Join(dir, "tmp.npy"), typ, shape, nil)
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = b
	}
	add("input", graph.Float32, []int64{4, 5})
	add("state", graph.Float32, []int64{4, 2, 1, 3})
	add("sr", graph.Int64, []int64{4})
	add("unused", graph.Float32, []int64{9})
	each := writeZip(t, filepath.Join(dir, "each.npz"), files)
	s := open(t, each, specs, Options{})
	if n := s.BatchSize(16); n != 1 {
		t.Errorf("batches of %d", n)
	}
	got, shapes := all(t, s, 16)
	if len(shapes) != 4 || len(got["state"]) != 24 || !slices.Equal(got["sr"], []float64{0, 1, 2, 3}) || got["state"][6] != 6 {
		t.Errorf("%v", got)
	}
	// Two samples of the state in a batch do not go with one of sr; the way out is told.
	add("state", graph.Float32, []int64{4, 2, 3})
	fails(t, writeZip(t, filepath.Join(dir, "second.npz"), files), specs, Options{}, `inputs "state" and "sr" ask for batches of 2 and 1 samples: where the first axis`)
	add("state", graph.Float32, []int64{2, 1, 3})
	add("sr", graph.Int64, []int64{})
	same := writeZip(t, filepath.Join(dir, "same.npz"), files)
	got, _ = all(t, open(t, same, specs, Options{}), 16)
	if !slices.Equal(got["sr"], []float64{0, 0, 0, 0}) || got["state"][6] != 0 || len(got["state"]) != 24 {
		t.Errorf("%v", got)
	}
	// A constant scalar alone does not forbid batches.
	two := []InputSpec{specs[0], specs[2]}
	s = open(t, same, two, Options{})
	if n := s.BatchSize(16); n != 16 {
		t.Errorf("batches of %d", n)
	}
	got, _ = all(t, s, 3)
	if len(got["input"]) != 20 || len(got["sr"]) != 2 {
		t.Errorf("%v", got)
	}

	add("state", graph.Float32, []int64{3, 2, 1, 3})
	lengths := writeZip(t, filepath.Join(dir, "lengths.npz"), files)
	fails(t, lengths, specs, Options{}, "different numbers of samples")
	delete(files, "sr")
	fails(t, writeZip(t, filepath.Join(dir, "missing.npz"), files), specs, Options{}, `no array for input "sr"`)
	fails(t, writeNPY(t, filepath.Join(dir, "one.npy"), graph.Float32, []int64{4, 5}, nil), specs, Options{}, "give an .npz")
	fails(t, dir, specs, Options{}, "give an .npz")
}

// fails checks that Open, or reading, gives one line with all of want in it.
func fails(t *testing.T, path string, inputs []InputSpec, opts Options, want ...string) {
	t.Helper()
	s, err := Open(path, inputs, opts)
	if err == nil {
		for _, e := range s.Batches(context.Background(), 4) {
			err = e
		}
		s.Close()
	}
	if err == nil {
		t.Errorf("%s: no error, want %q", path, want)
		return
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%v\nwant %q", err, w)
		}
	}
	if strings.ContainsAny(err.Error(), "\n") {
		t.Errorf("more than one line: %q", err)
	}
}

func TestBadInput(t *testing.T) {
	dir := t.TempDir()
	net := spec(graph.Float32, -1, 3, 8, 8)
	fails(t, filepath.Join(dir, "nothing"), net, Options{}, "nothing", "no such file or folder")
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o777); err != nil {
		t.Fatal(err)
	}
	fails(t, empty, net, Options{}, empty, "is empty")
	text := filepath.Join(dir, "text")
	writeFile(t, text, "notes.txt", []byte("x"))
	fails(t, text, net, Options{}, text, "holds no images")
	arr := filepath.Join(dir, "arr")
	writeNPY(t, writeFile(t, arr, "test.npy", nil), graph.Float32, []int64{1, 3, 8, 8}, nil)
	fails(t, arr, net, Options{}, "holds no images", "test.npy")

	npy := func(name string, typ graph.DataType, shape ...int64) string {
		return writeNPY(t, filepath.Join(dir, name), typ, shape, nil)
	}
	floats := npy("floats.npy", graph.Float32, 2, 3, 8, 8)
	if f := open(t, floats, net, Options{Preprocess: Preprocess{Preset: Unit}}).Findings(); len(f) != 1 || f[0].Code != "preprocessing-unused" {
		t.Errorf("findings %v", f)
	}
	if f := open(t, floats, net, Options{Preprocess: Preprocess{Preset: None}}).Findings(); len(f) != 0 {
		t.Errorf("findings %v", f)
	}
	fails(t, npy("shape.npy", graph.Float32, 2, 3, 8, 9), net, Options{}, "shape.npy", "(3, 8, 9)", `"x"`, "(?, 3, 8, 8)")
	fails(t, npy("rank.npy", graph.Float32, 2, 8), net, Options{}, "(8,)", "(?, 3, 8, 8)")
	fails(t, npy("one.npy", graph.Uint8, 3, 8, 8), net, Options{}, "x[None]")
	fails(t, npy("type.npy", graph.Int64, 2, 3, 8, 8), net, Options{}, "int64", "float32", "astype")
	fails(t, npy("float.npy", graph.Float32, 2, 8), spec(graph.Int64, -1, 8), Options{}, "float32", "int64", "astype")
	fails(t, npy("range.npy", graph.Int64, 2, 200), spec(graph.Int8, -1, 200), Options{}, "range.npy, sample 0", "element 128 is 128", "int8")
	fails(t, npy("none.npy", graph.Float32, 0, 3, 8, 8), net, Options{}, "no samples")
	fails(t, npy("width.npy", graph.Float32, 2, 0), spec(graph.Float32, -1, -1), Options{Shuffle: true}, "no elements")
	fails(t, npy("flat.npy", graph.Uint8, 2, 3, 8, 8), net, Options{Preprocess: Preprocess{Mean: []float64{1, 2}}}, "the mean", "3 channels")
	fails(t, npy("uint.npy", graph.Uint8, 2, 3, 8, 8), spec(graph.Uint8, -1, 3, 8, 8), Options{Preprocess: Preprocess{Preset: Unit}}, "the preset none")
	fails(t, npy("int8.npy", graph.Uint8, 2, 3, 8, 8), spec(graph.Int8, -1, 3, 8, 8), Options{}, "int8", "does not hold pixels")
	fails(t, npy("big.npy", graph.Uint8, 2, 16, 16, 3), net, Options{}, "resizing to 8")
	fails(t, npy("preset.npy", graph.Uint8, 2, 16, 16, 3), net, Options{Preprocess: Preprocess{Preset: Imagenet}}, "224 x 224", "resizing to 8")
	fails(t, npy("ok.npy", graph.Float32, 2, 3, 8, 8), nil, Options{}, "no inputs")
	fails(t, filepath.Join(dir, "ok.npy"), net, Options{SubsetLen: -1}, "subset")
	fails(t, filepath.Join(dir, "ok.npy"), spec(8, -1, 3, 8, 8), Options{}, "elements of string")

	images := filepath.Join(dir, "images")
	writePNG(t, images, "a.png", 8, 8, grey(1))
	writeFile(t, images, "b.png", []byte("no png"))
	fails(t, images, net, Options{}, filepath.Join(images, "b.png"), "not a JPEG")
	jpg, err := os.ReadFile("testdata/420.jpg")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, images, "b.png", jpg[:len(jpg)/2])
	fails(t, images, net, Options{}, filepath.Join(images, "b.png"), "does not decode as JPEG")
	writeFile(t, images, "b.png", nil)
	fails(t, images, net, Options{}, "b.png", "empty")
	writeFile(t, images, "b.png", jpg)
	fails(t, images, net, Options{}, "b.png", "45 x 61", "resizing to 8")
	fails(t, images, spec(graph.Float32, -1, 3, -1, -1), Options{}, "b.png", "first one made 8 x 8", "resizing to")
	fails(t, images, net, Options{Preprocess: Preprocess{Preset: Imagenet}}, images, "224 x 224", "resizing to 8 with a crop of 8, or to 8x8 with the crop none")
	fails(t, images, spec(graph.Float32, -1, 10), Options{}, "not the shape of images")
	fails(t, images, spec(graph.Float32, -1, 5, 8, 8), Options{}, "1 or 3 channels")
	fails(t, filepath.Join(images, "a.png"), net, Options{}, "is one image", "folder")
	writePNG(t, images, "sub/c.png", 8, 8, grey(1))
	fails(t, images, net, Options{}, "images of its own")

	classes := filepath.Join(dir, "classes")
	writePNG(t, classes, "cat/1.png", 8, 8, grey(1))
	if err := os.Mkdir(filepath.Join(classes, "dog"), 0o777); err != nil {
		t.Fatal(err)
	}
	fails(t, classes, net, Options{}, "dog holds no images")

	ok := npy("labelled.npy", graph.Float32, 2, 3, 8, 8)
	fails(t, ok, net, Options{Labels: npy("l3.npy", graph.Int64, 3)}, "l3.npy", "3 labels", "2 samples")
	fails(t, ok, net, Options{Labels: npy("lf.npy", graph.Float32, 2)}, "whole numbers", "float32")
	fails(t, ok, net, Options{Labels: npy("l0.npy", graph.Int64)}, "a single one")
	fails(t, ok, net, Options{Labels: writeNPY(t, filepath.Join(dir, "neg.npy"), graph.Int64, []int64{2}, func(i int) float64 { return -1 })}, "label 0 is -1")
	fails(t, ok, net, Options{Labels: filepath.Join(dir, "nolabels")}, "nolabels", "cannot be read")
	fails(t, ok, net, Options{Labels: writeFile(t, dir, "bad.csv", []byte("file,class\na,b\n"))}, "bad.csv", "line 2", `"b"`)
	fails(t, ok, net, Options{Labels: writeFile(t, dir, "short.csv", []byte("file,class\na,1\n"))}, "1 labels", "2 samples")
}

// TestLabelsByPosition: an array may hold labels for each position of a sample.
func TestLabelsByPosition(t *testing.T) {
	dir := t.TempDir()
	x := writeNPY(t, filepath.Join(dir, "x.npy"), graph.Float32, []int64{3, 2}, nil)
	each := writeNPY(t, filepath.Join(dir, "each.npy"), graph.Int16, []int64{3, 2, 2}, func(i int) float64 { return float64(i - 1) })
	l := open(t, x, spec(graph.Float32, -1, 2), Options{Labels: each, Skip: 1, SubsetLen: 1}).Labels()
	if !slices.Equal(l.Classes, []int{3, 4, 5, 6}) || !slices.Equal(l.Shape, []int64{2, 2}) || l.Implied {
		t.Errorf("%+v", l)
	}
	l = open(t, x, spec(graph.Float32, -1, 2), Options{Labels: each}).Labels()
	if len(l.Classes) != 12 || l.Classes[0] != -1 {
		t.Errorf("%+v", l)
	}
	column := writeNPY(t, filepath.Join(dir, "column.npy"), graph.Uint8, []int64{3, 1}, nil)
	if l = open(t, x, spec(graph.Float32, -1, 2), Options{Labels: column}).Labels(); len(l.Classes) != 3 || l.Shape != nil {
		t.Errorf("%+v", l)
	}
}

func TestFolders(t *testing.T) {
	dir := t.TempDir()
	net := spec(graph.Float32, -1, 1, 2, 2)
	flat := filepath.Join(dir, "flat")
	for i, name := range []string{"10.png", "2.png", "B.PNG", "a.png", ".hidden.png"} {
		writePNG(t, flat, name, 2, 2, grey(uint8(i)))
	}
	s := open(t, flat, net, Options{})
	got, _ := all(t, s, 3)
	if want := []float64{0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3}; !slices.Equal(got["x"], want) {
		t.Errorf("%v, want %v", got["x"], want)
	}
	if s.Labels().Classes != nil {
		t.Error("a flat folder has labels")
	}
	csv := writeFile(t, dir, "labels.csv", []byte("class,file\n4,a.png\n1,flat/10.png\n2,2.png\n3,B.PNG\n9,elsewhere.png\n"))
	if l := open(t, flat, net, Options{Labels: csv}).Labels().Classes; !slices.Equal(l, []int{1, 2, 3, 4}) {
		t.Errorf("labels by file: %v", l)
	}
	same := writeFile(t, dir, "same.csv", []byte("p/a.png,4\nq/a.png,4\n10.png,1\n2.png,2\nB.PNG,3\n"))
	if l := open(t, flat, net, Options{Labels: same}).Labels().Classes; !slices.Equal(l, []int{1, 2, 3, 4}) {
		t.Errorf("labels by bare name: %v", l)
	}
	fails(t, flat, net, Options{Labels: writeFile(t, dir, "doubt.csv", []byte("p/a.png,4\nq/a.png,5\n10.png,1\n2.png,2\nB.PNG,3\n"))}, "several rows for a.png")
	fails(t, flat, net, Options{Labels: writeFile(t, dir, "twice.csv", []byte("a.png,4\na.png,5\n"))}, "a.png has two classes")
	fails(t, flat, net, Options{Labels: writeFile(t, dir, "few.csv", []byte("file,class\na.png,4\n"))}, "few.csv", "no class for 10.png")

	classes := filepath.Join(dir, "classes")
	writePNG(t, classes, "zebra/1.png", 2, 2, grey(9))
	writePNG(t, classes, "ant/deep/2.png", 2, 2, grey(7))
	writePNG(t, classes, "ant/3.png", 2, 2, grey(8))
	writeFile(t, classes, "README.txt", nil)
	s = open(t, classes, net, Options{})
	if l := s.Labels().Classes; !slices.Equal(l, []int{0, 0, 1}) {
		t.Errorf("class folders' labels: %v", l)
	}
	if !s.Labels().Implied {
		t.Error("class folders' labels are given by name")
	}
	for b, err := range s.Batches(context.Background(), 3) {
		if err != nil || !slices.Equal(b.Names, []string{"ant/3.png", "ant/deep/2.png", "zebra/1.png"}) {
			t.Errorf("%v, %v", b, err)
		}
	}
	asIs := Preprocess{Preset: None}
	s = open(t, classes, net, Options{SubsetLen: 2, Preprocess: asIs})
	if f := s.Findings(); len(f) != 1 || f[0].Code != "one-class" {
		t.Errorf("findings %v", f)
	}
	if f := open(t, classes, net, Options{Preprocess: asIs}).Findings(); len(f) != 0 {
		t.Errorf("findings %v", f)
	}
	if f := open(t, classes, net, Options{}).Findings(); len(f) != 1 || f[0].Code != "raw-pixels" {
		t.Errorf("findings %v", f)
	}
	if f := open(t, classes, net, Options{Preprocess: Preprocess{Scale: 0.5}}).Findings(); len(f) != 0 {
		t.Errorf("findings %v", f)
	}
}

func TestSubsetAndShuffle(t *testing.T) {
	path := writeNPY(t, filepath.Join(t.TempDir(), "x.npy"), graph.Float32, []int64{100, 1}, nil)
	get := func(o Options) []float64 {
		got, _ := all(t, open(t, path, spec(graph.Float32, -1, 1), o), 7)
		return got["x"]
	}
	if v := get(Options{SubsetLen: 3}); !slices.Equal(v, []float64{0, 1, 2}) {
		t.Errorf("%v", v)
	}
	if v := get(Options{SubsetLen: 1000}); len(v) != 100 {
		t.Errorf("%v", v)
	}
	whole := get(Options{Shuffle: true, Seed: 1})
	if part := get(Options{Shuffle: true, Seed: 1, SubsetLen: 10}); !slices.Equal(part, whole[:10]) {
		t.Errorf("a shuffled subset %v is not the beginning of %v", part, whole)
	}
	// Skip leaves what SubsetLen takes, in the same order.
	if v := get(Options{Skip: 95}); !slices.Equal(v, []float64{95, 96, 97, 98, 99}) {
		t.Errorf("behind 95 samples come %v", v)
	}
	if v := get(Options{Skip: 90, SubsetLen: 2}); !slices.Equal(v, []float64{90, 91}) {
		t.Errorf("two samples behind 90 are %v", v)
	}
	if rest := get(Options{Shuffle: true, Seed: 1, Skip: 10}); !slices.Equal(rest, whole[10:]) {
		t.Errorf("a shuffled rest %v is not the end of %v", rest, whole)
	}
	fails(t, path, spec(graph.Float32, -1, 1), Options{Skip: 100}, "none behind the first 100")
	fails(t, path, spec(graph.Float32, -1, 1), Options{Skip: -1}, "give 0 or more")
	if slices.Equal(whole, get(Options{Shuffle: true, Seed: 2})) {
		t.Error("the seed changes nothing")
	}
	// The order is part of what a hash stands for: it may never change.
	if want := []float64{42, 44, 87, 32, 64}; !slices.Equal(whole[:5], want) {
		t.Errorf("the order of seed 1 begins %v, not %v", whole[:5], want)
	}
	slices.Sort(whole)
	for i, v := range whole {
		if v != float64(i) {
			t.Fatalf("not a permutation: %v", whole)
		}
	}
}

// Batch size and the number of workers change nothing but the batches.
func TestBatchSizeChangesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	for i := range 23 {
		writePNG(t, dir, fmt.Sprintf("%02d.png", i), 9+i%3, 8+i%4, func(x, y int) color.Color {
			return color.NRGBA{uint8(i * 10), uint8(x * 20), uint8(y * 20), 255}
		})
	}
	opts := Options{Preprocess: Preprocess{Preset: Imagenet, Resize: Size{Short: 7}, Crop: Size{Short: 6}}}
	var want []float64
	hash := ""
	for _, workers := range []int{1, 2, 5} {
		for _, size := range []int{1, 4, 23, 1 << 30} {
			opts.Workers = workers
			s := open(t, dir, spec(graph.Float32, -1, 3, 6, 6), opts)
			got, _ := all(t, s, size)
			h, err := s.Hash(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if want == nil {
				want, hash = got["x"], h
			}
			if !slices.Equal(got["x"], want) || h != hash {
				t.Errorf("%d workers, batches of %d: other values", workers, size)
			}
		}
	}
}

func TestHash(t *testing.T) {
	dir := t.TempDir()
	path := writeNPY(t, filepath.Join(dir, "x.npy"), graph.Uint8, []int64{4, 2, 2}, nil)
	net := spec(graph.Float32, -1, 1, 2, 2)
	hash := func(path string, in []InputSpec, o Options) string {
		h, err := open(t, path, in, o).Hash(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	base := hash(path, net, Options{})
	if h := hash(writeNPY(t, filepath.Join(dir, "copy.npy"), graph.Uint8, []int64{4, 2, 2}, nil), net, Options{Workers: 3}); h != base {
		t.Error("the hash depends on the name")
	}
	seen := map[string]string{base: "base"}
	for name, h := range map[string]string{
		"unit":    hash(path, net, Options{Preprocess: Preprocess{Preset: Unit}}),
		"subset":  hash(path, net, Options{SubsetLen: 2}),
		"shuffle": hash(path, net, Options{Shuffle: true, Seed: 3}),
		"content": hash(writeNPY(t, filepath.Join(dir, "y.npy"), graph.Uint8, []int64{4, 2, 2}, func(i int) float64 { return 1 }), net, Options{}),
		"layout":  hash(path, spec(graph.Float32, -1, 3, 2, 2), Options{}),
	} {
		if seen[h] != "" {
			t.Errorf("%s and %s have one hash", name, seen[h])
		}
		seen[h] = name
	}
}

// Values against torchvision's arithmetic, done by hand in float32.
func TestPresets(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	writePNG(t, dir, "a.png", 2, 2, func(x, y int) color.Color { return color.NRGBA{10, 128, 250, 255} })
	f := func(v, mean, std float32) float64 { return float64((v/255 - mean) / std) }
	half := float32(0.449)
	luma := float32(107) // (10*19595 + 128*38470 + 250*7471 + 32768) >> 16
	tests := []struct {
		pre  Preprocess
		c    int64
		want []float64
	}{
		{Preprocess{Preset: None}, 3, []float64{10, 128, 250}},
		{Preprocess{Preset: Unit}, 3, []float64{float64(float32(10) / 255), float64(float32(128) / 255), float64(float32(250) / 255)}},
		{Preprocess{Preset: PM1}, 3, []float64{float64(float32(10)/127.5 - 1), float64(float32(128)/127.5 - 1), float64(float32(250)/127.5 - 1)}},
		{Preprocess{Preset: Imagenet}, 3, []float64{f(10, .485, .229), f(128, .456, .224), f(250, .406, .225)}},
		{Preprocess{Preset: Imagenet, BGR: true}, 3, []float64{f(250, .406, .225), f(128, .456, .224), f(10, .485, .229)}},
		{Preprocess{BGR: true, Mean: []float64{1, 2, 3}}, 3, []float64{249, 126, 7}},
		{Preprocess{Preset: Imagenet}, 1, []float64{f(luma, half, .226)}},
	}
	for _, tt := range tests {
		if tt.pre.Preset == PM1 || tt.pre.Preset == Imagenet {
			tt.pre.Resize, tt.pre.Crop = Size{Off: true}, Size{Off: true}
		}
		got, _ := all(t, open(t, dir, spec(graph.Float32, -1, tt.c, 2, 2), Options{Preprocess: tt.pre}), 1)
		for c, want := range tt.want {
			if g := got["x"][4*c]; math.Abs(g-want) > 1e-6 {
				t.Errorf("%+v: channel %d is %v, want %v", tt.pre, c, g, want)
			}
		}
	}
	// The sizes of the presets themselves.
	got, shapes := all(t, open(t, dir, spec(graph.Float32, -1, 3, -1, -1), Options{Preprocess: Preprocess{Preset: PM1}}), 1)
	if !slices.Equal(shapes[0], []int64{1, 3, 224, 224}) || float32(got["x"][0]) != float32(10)/127.5-1 {
		t.Errorf("pm1 gives %v", shapes[0])
	}
}

// A preset's crop falls away where what was asked for resizes to the network's size; one
// that was asked for stays, and none takes the preset's away.
func TestPresetsCropFallsAway(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	writePNG(t, dir, "a.png", 20, 30, grey(7))
	array := writeNPY(t, filepath.Join(t.TempDir(), "x.npy"), graph.Uint8, []int64{1, 30, 20, 3}, func(i int) float64 { return float64(i % 256) })
	net, to := spec(graph.Float32, -1, 3, 10, 12), Size{H: 10, W: 12}
	for _, path := range []string{dir, array} {
		for _, pre := range []Preprocess{{Preset: Imagenet, Resize: to}, {Preset: PM1, Resize: to}, {Preset: Imagenet, Resize: to, Crop: Size{Off: true}}} {
			if _, shapes := all(t, open(t, path, net, Options{Preprocess: pre}), 1); !slices.Equal(shapes[0], []int64{1, 3, 10, 12}) {
				t.Errorf("%s, %+v: %v", path, pre, shapes)
			}
		}
		fails(t, path, net, Options{Preprocess: Preprocess{Preset: Imagenet, Resize: to, Crop: Size{Short: 8}}}, "8 x 8", "10x12 with the crop none")
		fails(t, path, net, Options{Preprocess: Preprocess{Preset: Imagenet, Resize: Size{H: 20, W: 24}}}, "224 x 224", "10x12 with the crop none")
		// Where sizes are open the crop is as good as any.
		if _, shapes := all(t, open(t, path, spec(graph.Float32, -1, 3, -1, -1), Options{Preprocess: Preprocess{Preset: Imagenet, Resize: to}}), 1); !slices.Equal(shapes[0], []int64{1, 3, 224, 224}) {
			t.Errorf("%s: %v", path, shapes)
		}
	}
}

// A file that changes or goes away under a run is noticed.
func TestChangesAreNoticed(t *testing.T) {
	dir := t.TempDir()
	images := filepath.Join(dir, "images")
	for i := range 40 {
		writePNG(t, images, fmt.Sprintf("%02d.png", i), 4, 4, grey(uint8(i)))
	}
	array := func() string {
		return writeNPY(t, filepath.Join(dir, "x.npy"), graph.Float32, []int64{40, 3, 4, 4}, nil)
	}
	net := spec(graph.Float32, -1, 3, 4, 4)
	later := time.Now().Add(time.Hour)
	tests := []struct {
		name, path string
		change     func() error
		want       string
	}{
		{"image vanishes", images, func() error { return os.Remove(filepath.Join(images, "39.png")) }, "39.png vanished"},
		{"image changes", images, func() error { return os.WriteFile(filepath.Join(images, "38.png"), []byte("x"), 0o666) }, "38.png changed"},
		{"image is touched", images, func() error { return os.Chtimes(filepath.Join(images, "30.png"), later, later) }, "30.png changed"},
		{"array is cut", array(), func() error { return os.Truncate(filepath.Join(dir, "x.npy"), 200) }, "x.npy changed"},
		{"array is touched", array(), func() error { return os.Chtimes(filepath.Join(dir, "x.npy"), later, later) }, "x.npy changed"},
		{"array vanishes", array(), func() error { return os.Remove(filepath.Join(dir, "x.npy")) }, "x.npy vanished"},
	}
	for _, tt := range tests {
		if tt.path != images {
			array()
		}
		s := open(t, tt.path, net, Options{Workers: 1})
		var last error
		count := 0
		for b, err := range s.Batches(context.Background(), 2) {
			if err != nil {
				if b != nil {
					t.Errorf("%s: a batch with an error", tt.name)
				}
				last = err
				continue
			}
			if count++; count == 1 {
				if err := tt.change(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if last == nil || !strings.Contains(last.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, last, tt.want)
		}
	}
}

// Other content is noticed where size and time tell nothing, once the samples
// have been hashed.
func TestChangesOfContentAreNoticed(t *testing.T) {
	dir := t.TempDir()
	images := filepath.Join(dir, "images")
	for i := range 8 {
		writePNG(t, images, fmt.Sprintf("%02d.png", i), 4, 4, grey(uint8(100+i)))
	}
	array := writeNPY(t, filepath.Join(dir, "x.npy"), graph.Float32, []int64{8, 3, 4, 4}, nil)
	for _, tt := range []struct{ path, file string }{{images, filepath.Join(images, "06.png")}, {array, array}} {
		s := open(t, tt.path, spec(graph.Float32, -1, 3, 4, 4), Options{})
		hash, err := s.Hash(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range s.Batches(context.Background(), 3) {
			if err != nil {
				t.Fatalf("%s, as it was: %v", tt.path, err)
			}
		}
		fi, err := os.Stat(tt.file)
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(tt.file)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)-20] ^= 1
		if err := os.WriteFile(tt.file, data, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(tt.file, fi.ModTime(), fi.ModTime()); err != nil {
			t.Fatal(err)
		}
		var last error
		for _, err := range s.Batches(context.Background(), 3) {
			last = err
		}
		if last == nil || !strings.Contains(last.Error(), tt.file+" changed while it was in use") {
			t.Errorf("%s: %v", tt.path, last)
		}
		if again, err := s.Hash(context.Background()); err != nil || again == hash {
			t.Errorf("%s: the hash stays %s (%v)", tt.path, again, err)
		}
	}
}

// Whatever ends the loop, no goroutine stays.
func TestStops(t *testing.T) {
	path := writeNPY(t, filepath.Join(t.TempDir(), "x.npy"), graph.Float32, []int64{5000, 64}, nil)
	s := open(t, path, spec(graph.Float32, -1, 64), Options{Workers: 4})
	before := runtime.NumGoroutine()
	for range s.Batches(context.Background(), 10) {
		break
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var last error
	n := 0
	for _, err := range s.Batches(ctx, 10) {
		if n++; n == 3 {
			cancel()
		}
		last = err
	}
	if !errors.Is(last, context.Canceled) || n > 10 {
		t.Errorf("%v after %d batches", last, n)
	}
	if _, err := s.Hash(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Hash: %v", err)
	}
	last = nil
	for _, err := range s.Batches(context.Background(), 0) {
		last = err
	}
	if last == nil {
		t.Error("batches of 0 samples")
	}
	func() {
		defer func() { _ = recover() }()
		for range s.Batches(context.Background(), 10) {
			panic("the loop's body fails")
		}
	}()
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

// slow is a source whose loads take a while and are counted.
type slow struct {
	source
	active atomic.Int64
}

func (s *slow) load(i int, dst []row, sc *scratch, known *[sha256.Size]byte) error {
	s.active.Add(1)
	defer s.active.Add(-1)
	time.Sleep(20 * time.Millisecond)
	return s.source.load(i, dst, sc, known)
}

func (s *slow) chunk() int { return 1 }

// When the loop is over, nobody reads any more.
func TestWorkersAreWaitedFor(t *testing.T) {
	path := writeNPY(t, filepath.Join(t.TempDir(), "x.npy"), graph.Float32, []int64{50, 4}, nil)
	s := open(t, path, spec(graph.Float32, -1, 4), Options{Workers: 4})
	src := &slow{source: s.src}
	s.src = src
	for range s.Batches(context.Background(), 1) {
		break
	}
	if n := src.active.Load(); n != 0 {
		t.Errorf("%d samples are still being read", n)
	}
}

// The error of the earliest sample is told, whichever worker is first.
func TestFirstErrorWins(t *testing.T) {
	p := &pending{}
	for _, at := range []int{3, 1, 2} {
		p.fail(at, fmt.Errorf("sample %d", at))
	}
	if p.err.Error() != "sample 1" {
		t.Error(p.err)
	}
}

// Two loops over one set at once, as for two networks.
func TestConcurrentLoops(t *testing.T) {
	path := writeNPY(t, filepath.Join(t.TempDir(), "x.npy"), graph.Float32, []int64{500, 3}, nil)
	s := open(t, path, spec(graph.Float32, -1, 3), Options{})
	done := make(chan error, 4)
	for range cap(done) {
		go func() {
			next := float32(0)
			for b, err := range s.Batches(context.Background(), 7) {
				if err != nil {
					done <- err
					return
				}
				for _, v := range b.Inputs["x"].Floats {
					if v != next {
						done <- fmt.Errorf("%v, want %v", v, next)
						return
					}
					next++
				}
			}
			done <- nil
		}()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestParseSize(t *testing.T) {
	for in, want := range map[string]Size{"256": {Short: 256}, "240x320": {H: 240, W: 320}, "none": {Off: true}, "0": {Off: true}} {
		got, err := ParseSize(in)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
		if back, err := ParseSize(got.String()); err != nil || back != got {
			t.Errorf("%q: %+v, %v", got.String(), back, err)
		}
	}
	for _, in := range []string{"", "x", "-1", "3x", "x3", "99999", "3x4x5", "1.5"} {
		if s, err := ParseSize(in); err == nil {
			t.Errorf("%q: %+v", in, s)
		}
	}
	for _, in := range []Preset{Imagenet, PM1, Unit, None} {
		if p, err := ParsePreset(string(in)); err != nil || p != in {
			t.Errorf("%q: %v, %v", in, p, err)
		}
	}
	if _, err := ParsePreset("image"); err == nil {
		t.Error("preset image")
	}
}

// Geometry is torchvision's.
func TestGeometry(t *testing.T) {
	r, err := Preprocess{Preset: Imagenet}.recipe()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range [][6]int{ // h, w, resized h, w, top, left
		{375, 500, 256, 341, 16, 58},
		{500, 375, 341, 256, 58, 16},
		{256, 257, 256, 257, 16, 16}, // 16.5 rounds to even
		{256, 259, 256, 259, 16, 18}, // 17.5 too
	} {
		rh, rw, ch, cw := r.resized(tt[0], tt[1])
		if rh != tt[2] || rw != tt[3] || ch != 224 || cw != 224 || cropStart(rh, ch) != tt[4] || cropStart(rw, cw) != tt[5] {
			t.Errorf("%v: %d x %d, crop at %d, %d", tt, rh, rw, cropStart(rh, ch), cropStart(rw, cw))
		}
	}
}

func BenchmarkImages(b *testing.B) {
	dir := b.TempDir()
	data, err := os.ReadFile("testdata/420.jpg")
	if err != nil {
		b.Fatal(err)
	}
	for i := range 64 {
		writeFile(b, dir, fmt.Sprintf("%02d.jpg", i), data)
	}
	s := open(b, dir, spec(graph.Float32, -1, 3, 224, 224), Options{Preprocess: Preprocess{Preset: Imagenet}})
	for b.Loop() {
		all(b, s, 16)
	}
}

// An array much larger than memory is read by range; what a header claims
// costs nothing.
func TestHugeArray(t *testing.T) {
	path := filepath.Join(t.TempDir(), "huge.npy")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const rows, width = 1 << 30, 64
	if _, err := NewNPYWriter(f, graph.Float32, []int64{rows, width}); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(rows*width*4 + 128); err != nil {
		t.Skip("no sparse files here: ", err)
	}
	one := rawOf(graph.Float32, width, nil)
	if _, err := f.WriteAt(one, 128+(rows-2)*width*4); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, o := range []Options{{}, {SubsetLen: 100}, {SubsetLen: 100, Shuffle: true}} {
		s := open(t, path, spec(graph.Float32, -1, width), o)
		n := 0
		for _, err := range s.Batches(context.Background(), 16) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n == 4 {
				break
			}
		}
		if o.SubsetLen == 0 {
			got := make([]float32, width)
			if err := s.src.load(rows-2, []row{{floats: got}}, &scratch{}, nil); err != nil || got[width-1] != width-1 {
				t.Errorf("the last but one row is %v, %v", got, err)
			}
		}
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 8<<20 {
		t.Errorf("%d bytes were allocated", used)
	}
}
