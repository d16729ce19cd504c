package main

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHostileSamples: files that other tools wrote otherwise are read, and those
// that nobody should have written are one line that names the file.
func TestHostileSamples(t *testing.T) {
	model := emptyFolder(t)
	array, err := npyBytes("float32", "4,1,28,28")
	if err != nil {
		t.Fatal(err)
	}
	const head = 128
	// with is the array with a part of its header changed to one as long, and
	// its elements by f.
	with := func(from, to string, f func(body []byte)) []byte {
		if !bytes.Contains(array[:head], []byte(from)) || len(from) != len(to) {
			t.Fatalf("cannot put %q for %q", to, from)
		}
		out := append(bytes.Replace(array[:head], []byte(from), []byte(to), 1), array[head:]...)
		if f != nil {
			f(out[head:])
		}
		return out
	}
	swapped := func(body []byte) {
		for i := 0; i < len(body); i += 4 {
			binary.BigEndian.PutUint32(body[i:], binary.LittleEndian.Uint32(body[i:]))
		}
	}
	last := func(bits uint32) func([]byte) {
		return func(body []byte) { binary.LittleEndian.PutUint32(body[len(body)-4:], bits) }
	}
	archive := func(names ...string) []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		for _, n := range names {
			w, err := z.Create(n)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(array); err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 28, 28))); err != nil {
		t.Fatal(err)
	}
	huge := bytes.Clone(picture.Bytes())
	binary.BigEndian.PutUint32(huge[16:], 12345)
	binary.BigEndian.PutUint32(huge[20:], 12345)
	binary.BigEndian.PutUint32(huge[29:], crc32.ChecksumIEEE(huge[12:29]))

	for _, c := range []struct {
		name string // of the file; a folder that holds it is given where it is an image
		data []byte
		says []string // nothing: it is read
	}{
		{"big-endian.npy", with("<f4", ">f4", swapped), nil},
		{"fortran.npy", with("False", "True ", nil), nil},
		{"archive.npz", archive("image.npy"), nil},
		{"png.jpg", picture.Bytes(), nil},

		{"up.npz", archive("../image.npy"), []string{"leads out of the archive", `"../image.npy"`, "save it again"}},
		{"root.npz", archive("image.npy", "/etc/cron.d/x.npy"), []string{"leads out of the archive", `"/etc/cron.d/x.npy"`}},
		{"twice.npz", archive("image.npy", "image.npy"), []string{`"image" is there twice`}},
		{"objects.npy", with("<f4", "|O8", nil), []string{"pickled Python objects", "save float32 or uint8"}},
		{"complex.npy", with("<f4", "<c8", nil), []string{"are complex", "save float32 or uint8"}},
		{"long.npy", with("(4, 1,", "(9, 1,", nil), []string{"cut short", "(9, 1, 28, 28)"}},
		{"negative.npy", with("(4, 1,", "(4,-1,", nil), []string{"corrupt .npy header", `"-1,`}},
		{"nan.npy", with("<f4", "<f4", last(0x7fc00000)), []string{"holds NaN", "sample 3", "--skip-invalid"}},
		{"inf.npy", with("<f4", "<f4", last(0x7f800000)), []string{"holds +Inf", "sample 3", "--skip-invalid"}},
		{"huge.png", huge, []string{"claim to hold 12345 x 12345 pixels", "replace it, or take it out"}},
		{"cut.png", picture.Bytes()[:60], []string{"does not decode as PNG"}},
		{"page.png", []byte("<!DOCTYPE html>"), []string{"not a JPEG, PNG, GIF, BMP or WebP file"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := c.name
			data := file
			if ext := filepath.Ext(file); ext == ".png" || ext == ".jpg" {
				data = strings.TrimSuffix(file, ext)
				file = filepath.Join(data, file)
				if err := os.Mkdir(data, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(file, c.data, 0o600); err != nil {
				t.Fatal(err)
			}
			code, _, stderr := execute("calib --model " + model + " --preprocess unit --data " + data + " -o out-" + c.name)
			if c.says == nil {
				if code != 0 {
					t.Errorf("exit code %d: %s", code, stderr)
				}
				return
			}
			line, rest, _ := strings.Cut(stderr, "\n")
			if code != 1 || rest != "" || !strings.HasPrefix(line, "narrow: ") {
				t.Errorf("exit code %d, standard error\n%s", code, stderr)
			}
			says := c.says
			if !strings.HasPrefix(says[0], "holds") { // found out by running, of a sample and a layer
				says = append(says, file)
			}
			for _, s := range says {
				if !strings.Contains(line, s) {
					t.Errorf("%q does not say %q", line, s)
				}
			}
			if _, err := os.Stat("out-" + c.name); err == nil {
				t.Error("a result was left")
			}
		})
	}
}
