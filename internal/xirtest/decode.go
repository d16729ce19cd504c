// Package xirtest reads .xmodel files and computes what they say, for tests and
// for tools that check what narrow wrote.
//
// In goes a file; out come its operators (Decode), whether their shapes are those
// that XIR infers (Check), hashes that tell files of the same operators apart from
// others whatever the names and the order are (Hashes), and the values of every
// operator (Run). The product itself reads no .xmodel: nothing but tests and tools
// may import this package.
package xirtest

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"narrow/export/xmodel"
)

// fields calls f for each field of a message.
func fields(b []byte, f func(num protowire.Number, typ protowire.Type, v uint64, data []byte) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		var v uint64
		var data []byte
		switch typ {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
		case protowire.Fixed32Type:
			var x uint32
			x, n = protowire.ConsumeFixed32(b)
			v = uint64(x)
		case protowire.Fixed64Type:
			v, n = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			data, n = protowire.ConsumeBytes(b)
		default:
			return fmt.Errorf("field %d is of wire type %d", num, typ)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if err := f(num, typ, v, data); err != nil {
			return err
		}
	}
	return nil
}

// Decode reads a file. Operators of which another reads stand before it, or it
// is an error, as in AMD's reader.
func Decode(data []byte) (*xmodel.Graph, error) {
	g := &xmodel.Graph{}
	byName := map[string]*xmodel.Op{}
	err := fields(data, func(num protowire.Number, _ protowire.Type, _ uint64, data []byte) error {
		switch num {
		case 1:
			g.Name = string(data)
		case 5:
			o, err := decodeOp(data, byName)
			if err != nil {
				return err
			}
			if byName[o.Name] != nil {
				return fmt.Errorf("two operators are called %s", o.Name)
			}
			byName[o.Name] = o
			g.Ops = append(g.Ops, o)
		}
		return nil
	})
	return g, err
}

func decodeOp(data []byte, byName map[string]*xmodel.Op) (*xmodel.Op, error) {
	o := &xmodel.Op{}
	err := fields(data, func(num protowire.Number, _ protowire.Type, _ uint64, data []byte) error {
		switch num {
		case 1:
			o.Name = string(data)
		case 2:
			o.Type = string(data)
		case 3:
			a, err := decodeEntry(data)
			o.Attrs = append(o.Attrs, a)
			return err
		case 4:
			a := xmodel.Arg{}
			err := fields(data, func(num protowire.Number, _ protowire.Type, _ uint64, data []byte) error {
				switch num {
				case 1:
					a.Name = string(data)
				case 2:
					in := byName[string(data)]
					if in == nil {
						return fmt.Errorf("%s reads %s, which does not stand before it", o.Name, data)
					}
					a.Ops = append(a.Ops, in)
				}
				return nil
			})
			o.Args = append(o.Args, a)
			return err
		case 5:
			return decodeTensor(data, o)
		}
		return nil
	})
	return o, err
}

func decodeTensor(data []byte, o *xmodel.Op) error {
	typ, bits, name := uint64(0), uint64(0), ""
	err := fields(data, func(num protowire.Number, wire protowire.Type, v uint64, data []byte) error {
		switch num {
		case 1:
			name = string(data)
		case 2:
			if wire == protowire.VarintType {
				o.Dims = append(o.Dims, int64(v))
			}
			for len(data) > 0 {
				d, n := protowire.ConsumeVarint(data)
				if n < 0 {
					return protowire.ParseError(n)
				}
				o.Dims, data = append(o.Dims, int64(d)), data[n:]
			}
		case 5:
			typ = v
		case 6:
			bits = v
		case 10:
			a, err := decodeEntry(data)
			if err != nil {
				return err
			}
			if a.Name != "shape_info" {
				return fmt.Errorf("%s: tensor attribute %s", o.Name, a.Name)
			}
			o.ShapeInfo = a.Value.([]int32)
		}
		return nil
	})
	if err == nil && (typ != 4 || bits != 32 || name != o.Name) {
		err = fmt.Errorf("%s: its tensor is %s of type %d with %d bits", o.Name, name, typ, bits)
	}
	return err
}

// decodeEntry reads an entry of a map of attributes.
func decodeEntry(data []byte) (a xmodel.Attr, err error) {
	err = fields(data, func(num protowire.Number, _ protowire.Type, _ uint64, data []byte) error {
		if num == 1 {
			a.Name = string(data)
			return nil
		}
		return fields(data, func(num protowire.Number, _ protowire.Type, v uint64, data []byte) error {
			switch num {
			case 4:
				a.Value = v != 0
			case 5:
				a.Value = int32(v)
			case 9:
				a.Value = math.Float32frombits(uint32(v))
			case 11:
				a.Value = string(data)
			case 12:
				list := []byte{}
				err := fields(data, func(_ protowire.Number, _ protowire.Type, _ uint64, data []byte) error {
					list = data
					return nil
				})
				a.Value = list
				return err
			case 14:
				list := []int32{}
				err := fields(data, func(_ protowire.Number, _ protowire.Type, _ uint64, data []byte) error {
					for len(data) > 0 {
						x, n := protowire.ConsumeVarint(data)
						if n < 0 {
							return protowire.ParseError(n)
						}
						list, data = append(list, int32(x)), data[n:]
					}
					return nil
				})
				a.Value = list
				return err
			case 18:
				list := []float32{}
				err := fields(data, func(_ protowire.Number, _ protowire.Type, _ uint64, data []byte) error {
					for len(data) > 0 {
						x, n := protowire.ConsumeFixed32(data)
						if n < 0 {
							return protowire.ParseError(n)
						}
						list, data = append(list, math.Float32frombits(x)), data[n:]
					}
					return nil
				})
				a.Value = list
				return err
			default:
				return fmt.Errorf("attribute %s is of the kind %d", a.Name, num)
			}
			return nil
		})
	})
	if err == nil && a.Value == nil {
		err = fmt.Errorf("attribute %s has no value", a.Name)
	}
	return a, err
}
