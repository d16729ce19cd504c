package onnx

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"narrow/graph"
	"narrow/graph/graphtext"
	pb "narrow/graph/onnx/internal/onnxpb"
	"narrow/internal/bounded"
)

// small returns a model that is right: y = x * w, z = Relu(y).
func small() *pb.ModelProto {
	return encodeModel(graphtext.MustParse(`g (float[N, 2] x) => (float[N, 2] z) <float[2] w = {1, 2}> { [mul] y = Mul (x, w) [relu] z = Relu (y) }`))
}

func TestBrokenModels(t *testing.T) {
	for _, c := range []struct {
		name, want string
		spoil      func(*pb.ModelProto)
	}{
		{"no graph", "holds no graph", func(m *pb.ModelProto) { m.Graph = nil }},
		{"cycle", `the nodes "relu" -> "mul" -> "relu" form a cycle`, func(m *pb.ModelProto) { m.Graph.Node[0].Input[0] = "z" }},
		{"own input", `the nodes "mul" -> "mul" form a cycle`, func(m *pb.ModelProto) { m.Graph.Node[0].Input[0] = "y" }},
		{"missing input", `node "relu" (Relu) reads "nope", which nothing outputs`, func(m *pb.ModelProto) { m.Graph.Node[1].Input[0] = "nope" }},
		{"missing output", `output "nope" is made by nothing`, func(m *pb.ModelProto) { m.Graph.Output[0].Name = ptr("nope") }},
		{"output without a name", `an output of the graph has no name`, func(m *pb.ModelProto) { m.Graph.Output[0].Name = nil }},
		{"input without a name", `an input of the graph has no name`, func(m *pb.ModelProto) { m.Graph.Input[0].Name = nil }},
		{"same input twice", `two inputs of the graph have the name "x"`, func(m *pb.ModelProto) { m.Graph.Input = append(m.Graph.Input, m.Graph.Input[0]) }},
		{"same initializer twice", `two initializers have the name "w"`, func(m *pb.ModelProto) { m.Graph.Initializer = append(m.Graph.Initializer, m.Graph.Initializer[0]) }},
		{"initializer without a name", `an initializer has no name`, func(m *pb.ModelProto) { m.Graph.Initializer[0].Name = nil }},
		{"same output twice", `node "relu" outputs "y", which is already the name of an output of node "mul"`, func(m *pb.ModelProto) { m.Graph.Node[1].Output[0] = "y" }},
		{"output named as an initializer", `already the name of an initializer`, func(m *pb.ModelProto) { m.Graph.Node[1].Output[0] = "w" }},
		{"output named as an input", `already the name of an input`, func(m *pb.ModelProto) { m.Graph.Node[1].Output[0] = "x" }},
		{"no operator", `node "relu" has no operator type`, func(m *pb.ModelProto) { m.Graph.Node[1].OpType = nil }},
		{"attribute without a name", `node "relu" (Relu): an attribute has no name`, func(m *pb.ModelProto) { m.Graph.Node[1].Attribute = []*pb.AttributeProto{{}} }},
		{"attribute twice", `two attributes have the name "a"`, func(m *pb.ModelProto) {
			m.Graph.Node[1].Attribute = []*pb.AttributeProto{{Name: ptr("a")}, {Name: ptr("a")}}
		}},
		{"inner graph", `node "relu" (Relu): graph "body": node "in" (Neg) reads "nope"`, func(m *pb.ModelProto) {
			m.Graph.Node[1].Attribute = []*pb.AttributeProto{{Name: ptr("body"), Type: pb.AttributeProto_GRAPH.Enum(), G: &pb.GraphProto{
				Node: []*pb.NodeProto{{Name: ptr("in"), OpType: ptr("Neg"), Input: []string{"x", "nope"}, Output: []string{"o"}}}}}}
		}},
		{"initializer too short", `tensor "w" of type float32 and shape [2] holds 4 bytes, not 8`, func(m *pb.ModelProto) { m.Graph.Initializer[0].RawData = make([]byte, 4) }},
		{"initializer too long", `tensor "w" of type float32 and shape [2] holds 12 bytes, not 8`, func(m *pb.ModelProto) { m.Graph.Initializer[0].RawData = make([]byte, 12) }},
		{"initializer empty", `holds 0 bytes, not 8`, func(m *pb.ModelProto) { m.Graph.Initializer[0].RawData = nil }},
		{"negative dimension", `a dimension is negative`, func(m *pb.ModelProto) { m.Graph.Initializer[0].Dims = []int64{-2} }},
		{"absurd dimension", `no machine holds that many`, func(m *pb.ModelProto) { m.Graph.Initializer[0].Dims = []int64{1 << 62} }},
		{"dimensions that overflow to 2", `no machine holds that many`, func(m *pb.ModelProto) { m.Graph.Initializer[0].Dims = []int64{1 << 32, 1 << 32, 2} }},
		{"no data type", `tensor "w" does not tell its data type`, func(m *pb.ModelProto) { m.Graph.Initializer[0].DataType = nil }},
		{"segment", `stored in segments`, func(m *pb.ModelProto) { m.Graph.Initializer[0].Segment = &pb.TensorProto_Segment{} }},
		{"endless name", `...`, func(m *pb.ModelProto) { m.Graph.Node[1].Input[0] = strings.Repeat("é", 1<<20) }},
		{"strings missing", `holds 0 strings, not 2`, func(m *pb.ModelProto) {
			m.Graph.Initializer[0].DataType, m.Graph.Initializer[0].RawData = ptr(int32(8)), nil
		}},
		{"attribute's tensor", `tensor "c" of type float32 and shape [3]`, func(m *pb.ModelProto) {
			m.Graph.Node[1].Attribute = []*pb.AttributeProto{{Name: ptr("value"), Type: pb.AttributeProto_TENSOR.Enum(), T: &pb.TensorProto{Name: ptr("c"), Dims: []int64{3}, DataType: ptr(int32(1))}}}
		}},
		{"external data without a folder", `the model came without a folder`, func(m *pb.ModelProto) {
			m.Graph.Initializer[0] = external("w", "f", "0", "8")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := small()
			c.spoil(m)
			_, err := Decode(mustMarshal(t, m), "")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q in it", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
			if err != nil && len(err.Error()) > 1000 {
				t.Errorf("a line of %d bytes", len(err.Error()))
			}
		})
	}
	if _, err := Decode(mustMarshal(t, small()), ""); err != nil {
		t.Errorf("the model that is right: %v", err)
	}
}

