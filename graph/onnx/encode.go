package onnx

import (
	"maps"
	"math"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"narrow/diag"
	"narrow/graph"
	pb "narrow/graph/onnx/internal/onnxpb"
)

// maxMessage is the size that a protobuf message must stay below.
const maxMessage = math.MaxInt32

// Encode returns m as the bytes of an .onnx file with all tensors inside. The
// same model gives the same bytes. A model of 2 GB and more is an error: it
// needs external data, so [Save] it.
func Encode(m *graph.Model) ([]byte, error) {
	if err := complete(m); err != nil {
		return nil, err
	}
	msg := encodeModel(m)
	if n := proto.Size(msg); n >= maxMessage {
		return nil, diag.Errorf("the model takes %d MB and an ONNX file holds less than 2048: it needs external data", n>>20)
	}
	return marshal(msg)
}

// complete refuses a model with stand-ins for constants.
func complete(m *graph.Model) error {
	if n := len(m.Unknown); n > 0 {
		return diag.Errorf("%d constants that nodes make, such as %q, are not computed yet: an engine must compute them first", n, m.Unknown[0])
	}
	return nil
}

func marshal(msg proto.Message) ([]byte, error) {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(msg)
	if err != nil {
		return nil, diag.Errorf("encode the model: %w", err)
	}
	return data, nil
}

func ptr[T any](v T) *T { return &v }

// edit is a message that is copied when it is first changed.
type edit[T interface {
	comparable
	proto.Message
}] struct{ src, out T }

// w returns the copy to write into. The copy is shallow: replace its lists and
// messages, do not change them.
func (e *edit[T]) w() T {
	if e.out == e.src {
		src := e.src.ProtoReflect()
		out := src.New()
		src.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
			out.Set(fd, v)
			return true
		})
		out.SetUnknown(src.GetUnknown())
		e.out = out.Interface().(T)
	}
	return e.out
}

// newEdit starts from the message that a part came from, or an empty one.
func newEdit[T interface {
	comparable
	proto.Message
}](source any, empty T) edit[T] {
	if src, ok := source.(T); ok {
		return edit[T]{src, src}
	}
	return edit[T]{empty, empty}
}

func encodeModel(m *graph.Model) *pb.ModelProto {
	e := newEdit(m.Source, &pb.ModelProto{})
	if m.IRVersion != e.src.GetIrVersion() {
		e.w().IrVersion = ptr(m.IRVersion)
	}
	if m.Producer != e.src.GetProducerName() {
		e.w().ProducerName = ptr(m.Producer)
	}
	if m.ProducerVersion != e.src.GetProducerVersion() {
		e.w().ProducerVersion = ptr(m.ProducerVersion)
	}
	if !maps.Equal(m.Opsets, opsets(e.src.OpsetImport)) {
		e.w().OpsetImport = encodeOpsets(m.Opsets, e.src.OpsetImport)
	}
	if !maps.Equal(m.Metadata, metadata(e.src.MetadataProps)) {
		e.w().MetadataProps = encodeMetadata(m.Metadata, e.src.MetadataProps)
	}
	if g := encodeGraph(m.Graph); g != e.src.Graph {
		e.w().Graph = g
	}
	return e.out
}

// encodeOpsets keeps the order of the old list and puts new domains after it.
func encodeOpsets(m map[string]int64, old []*pb.OperatorSetIdProto) []*pb.OperatorSetIdProto {
	var out []*pb.OperatorSetIdProto
	seen := map[string]bool{}
	for _, o := range old {
		d := domain(o.GetDomain())
		v, ok := m[d]
		if !ok || seen[d] {
			continue
		}
		seen[d] = true
		e := edit[*pb.OperatorSetIdProto]{o, o}
		if v != o.GetVersion() {
			e.w().Version = ptr(v)
		}
		out = append(out, e.out)
	}
	for _, d := range slices.Sorted(maps.Keys(m)) {
		if !seen[d] {
			out = append(out, &pb.OperatorSetIdProto{Domain: ptr(d), Version: ptr(m[d])})
		}
	}
	return out
}

