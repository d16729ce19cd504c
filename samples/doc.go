// Package samples turns folders of images, .npy and .npz arrays and IDX files
// into batches of tensors for a network.
//
// In comes a path, what the network's inputs look like, and how to preprocess.
// Out come batches in a fixed order, decoded and preprocessed in parallel and
// ahead of their use. The rule of the house: memory stays flat. No more than a
// few batches exist at a time, arrays are read by range, and no allocation is
// sized by a number that a file merely claims.
//
// Where something does not fit, the error is one line that names the file and
// the sample, says what was expected, and tells the way out.
//
// Images are decoded as PIL does it: JPEG chroma is interpolated as libjpeg
// does, resizing is PIL's antialiased bilinear to the bit, alpha is dropped,
// grey and CMYK become RGB. EXIF orientation is not applied, as PIL and
// torchvision do not apply it.
package samples

import "fmt"

// ElementType is the type of a tensor's elements, numbered as ONNX numbers it.
type ElementType int32

// The element types that inputs can have.
const (
	Float32 ElementType = 1
	Uint8   ElementType = 2
	Int8    ElementType = 3
	Uint16  ElementType = 4
	Int16   ElementType = 5
	Int32   ElementType = 6
	Int64   ElementType = 7
	Bool    ElementType = 9
	Float16 ElementType = 10
	Float64 ElementType = 11
	Uint32  ElementType = 12
	Uint64  ElementType = 13
)

// String returns the type's name as in numpy.
func (t ElementType) String() string {
	switch t {
	case Float32:
		return "float32"
	case Uint8:
		return "uint8"
	case Int8:
		return "int8"
	case Uint16:
		return "uint16"
	case Int16:
		return "int16"
	case Int32:
		return "int32"
	case Int64:
		return "int64"
	case Bool:
		return "bool"
	case Float16:
		return "float16"
	case Float64:
		return "float64"
	case Uint32:
		return "uint32"
	case Uint64:
		return "uint64"
	}
	return fmt.Sprintf("type %d", int32(t))
}

// size returns the bytes of one element, 0 for a type that is no input's.
func (t ElementType) size() int {
	switch t {
	case Uint8, Int8, Bool:
		return 1
	case Uint16, Int16, Float16:
		return 2
	case Float32, Int32, Uint32:
		return 4
	case Float64, Int64, Uint64:
		return 8
	}
	return 0
}

func (t ElementType) isFloat() bool { return t == Float32 || t == Float64 || t == Float16 }
func (t ElementType) isInt() bool {
	return t.size() > 0 && !t.isFloat() && t != Bool
}

// InputSpec says what one input of a network takes.
type InputSpec struct {
	Name string
	Type ElementType
	// Dims are the input's dimensions, the batch axis included, with -1 (or
	// any negative number) where the model leaves one open. Nil means that the
	// model does not even tell how many there are.
	Dims []int64
}

// Array is the value of one input for one batch, in C order.
type Array struct {
	Type  ElementType
	Shape []int64
	// Floats holds the elements when Type is Float32.
	Floats []float32
	// Raw holds the elements of every other type, little-endian.
	Raw []byte
}

// Batch is a run of consecutive samples.
type Batch struct {
	// First is the place of the first sample in the set.
	First int
	// Count is how many samples the batch holds. The last one may hold fewer
	// than the others, also where the network fixes the batch size.
	Count int
	// Names are the Count samples' names: a file below the folder, or the index
	// in the array.
	Names []string
	// Inputs holds an array for each input, by the input's name.
	Inputs map[string]Array

	free chan<- *Batch
}

// Release hands the batch's memory back for later batches, which will write
// into it. It is a favour, not a duty: a batch that is never released is
// collected as garbage.
func (b *Batch) Release() {
	if b == nil || b.free == nil {
		return
	}
	free := b.free
	b.free = nil
	select {
	case free <- b:
	default:
	}
}
