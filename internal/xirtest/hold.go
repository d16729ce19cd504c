package xirtest

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"narrow/export/xmodel"
)

// Held is how a file computed from its definitions agrees with a deploy-check dump
// of the quantized network.
type Held struct {
	// Values are the operators' results.
	Values map[string][]float64
	// Fixes is how many fix operators the dump has, Integers how many elements.
	Fixes, Integers int
	// Wrong are the operators that differ, in the file's order.
	Wrong []string
}

// Hold runs g on the inputs that the dump of file f holds, and compares every
// operator that the dump has: integers must be equal, floats to 1e-5.
func Hold(g *xmodel.Graph, f *xmodel.File, dump map[string][]byte) (*Held, error) {
	inputs := map[string][]float32{}
	for _, p := range f.Inputs {
		name := strings.TrimSuffix(p.Op, "_fix")
		inputs[name] = Floats(dump[name+".bin"])
	}
	values, err := Run(g, inputs)
	if err != nil {
		return nil, err
	}
	h := &Held{Values: values}
	for _, o := range g.Ops {
		data, ok := dump[o.Name+".bin"]
		if !ok {
			continue
		}
		if o.Type == "fix" {
			got := FixInts(o, values[o.Name])
			h.Fixes++
			h.Integers += len(got)
			differ := 0
			for i, q := range Integers(data, int(o.Attr("bit_width").(int32)), len(got)) {
				if q != got[i] {
					differ++
				}
			}
			if differ > 0 {
				h.Wrong = append(h.Wrong, fmt.Sprintf("%s: %d of %d integers differ", o.Name, differ, len(got)))
			}
			continue
		}
		for i, x := range Floats(data) {
			if d := math.Abs(values[o.Name][i] - float64(x)); !(d <= 1e-5*math.Max(1, math.Abs(float64(x)))) {
				h.Wrong = append(h.Wrong, fmt.Sprintf("%s: element %d is %v, not %v", o.Name, i, values[o.Name][i], x))
				break
			}
		}
	}
	for _, p := range f.Outputs {
		if _, ok := dump[p.Op+".bin"]; !ok {
			h.Wrong = append(h.Wrong, fmt.Sprintf("the output %s is not in the dump", p.Op))
		}
	}
	return h, nil
}

// Floats reads the float32 of a dump's file.
func Floats(b []byte) []float32 {
	out := make([]float32, len(b)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return out
}

// Integers reads the n integers of a dump's file.
func Integers(b []byte, bits, n int) []int32 {
	var out []int32
	for i := range n {
		switch {
		case bits <= 4 && i%2 == 0:
			out = append(out, int32(int8(b[i/2])>>4))
		case bits <= 4:
			out = append(out, int32(int8(b[i/2]<<4)>>4))
		case bits <= 8:
			out = append(out, int32(int8(b[i])))
		default:
			out = append(out, int32(int16(binary.LittleEndian.Uint16(b[2*i:]))))
		}
	}
	return out
}
