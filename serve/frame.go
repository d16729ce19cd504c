package serve

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"unsafe"
)

// Protocol is the version of the protocol. It changes when a client of an older
// one could no longer be served.
const Protocol = "narrow.serve/1"

// A frame is
//
//	4 bytes   magic, "NRW1"
//	4 bytes   length of the header, little-endian
//	8 bytes   length of the arrays, little-endian
//	header    JSON, an object
//	arrays    the elements of the arrays that the header lists, one behind the other
const (
	magic      = "NRW1"
	prefixSize = 16
	// maxHeader bounds the JSON of one frame.
	maxHeader = 64 << 20
)

// Array is an array in a frame: elements in C order, little-endian.
type Array struct {
	// Name is the network's input or output that it is for; it may be empty
	// where the method knows.
	Name string `json:"name,omitempty"`
	// Type is the type of the elements, as numpy calls it; bfloat16 too.
	Type string `json:"type"`
	// Shape is empty for a scalar.
	Shape []int64 `json:"shape"`
	// Data holds the elements, aligned to 8 bytes.
	Data []byte `json:"-"`
}

// elementSizes are the types that arrays can have.
func elementSizes() map[string]int {
	return map[string]int{
		"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2, "bool": 1,
		"int8": 1, "int16": 2, "int32": 4, "int64": 8, "uint8": 1, "uint16": 2, "uint32": 4, "uint64": 8,
	}
}

// size returns the bytes that the elements take.
func (a *Array) size() (uint64, error) {
	per, ok := elementSizes()[a.Type]
	if !ok {
		return 0, fmt.Errorf("array %q has elements of the type %q, which is none: give a type such as float32 or int64", a.Name, a.Type)
	}
	n := uint64(per)
	for _, d := range a.Shape {
		if d < 0 {
			return 0, fmt.Errorf("array %q has the shape %v: a dimension is negative", a.Name, a.Shape)
		}
		if d > 0 && n > math.MaxInt64/uint64(d) {
			return 0, fmt.Errorf("array %q has the shape %v: more elements than there can be", a.Name, a.Shape)
		}
		n *= uint64(d)
	}
	return n, nil
}

// alignedBytes returns n zero bytes at an address that suits every element type.
func alignedBytes(n uint64) []byte {
	if n == 0 {
		return []byte{}
	}
	words := make([]uint64, (n+7)/8)
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), len(words)*8)[:n]
}

// frame is a message that was read, its arrays still in the reader.
type frame struct {
	header  []byte
	payload uint64
}

// brokenError says that what was read is no frame: where the next one begins is
// not known.
type brokenError struct{ msg string }

func (e *brokenError) Error() string { return e.msg }

// readFrame reads a frame up to its header. The error is io.EOF where the stream
// ended between two frames.
func readFrame(r io.Reader) (*frame, error) {
	var prefix [prefixSize]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, &brokenError{"the stream ended within a frame"}
		}
		return nil, err
	}
	if string(prefix[:4]) != magic {
		return nil, &brokenError{fmt.Sprintf("a frame begins with %q, not with %q: the other side speaks another protocol than %s, or wrote something else into the pipe", prefix[:4], magic, Protocol)}
	}
	n := binary.LittleEndian.Uint32(prefix[4:])
	if n > maxHeader {
		return nil, &brokenError{fmt.Sprintf("a frame has a header of %d bytes; at most %d are taken", n, maxHeader)}
	}
	f := &frame{header: make([]byte, n), payload: binary.LittleEndian.Uint64(prefix[8:])}
	if _, err := io.ReadFull(r, f.header); err != nil {
		return nil, &brokenError{"the stream ended within a frame"}
	}
	return f, nil
}

// skip reads over the arrays of f.
func (f *frame) skip(r io.Reader) error {
	if f.payload > math.MaxInt64 {
		return &brokenError{fmt.Sprintf("a frame announces %d bytes of arrays", f.payload)}
	}
	if _, err := io.CopyN(io.Discard, r, int64(f.payload)); err != nil {
		return &brokenError{"the stream ended within a frame"}
	}
	f.payload = 0
	return nil
}

// check compares the arrays that the header lists with the bytes that follow.
func (f *frame) check(arrays []Array, limit uint64) error {
	sum := uint64(0)
	for i := range arrays {
		n, err := arrays[i].size()
		if err != nil {
			return err
		}
		if sum+n < sum || sum+n > math.MaxInt64 {
			return errors.New("the arrays have more bytes than there can be")
		}
		sum += n
	}
	if sum != f.payload {
		return fmt.Errorf("the arrays of the header have %d bytes, but %d follow it", sum, f.payload)
	}
	if sum > limit {
		return fmt.Errorf("the arrays have %d bytes; at most %d are taken in one frame: send smaller batches", sum, limit)
	}
	return nil
}

// readArrays fills the arrays' data, which check has passed, from r; memory
// comes from alloc.
func (f *frame) readArrays(r io.Reader, arrays []Array, alloc func(uint64) []byte) error {
	for i := range arrays {
		n, err := arrays[i].size()
		if err != nil {
			return err
		}
		arrays[i].Data = alloc(n)
		if _, err := io.ReadFull(r, arrays[i].Data); err != nil {
			return &brokenError{"the stream ended within a frame"}
		}
	}
	f.payload = 0
	return nil
}

// WriteFrame writes a frame: header as JSON, which must be an object and list
// the arrays itself, and the arrays' data.
func WriteFrame(w io.Writer, header any, arrays []Array) error {
	text, err := json.Marshal(header)
	if err != nil {
		return fmt.Errorf("writing a frame: %w", err)
	}
	total := uint64(0)
	for _, a := range arrays {
		total += uint64(len(a.Data))
	}
	head := make([]byte, prefixSize, prefixSize+len(text))
	copy(head, magic)
	binary.LittleEndian.PutUint32(head[4:], uint32(len(text)))
	binary.LittleEndian.PutUint64(head[8:], total)
	if _, err := w.Write(append(head, text...)); err != nil {
		return fmt.Errorf("writing a frame: %w", err)
	}
	for _, a := range arrays {
		if _, err := w.Write(a.Data); err != nil {
			return fmt.Errorf("writing a frame: %w", err)
		}
	}
	return nil
}

// ReadFrame reads a frame as a client does: the header, and the arrays with
// their data.
func ReadFrame(r io.Reader) (header json.RawMessage, arrays []Array, err error) {
	f, err := readFrame(r)
	if err != nil {
		return nil, nil, err
	}
	var list struct {
		Arrays []Array `json:"arrays"`
	}
	if err := json.Unmarshal(f.header, &list); err != nil {
		return nil, nil, fmt.Errorf("reading a frame's header: %w", err)
	}
	if err := f.check(list.Arrays, math.MaxInt64); err != nil {
		return nil, nil, err
	}
	if err := f.readArrays(r, list.Arrays, alignedBytes); err != nil {
		return nil, nil, err
	}
	return f.header, list.Arrays, nil
}
