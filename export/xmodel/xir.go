package xmodel

import "slices"

// Graph is a network of XIR operators, in the order of the file: an operator
// stands behind everything that it reads.
type Graph struct {
	Name string
	Ops  []*Op
}

// Op is one operator of XIR with the one tensor that it puts out.
type Op struct {
	// Name is unique in the graph, of letters, digits and underscores.
	Name string
	// Type is the operator's name in XIR, such as "conv2d".
	Type string
	// Attrs are sorted by name.
	Attrs []Attr
	// Args are all arguments that the operator's definition has, in its order,
	// those that nothing is given for too.
	Args []Arg
	// Dims is the shape of the result: [N,H,W,C] where the operator is one of
	// images.
	Dims []int64
	// ShapeInfo is what the result holds where that is a shape (stack), else nil.
	ShapeInfo []int32
}

// Arg is one argument of an operator: none, one or several operators.
type Arg struct {
	Name string
	Ops  []*Op
}

// Attr is an attribute. Value has one of the types that XIR's files know and
// that the definitions ask for: bool, int32, float32, string, []byte, []int32
// or []float32.
type Attr struct {
	Name  string
	Value any
}

// setAttr adds an attribute or replaces it.
func (o *Op) setAttr(name string, value any) {
	i, found := slices.BinarySearchFunc(o.Attrs, name, func(a Attr, name string) int {
		switch {
		case a.Name < name:
			return -1
		case a.Name > name:
			return 1
		}
		return 0
	})
	if found {
		o.Attrs[i].Value = value
		return
	}
	o.Attrs = slices.Insert(o.Attrs, i, Attr{name, value})
}

// Attr returns the value of an attribute, or nil.
func (o *Op) Attr(name string) any {
	for _, a := range o.Attrs {
		if a.Name == name {
			return a.Value
		}
	}
	return nil
}

// Arg returns the operators of an argument, nil where there are none.
func (o *Op) Arg(name string) []*Op {
	for _, a := range o.Args {
		if a.Name == name {
			return a.Ops
		}
	}
	return nil
}