// encodeMetadata keeps the order of the old list and puts new keys after it.
func encodeMetadata(m map[string]string, old []*pb.StringStringEntryProto) []*pb.StringStringEntryProto {
	var out []*pb.StringStringEntryProto
	seen := map[string]bool{}
	for _, o := range old {
		v, ok := m[o.GetKey()]
		if !ok || seen[o.GetKey()] {
			continue
		}
		seen[o.GetKey()] = true
		e := edit[*pb.StringStringEntryProto]{o, o}
		if v != o.GetValue() {
			e.w().Value = ptr(v)
		}
		out = append(out, e.out)
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if !seen[k] {
			out = append(out, &pb.StringStringEntryProto{Key: ptr(k), Value: ptr(m[k])})
		}
	}
	return out
}

func encodeGraph(g *graph.Graph) *pb.GraphProto {
	e := newEdit(g.Source, &pb.GraphProto{})
	if g.Name != e.src.GetName() {
		e.w().Name = ptr(g.Name)
	}
	if list, changed := encodeList(g.Nodes, e.src.Node, encodeNode); changed {
		e.w().Node = list
	}
	if list, changed := encodeList(g.Initializers, e.src.Initializer, encodeTensor); changed {
		e.w().Initializer = list
	}
	if list, changed := encodeList(g.Inputs, e.src.Input, encodeValue); changed {
		e.w().Input = list
	}
	if list, changed := encodeList(g.Outputs, e.src.Output, encodeValue); changed {
		e.w().Output = list
	}
	if list, changed := encodeList(orderedValues(g, e.src.ValueInfo), e.src.ValueInfo, encodeValue); changed {
		e.w().ValueInfo = list
	}
	return e.out
}

// encodeList encodes each part and reports whether the outcome differs from
// the old list.
func encodeList[P, T any](parts []*P, old []*T, encode func(*P) *T) ([]*T, bool) {
	out := make([]*T, len(parts))
	for i, p := range parts {
		out[i] = encode(p)
	}
	return out, !slices.Equal(out, old)
}

// orderedValues returns g.Values in the order of the file, new ones after it by
// name. A value that the file tells twice stays so while it is unchanged.
func orderedValues(g *graph.Graph, old []*pb.ValueInfoProto) []*graph.Value {
	out := make([]*graph.Value, 0, len(g.Values))
	seen := make(map[string]bool, len(g.Values))
	for _, o := range old {
		v := g.Values[o.GetName()]
		if v == nil {
			continue
		}
		if seen[o.GetName()] {
			if encodeValue(v) == v.Source {
				out = append(out, decodeValue(o))
			}
			continue
		}
		seen[o.GetName()] = true
		out = append(out, v)
	}
	for _, name := range slices.Sorted(maps.Keys(g.Values)) {
		if !seen[name] {
			out = append(out, g.Values[name])
		}
	}
	return out
}

func encodeNode(n *graph.Node) *pb.NodeProto {
	e := newEdit(n.Source, &pb.NodeProto{})
	if n.Name != e.src.GetName() {
		e.w().Name = ptr(n.Name)
	}
	if n.OpType != e.src.GetOpType() {
		e.w().OpType = ptr(n.OpType)
	}
	if n.Domain != domain(e.src.GetDomain()) {
		e.w().Domain = ptr(n.Domain)
	}
	if !slices.Equal(n.Inputs, e.src.Input) {
		e.w().Input = n.Inputs
	}
	if !slices.Equal(n.Outputs, e.src.Output) {
		e.w().Output = n.Outputs
	}
	if list, changed := encodeList(n.Attrs, e.src.Attribute, encodeAttr); changed {
		e.w().Attribute = list
	}
	if !maps.Equal(n.Metadata, metadata(e.src.MetadataProps)) {
		e.w().MetadataProps = encodeMetadata(n.Metadata, e.src.MetadataProps)
	}
	return e.out
}

