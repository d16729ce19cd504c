package samples

import "narrow/graph"

// sizeOf returns the bytes of one element, 0 for a type that is no input's.
func sizeOf(t graph.DataType) int {
	if !isFloat(t) && !isInt(t) && t != graph.Bool {
		return 0
	}
	return t.Bits() / 8
}

func isFloat(t graph.DataType) bool {
	return t == graph.Float32 || t == graph.Float64 || t == graph.Float16
}

func isInt(t graph.DataType) bool {
	switch t {
	case graph.Uint8, graph.Int8, graph.Uint16, graph.Int16, graph.Uint32, graph.Int32, graph.Uint64, graph.Int64:
		return true
	}
	return false
}

// InputSpec says what one input of a network takes.
type InputSpec struct {
	Name string
	Type graph.DataType
	// Dims are the input's dimensions, the batch axis included, with -1 (or
	// any negative number) where the model leaves one open. Nil means that the
	// model does not even tell how many there are.
	Dims []int64
	// Axis is the dimension that counts samples, where it is not the first: 1
	// for sequences with time in front (T,N,C). Such an input gets one sample at
	// a time.
	Axis int
	// Batch is the number of samples that the network takes at once although
	// Dims leaves it open, as where it is written into a Reshape; 0 for any.
	Batch int
}
