package onnx

import (
	"strings"

	"google.golang.org/protobuf/proto"

	"narrow/diag"
	"narrow/graph"
	pb "narrow/graph/onnx/internal/onnxpb"
)

// Decode reads a model from the bytes of an .onnx file. Tensors that keep
// their elements in other files are read from below the folder dir; with dir
// "" such a tensor is an error. The model is checked ([Check]) and its nodes
// put into topological order where they were not.
//
// The model shares no memory with data.
func Decode(data []byte, dir string) (*graph.Model, error) {
	m, err := decode(data, dir)
	if err != nil {
		return nil, short(err)
	}
	return m, nil
}

// short keeps an error that names something to a line that can be read: names
// come from the file and may be of any length.
func short(err error) error {
	const most = 600
	if len(err.Error()) <= most {
		return err
	}
	return shortError{err, strings.ToValidUTF8(err.Error()[:most], "") + "..."}
}

type shortError struct {
	error
	text string
}

func (e shortError) Error() string { return e.text }
func (e shortError) Unwrap() error { return e.error }

func decode(data []byte, dir string) (*graph.Model, error) {
	if err := sniff(data); err != nil {
		return nil, err
	}
	if err := guard(data); err != nil {
		return nil, err
	}
	src := &pb.ModelProto{}
	if err := proto.Unmarshal(data, src); err != nil {
		return nil, diag.Errorf("not an ONNX model, or one that was cut off: its protobuf encoding is broken: copy or export it again")
	}
	if src.Graph == nil {
		return nil, diag.Errorf("not an ONNX model, or one that was cut off: it holds no graph: copy or export it again")
	}
	d := decoder{}
	m := d.model(src)
	if d.err != nil {
		return nil, d.err
	}
	if err := readExternal(d.external, dir); err != nil {
		return nil, err
	}
	if err := Check(m); err != nil {
		return nil, err
	}
	if err := m.Graph.Sort(); err != nil {
		return nil, err
	}
	return m, nil
}

