package onnx

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"narrow/graph"
	"narrow/graph/graphtext"
	pb "narrow/graph/onnx/internal/onnxpb"
)

// external returns a tensor of two floats in another file; "" leaves an entry
// out.
func external(name, location, offset, length string) *pb.TensorProto {
	t := &pb.TensorProto{Name: ptr(name), Dims: []int64{2}, DataType: ptr(int32(1)), DataLocation: pb.TensorProto_EXTERNAL.Enum()}
	for _, e := range [][2]string{{"location", location}, {"offset", offset}, {"length", length}} {
		if e[1] != "" {
			t.ExternalData = append(t.ExternalData, &pb.StringStringEntryProto{Key: ptr(e[0]), Value: ptr(e[1])})
		}
	}
	return t
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestReadExternal(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "model")
	data := make([]byte, 20)
	for i := range data {
		data[i] = byte(i)
	}
	write(t, filepath.Join(dir, "w.bin"), data)
	write(t, filepath.Join(dir, "sub", "w.bin"), data)
	write(t, filepath.Join(top, "outside.bin"), data)
	for link, to := range map[string]string{"leaves": "../outside.bin", "stays": "sub/w.bin", "abs": filepath.Join(top, "outside.bin")} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Skip(err)
		}
	}
	for _, c := range []struct{ location, offset, length, want string }{
		{"w.bin", "", "", "ok 0"},
		{"w.bin", "4", "8", "ok 4"},
		{"w.bin", "12", "", "ok 12"},
		{"sub/w.bin", "1", "8", "ok 1"},
		{"stays", "2", "8", "ok 2"},
		{"leaves", "", "", "leads out of the model's folder"},
		{"abs", "", "", "leads out of the model's folder"},
		{"../outside.bin", "", "", "leads out of the model's folder; only files"},
		{"sub/../../outside.bin", "", "", "leads out of the model's folder"},
		{filepath.Join(dir, "w.bin"), "", "", "leads out of the model's folder"},
		{"none.bin", "", "", "no such file"},
		{"sub", "", "", "is no regular file"},
		{"w.bin", "13", "", "was it cut off?"},
		{"w.bin", "9223372036854775807", "8", "was it cut off?"},
		{"w.bin", "0", "12", `gives tensor "w" of type float32 and shape [2] 12 bytes, not 8`},
		{"w.bin", "-1", "8", "no count of bytes"},
		{"w.bin", "x", "8", "no count of bytes"},
		{"w.bin", "0", "-8", "no count of bytes"},
		{"", "0", "8", "no location"},
	} {
		m := small()
		m.Graph.Initializer[0] = external("w", c.location, c.offset, c.length)
		got, err := Decode(mustMarshal(t, m), dir)
		if from, ok := strings.CutPrefix(c.want, "ok "); ok {
			if err != nil {
				t.Errorf("%+v: %v", c, err)
			} else if raw := got.Graph.Initializers[0].Raw; len(raw) != 8 || from != "" && raw[0] != data[len(data)-20+atoi(from)] {
				t.Errorf("%+v: read %v", c, raw)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `"w"`) {
			t.Errorf("%+v: error %v", c, err)
		}
	}
}

func atoi(s string) int {
	n := 0
	for _, c := range s {
		n = 10*n + int(c-'0')
	}
	return n
}

// counter counts what is read.
type counter struct {
	io.ReaderAt
	n int
}

func (c *counter) ReadAt(p []byte, at int64) (int, error) {
	c.n += len(p)
	return c.ReaderAt.ReadAt(p, at)
}

// TestSharedSpans holds that tensors in one place do not multiply memory.
func TestSharedSpans(t *testing.T) {
	file := &counter{ReaderAt: bytes.NewReader(make([]byte, 100))}
	var spans []span
	for i := range 1000 {
		spans = append(spans, span{tensor: &graph.Tensor{Source: &source{}}, offset: int64(i % 10), length: 80})
	}
	if err := fill(file, spans); err != nil {
		t.Fatal(err)
	}
	if file.n != 89 {
		t.Errorf("%d bytes read for 89", file.n)
	}
}

func TestSaveExternal(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "net.onnx")
	m := mustDecode(t, full())
	inner := m.Graph.Nodes[2].Attrs[0].Graph
	inner.Initializers = append(inner.Initializers, graph.NewFloats("deep", []int64{600}, make([]float32, 600)))
	if err := Save(m, path, WithExternalData(8)); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(files) != 2 || !strings.HasSuffix(files[1], ".data") {
		t.Fatalf("files: %v", files)
	}
	back, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"w", "b"} {
		was, is := m.Graph.Initializer(name), back.Graph.Initializer(name)
		if !bytes.Equal(was.Raw, is.Raw) || is.Source.(*source).msg.GetDataLocation() != pb.TensorProto_EXTERNAL {
			t.Errorf("%s: %+v, was %+v", name, is, was)
		}
	}
	if got := graphtext.Format(back); got != graphtext.Format(m) {
		t.Errorf("got\n%s", got)
	}
	// Saved again without the option all is in one file, and the data file goes.
	if err := Save(back, path); err != nil {
		t.Fatal(err)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) != 1 {
		t.Errorf("files: %v", files)
	}
	if _, err := Load(path); err != nil {
		t.Error(err)
	}
}

// TestSaveChangesData holds that a new model's data never takes the place of
// the old one's before the new model is there.
func TestSaveChangesData(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "net.onnx")
	write(t, path+".notes.data", []byte("mine"))
	names := map[string]bool{}
	for i := range 3 {
		m := graphtext.MustParse(`g () => (float[2] w) <float[2] w = {1, 2}> {}`)
		m.Graph.SetInitializer(graph.NewFloats("w", []int64{2}, []float32{float32(i), 2}))
		if err := Save(m, path, WithExternalData(1)); err != nil {
			t.Fatal(err)
		}
		files, _ := filepath.Glob(path + ".*.data")
		if len(files) != 2 {
			t.Fatalf("files: %v", files)
		}
		names[strings.Join(files, " ")] = true
	}
	if len(names) != 3 {
		t.Errorf("other data under the same name: %v", names)
	}
}

func TestSaveWholeOrNot(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	write(t, path, []byte("old"))
	fault := errors.New("disk full")
	err := writeFile(path, func(w io.Writer) error {
		if _, err := w.Write([]byte("half")); err != nil {
			return err
		}
		return fault
	})
	if !errors.Is(err, fault) {
		t.Errorf("error %v", err)
	}
	if data, _ := os.ReadFile(path); string(data) != "old" {
		t.Errorf("the file holds %q", data)
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("files left behind: %v", files)
	}
	err = Save(graphtext.MustParse("g () => () {}"), filepath.Join(dir, "none", "net.onnx"))
	if err == nil || !strings.Contains(err.Error(), "net.onnx") {
		t.Errorf("no such folder: %v", err)
	}
}
