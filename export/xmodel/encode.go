package xmodel

import (
	"bufio"
	"fmt"
	"io"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"narrow/diag"
)

// Fields of XIR's messages (graph_proto_v2). Map entries hold their key in
// field 1 and their value in field 2.
const (
	graphName = 1
	graphOp   = 5
	graphRoot = 10

	opName = 1
	opType = 2
	opAttr = 3
	opArg  = 4
	opOut  = 5

	argName = 1
	argOp   = 2

	tensorName = 1
	tensorDim  = 2
	tensorType = 5
	tensorBits = 6
	tensorAttr = 10

	subgraphName = 1
	subgraphOp   = 3

	mapKey   = 1
	mapValue = 2

	valueBool   = 4
	valueInt32  = 5
	valueFloat  = 9
	valueString = 11
	valueBytes  = 12
	valueInts   = 14
	valueFloats = 18
)

// Every tensor of such a graph is of this type: XIR's FLOAT with 32 bits.
const (
	typeFloat = 4
	bitsFloat = 32
)

// maxFile is protobuf's limit for a message.
const maxFile = math.MaxInt32

// WriteTo writes g as an .xmodel file, operator after operator. The same graph
// gives the same bytes. XIR's own table of operators, which its library writes
// at the end and never reads, is left out.
func (g *Graph) WriteTo(w io.Writer) (int64, error) {
	if size := g.Size(); size > maxFile {
		return 0, diag.Errorf("the .xmodel file would have %d bytes: the format holds no more than %d", size, int64(maxFile))
	}
	e := &encoder{w: bufio.NewWriterSize(w, 1<<16)}
	e.field(graphName, g.Name)
	for _, o := range g.Ops {
		e.head(graphOp, o.size())
		o.encode(e)
	}
	root := g.root()
	e.head(graphRoot, len(root))
	e.raw(root)
	if e.err == nil {
		e.err = e.w.Flush()
	}
	return e.n, e.err
}

// Size returns how many bytes WriteTo writes.
func (g *Graph) Size() int64 {
	n := int64(sizeString(graphName, g.Name))
	for _, o := range g.Ops {
		n += int64(sizeMessage(graphOp, o.size()))
	}
	return n + int64(sizeMessage(graphRoot, len(g.root())))
}

// root is the subgraph that holds all operators.
func (g *Graph) root() []byte {
	b := appendString(nil, subgraphName, "root")
	for _, o := range g.Ops {
		b = appendString(b, subgraphOp, o.Name)
	}
	return b
}

// encoder writes what is appended to it and counts the bytes. The first error
// stays.
type encoder struct {
	w   *bufio.Writer
	n   int64
	err error
	buf []byte
}

func (e *encoder) raw(b []byte) {
	if e.err != nil {
		return
	}
	n, err := e.w.Write(b)
	e.n += int64(n)
	e.err = err
}

func (e *encoder) head(field protowire.Number, size int) {
	e.buf = protowire.AppendVarint(protowire.AppendTag(e.buf[:0], field, protowire.BytesType), uint64(size))
	e.raw(e.buf)
}

func (e *encoder) field(field protowire.Number, s string) {
	e.head(field, len(s))
	e.raw([]byte(s))
}

// encode writes the fields of an OPNode. Only the bytes of constants are
// large; they are passed on without a copy.
func (o *Op) encode(e *encoder) {
	e.field(opName, o.Name)
	e.field(opType, o.Type)
	for _, a := range o.Attrs {
		if data, ok := a.Value.([]byte); ok {
			inner := sizeMessage(1, len(data))
			value := sizeMessage(valueBytes, inner)
			e.head(opAttr, sizeString(mapKey, a.Name)+sizeMessage(mapValue, value))
			e.field(mapKey, a.Name)
			e.head(mapValue, value)
			e.head(valueBytes, inner)
			e.head(1, len(data))
			e.raw(data)
			continue
		}
		entry := appendEntry(nil, a.Name, a.Value)
		e.head(opAttr, len(entry))
		e.raw(entry)
	}
	e.raw(o.appendRest(nil))
}

// size returns the length of what encode writes.
func (o *Op) size() int {
	n := sizeString(opName, o.Name) + sizeString(opType, o.Type) + len(o.appendRest(nil))
	for _, a := range o.Attrs {
		size := 0
		if data, ok := a.Value.([]byte); ok {
			size = sizeString(mapKey, a.Name) + sizeMessage(mapValue, sizeMessage(valueBytes, sizeMessage(1, len(data))))
		} else {
			size = len(appendEntry(nil, a.Name, a.Value))
		}
		n += sizeMessage(opAttr, size)
	}
	return n
}

// appendRest appends the arguments and the output tensor.
func (o *Op) appendRest(b []byte) []byte {
	for _, a := range o.Args {
		arg := appendString(nil, argName, a.Name)
		for _, in := range a.Ops {
			arg = appendString(arg, argOp, in.Name)
		}
		b = appendMessage(b, opArg, arg)
	}
	t := appendString(nil, tensorName, o.Name)
	var dims []byte
	for _, d := range o.Dims {
		dims = protowire.AppendVarint(dims, uint64(d))
	}
	if len(dims) > 0 {
		t = appendMessage(t, tensorDim, dims)
	}
	t = appendVarint(t, tensorType, typeFloat)
	t = appendVarint(t, tensorBits, bitsFloat)
	if o.ShapeInfo != nil {
		t = appendMessage(t, tensorAttr, appendEntry(nil, "shape_info", o.ShapeInfo))
	}
	return appendMessage(b, opOut, t)
}

// appendEntry appends an entry of a map of attributes. A member of AttrValue's
// oneof is written for zeros and empty lists too: without it the attribute has
// no type.
func appendEntry(b []byte, name string, value any) []byte {
	var v []byte
	switch x := value.(type) {
	case bool:
		v = appendVarint(v, valueBool, protowire.EncodeBool(x))
	case int32:
		v = appendVarint(v, valueInt32, uint64(int64(x)))
	case float32:
		v = protowire.AppendFixed32(protowire.AppendTag(v, valueFloat, protowire.Fixed32Type), math.Float32bits(x))
	case string:
		v = appendString(v, valueString, x)
	case []int32:
		var list []byte
		for _, i := range x {
			list = protowire.AppendVarint(list, uint64(int64(i)))
		}
		v = appendMessage(v, valueInts, packed(list))
	case []float32:
		var list []byte
		for _, f := range x {
			list = protowire.AppendFixed32(list, math.Float32bits(f))
		}
		v = appendMessage(v, valueFloats, packed(list))
	default:
		panic(fmt.Sprintf("xmodel: attribute %s is of type %T", name, value))
	}
	return appendMessage(appendString(b, mapKey, name), mapValue, v)
}

// packed is field 1 of the messages that hold lists; an empty list has none.
func packed(list []byte) []byte {
	if len(list) == 0 {
		return nil
	}
	return appendMessage(nil, 1, list)
}

func appendVarint(b []byte, field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

func appendString(b []byte, field protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}

func appendMessage(b []byte, field protowire.Number, m []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), m)
}

func sizeString(field protowire.Number, s string) int { return sizeMessage(field, len(s)) }

func sizeMessage(field protowire.Number, size int) int {
	return protowire.SizeTag(field) + protowire.SizeBytes(size)
}
