package samples

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"narrow/graph"
	"narrow/internal/bounded"
)

// values reads all elements of an array as float64.
func values(t *testing.T, a *arrayFile) []float64 {
	t.Helper()
	n := int(product(a.shape))
	raw := make([]byte, n*sizeOf(a.typ))
	if err := a.read(a.offset, raw); err != nil {
		t.Fatal(err)
	}
	out := make([]float64, n)
	for i := range out {
		out[i] = get(raw, a.typ, i)
	}
	return out
}

// numpy's own files, of each type, byte order, element order and version.
func TestNumpyFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/arrays/*.np[yz]")
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, f := range files {
		name := filepath.Base(f)
		switch name {
		case "objects.npy", "records.npy", "strings.npy", "complex.npy", "scalar.npy":
			continue
		}
		c, err := openContainer(f)
		if err != nil {
			t.Error(err)
			continue
		}
		a := c.arrays[0]
		if !slices.Equal(a.shape, []int64{2, 3, 2}) {
			t.Errorf("%s: shape %v", name, a.shape)
		}
		for i, v := range values(t, a) {
			want := float64(i - 3)
			switch {
			case strings.HasPrefix(name, "u"):
				want = float64(i)
			case strings.HasPrefix(name, "b"):
				want = math.Abs(math.Mod(want, 2))
			}
			if v != want {
				t.Errorf("%s: element %d is %v, want %v", name, i, v, want)
				break
			}
		}
		c.close()
		read++
	}
	if read < 40 {
		t.Errorf("only %d files", read)
	}
	for name, want := range map[string]string{
		"objects.npy": "pickled Python objects", "records.npy": "records", "strings.npy": "strings", "complex.npy": "complex",
	} {
		_, err := openContainer("testdata/arrays/" + name)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

func TestNPYWriterIsNumpys(t *testing.T) {
	var b bytes.Buffer
	w, err := NewNPYWriter(&b, graph.Float32, []int64{2, 3, 2})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		if err := w.Close(); err == nil {
			t.Fatal("Close of an unfinished array")
		}
		v := float32(3*i - 3)
		if err := w.WriteFloats([]float32{v, v + 1, v + 2}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.WriteFloats([]float32{1}); err == nil {
		t.Error("one element too many went through")
	}
	want, err := os.ReadFile("testdata/arrays/f4-le.npy")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("differs from numpy's file:\n%q\n%q", b.Bytes(), want)
	}
	for _, shape := range [][]int64{{}, {0}, {5}, {1, 2, 3, 4}} {
		b.Reset()
		w, err := NewNPYWriter(&b, graph.Uint8, shape)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.WriteRaw(make([]byte, product(shape))); err != nil {
			t.Fatal(err)
		}
		h, err := readNPYHeader(bytes.NewReader(b.Bytes()))
		if err != nil || !slices.Equal(h.shape, shape) || h.offset%64 != 0 {
			t.Errorf("shape %v came back as %+v, %v", shape, h, err)
		}
	}
}

func TestHalf(t *testing.T) {
	for h := range 1 << 16 {
		v := graph.FromHalf(uint16(h))
		if v != v {
			if back := graph.FromHalf(toHalf(float64(v))); back == back {
				t.Fatalf("NaN %#x became %v", h, back)
			}
			continue
		}
		if back := toHalf(float64(v)); back != uint16(h) {
			t.Fatalf("%#x is %v, which becomes %#x", h, v, back)
		}
	}
	for x, want := range map[float64]float32{
		1 + 1.0/2048: 1, 1 + 3.0/2048: 1 + 2.0/1024, 65519: 65504, 65520: float32(math.Inf(1)),
		1.0 / (1 << 25): 0, 3.0 / (1 << 25): 2.0 / (1 << 24), 6.1e-5: 1023.0 / (1 << 24),
	} {
		if got := graph.FromHalf(toHalf(x)); got != want {
			t.Errorf("%v rounds to %v, want %v", x, got, want)
		}
	}
}

// Headers that lie, in files that are read, become errors.
func TestCorruptArrays(t *testing.T) {
	good, err := os.ReadFile("testdata/arrays/f4-le.npy")
	if err != nil {
		t.Fatal(err)
	}
	npz, err := os.ReadFile("testdata/arrays/stored.npz")
	if err != nil {
		t.Fatal(err)
	}
	packed, err := os.ReadFile("testdata/arrays/packed.npz")
	if err != nil {
		t.Fatal(err)
	}
	replace := func(b []byte, from, to string) []byte {
		if !bytes.Contains(b, []byte(from)) || len(from) != len(to) {
			t.Fatalf("cannot put %q for %q", to, from)
		}
		return bytes.Replace(b, []byte(from), []byte(to), 1)
	}
	flip := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 0x55
		return b
	}
	idx := append([]byte{0, 0, 8, 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 1, 2, 3)
	tests := []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "empty"},
		{"text", []byte("hello, world"), "none of .npy, .npz or IDX"},
		{"magic only", good[:8], "too short"},
		{"header cut", good[:40], "cut short"},
		{"elements cut", good[:len(good)-1], "cut short"},
		{"version", flip(good, 6), "version"},
		{"huge shape", replace(good, "(2, 3, 2)", "(9999999)"), "cut short"},
		{"large shape", replace(good, "(2, 3, 2)", "(2,9999,)"), "cut short"},
		{"dtype", replace(good, "<f4", "<f9"), "'<f9'"},
		{"key", replace(good, "shape", "shope"), "unknown key"},
		{"idx shape", idx, "impossible shape"},
		{"idx short", idx[:9], "cut short"},
		{"zip cut", npz[:len(npz)/2], "zip"},
		{"zip content", flip(npz, bytes.Index(npz, []byte("NUMPY"))+130), "checksum"},
		{"packed content", flip(packed, 90), "zip entry"},
		{"gzip cut", []byte{0x1f, 0x8b, 8, 0}, "gzip"},
	}
	for _, tt := range tests {
		path := filepath.Join(t.TempDir(), "x.npy")
		if err := os.WriteFile(path, tt.data, 0o666); err != nil {
			t.Fatal(err)
		}
		want := strings.ReplaceAll(tt.want, "'<f9'", `"<f9"`)
		c, err := openContainer(path)
		if err == nil {
			c.close()
			t.Errorf("%s: no error", tt.name)
		} else if !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), path) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q after the path, on one line", tt.name, err, want)
		}
	}
}

func TestConvertInts(t *testing.T) {
	types := []graph.DataType{graph.Uint8, graph.Int8, graph.Uint16, graph.Int16, graph.Int32, graph.Int64, graph.Uint32, graph.Uint64}
	for _, v := range []int64{0, 1, 127, 128, 255, 256, 32767, 32768, 65535, 1<<31 - 1, 1 << 31, 1 << 32, math.MaxInt64, -1, -128, -129, -32768, -1 << 31, -1<<31 - 1} {
		for _, from := range types {
			raw := make([]byte, 8)
			binary.LittleEndian.PutUint64(raw, uint64(v))
			raw = raw[:sizeOf(from)]
			if got, neg := getInt(raw, from, 0); int64(got) != v || neg != (v < 0) {
				continue // from cannot hold v
			}
			for _, to := range types {
				dst := make([]byte, sizeOf(to))
				err := toInts(dst, to, raw, from)
				back, neg := getInt(dst, to, 0)
				same := back == uint64(v) && neg == (v < 0)
				if (err == nil) != same && err == nil || err != nil && fmt.Sprint(to) == fmt.Sprint(from) {
					t.Errorf("%d from %v to %v: %v, %v", v, from, to, dst, err)
				}
				inRange := map[graph.DataType]bool{graph.Uint8: v >= 0 && v < 256, graph.Int8: v >= -128 && v < 128, graph.Uint16: v >= 0 && v < 65536, graph.Int16: v >= -32768 && v < 32768,
					graph.Int32: v >= -1<<31 && v < 1<<31, graph.Uint32: v >= 0 && v < 1<<32, graph.Int64: true, graph.Uint64: v >= 0}[to]
				if inRange != (err == nil) {
					t.Errorf("%d from %v to %v: %v, in range %v", v, from, to, err, inRange)
				}
			}
		}
	}
}

// What opening files may allocate: docs/robustness.md has the table.
var (
	plainBound  = bounded.Bound{Factor: 4, Constant: 1 << 20}
	packedBound = bounded.Bound{Factor: 4096, Constant: 1 << 20}
	csvBound    = bounded.Bound{Factor: 128, Constant: 1 << 20}
	imageBound  = bounded.Bound{Factor: 8 * pixelsPerByte, Constant: 8 * freePixels}
)

// fuzzContainer opens data as a file; whatever opens can be read to the end.
func fuzzContainer(t *testing.T, data []byte) {
	c := newContainer("fuzz", int64(len(data)))
	defer c.close()
	bound := plainBound
	if bytes.HasPrefix(data, []byte("PK")) || bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		bound = packedBound
	}
	var err error
	bound.Run(t, len(data), func() { err = c.open(bytes.NewReader(data), int64(len(data))) })
	if err != nil {
		return
	}
	for _, a := range c.arrays {
		n := product(a.shape) * int64(sizeOf(a.typ))
		// Deflate packs at most 1032 to 1.
		if n > 1100*int64(len(data)) {
			t.Fatalf("%d bytes claim to hold %d", len(data), n)
		}
		if err := a.read(a.offset, make([]byte, n)); err != nil {
			t.Fatalf("opened but cannot be read: %v", err)
		}
		// What can be read can be written, and reads again the same.
		var b bytes.Buffer
		w, err := NewNPYWriter(&b, a.typ, a.shape)
		if err != nil {
			t.Fatal(err)
		}
		raw := make([]byte, n)
		if err := a.read(a.offset, raw); err != nil {
			t.Fatal(err)
		}
		if err := w.WriteRaw(raw); err != nil {
			t.Fatal(err)
		}
		h, err := readNPYHeader(bytes.NewReader(b.Bytes()))
		if err != nil || h.typ != a.typ || !slices.Equal(h.shape, a.shape) || !bytes.Equal(b.Bytes()[h.offset:], raw) {
			t.Fatalf("%v %v came back as %+v, %v", a.typ, a.shape, h, err)
		}
	}
}

func seed(f *testing.F, patterns ...string) {
	f.Helper()
	for _, p := range patterns {
		files, err := filepath.Glob(p)
		if err != nil || len(files) == 0 {
			f.Fatalf("%s: no files, %v", p, err)
		}
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
}

func FuzzNPY(f *testing.F) {
	seed(f, "testdata/arrays/*.npy")
	f.Fuzz(fuzzContainer)
}

func FuzzNPZ(f *testing.F) {
	seed(f, "testdata/arrays/*.npz")
	f.Fuzz(fuzzContainer)
}

func FuzzIDX(f *testing.F) {
	f.Add(idxBytes(graph.Uint8, []int64{2, 2, 3}, make([]byte, 12)))
	f.Add(idxBytes(graph.Float64, []int64{1}, make([]byte, 8)))
	f.Add([]byte{0, 0, 8, 2, 255, 255, 255, 255, 255, 255, 255, 255})
	f.Fuzz(fuzzContainer)
}

func FuzzLabelsCSV(f *testing.F) {
	for _, s := range []string{"file,class\na.jpg,3\n", "3\n4\n", "class,file\n1,\"a,b\"\n", "\ufefffile,class\r\nx,0\r\n", "a,b,c\n", "x,-1"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var table *labelTable
		var err error
		csvBound.Run(t, len(data), func() { table, err = readLabelCSV(bytes.NewReader(data)) })
		if err != nil {
			return
		}
		if len(table.class) == 0 || table.files != nil && len(table.files) != len(table.class) || len(table.class) > len(data) {
			t.Fatalf("%d classes, %d files of %d bytes", len(table.class), len(table.files), len(data))
		}
		if slices.Min(table.class) < 0 {
			t.Fatal("a negative class")
		}
	})
}

func FuzzImage(f *testing.F) {
	seed(f, "testdata/*.jpg", "testdata/*.png", "testdata/*.gif", "testdata/*.bmp", "testdata/*.webp")
	f.Fuzz(func(t *testing.T, data []byte) {
		if w, h, err := imageSize(data); err == nil && w*h > 1<<20 {
			return // slow
		}
		p := &pixels{}
		var err error
		imageBound.Run(t, len(data), func() { err = decodeImage(p, data) })
		if err == nil && len(p.pix) != p.w*p.h*3 {
			t.Fatalf("%d x %d with %d bytes", p.w, p.h, len(p.pix))
		}
	})
}

// idxBytes makes an IDX file; raw is big-endian.
func idxBytes(t graph.DataType, shape []int64, raw []byte) []byte {
	code := byte(0)
	for c := range 16 {
		if idxType(byte(c)) == t {
			code = byte(c)
		}
	}
	b := []byte{0, 0, code, byte(len(shape))}
	for _, d := range shape {
		b = binary.BigEndian.AppendUint32(b, uint32(d))
	}
	return append(b, raw...)
}
