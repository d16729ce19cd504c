package onnx

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "narrow/graph/onnx/internal/onnxpb"

	"narrow/diag"
)

// MemoryFactor is the most bytes that [Decode] allocates per byte of input,
// beyond a constant of [MemoryConstant].
const (
	MemoryFactor   = 128
	MemoryConstant = 4 << 20
)

// maxDepth is how deep messages may nest. A graph in a graph takes three
// levels; ONNX Runtime itself stops at 100.
const maxDepth = 300

// What a message costs as Go values, about: its own and package graph's.
const (
	bigMessage   = 640 // nodes, attributes, tensors, graphs
	smallMessage = 224
)

// guard refuses data that would blow up in memory before it does: a message
// may take two bytes in the file and hundreds as a Go value. It reads the
// wire format without allocating. Data that does not parse passes: the real
// decoder says it better.
func guard(data []byte) error {
	g := guardian{budget: MemoryConstant/2 + MemoryFactor/2*len(data)}
	return g.walk(data, (*pb.ModelProto)(nil).ProtoReflect().Descriptor(), 0)
}

type guardian struct{ budget int }

func (g *guardian) walk(b []byte, md protoreflect.MessageDescriptor, depth int) error {
	if depth > maxDepth {
		return diag.Errorf("graphs inside graphs are nested more than %d deep", maxDepth/3)
	}
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil
		}
		b = b[n:]
		if typ != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
				return nil
			}
			b = b[n:]
			continue
		}
		v, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return nil
		}
		b = b[n:]
		fd := md.Fields().ByNumber(num)
		if fd == nil || fd.Message() == nil {
			continue
		}
		switch fd.Message().Name() {
		case "NodeProto", "AttributeProto", "TensorProto", "GraphProto", "FunctionProto":
			g.budget -= bigMessage
		default:
			g.budget -= smallMessage
		}
		if g.budget < 0 {
			return diag.Errorf("not an ONNX model: it holds far more empty parts than a real one would")
		}
		if err := g.walk(v, fd.Message(), depth+1); err != nil {
			return err
		}
	}
	return nil
}
