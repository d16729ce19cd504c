package samples

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"narrow/graph"
)

// npyHead is the header of an .npy file of bytes.
func npyHead(t testing.TB, shape ...int64) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := NewNPYWriter(&b, graph.Uint8, shape); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// deflated is head and then n zeros, packed by deflate as far as it goes.
func deflated(t testing.TB, head []byte, n int64) (data []byte, crc uint32) {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	sum := crc32.NewIEEE()
	out := io.MultiWriter(w, sum)
	if _, err := out.Write(head); err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	for ; n > 0; n -= int64(len(zeros)) {
		if _, err := out.Write(zeros[:min(n, int64(len(zeros)))]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), sum.Sum32()
}

// TestZipNames: an entry whose name leads out of the archive is refused, on
// whatever system that would be so; others are not.
func TestZipNames(t *testing.T) {
	body := append(npyHead(t, 2), 1, 2)
	for name, out := range map[string]bool{
		"../x": true, "a/../../x": true, "/x": true, `..\x`: true, `a\..\..\x`: true, `\x`: true, "C:/x": true, `c:\x`: true,
		"x": false, "a/b": false, "..x": false, "x..": false, "a..b/c": false, "serving_default_x:0": false, "input.1": false, "x:0": false,
	} {
		path := writeZip(t, filepath.Join(t.TempDir(), "x.npz"), map[string][]byte{name: body})
		c, err := openContainer(path)
		if err == nil {
			c.close()
		}
		if out != (err != nil) || out && (!strings.Contains(err.Error(), "leads out of the archive") || !strings.Contains(err.Error(), path)) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestBombs: files that unpack to far more than they are end early, whatever
// they claim, and leave no temporary files.
func TestBombs(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	const size = 4 << 20
	head := npyHead(t, size)
	packed, sum := deflated(t, head, size)
	whole := uint64(len(head) + size)
	archive := func(claim uint64, entries int) []byte {
		var b bytes.Buffer
		zw := zip.NewWriter(&b)
		for i := range entries {
			w, err := zw.CreateRaw(&zip.FileHeader{
				Name: fmt.Sprintf("x%d.npy", i), Method: zip.Deflate, CRC32: sum,
				CompressedSize64: uint64(len(packed)), UncompressedSize64: claim,
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(packed); err != nil {
				t.Fatal(err)
			}
		}
		if err := zw.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	gz := append([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}, packed...)
	gz = binary.LittleEndian.AppendUint32(gz, sum)
	gz = binary.LittleEndian.AppendUint32(gz, uint32(whole))
	for _, c := range []struct {
		name, want   string
		memory, room int64
		data         []byte
	}{
		{"one array, in memory", "", 8 << 20, 16 << 20, archive(whole, 1)},
		{"one array, in a file", "", 1 << 20, 16 << 20, archive(whole, 1)},
		{"tells", "it unpacks to more than 200 times its size", 1 << 20, 2 << 20, archive(whole, 1)},
		{"tells of more than there are bytes", "it unpacks to more than 200 times its size", inMemory, freeRoom, archive(1<<62, 1)},
		{"tells too little", "corrupt zip entry", 1 << 20, 2 << 20, archive(100, 1)},
		{"many together", "it unpacks to more than 200 times its size", 1 << 20, 10 << 20, archive(whole, 3)},
		{"gzip", "it unpacks to more than 200 times its size", 1 << 20, 2 << 20, gz},
		{"gzip, within bounds", "", 1 << 20, 8 << 20, gz},
	} {
		f := newContainer("x", int64(len(c.data)))
		f.memory, f.room = c.memory, c.room
		err := f.open(bytes.NewReader(c.data), int64(len(c.data)))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if err := f.close(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
			t.Errorf("%s: %d temporary files are left, %v", c.name, len(left), err)
		}
	}
}

// TestUnpackedInMemory: what is unpacked into memory is bounded for all arrays
// of a file together; the rest goes to files and reads the same.
func TestUnpackedInMemory(t *testing.T) {
	c := newContainer("x", 0)
	defer c.close()
	c.memory, c.room = 100, 1000
	part := func(n int) io.Reader { return bytes.NewReader(bytes.Repeat([]byte{7}, n)) }
	for i, want := range []struct {
		size     int
		inMemory bool
		bomb     bool
	}{{60, true, false}, {60, false, false}, {30, true, false}, {700, false, false}, {200, false, true}} {
		r, n, err := c.unpack(part(want.size), -1)
		if want.bomb {
			if err != errBomb {
				t.Errorf("part %d: %v", i, err)
			}
			continue
		}
		if err != nil || n != int64(want.size) {
			t.Fatalf("part %d: %d bytes, %v", i, n, err)
		}
		if _, ok := r.(*pieces); ok != want.inMemory {
			t.Errorf("part %d: in memory %v", i, ok)
		}
		got := make([]byte, n)
		if _, err := r.ReadAt(got, 0); err != nil || !bytes.Equal(got, bytes.Repeat([]byte{7}, want.size)) {
			t.Errorf("part %d reads otherwise: %v", i, err)
		}
	}
}

// TestImageBombs: images that claim to be huge, or are cut off, or are something
// else than their names say, are errors that name the file; none takes memory
// for what it claims.
func TestImageBombs(t *testing.T) {
	good := encode(t, image.NewGray(image.Rect(0, 0, 8, 8)))
	claim := func(w, h uint32) []byte {
		b := bytes.Clone(good)
		binary.BigEndian.PutUint32(b[16:], w)
		binary.BigEndian.PutUint32(b[20:], h)
		binary.BigEndian.PutUint32(b[29:], crc32.ChecksumIEEE(b[12:29]))
		return b
	}
	jpeg, err := os.ReadFile("testdata/444.jpg")
	if err != nil {
		t.Fatal(err)
	}
	// The frame's header holds height and width.
	at := bytes.Index(jpeg, []byte{0xff, 0xc0})
	hugeJPEG := bytes.Clone(jpeg)
	copy(hugeJPEG[at+5:], []byte{0x30, 0x00, 0x30, 0x00})
	bmp, err := os.ReadFile(first(t, "testdata/*.bmp"))
	if err != nil {
		t.Fatal(err)
	}
	hugeBMP := bytes.Clone(bmp)
	binary.LittleEndian.PutUint32(hugeBMP[18:], 12000)
	binary.LittleEndian.PutUint32(hugeBMP[22:], 12000)
	webp, err := os.ReadFile(first(t, "testdata/*.webp"))
	if err != nil {
		t.Fatal(err)
	}
	var small bytes.Buffer
	if err := gif.Encode(&small, image.NewPaletted(image.Rect(0, 0, 2, 2), color.Palette{color.Black, color.White}), nil); err != nil {
		t.Fatal(err)
	}
	hugeGIF := small.Bytes()
	copy(hugeGIF[6:], []byte{0x00, 0x30, 0x00, 0x30})
	for _, c := range []struct {
		name, want string
		data       []byte
	}{
		{"large.png", "claim to hold 13000 x 13000 pixels", claim(13000, 13000)},
		{"huge.png", "dimension overflow", claim(1<<31-1, 1<<31-1)},
		{"beyond.png", "are not an image that can be read", claim(20000, 20000)},
		{"zero.png", "does not decode as PNG", claim(0, 5)},
		{"huge.jpg", "claim to hold 12288 x 12288", hugeJPEG},
		{"huge.bmp", "claim to hold 12000 x 12000", hugeBMP},
		{"huge.gif", "claim to hold 12288 x 12288", hugeGIF},
		{"cut.png", "does not decode as PNG", good[:len(good)/2]},
		{"cut.jpg", "does not decode as JPEG", jpeg[:len(jpeg)/2]},
		{"head.jpg", "does not decode as JPEG", jpeg[:20]},
		{"cut.bmp", "does not decode as BMP", bmp[:len(bmp)/2]},
		{"cut.webp", "does not decode as WebP", webp[:len(webp)/2]},
		{"text.png", "not a JPEG, PNG, GIF, BMP or WebP file", []byte("<html>404</html>")},
		{"empty.jpg", "the file is empty", nil},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, c.name)
		if err := os.WriteFile(path, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		spec := []InputSpec{{Name: "x", Type: graph.Float32, Dims: []int64{-1, 3, 8, 8}}}
		imageBound.Run(t, len(c.data), func() { err = drain(t, dir, spec) })
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), path) || strings.ContainsRune(err.Error(), '\n') {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	// Names lie: what counts is the content.
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "png.jpg"), good, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := drain(t, dir, []InputSpec{{Name: "x", Type: graph.Float32, Dims: []int64{-1, 1, 8, 8}}}); err != nil {
		t.Errorf("a PNG with the name of a JPEG: %v", err)
	}
}

func encode(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// first is the first file that a pattern matches.
func first(t testing.TB, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no files, %v", pattern, err)
	}
	return files[0]
}

// drain opens samples and reads them all.
func drain(t testing.TB, path string, spec []InputSpec) error {
	t.Helper()
	set, err := Open(path, spec, Options{Workers: 1})
	if err != nil {
		return err
	}
	defer set.Close()
	for _, err := range set.Batches(t.Context(), 4) {
		if err != nil {
			return err
		}
	}
	return nil
}

// TestArchiveOfManyEntries: the time to open an archive grows with its entries,
// not with their square.
func TestArchiveOfManyEntries(t *testing.T) {
	body := append(npyHead(t, 1), 1)
	files := map[string][]byte{}
	for i := range 20000 {
		files[fmt.Sprint(i)] = body
	}
	c, err := openContainer(writeZip(t, filepath.Join(t.TempDir(), "x.npz"), files))
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if len(c.arrays) != len(files) {
		t.Errorf("%d arrays", len(c.arrays))
	}
}

// FuzzGZip: what gzip packed opens as the plain file does, or not at all.
func FuzzGZip(f *testing.F) {
	pack := func(b []byte) []byte {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		if _, err := w.Write(b); err != nil {
			f.Fatal(err)
		}
		if err := w.Close(); err != nil {
			f.Fatal(err)
		}
		return out.Bytes()
	}
	f.Add(pack(idxBytes(graph.Uint8, []int64{2, 2, 3}, make([]byte, 12))))
	f.Add(pack(append(npyHead(f, 3), 1, 2, 3)))
	f.Add(pack(make([]byte, 1<<16)))
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzContainer(t, append([]byte{0x1f, 0x8b}, data[min(2, len(data)):]...))
	})
}