// decoder turns messages into graph values. It remembers the first mistake,
// and the tensors whose elements are still to be read.
type decoder struct {
	err      error
	external []*graph.Tensor
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

func (d *decoder) model(src *pb.ModelProto) *graph.Model {
	return &graph.Model{
		Graph:           d.graph(src.Graph),
		Opsets:          opsets(src.OpsetImport),
		Metadata:        metadata(src.MetadataProps),
		Producer:        src.GetProducerName(),
		ProducerVersion: src.GetProducerVersion(),
		IRVersion:       src.GetIrVersion(),
		Source:          src,
	}
}

// domain maps the standard domain's long name to its short one.
func domain(s string) string {
	if s == "ai.onnx" {
		return ""
	}
	return s
}

func opsets(src []*pb.OperatorSetIdProto) map[string]int64 {
	m := make(map[string]int64, len(src))
	for _, o := range src {
		m[domain(o.GetDomain())] = o.GetVersion()
	}
	return m
}

func metadata(src []*pb.StringStringEntryProto) map[string]string {
	if len(src) == 0 {
		return nil
	}
	m := make(map[string]string, len(src))
	for _, e := range src {
		m[e.GetKey()] = e.GetValue()
	}
	return m
}

func (d *decoder) graph(src *pb.GraphProto) *graph.Graph {
	g := &graph.Graph{Name: src.GetName(), Source: src}
	if n := len(src.Node); n > 0 {
		g.Nodes = make([]*graph.Node, n)
	}
	for i, n := range src.Node {
		g.Nodes[i] = d.node(n)
	}
	for _, t := range src.Initializer {
		g.Initializers = append(g.Initializers, d.tensor(t))
	}
	for _, v := range src.Input {
		g.Inputs = append(g.Inputs, decodeValue(v))
	}
	for _, v := range src.Output {
		g.Outputs = append(g.Outputs, decodeValue(v))
	}
	if len(src.ValueInfo) > 0 {
		g.Values = make(map[string]*graph.Value, len(src.ValueInfo))
	}
	for _, v := range src.ValueInfo {
		if g.Values[v.GetName()] == nil {
			g.Values[v.GetName()] = decodeValue(v)
		}
	}
	return g
}

func (d *decoder) node(src *pb.NodeProto) *graph.Node {
	n := &graph.Node{
		Name:     src.GetName(),
		OpType:   src.GetOpType(),
		Domain:   domain(src.GetDomain()),
		Inputs:   append([]string(nil), src.Input...),
		Outputs:  append([]string(nil), src.Output...),
		Metadata: metadata(src.MetadataProps),
		Source:   src,
	}
	for _, a := range src.Attribute {
		n.Attrs = append(n.Attrs, d.attr(a))
	}
	return n
}

// attr decodes an attribute. Where it does not tell its type, as files before
// 2017's IR version 2 do, the field that is there tells.
func (d *decoder) attr(src *pb.AttributeProto) *graph.Attr {
	a := &graph.Attr{Name: src.GetName(), Kind: attrKind(src), Source: src}
	switch a.Kind {
	case graph.AttrInt:
		a.Int = src.GetI()
	case graph.AttrFloat:
		a.Float = src.GetF()
	case graph.AttrString:
		a.String = string(src.GetS())
	case graph.AttrTensor:
		a.Tensor = d.tensor(src.T)
	case graph.AttrGraph:
		a.Graph = d.graph(src.G)
	case graph.AttrInts:
		a.Ints = append([]int64(nil), src.Ints...)
	case graph.AttrFloats:
		a.Floats = append([]float32(nil), src.Floats...)
	case graph.AttrStrings:
		for _, s := range src.Strings {
			a.Strings = append(a.Strings, string(s))
		}
	}
	return a
}

func attrKind(src *pb.AttributeProto) graph.AttrKind {
	if src.GetRefAttrName() != "" {
		return graph.AttrOther
	}
	switch src.GetType() {
	case pb.AttributeProto_INT:
		return graph.AttrInt
	case pb.AttributeProto_FLOAT:
		return graph.AttrFloat
	case pb.AttributeProto_STRING:
		return graph.AttrString
	case pb.AttributeProto_TENSOR:
		if src.T != nil {
			return graph.AttrTensor
		}
	case pb.AttributeProto_GRAPH:
		if src.G != nil {
			return graph.AttrGraph
		}
	case pb.AttributeProto_INTS:
		return graph.AttrInts
	case pb.AttributeProto_FLOATS:
		return graph.AttrFloats
	case pb.AttributeProto_STRINGS:
		return graph.AttrStrings
	case pb.AttributeProto_UNDEFINED:
		switch {
		case src.I != nil:
			return graph.AttrInt
		case src.F != nil:
			return graph.AttrFloat
		case src.S != nil:
			return graph.AttrString
		case src.T != nil:
			return graph.AttrTensor
		case src.G != nil:
			return graph.AttrGraph
		case len(src.Ints) > 0:
			return graph.AttrInts
		case len(src.Floats) > 0:
			return graph.AttrFloats
		case len(src.Strings) > 0:
			return graph.AttrStrings
		}
	}
	return graph.AttrOther
}

func decodeValue(src *pb.ValueInfoProto) *graph.Value {
	v := &graph.Value{Name: src.GetName(), Source: src}
	t := src.GetType().GetTensorType()
	if t == nil {
		return v // a sequence, a map, ...: it stays in Source
	}
	v.Type = graph.DataType(t.GetElemType())
	if t.Shape != nil {
		v.Shape = make([]graph.Dim, len(t.Shape.Dim))
		for i, d := range t.Shape.Dim {
			v.Shape[i] = decodeDim(d)
		}
	}
	return v
}

func decodeDim(src *pb.TensorShapeProto_Dimension) graph.Dim {
	switch d := src.GetValue().(type) {
	case *pb.TensorShapeProto_Dimension_DimValue:
		// Some exporters write -1 where they mean unknown.
		return graph.Dim{Size: max(d.DimValue, -1)}
	case *pb.TensorShapeProto_Dimension_DimParam:
		return graph.Dim{Size: -1, Param: d.DimParam}
	}
	return graph.Dim{Size: -1}
}
