package serve

import (
	"unsafe"

	"narrow"
	"narrow/diag"
	"narrow/engine"
	"narrow/graph"
	"narrow/samples"
)

// typeNames are numpy's names of ONNX's element types.
func typeNames() map[graph.DataType]string {
	return map[graph.DataType]string{
		graph.Float32: "float32", graph.Float64: "float64", graph.Float16: "float16", graph.BFloat16: "bfloat16", graph.Bool: "bool",
		graph.Int8: "int8", graph.Int16: "int16", graph.Int32: "int32", graph.Int64: "int64",
		graph.Uint8: "uint8", graph.Uint16: "uint16", graph.Uint32: "uint32", graph.Uint64: "uint64",
	}
}

func typeName(t graph.DataType) string {
	if n := typeNames()[t]; n != "" {
		return n
	}
	return t.String()
}

// dataType is typeName's inverse.
func dataType(name string) graph.DataType {
	for t, n := range typeNames() {
		if n == name {
			return t
		}
	}
	return graph.Undefined
}

// floats views bytes that are aligned as float32.
func floats(b []byte) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
}

// toTensor views an array as the engine's tensor.
func toTensor(a Array) engine.Tensor {
	t := engine.Tensor{Type: dataType(a.Type), Shape: a.Shape, Raw: a.Data}
	if t.Shape == nil {
		t.Shape = []int64{}
	}
	if t.Type == graph.Float32 {
		t.Floats, t.Raw = floats(a.Data), nil
	}
	return t
}

// fromTensor views the engine's tensor as an array.
func fromTensor(name string, t engine.Tensor) (Array, error) {
	a := Array{Name: name, Type: typeName(t.Type), Shape: t.Shape, Data: t.Raw}
	if a.Shape == nil {
		a.Shape = []int64{}
	}
	if t.Type == graph.Float32 {
		a.Data = unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(t.Floats))), 4*len(t.Floats))
	}
	if _, ok := elementSizes()[a.Type]; !ok {
		return a, diag.Errorf("output %q has elements of %v, which cannot be sent", name, t.Type)
	}
	return a, nil
}

// fromConstant views a constant of the graph as an array.
func fromConstant(name string, t *graph.Tensor) (Array, error) {
	a := Array{Name: name, Type: typeName(t.Type), Shape: t.Dims, Data: t.Raw}
	if a.Shape == nil {
		a.Shape = []int64{}
	}
	n, err := a.size()
	if err != nil {
		return a, err
	}
	if n != uint64(len(a.Data)) {
		return a, diag.Errorf("constant %q has %d bytes, not %d", name, len(a.Data), n)
	}
	return a, nil
}

// fixedBatch is how many samples a network takes at once, 0 for any number.
func fixedBatch(m *narrow.Model) int { return engine.FixedBatch(m.Graph) }

// batchOf reads the arrays of a request as one batch. Inputs that shared names
// have no axis for samples; count is how many samples there are, 0 to count them
// by the first axis of the others.
func batchOf(arrays []Array, inputs []samples.InputSpec, count int, shared []string) (*engine.Batch, error) {
	b := &engine.Batch{Count: count, Inputs: map[string]engine.Tensor{}, Shared: map[string]bool{}}
	for _, n := range shared {
		b.Shared[n] = true
	}
	for i, a := range arrays {
		if a.Name == "" && len(arrays) == 1 && len(inputs) == 1 {
			a.Name = inputs[0].Name
		}
		if _, twice := b.Inputs[a.Name]; twice {
			return nil, usagef("there are two arrays for the input %q", a.Name)
		}
		t := toTensor(arrays[i])
		b.Inputs[a.Name] = t
	}
	for _, spec := range inputs {
		t, ok := b.Inputs[spec.Name]
		switch {
		case !ok:
			return nil, usagef("there is no array for the input %q", spec.Name)
		case int32(t.Type) != int32(spec.Type):
			return nil, usagef("input %q takes %v, not %s", spec.Name, spec.Type, typeName(t.Type))
		case b.Shared[spec.Name]:
		case len(t.Shape) == 0:
			return nil, usagef("input %q is a scalar: it has no axis for samples", spec.Name)
		case b.Count == 0:
			b.Count = int(t.Shape[0])
		case int64(b.Count) != t.Shape[0]:
			return nil, usagef("input %q has %d samples along its first axis, not %d", spec.Name, t.Shape[0], b.Count)
		}
	}
	if len(arrays) > len(inputs) {
		return nil, usagef("there are %d arrays for %d inputs", len(arrays), len(inputs))
	}
	if b.Count < 1 {
		return nil, usagef("the batch has no samples")
	}
	return b, nil
}
