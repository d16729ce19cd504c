package samples

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"narrow/graph"
)

// npyBytes is an .npy file of float32.
func npyBytes(shape string, values ...float32) []byte {
	head := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': %s, }", shape)
	head += strings.Repeat(" ", 63-(len(head)+10)%64) + "\n"
	b := append([]byte("\x93NUMPY\x01\x00"), byte(len(head)), byte(len(head)>>8))
	b = append(b, head...)
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// sequences are samples of 1, 2 and 1 steps of two values.
var sequences = map[string][]byte{
	"s2.npy": npyBytes("(2, 2)", 3, 4, 5, 6), "s1.npy": npyBytes("(1, 2)", 1, 2), "s10.npy": npyBytes("(1, 2)", 7, 8),
}

var sequenceInput = []InputSpec{{Name: "x", Type: graph.Float32, Dims: []int64{-1, -1, 2}}}

// TestUnlikeShapes: samples of unlike shapes, in a folder or an .npz, come one by
// one in the order of their numbers.
func TestUnlikeShapes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "seqs")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	zw := zip.NewWriter(&packed)
	for name, data := range sequences {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
		w, err := zw.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	npz := filepath.Join(t.TempDir(), "seqs.npz")
	if err := os.WriteFile(npz, packed.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	var hashes []string
	for _, path := range []string{dir, npz} {
		s, err := Open(path, sequenceInput, Options{Workers: 3})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		hash, err := s.Hash(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, hash)
		var got []string
		for b, err := range s.Batches(context.Background(), 16) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprint(b.Count, b.Size, b.Inputs["x"].Shape, b.Inputs["x"].Floats))
		}
		if want := []string{"1 1 [1 1 2] [1 2]", "1 1 [1 2 2] [3 4 5 6]", "1 1 [1 1 2] [7 8]"}; !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
		if list := s.Findings(); len(list) != 1 || list[0].Code != "unlike-shapes" {
			t.Errorf("%s: %v", path, list)
		}
	}
	if hashes[0] != hashes[1] {
		t.Error("the same samples have two hashes")
	}

	// One that changes while it is in use, and one that is none.
	s, err := Open(dir, sequenceInput, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := os.WriteFile(filepath.Join(dir, "s2.npy"), npyBytes("(3, 2)", 1, 2, 3, 4, 5, 6), 0o600); err != nil {
		t.Fatal(err)
	}
	failed := ""
	for _, err := range s.Batches(context.Background(), 16) {
		if err != nil {
			failed = err.Error()
		}
	}
	if !strings.Contains(failed, "s2.npy changed while it was in use") {
		t.Errorf("a sample that has changed: %q", failed)
	}
	if err := os.WriteFile(filepath.Join(dir, "s2.npy"), npyBytes("(3, 3)", 1, 2, 3, 4, 5, 6, 7, 8, 9), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, sequenceInput, Options{}); err == nil || !strings.Contains(err.Error(), "s2.npy") || !strings.Contains(err.Error(), "shape (3, 3)") {
		t.Errorf("a sample of another width: %v", err)
	}
}

// TestLikeShapes: a folder of arrays of one shape makes batches.
func TestLikeShapes(t *testing.T) {
	dir := t.TempDir()
	for i := range 5 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.npy", i)), npyBytes("(1, 2)", float32(i), 0), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(dir, sequenceInput, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var counts []int
	for b, err := range s.Batches(context.Background(), 2) {
		if err != nil {
			t.Fatal(err)
		}
		counts = append(counts, b.Count)
	}
	if !slices.Equal(counts, []int{2, 2, 1}) || len(s.Findings()) > 0 {
		t.Errorf("%v, %v", counts, s.Findings())
	}
}

// TestFilesNotRead: what may be missed among images is named once.
func TestFilesNotRead(t *testing.T) {
	dir := t.TempDir()
	good := encode(t, image.NewGray(image.Rect(0, 0, 8, 8)))
	for name, data := range map[string][]byte{"a.png": good, "b.png": good, "l.tif": []byte("II*"), "Thumbs.db": nil, ".DS_Store": nil, "notes.txt": nil, "m.HEIC": nil} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(dir, []InputSpec{{Name: "x", Type: graph.Float32, Dims: []int64{-1, 3, 8, 8}}}, Options{Preprocess: Preprocess{Preset: "unit"}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if list := s.Findings(); len(list) != 1 || list[0].Message.String() != "2 of 4 files are not read: l.tif, m.HEIC" {
		t.Errorf("%v", list)
	}
}

func TestNatural(t *testing.T) {
	list := []string{"a10", "a9", "b", "a", "9", "010", "a9b"}
	slices.SortFunc(list, natural)
	if want := []string{"9", "010", "a", "a9", "a9b", "a10", "b"}; !slices.Equal(list, want) {
		t.Errorf("%q, want %q", list, want)
	}
}