// encodeAttr writes the field that a.Kind names and drops the others when it
// differs from the source.
func encodeAttr(a *graph.Attr) *pb.AttributeProto {
	e := newEdit(a.Source, &pb.AttributeProto{})
	if a.Name != e.src.GetName() {
		e.w().Name = ptr(a.Name)
	}
	if a.Kind == graph.AttrOther {
		return e.out
	}
	same := e.out != nil && attrKind(e.src) == a.Kind
	out := &pb.AttributeProto{}
	switch a.Kind {
	case graph.AttrInt:
		out.Type, out.I = pb.AttributeProto_INT.Enum(), ptr(a.Int)
		same = same && e.src.GetI() == a.Int
	case graph.AttrFloat:
		out.Type, out.F = pb.AttributeProto_FLOAT.Enum(), ptr(a.Float)
		same = same && math.Float32bits(e.src.GetF()) == math.Float32bits(a.Float)
	case graph.AttrString:
		out.Type, out.S = pb.AttributeProto_STRING.Enum(), []byte(a.String)
		same = same && string(e.src.GetS()) == a.String
	case graph.AttrTensor:
		out.Type, out.T = pb.AttributeProto_TENSOR.Enum(), encodeTensor(a.Tensor)
		same = same && e.src.T == out.T
	case graph.AttrGraph:
		out.Type, out.G = pb.AttributeProto_GRAPH.Enum(), encodeGraph(a.Graph)
		same = same && e.src.G == out.G
	case graph.AttrInts:
		out.Type, out.Ints = pb.AttributeProto_INTS.Enum(), a.Ints
		same = same && slices.Equal(e.src.Ints, a.Ints)
	case graph.AttrFloats:
		out.Type, out.Floats = pb.AttributeProto_FLOATS.Enum(), a.Floats
		same = same && slices.EqualFunc(e.src.Floats, a.Floats, func(x, y float32) bool {
			return math.Float32bits(x) == math.Float32bits(y)
		})
	case graph.AttrStrings:
		out.Type = pb.AttributeProto_STRINGS.Enum()
		for _, s := range a.Strings {
			out.Strings = append(out.Strings, []byte(s))
		}
		same = same && slices.EqualFunc(e.src.Strings, a.Strings, func(x []byte, y string) bool { return string(x) == y })
	}
	if same {
		return e.out
	}
	out.Name = ptr(a.Name)
	out.DocString = e.src.DocString
	return out
}

func encodeValue(v *graph.Value) *pb.ValueInfoProto {
	e := newEdit(v.Source, &pb.ValueInfoProto{})
	if v.Name != e.src.GetName() {
		e.w().Name = ptr(v.Name)
	}
	was := decodeValue(e.src)
	if v.Type == was.Type && slices.Equal(v.Shape, was.Shape) && (v.Shape == nil) == (was.Shape == nil) {
		return e.out
	}
	old := e.src.GetType().GetTensorType()
	t := &pb.TypeProto_Tensor{ElemType: ptr(int32(v.Type))}
	if v.Shape != nil {
		t.Shape = &pb.TensorShapeProto{}
		for i, d := range v.Shape {
			t.Shape.Dim = append(t.Shape.Dim, encodeDim(d, old.GetShape().GetDim(), i))
		}
	}
	typ := &pb.TypeProto{Value: &pb.TypeProto_TensorType{TensorType: t}}
	if was := e.src.GetType(); was != nil {
		typ.Denotation = was.Denotation
	}
	e.w().Type = typ
	return e.out
}

// encodeDim keeps the old dimension i where it says the same.
func encodeDim(d graph.Dim, old []*pb.TensorShapeProto_Dimension, i int) *pb.TensorShapeProto_Dimension {
	if i < len(old) && decodeDim(old[i]) == d {
		return old[i]
	}
	out := &pb.TensorShapeProto_Dimension{}
	switch {
	case d.Size >= 0:
		out.Value = &pb.TensorShapeProto_Dimension_DimValue{DimValue: d.Size}
	case d.Param != "":
		out.Value = &pb.TensorShapeProto_Dimension_DimParam{DimParam: d.Param}
	}
	return out
}
