package onnx

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"

	"narrow/diag"
	"narrow/graph"
	pb "narrow/graph/onnx/internal/onnxpb"
)

// source is where a tensor came from: the message, and the elements as they
// were then (shared: tensors are never written into).
type source struct {
	msg *pb.TensorProto
	raw []byte
}

func (d *decoder) tensor(src *pb.TensorProto) *graph.Tensor {
	t := &graph.Tensor{
		Name: src.GetName(),
		Type: graph.DataType(src.GetDataType()),
		Dims: append([]int64(nil), src.Dims...),
	}
	if src.GetDataLocation() == pb.TensorProto_EXTERNAL {
		t.Source = &source{msg: src}
		if _, err := byteSize(t); err != nil {
			d.fail(err)
		}
		d.external = append(d.external, t)
		return t
	}
	raw, err := elements(t, src)
	if err != nil {
		d.fail(err)
	}
	t.Raw = raw
	t.Source = &source{msg: src, raw: raw}
	return t
}

// count returns the number of elements that t's shape calls for.
func count(t *graph.Tensor) (int, error) {
	n := 1
	zero := false
	for _, d := range t.Dims {
		if d < 0 {
			return 0, diag.Errorf("tensor %q has the shape %v: a dimension is negative", t.Name, t.Dims)
		}
		zero = zero || d == 0
	}
	if zero {
		return 0, nil
	}
	for _, d := range t.Dims {
		if d > math.MaxInt/16/int64(n) {
			return 0, diag.Errorf("tensor %q has the shape %v: no machine holds that many elements", t.Name, t.Dims)
		}
		n *= int(d)
	}
	return n, nil
}

// byteSize returns how many bytes t's elements take, or -1 where their type
// has no fixed size.
func byteSize(t *graph.Tensor) (int, error) {
	n, err := count(t)
	if err != nil {
		return 0, err
	}
	size, err := t.Type.ByteSize(n)
	if err != nil {
		return -1, nil
	}
	return size, nil
}

// elements returns the elements of a message as little-endian bytes, from
// whichever of its fields holds them.
func elements(t *graph.Tensor, src *pb.TensorProto) ([]byte, error) {
	n, err := count(t)
	if err != nil {
		return nil, err
	}
	if src.Segment != nil {
		return nil, diag.Errorf("tensor %q is stored in segments, which no runtime reads", t.Name)
	}
	if t.Type == graph.String {
		if len(src.StringData) != n {
			return nil, diag.Errorf("tensor %q of shape %v holds %d strings, not %d", t.Name, t.Dims, len(src.StringData), n)
		}
		return nil, nil
	}
	if t.Type == graph.Undefined {
		return nil, diag.Errorf("tensor %q does not tell its data type", t.Name)
	}
	size, _ := byteSize(t)
	raw := src.RawData
	if raw == nil {
		raw = typedElements(t.Type, src)
	}
	if raw == nil {
		raw = []byte{}
	}
	if size >= 0 && len(raw) != size {
		return nil, diag.Errorf("tensor %q of type %v and shape %v holds %d bytes, not %d", t.Name, t.Type, t.Dims, len(raw), size)
	}
	return raw, nil
}

// typedElements converts the typed fields; each serves the types that the
// format's definition gives it.
func typedElements(t graph.DataType, src *pb.TensorProto) []byte {
	le := binary.LittleEndian
	var out []byte
	switch t {
	case graph.Float32, graph.Complex64:
		out = make([]byte, 0, 4*len(src.FloatData))
		for _, v := range src.FloatData {
			out = le.AppendUint32(out, math.Float32bits(v))
		}
	case graph.Float64, graph.Complex128:
		out = make([]byte, 0, 8*len(src.DoubleData))
		for _, v := range src.DoubleData {
			out = le.AppendUint64(out, math.Float64bits(v))
		}
	case graph.Int64:
		out = make([]byte, 0, 8*len(src.Int64Data))
		for _, v := range src.Int64Data {
			out = le.AppendUint64(out, uint64(v))
		}
	case graph.Uint64:
		out = make([]byte, 0, 8*len(src.Uint64Data))
		for _, v := range src.Uint64Data {
			out = le.AppendUint64(out, v)
		}
	case graph.Uint32:
		out = make([]byte, 0, 4*len(src.Uint64Data))
		for _, v := range src.Uint64Data {
			out = le.AppendUint32(out, uint32(v))
		}
	case graph.Int32:
		out = make([]byte, 0, 4*len(src.Int32Data))
		for _, v := range src.Int32Data {
			out = le.AppendUint32(out, uint32(v))
		}
	case graph.Int16, graph.Uint16, graph.Float16, graph.BFloat16:
		out = make([]byte, 0, 2*len(src.Int32Data))
		for _, v := range src.Int32Data {
			out = le.AppendUint16(out, uint16(v))
		}
	default: // one byte, or several elements packed into one
		out = make([]byte, 0, len(src.Int32Data))
		for _, v := range src.Int32Data {
			out = append(out, byte(v))
		}
	}
	return out
}

// encodeTensor returns t's message: the one it came from where t is unchanged.
func encodeTensor(t *graph.Tensor) *pb.TensorProto {
	src, _ := t.Source.(*source)
	if src == nil {
		out := &pb.TensorProto{Dims: t.Dims, DataType: ptr(int32(t.Type)), RawData: t.Raw}
		if t.Name != "" {
			out.Name = ptr(t.Name)
		}
		if out.RawData == nil {
			out.RawData = []byte{}
		}
		return out
	}
	e := edit[*pb.TensorProto]{src.msg, src.msg}
	if t.Name != src.msg.GetName() {
		e.w().Name = ptr(t.Name)
	}
	if int32(t.Type) != src.msg.GetDataType() {
		e.w().DataType = ptr(int32(t.Type))
	}
	if !slices.Equal(t.Dims, src.msg.Dims) {
		e.w().Dims = t.Dims
	}
	// Elements from another file move into the model; Save may move them out.
	external := src.msg.GetDataLocation() == pb.TensorProto_EXTERNAL
	if external || !bytes.Equal(t.Raw, src.raw) {
		clearData(e.w())
		e.w().RawData = t.Raw
	}
	return e.out
}

// clearData removes every field that holds elements or tells where they are.
func clearData(t *pb.TensorProto) {
	t.FloatData, t.Int32Data, t.Int64Data, t.DoubleData, t.Uint64Data, t.StringData = nil, nil, nil, nil, nil, nil
	t.RawData, t.ExternalData, t.DataLocation, t.Segment = nil, nil, nil, nil
}