func TestOpsets(t *testing.T) {
	for version, want := range map[int64]string{6: "set 6", 7: "", MaxOpset: "", MaxOpset + 1: "export it with an older", -3: "set -3", 99: "set 99"} {
		m := graphtext.MustParse(`g (float x) => (float y) { y = Relu (x) }`)
		m.Opsets[""] = version
		err := CheckOpsets(m)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("opset %d: %v", version, err)
		}
	}
	m := graphtext.MustParse(`<opset_import: ["their": 1]> g (float x) => (float y) { y = Relu (x) }`)
	if err := CheckOpsets(m); err == nil || !strings.Contains(err.Error(), "opset_import") {
		t.Errorf("no opset: %v", err)
	}
	m = graphtext.MustParse(`<opset_import: ["their": 1]> g (float x) => (float y) { y = their.Relu (x) }`)
	if err := CheckOpsets(m); err != nil {
		t.Errorf("no standard operators: %v", err)
	}
}

func TestLoadErrors(t *testing.T) {
	dir := t.TempDir()
	whole := mustMarshal(t, small())
	silent := small()
	silent.Graph.Output = nil
	for name, content := range map[string]string{
		"empty.onnx": "", "text.onnx": "layer { type: conv }\n", "image.onnx": "\x89PNG\r\n\x1a\n....", "torch.onnx": "PK\x03\x04....",
		"lfs.onnx": "version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "tflite.onnx": "\x1c\x00\x00\x00TFL3....",
		"cut.onnx": string(whole[:len(whole)-9]), "noise.onnx": "\x08\x96\xff\xff\x00\x17", "good.onnx": string(whole),
		"silent.onnx":  string(mustMarshal(t, silent)),
		"chinese.onnx": "不是模型", "json.onnx": "{\"a\": 1}",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"none.onnx": "no such file", ".": "is a folder", "empty.onnx": "empty", "text.onnx": "this is text", "image.onnx": "a PNG image",
		"torch.onnx": "torch.onnx.export", "lfs.onnx": "git lfs pull", "tflite.onnx": "TensorFlow Lite", "cut.onnx": "cut off", "silent.onnx": "no outputs", "noise.onnx": "not an ONNX model",
		"chinese.onnx": "this is text", "json.onnx": "this is text",
	} {
		path := filepath.Join(dir, name)
		_, err := Load(path)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line with the file and %q", name, err, want)
		}
	}
	if _, err := Load(filepath.Join(dir, "good.onnx")); err != nil {
		t.Error(err)
	}
}

