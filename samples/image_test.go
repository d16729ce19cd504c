package samples

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"narrow/graph"
)

// readPixels reads what PIL made of an image.
func readPixels(t *testing.T, path string) *pixels {
	t.Helper()
	c, err := openContainer(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	a := c.arrays[0]
	if a.typ != graph.Uint8 || len(a.shape) != 3 || a.shape[2] != 3 {
		t.Fatalf("%s: %v of shape %v", path, a.typ, a.shape)
	}
	p := &pixels{}
	p.reshape(int(a.shape[1]), int(a.shape[0]), 3)
	if err := a.read(a.offset, p.pix); err != nil {
		t.Fatal(err)
	}
	return p
}

// difference returns the mean and the largest absolute difference.
func difference(t *testing.T, a, b *pixels) (mean float64, most int) {
	t.Helper()
	if a.w != b.w || a.h != b.h || a.c != b.c || len(a.pix) != len(b.pix) {
		t.Fatalf("sizes differ: %d x %d x %d and %d x %d x %d", a.w, a.h, a.c, b.w, b.h, b.c)
	}
	sum := 0
	for i := range a.pix {
		d := int(a.pix[i]) - int(b.pix[i])
		d = max(d, -d)
		sum += d
		most = max(most, d)
	}
	return float64(sum) / float64(len(a.pix)), most
}

// Decoders may round the inverse cosine transform differently; nothing else
// may differ from PIL.
func TestDecodeAsPIL(t *testing.T) {
	want, err := filepath.Glob("testdata/*.*.npy")
	if err != nil {
		t.Fatal(err)
	}
	want = slices.DeleteFunc(want, func(s string) bool { return strings.HasSuffix(s, ".resized.npy") })
	if len(want) < 18 {
		t.Fatalf("only %d images", len(want))
	}
	for _, w := range want {
		name := strings.TrimSuffix(w, ".npy")
		t.Run(filepath.Base(name), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := &pixels{}
			if err := decodeImage(got, data); err != nil {
				t.Fatal(err)
			}
			mean, most := difference(t, got, readPixels(t, w))
			limit, top := 0.0, 0
			if strings.HasSuffix(name, ".jpg") && !strings.Contains(name, "blocks") {
				limit, top = 0.1, 4
			}
			if mean > limit || most > top {
				t.Errorf("mean difference to PIL %.4f, largest %d; allowed %v, %d", mean, most, limit, top)
			}
		})
	}
}

// Resizing what PIL decoded is what PIL resized, bit for bit.
func TestResizeAsPIL(t *testing.T) {
	want, err := filepath.Glob("testdata/*.resized.npy")
	if err != nil || len(want) < 4 {
		t.Fatalf("%d images, %v", len(want), err)
	}
	var r resampler // one for all, as workers have it
	for _, w := range want {
		src, expect := readPixels(t, strings.TrimSuffix(w, ".resized.npy")+".npy"), readPixels(t, w)
		got := &pixels{}
		r.resize(got, src, expect.w, expect.h, 0, 0, expect.w, expect.h)
		if mean, most := difference(t, got, expect); most != 0 {
			t.Errorf("%s: mean difference to PIL %v, largest %d", w, mean, most)
		}
		// A part is the same part of the whole, and black outside.
		part := &pixels{}
		x0, y0, pw, ph := -2, 3, expect.w+1, expect.h+5
		r.resize(part, src, expect.w, expect.h, x0, y0, pw, ph)
		for y := range ph {
			for x := range pw {
				for c := range 3 {
					v := uint8(0)
					if X, Y := x+x0, y+y0; X >= 0 && X < expect.w && Y < expect.h {
						v = expect.pix[(Y*expect.w+X)*3+c]
					}
					if g := part.pix[(y*pw+x)*3+c]; g != v {
						t.Fatalf("%s: part at %d,%d: %d, want %d", w, x, y, g, v)
					}
				}
			}
		}
	}
}
