package onnx

import (
	"bytes"
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"narrow/graph"
	"narrow/graph/graphtext"
	pb "narrow/graph/onnx/internal/onnxpb"
)

// full returns a model that has something in every corner that package graph
// does not know.
func full() *pb.ModelProto {
	entry := func(k, v string) []*pb.StringStringEntryProto {
		return []*pb.StringStringEntryProto{{Key: ptr(k), Value: ptr(v)}, {Key: ptr("a"), Value: ptr("b")}}
	}
	dim := func(n int64) *pb.TensorShapeProto_Dimension {
		return &pb.TensorShapeProto_Dimension{Value: &pb.TensorShapeProto_Dimension_DimValue{DimValue: n}, Denotation: ptr("DATA_CHANNEL")}
	}
	named := &pb.TensorShapeProto_Dimension{Value: &pb.TensorShapeProto_Dimension_DimParam{DimParam: "N"}, Denotation: ptr("DATA_BATCH")}
	tensorType := func(dims ...*pb.TensorShapeProto_Dimension) *pb.TypeProto {
		return &pb.TypeProto{
			Value:      &pb.TypeProto_TensorType{TensorType: &pb.TypeProto_Tensor{ElemType: ptr(int32(1)), Shape: &pb.TensorShapeProto{Dim: dims}}},
			Denotation: ptr("IMAGE"),
		}
	}
	value := func(name string, dims ...*pb.TensorShapeProto_Dimension) *pb.ValueInfoProto {
		return &pb.ValueInfoProto{Name: ptr(name), DocString: ptr("doc of " + name), Type: tensorType(dims...), MetadataProps: entry("v", name)}
	}
	inner := &pb.GraphProto{
		Name:   ptr("inner"),
		Node:   []*pb.NodeProto{{OpType: ptr("Neg"), Input: []string{"h"}, Output: []string{"t"}, DocString: ptr("inner node")}},
		Output: []*pb.ValueInfoProto{value("t")},
	}
	m := &pb.ModelProto{
		IrVersion: ptr(int64(3)), ProducerName: ptr("pytorch"), ProducerVersion: ptr("2.1"), Domain: ptr("org.test"),
		ModelVersion: ptr(int64(7)), DocString: ptr("a model"), MetadataProps: entry("z", "y"),
		OpsetImport: []*pb.OperatorSetIdProto{{Domain: ptr("com.other"), Version: ptr(int64(2))}, {Domain: ptr("ai.onnx"), Version: ptr(int64(17))}},
		Functions: []*pb.FunctionProto{{
			Name: ptr("Twice"), Domain: ptr("com.other"), Input: []string{"a"}, Output: []string{"b"},
			Node: []*pb.NodeProto{{OpType: ptr("Add"), Input: []string{"a", "a"}, Output: []string{"b"}}},
			// Of another version than the model, so that Load keeps the call.
			OpsetImport: []*pb.OperatorSetIdProto{{Domain: ptr(""), Version: ptr(int64(16))}},
		}},
		TrainingInfo: []*pb.TrainingInfoProto{{Algorithm: &pb.GraphProto{Name: ptr("train")}}},
		Graph: &pb.GraphProto{
			Name: ptr("net"), DocString: ptr("a graph"), MetadataProps: entry("g", "h"),
			Input:     []*pb.ValueInfoProto{value("x", named, dim(2)), value("w", dim(2)), value("c")},
			Output:    []*pb.ValueInfoProto{value("y", named, dim(2)), value("z")},
			ValueInfo: []*pb.ValueInfoProto{value("h", named, dim(2)), value("b", dim(2)), value("h", dim(9)), {Name: ptr("untyped")}},
			Initializer: []*pb.TensorProto{
				{Name: ptr("w"), Dims: []int64{2}, DataType: ptr(int32(1)), FloatData: []float32{1, -2}, DocString: ptr("weights")},
				{Name: ptr("b"), Dims: []int64{2}, DataType: ptr(int32(1)), RawData: []byte{0, 0, 128, 63, 0, 0, 0, 64}, MetadataProps: entry("t", "u")},
				{Name: ptr("s"), DataType: ptr(int32(8)), StringData: [][]byte{[]byte("str\xff")}},
				{Name: ptr("empty"), Dims: []int64{0, 3}, DataType: ptr(int32(1))},
			},
			SparseInitializer: []*pb.SparseTensorProto{{
				Values:  &pb.TensorProto{Name: ptr("sp"), Dims: []int64{1}, DataType: ptr(int32(1)), FloatData: []float32{1}},
				Indices: &pb.TensorProto{Dims: []int64{1}, DataType: ptr(int32(7)), Int64Data: []int64{1}}, Dims: []int64{2},
			}},
			QuantizationAnnotation: []*pb.TensorAnnotation{{TensorName: ptr("w"), QuantParameterTensorNames: entry("SCALE_TENSOR", "s")}},
			Node: []*pb.NodeProto{
				{Name: ptr("n1"), OpType: ptr("Conv"), Domain: ptr("ai.onnx"), Overload: ptr("o"), DocString: ptr("a node"), Input: []string{"x", "", "w", "sp"}, Output: []string{"h", ""}, MetadataProps: entry("pkg.torch.onnx.name_scopes", "['', 'layer1']"), Attribute: []*pb.AttributeProto{
					{Name: ptr("i"), Type: pb.AttributeProto_INT.Enum(), I: ptr(int64(3)), DocString: ptr("an int")},
					{Name: ptr("zero"), Type: pb.AttributeProto_INT.Enum()},
					{Name: ptr("f"), Type: pb.AttributeProto_FLOAT.Enum(), F: ptr(float32(0.5))},
					{Name: ptr("s"), Type: pb.AttributeProto_STRING.Enum(), S: []byte("not utf-8: \xff")},
					{Name: ptr("is"), Type: pb.AttributeProto_INTS.Enum(), Ints: []int64{1, 2}},
					{Name: ptr("fs"), Type: pb.AttributeProto_FLOATS.Enum(), Floats: []float32{1, 2}},
					{Name: ptr("ss"), Type: pb.AttributeProto_STRINGS.Enum(), Strings: [][]byte{[]byte("a"), {}}},
					{Name: ptr("old"), Ints: []int64{4}},
					{Name: ptr("tp"), Type: pb.AttributeProto_TYPE_PROTO.Enum(), Tp: tensorType()},
					{Name: ptr("gs"), Type: pb.AttributeProto_GRAPHS.Enum(), Graphs: []*pb.GraphProto{inner}},
					{Name: ptr("ts"), Type: pb.AttributeProto_TENSORS.Enum(), Tensors: []*pb.TensorProto{{Name: ptr("q")}}},
				}},
				{OpType: ptr("Constant"), Output: []string{"k"}, Attribute: []*pb.AttributeProto{
					{Name: ptr("value"), Type: pb.AttributeProto_TENSOR.Enum(), T: &pb.TensorProto{Dims: []int64{1}, DataType: ptr(int32(10)), Int32Data: []int32{15360}}},
				}},
				{Name: ptr("n2"), OpType: ptr("If"), Input: []string{"c"}, Output: []string{"z"}, Attribute: []*pb.AttributeProto{
					{Name: ptr("then_branch"), Type: pb.AttributeProto_GRAPH.Enum(), G: inner},
					{Name: ptr("else_branch"), Type: pb.AttributeProto_GRAPH.Enum(), G: inner},
				}},
				{Name: ptr("n3"), OpType: ptr("Twice"), Domain: ptr("com.other"), Input: []string{"h"}, Output: []string{"y"}},
			},
		},
	}
	unknown := protowire.AppendVarint(protowire.AppendTag(nil, 999, protowire.VarintType), 5)
	for _, part := range []proto.Message{
		m, m.Graph, m.Graph.Node[0], m.Graph.Node[0].Attribute[0], m.Graph.Initializer[0], m.Graph.Input[0],
		m.Graph.Input[0].Type.GetTensorType(), m.OpsetImport[0], m.Graph.Node[0].MetadataProps[0],
	} {
		part.ProtoReflect().SetUnknown(unknown)
	}
	return m
}

func mustMarshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	data, err := marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func mustDecode(t testing.TB, m *pb.ModelProto) *graph.Model {
	t.Helper()
	out, err := Decode(mustMarshal(t, m), "")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func reencode(t testing.TB, m *graph.Model) *pb.ModelProto {
	t.Helper()
	data, err := Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	out := &pb.ModelProto{}
	if err := proto.Unmarshal(data, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestNothingIsLost(t *testing.T) {
	want := full()
	m := mustDecode(t, want)
	if got := reencode(t, m); !proto.Equal(got, want) {
		t.Errorf("changed on the way through:\n%v\n%v", got, want)
	}
	if got := reencode(t, m.Clone()); !proto.Equal(got, want) {
		t.Error("a clone is another model")
	}
	once, _ := Encode(m)
	for range 5 {
		if again, _ := Encode(m); !bytes.Equal(once, again) {
			t.Fatal("the same model gives other bytes")
		}
	}
}

// TestEdits changes one thing at a time in the graph and the same thing in the
// message: all the rest must stay.
func TestEdits(t *testing.T) {
	for _, c := range []struct {
		name  string
		graph func(*graph.Model)
		msg   func(*pb.ModelProto)
	}{
		{"ir version", func(m *graph.Model) { m.IRVersion = 8 }, func(m *pb.ModelProto) { m.IrVersion = ptr(int64(8)) }},
		{"producer", func(m *graph.Model) { m.Producer, m.ProducerVersion = "narrow", "1" }, func(m *pb.ModelProto) { m.ProducerName, m.ProducerVersion = ptr("narrow"), ptr("1") }},
		{"opset", func(m *graph.Model) { m.Opsets[""] = 21 }, func(m *pb.ModelProto) { m.OpsetImport[1].Version = ptr(int64(21)) }},
		{"new domain", func(m *graph.Model) { m.Opsets["com.microsoft"] = 1 }, func(m *pb.ModelProto) {
			m.OpsetImport = append(m.OpsetImport, &pb.OperatorSetIdProto{Domain: ptr("com.microsoft"), Version: ptr(int64(1))})
		}},
		{"metadata", func(m *graph.Model) { m.Metadata["n"] = "m"; delete(m.Metadata, "z") }, func(m *pb.ModelProto) {
			m.MetadataProps = []*pb.StringStringEntryProto{{Key: ptr("a"), Value: ptr("b")}, {Key: ptr("n"), Value: ptr("m")}}
		}},
		{"graph name", func(m *graph.Model) { m.Graph.Name = "q" }, func(m *pb.ModelProto) { m.Graph.Name = ptr("q") }},
		{"node removed", func(m *graph.Model) { m.Graph.Nodes = slices.Delete(m.Graph.Nodes, 1, 2) }, func(m *pb.ModelProto) { m.Graph.Node = slices.Delete(m.Graph.Node, 1, 2) }},
		{"node added", func(m *graph.Model) {
			m.Graph.Nodes = append(m.Graph.Nodes, &graph.Node{Name: "q", OpType: "Relu", Inputs: []string{"y"}, Outputs: []string{"y2"}, Attrs: []*graph.Attr{{Name: "a", Kind: graph.AttrInts, Ints: []int64{}}}})
		}, func(m *pb.ModelProto) {
			m.Graph.Node = append(m.Graph.Node, &pb.NodeProto{Name: ptr("q"), OpType: ptr("Relu"), Input: []string{"y"}, Output: []string{"y2"}, Attribute: []*pb.AttributeProto{{Name: ptr("a"), Type: pb.AttributeProto_INTS.Enum()}}})
		}},
		{"node changed", func(m *graph.Model) {
			n := m.Graph.Nodes[0]
			n.Name, n.OpType, n.Domain, n.Inputs[0], n.Metadata["a"] = "new", "ConvX", "d", "c", "B"
		}, func(m *pb.ModelProto) {
			n := m.Graph.Node[0]
			n.Name, n.OpType, n.Domain, n.Input[0], n.MetadataProps[1].Value = ptr("new"), ptr("ConvX"), ptr("d"), "c", ptr("B")
		}},
		{"attribute", func(m *graph.Model) {
			m.Graph.Nodes[0].Attrs[0] = &graph.Attr{Name: "i", Kind: graph.AttrFloats, Floats: []float32{1}}
		}, func(m *pb.ModelProto) {
			m.Graph.Node[0].Attribute[0] = &pb.AttributeProto{Name: ptr("i"), Type: pb.AttributeProto_FLOATS.Enum(), Floats: []float32{1}}
		}},
		{"attribute in place", func(m *graph.Model) { m.Graph.Nodes[0].Attrs[2].Float = 0.25 }, func(m *pb.ModelProto) { m.Graph.Node[0].Attribute[2].F = ptr(float32(0.25)) }},
		{"attribute with a doc string", func(m *graph.Model) { m.Graph.Nodes[0].Attrs[0].Int = 4 }, func(m *pb.ModelProto) {
			m.Graph.Node[0].Attribute[0] = &pb.AttributeProto{Name: ptr("i"), Type: pb.AttributeProto_INT.Enum(), I: ptr(int64(4)), DocString: ptr("an int")}
		}},
		{"rank forgotten", func(m *graph.Model) { m.Graph.Inputs[2].Shape = nil }, func(m *pb.ModelProto) { m.Graph.Input[2].Type.GetTensorType().Shape = nil }},
		{"inner graph", func(m *graph.Model) { m.Graph.Nodes[2].Attrs[1].Graph.Nodes[0].OpType = "Abs" }, func(m *pb.ModelProto) {
			g := proto.CloneOf(m.Graph.Node[2].Attribute[1].G)
			g.Node[0].OpType = ptr("Abs")
			m.Graph.Node[2].Attribute[1].G = g
		}},
		{"initializer replaced", func(m *graph.Model) { m.Graph.SetInitializer(graph.NewInts("w", []int64{1}, []int64{5})) }, func(m *pb.ModelProto) {
			m.Graph.Initializer[0] = &pb.TensorProto{Name: ptr("w"), Dims: []int64{1}, DataType: ptr(int32(7)), RawData: []byte{5, 0, 0, 0, 0, 0, 0, 0}}
		}},
		{"initializer's elements", func(m *graph.Model) {
			c := *m.Graph.Initializers[0]
			c.Raw = []byte{0, 0, 0, 0, 0, 0, 128, 63}
			m.Graph.SetInitializer(&c)
		}, func(m *pb.ModelProto) {
			m.Graph.Initializer[0].FloatData, m.Graph.Initializer[0].RawData = nil, []byte{0, 0, 0, 0, 0, 0, 128, 63}
		}},
		{"initializer renamed", func(m *graph.Model) {
			c := *m.Graph.Initializers[0]
			c.Name = "w2"
			m.Graph.Initializers[0] = &c
		}, func(m *pb.ModelProto) { m.Graph.Initializer[0].Name = ptr("w2") }},
		{"input's shape", func(m *graph.Model) {
			m.Graph.Inputs[0].Shape = []graph.Dim{{Size: 4}, {Size: 2}}
		}, func(m *pb.ModelProto) {
			tt := m.Graph.Input[0].Type.GetTensorType()
			m.Graph.Input[0].Type = &pb.TypeProto{Denotation: ptr("IMAGE"), Value: &pb.TypeProto_TensorType{TensorType: &pb.TypeProto_Tensor{ElemType: ptr(int32(1)), Shape: &pb.TensorShapeProto{Dim: []*pb.TensorShapeProto_Dimension{
				{Value: &pb.TensorShapeProto_Dimension_DimValue{DimValue: 4}}, tt.Shape.Dim[1]}}}}}
		}},
		{"value removed", func(m *graph.Model) { delete(m.Graph.Values, "h") }, func(m *pb.ModelProto) {
			m.Graph.ValueInfo = []*pb.ValueInfoProto{m.Graph.ValueInfo[1], m.Graph.ValueInfo[3]}
		}},
		{"value added", func(m *graph.Model) { m.Graph.Values["k"] = &graph.Value{Name: "k", Type: graph.Int8} }, func(m *pb.ModelProto) {
			m.Graph.ValueInfo = append(m.Graph.ValueInfo, &pb.ValueInfoProto{Name: ptr("k"), Type: &pb.TypeProto{Value: &pb.TypeProto_TensorType{TensorType: &pb.TypeProto_Tensor{ElemType: ptr(int32(3))}}}})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, want := mustDecode(t, full()), full()
			c.graph(m)
			c.msg(want)
			if got := reencode(t, m); !proto.Equal(got, want) {
				t.Errorf("got\n%v\nwant\n%v", got, want)
			}
		})
	}
}

func TestDecoded(t *testing.T) {
	m := mustDecode(t, full())
	g := m.Graph
	if m.Opsets[""] != 17 || m.Metadata["z"] != "y" || m.Producer != "pytorch" || m.IRVersion != 3 {
		t.Errorf("model: %+v", m)
	}
	if w, err := g.Initializer("w").Floats(); err != nil || w[1] != -2 {
		t.Errorf("w = %v, %v", w, err)
	}
	if !slices.Equal(g.Inputs[0].Shape, []graph.Dim{{Size: -1, Param: "N"}, {Size: 2}}) {
		t.Errorf("x: %+v", g.Inputs[0])
	}
	if h := g.Values["h"]; len(h.Shape) != 2 {
		t.Errorf("of a value told twice the first counts: %+v", h)
	}
	if n := g.Nodes[0]; n.Domain != "" || n.Int("i", 0) != 3 || n.Attr("old").Kind != graph.AttrInts || n.Attr("zero").Kind != graph.AttrInt {
		t.Errorf("node: %+v", n)
	}
	if k := graph.NewIndex(g).Constant["k"]; k == nil || !bytes.Equal(k.Raw, []byte{0, 0x3c}) {
		t.Errorf("k: %+v", k)
	}
}

func TestUnsortedIsSorted(t *testing.T) {
	src := full()
	slices.Reverse(src.Graph.Node)
	m := mustDecode(t, src)
	made := map[string]bool{"x": true, "w": true, "c": true, "sp": true, "": true}
	for _, n := range m.Graph.Nodes {
		for _, in := range graph.Reads(n) {
			if !made[in] {
				t.Fatalf("%s is read before it is made", in)
			}
		}
		for _, o := range n.Outputs {
			made[o] = true
		}
	}
	if out := reencode(t, m); len(out.Graph.Node) != 4 || out.Graph.Node[3].GetName() == "n1" {
		t.Error("the order is not written")
	}
}

// TestTypedElements has each type in the field that the format gives it.
func TestTypedElements(t *testing.T) {
	for _, c := range []struct {
		typ  graph.DataType
		n    int64
		msg  *pb.TensorProto
		want []byte
	}{
		{graph.Float32, 1, &pb.TensorProto{FloatData: []float32{1}}, []byte{0, 0, 128, 63}},
		{graph.Float64, 1, &pb.TensorProto{DoubleData: []float64{1}}, []byte{0, 0, 0, 0, 0, 0, 0xf0, 0x3f}},
		{graph.Complex64, 1, &pb.TensorProto{FloatData: []float32{1, 0}}, []byte{0, 0, 128, 63, 0, 0, 0, 0}},
		{graph.Int64, 1, &pb.TensorProto{Int64Data: []int64{-2}}, []byte{0xfe, 255, 255, 255, 255, 255, 255, 255}},
		{graph.Uint64, 1, &pb.TensorProto{Uint64Data: []uint64{1 << 63}}, []byte{0, 0, 0, 0, 0, 0, 0, 128}},
		{graph.Uint32, 1, &pb.TensorProto{Uint64Data: []uint64{1 << 31}}, []byte{0, 0, 0, 128}},
		{graph.Int32, 1, &pb.TensorProto{Int32Data: []int32{-2}}, []byte{0xfe, 255, 255, 255}},
		{graph.Int16, 2, &pb.TensorProto{Int32Data: []int32{-2, 3}}, []byte{0xfe, 255, 3, 0}},
		{graph.Uint16, 1, &pb.TensorProto{Int32Data: []int32{65535}}, []byte{255, 255}},
		{graph.Float16, 1, &pb.TensorProto{Int32Data: []int32{15360}}, []byte{0, 0x3c}},
		{graph.BFloat16, 1, &pb.TensorProto{Int32Data: []int32{16256}}, []byte{0x80, 0x3f}},
		{graph.Int8, 2, &pb.TensorProto{Int32Data: []int32{-2, 3}}, []byte{0xfe, 3}},
		{graph.Uint8, 1, &pb.TensorProto{Int32Data: []int32{200}}, []byte{200}},
		{graph.Bool, 2, &pb.TensorProto{Int32Data: []int32{1, 0}}, []byte{1, 0}},
		{graph.Float8E4M3FN, 1, &pb.TensorProto{Int32Data: []int32{56}}, []byte{56}},
		{graph.Int4, 3, &pb.TensorProto{Int32Data: []int32{0x78, 0x01}}, []byte{0x78, 0x01}},
		{graph.Uint4, 2, &pb.TensorProto{Int32Data: []int32{0xf1}}, []byte{0xf1}},
		{graph.Uint2, 5, &pb.TensorProto{Int32Data: []int32{0xe4, 0x01}}, []byte{0xe4, 0x01}},
		{graph.Float32, 0, &pb.TensorProto{}, []byte{}},
	} {
		c.msg.Name, c.msg.DataType, c.msg.Dims = ptr("t"), ptr(int32(c.typ)), []int64{c.n}
		d := decoder{}
		got := d.tensor(c.msg)
		if d.err != nil || !bytes.Equal(got.Raw, c.want) {
			t.Errorf("%v: %x, %v, want %x", c.typ, got.Raw, d.err, c.want)
		}
		if encodeTensor(got) != c.msg {
			t.Errorf("%v: the unchanged tensor is written as another", c.typ)
		}
		c.msg.Dims = []int64{c.n + 4}
		if d.tensor(c.msg); d.err == nil {
			t.Errorf("%v: no error where elements are missing", c.typ)
		}
	}
}

func TestFromScratch(t *testing.T) {
	m := graphtext.MustParse(`<ir_version: 8, opset_import: ["": 13], producer_name: "narrow">
g (float[N, 2] x) => (float y)
<float[2] w = {1, 2}, int4[3] q = {1, 2, 3}, float[N, 2] h, int8[] r>
{
  [n] h = Mul <i = 0, f = 0.0, s = "", t = float[1] {0}, is = [1], fs = [1.5], ss = ["a"], g = sub (a) => (b) { b = Relu (a) }> (x, w) {"k": "v"}
  y = com.other.Op (h, , x)
}
`)
	data, err := Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	back, err := Decode(data, "")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := graphtext.Format(back), graphtext.Format(m); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
