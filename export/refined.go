package export

import (
	"encoding/binary"

	"narrow/diag"
	"narrow/internal/kernel"
	"narrow/plan"
	"narrow/scheme"
)

// setIntegers keeps refined weights as integers.
func (ti *TensorInfo) setIntegers(t *plan.Tensor, e scheme.Encoding, w []float32) {
	ints := make([]int64, len(w))
	kernel.QuantizeChannels(ints, w, kernel.NewLayout(t.Constant.Dims, e.Axis), affines(e, t.Settings.Settings.RoundMode))
	ti.Integers = make([]byte, 0, len(ints)*ti.integerSize())
	for _, q := range ints {
		if ti.integerSize() == 1 {
			ti.Integers = append(ti.Integers, byte(q))
		} else {
			ti.Integers = binary.LittleEndian.AppendUint16(ti.Integers, uint16(q))
		}
	}
}

// integerSize is the size of one of Integers in bytes.
func (ti *TensorInfo) integerSize() int {
	if ti.BitWidth <= 8 {
		return 1
	}
	return 2
}

// values is the reverse of setIntegers: the weights that the integers stand for.
func (ti *TensorInfo) values(t *plan.Tensor) ([]float32, error) {
	if t.Constant == nil || ti.Datatype != scheme.Int || ti.BitWidth > 16 {
		return nil, diag.Errorf("integers are kept of weights of at most 16 bits only")
	}
	size, n := ti.integerSize(), t.Constant.Len()
	if len(ti.Integers) != n*size {
		return nil, diag.Errorf("its integers are %d bytes, not %d", len(ti.Integers), n*size)
	}
	e := ti.encoding()
	l := kernel.NewLayout(t.Constant.Dims, e.Axis)
	as := affines(e, t.Settings.Settings.RoundMode)
	out, one := make([]float32, n), make([]float32, 1)
	for i := range out {
		q := int64(int8(ti.Integers[i*size]))
		if size == 2 {
			q = int64(int16(binary.LittleEndian.Uint16(ti.Integers[2*i:])))
		}
		if q < e.Min || q > e.Max {
			return nil, diag.Errorf("its integer %d is not in [%d, %d]", q, e.Min, e.Max)
		}
		kernel.Dequantize(one, []int64{q}, as[i/l.Inner%l.Channels])
		out[i] = one[0]
	}
	return out, nil
}
