package onnx

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "narrow/graph/onnx/internal/onnxpb"
)

// TestSweep decodes and encodes every model below the folders in
// NARROW_SWEEP, a list as in PATH: the place to try a collection of models
// that is not ours to commit.
func TestSweep(t *testing.T) {
	dirs := os.Getenv("NARROW_SWEEP")
	if dirs == "" {
		t.Skip("NARROW_SWEEP names no folders")
	}
	n := 0
	for _, dir := range filepath.SplitList(dirs) {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".onnx") {
				return err
			}
			n++
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			m, err := Decode(data, filepath.Dir(path))
			if err != nil {
				t.Errorf("%s: %v", path, err)
				return nil
			}
			want := &pb.ModelProto{}
			if err := proto.Unmarshal(data, want); err != nil {
				return err
			}
			out, err := Encode(m)
			if err != nil {
				t.Errorf("%s: %v", path, err)
				return nil
			}
			got := &pb.ModelProto{}
			if err := proto.Unmarshal(out, got); err != nil {
				return err
			}
			if !proto.Equal(got, want) {
				t.Errorf("%s: changed on the way through", path)
			}
			if again, _ := Encode(m.Clone()); !bytes.Equal(again, out) {
				t.Errorf("%s: encoding twice gives two files", path)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d models", n)
}
