package export

import (
	"narrow/calibrate"
	"narrow/diag"
	"narrow/plan"
	"narrow/scheme"
)

// integerSize is the size of one of Integers in bytes.
func (ti *TensorInfo) integerSize() int {
	if ti.BitWidth <= 8 {
		return 1
	}
	return 2
}

// integers returns the weights that were chosen.
func (ti *TensorInfo) integers(t *plan.Tensor) (*calibrate.Integers, error) {
	if t.Constant == nil || ti.Datatype != scheme.Int || ti.BitWidth > 16 {
		return nil, diag.Errorf("integers are kept of weights of at most 16 bits only")
	}
	size, n := ti.integerSize(), t.Constant.Len()
	if len(ti.Integers) != n*size {
		return nil, diag.Errorf("its integers are %d bytes, not %d", len(ti.Integers), n*size)
	}
	e := ti.encoding()
	ints := calibrate.ReadIntegers(ti.Integers, size)
	for i := range n {
		if q := ints.At(i); q < e.Min || q > e.Max {
			return nil, diag.Errorf("its integer %d is not in [%d, %d]", q, e.Min, e.Max)
		}
	}
	return ints, nil
}