// TestCutAnywhere holds that a model cut off at any byte is an error or, where
// the cut falls between the fields of the file, a model that is right.
func TestCutAnywhere(t *testing.T) {
	whole := mustMarshal(t, full())
	for n := range whole {
		if m, err := Decode(whole[:n], ""); err == nil {
			if err := Check(m); err != nil {
				t.Errorf("cut at %d: %v", n, err)
			}
		}
	}
}

// hostile returns data that is small and asks for much.
func hostile() map[string][]byte {
	wrap := func(field protowire.Number, b []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), b)
	}
	repeat := func(n int, b []byte) []byte { return []byte(strings.Repeat(string(b), n)) }
	nodes := wrap(7, repeat(1<<20, wrap(1, nil)))
	attrs := wrap(7, wrap(1, repeat(1<<20, wrap(5, nil))))
	inputs := wrap(7, wrap(1, repeat(1<<20, wrap(1, nil))))
	packed := wrap(7, wrap(5, wrap(7, make([]byte, 1<<20))))
	dims := wrap(7, wrap(5, repeat(1<<20, []byte{0x08, 0x01})))
	nested := []byte{}
	for range 2000 {
		nested = wrap(1, wrap(5, wrap(6, nested)))
	}
	// One node with a long name and many outputs of one name.
	long := wrap(7, wrap(1, append(wrap(3, make([]byte, 1<<18)), repeat(1<<18, wrap(2, []byte("o")))...)))
	reads := wrap(7, repeat(1<<16, wrap(1, append(wrap(4, []byte("A")), repeat(8, wrap(1, []byte("x")))...))))
	return map[string][]byte{
		"empty nodes": nodes, "empty attributes": attrs, "empty inputs": inputs, "packed numbers": packed,
		"unpacked dimensions": dims, "nested graphs": wrap(7, nested), "long name": long, "many reads": reads,
		"real": nil,
	}
}

// memory is the bound that [Decode] states.
var memory = bounded.Bound{Factor: MemoryFactor, Constant: MemoryConstant}

// TestMemory holds [Decode] to the multiple of the input's size that it states.
func TestMemory(t *testing.T) {
	for name, data := range hostile() {
		if data == nil {
			data = mustMarshal(t, full())
		}
		var err error
		memory.Run(t, len(data), func() { _, err = Decode(data, "") })
		if name == "nested graphs" && (err == nil || !strings.Contains(err.Error(), "nested more than")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzDecode holds that no input brings the decoder down, and that what it
// reads it writes, the same when read again.
func FuzzDecode(f *testing.F) {
	f.Add(mustMarshal(f, full()))
	f.Add(mustMarshal(f, small()))
	f.Add(binary.AppendUvarint([]byte{0x3a}, 1<<40))
	for _, data := range hostile() {
		f.Add(data[:min(len(data), 200)])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var m *graph.Model
		var err error
		memory.Run(t, len(data), func() { m, err = Decode(data, "") })
		if err != nil {
			if strings.ContainsRune(err.Error(), '\n') {
				t.Errorf("more than one line: %q", err)
			}
			return
		}
		first, err := Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Decode(first, "")
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		second, err := Encode(again)
		if err != nil {
			t.Fatal(err)
		}
		if string(first) != string(second) {
			t.Fatal("changed when read again")
		}
		a, b := &pb.ModelProto{}, &pb.ModelProto{}
		if err := proto.Unmarshal(data, a); err != nil {
			t.Fatal(err)
		}
		if err := proto.Unmarshal(first, b); err != nil {
			t.Fatal(err)
		}
		if !sorted(m, a) {
			return // put in order on the way
		}
		if !proto.Equal(a, b) {
			t.Fatalf("changed on the way through:\n%v\n%v", a, b)
		}
	})
}

// sorted reports whether decoding left the nodes of the model in their order.
func sorted(m *graph.Model, src *pb.ModelProto) bool {
	for i, n := range m.Graph.Nodes {
		if !proto.Equal(n.Source.(*pb.NodeProto), src.Graph.Node[i]) {
			return false
		}
	}
	return true
}
