package ort

import (
	"bytes"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"narrow/diag"
	"narrow/graph"
)

// The numbers of the ONNX format's fields that are looked at here.
const (
	modelGraph, modelOpset                                        = 7, 8
	graphNode                                                     = 1
	nodeInput, nodeOutput, nodeName, nodeOp, nodeAttr, nodeDomain = 1, 2, 3, 4, 5, 7
	attrName, attrI, attrType                                     = 1, 3, 20
	attrTypeInt                                                   = 2
	opsetDomain, opsetVersion                                     = 1, 2
)

var errEncoding = diag.Errorf("broken protobuf encoding")

// nchwc is the domain of ONNX Runtime's operators on blocks, and reorderOutput
// the one of them that leads out of blocks.
const nchwc, reorderOutput = "com.microsoft.nchwc", "ReorderOutput"

// withTaps turns the stand-ins in the bytes of an optimized model back into
// taps, with their second inputs, counts them, and tells which of them see
// channels in blocks. It works on the bytes, since ONNX Runtime writes more
// into optimized models than other readers take.
func withTaps(model []byte, taps []string, sides map[int]string) (out []byte, found int, blocked map[int]bool, err error) {
	seen := map[int]bool{}
	blocked = map[int]bool{}
	values := map[string]bool{} // those in blocks
	out, err = mapField(model, modelGraph, func(g []byte) ([]byte, error) {
		return mapField(g, graphNode, func(n []byte) ([]byte, error) {
			i, ok, err := standInOf(n)
			if err != nil {
				return n, err
			}
			in, outs, op, domain, err := edges(n)
			if err != nil {
				return n, err
			}
			inBlocks := domain == nchwc && op != reorderOutput || ok && len(in) == 1 && values[in[0]]
			for _, o := range outs {
				values[o] = inBlocks
			}
			if !ok {
				return n, nil
			}
			blocked[i] = inBlocks
			if i >= len(taps) || seen[i] {
				return nil, diag.Errorf("%w: stand-in %d is there twice", errNotBlocked, i)
			}
			seen[i] = true
			return tapNode(n, i, taps[i], sides[i])
		})
	})
	if err != nil {
		return nil, 0, nil, err
	}
	var opset []byte
	opset = protowire.AppendTag(opset, opsetDomain, protowire.BytesType)
	opset = protowire.AppendString(opset, graph.TapDomain)
	opset = protowire.AppendTag(opset, opsetVersion, protowire.VarintType)
	opset = protowire.AppendVarint(opset, 1)
	has := false
	_, err = mapField(model, modelOpset, func(o []byte) ([]byte, error) {
		has = has || bytes.Contains(o, []byte(graph.TapDomain))
		return o, nil
	})
	if !has {
		out = protowire.AppendTag(out, modelOpset, protowire.BytesType)
		out = protowire.AppendBytes(out, opset)
	}
	return out, len(seen), blocked, err
}

// edges returns what a node reads, what it puts out, and its operator.
func edges(node []byte) (in, out []string, op, domain string, err error) {
	err = eachField(node, func(num protowire.Number, _ protowire.Type, value, _ []byte) error {
		switch num {
		case nodeInput:
			in = append(in, string(value))
		case nodeOutput:
			out = append(out, string(value))
		case nodeOp:
			op = string(value)
		case nodeDomain:
			domain = string(value)
		}
		return nil
	})
	return in, out, op, domain, err
}

// standInOf returns the number of the tap that the node stands in for. A
// stand-in that no longer joins one tensor along axis 1 is an error.
func standInOf(node []byte) (tap int, ok bool, err error) {
	var op string
	inputs, axis := 0, int64(0)
	err = eachField(node, func(num protowire.Number, typ protowire.Type, value, _ []byte) error {
		switch num {
		case nodeName:
			if rest, is := bytes.CutPrefix(value, []byte(standIn)); is {
				tap, err = strconv.Atoi(string(rest))
				ok = err == nil && tap >= 0
			}
		case nodeOp:
			op = string(value)
		case nodeInput:
			inputs++
		case nodeAttr:
			return eachField(value, func(num protowire.Number, typ protowire.Type, _, raw []byte) error {
				if num == attrI && typ == protowire.VarintType {
					v, _ := protowire.ConsumeVarint(raw)
					axis = int64(v)
				}
				return nil
			})
		}
		return nil
	})
	if err == nil && ok && (op != "Concat" || inputs != 1 || axis != 1) {
		err = diag.Errorf("%w: stand-in %d became %s of %d along axis %d", errNotBlocked, tap, op, inputs, axis)
	}
	return tap, ok, err
}

// tapNode returns the node as a tap: its inputs and outputs under a new name,
// and side as a second input where it is not "".
func tapNode(node []byte, tap int, name, side string) ([]byte, error) {
	var out []byte
	err := eachField(node, func(num protowire.Number, _ protowire.Type, value, _ []byte) error {
		if num == nodeInput || num == nodeOutput {
			out = protowire.AppendTag(out, num, protowire.BytesType)
			out = protowire.AppendBytes(out, value)
		}
		return nil
	})
	if side != "" {
		out = protowire.AppendTag(out, nodeInput, protowire.BytesType)
		out = protowire.AppendString(out, side)
	}
	for num, s := range map[protowire.Number]string{nodeName: name, nodeOp: graph.TapOp, nodeDomain: graph.TapDomain} {
		out = protowire.AppendTag(out, num, protowire.BytesType)
		out = protowire.AppendString(out, s)
	}
	var attr []byte
	attr = protowire.AppendTag(attr, attrName, protowire.BytesType)
	attr = protowire.AppendString(attr, tapIndex)
	attr = protowire.AppendTag(attr, attrI, protowire.VarintType)
	attr = protowire.AppendVarint(attr, uint64(tap))
	attr = protowire.AppendTag(attr, attrType, protowire.VarintType)
	attr = protowire.AppendVarint(attr, attrTypeInt)
	out = protowire.AppendTag(out, nodeAttr, protowire.BytesType)
	return protowire.AppendBytes(out, attr), err
}

// mapField returns the message with every occurrence of the embedded message
// field num replaced by what f makes of it.
func mapField(msg []byte, num protowire.Number, f func([]byte) ([]byte, error)) ([]byte, error) {
	out := make([]byte, 0, len(msg))
	err := eachField(msg, func(n protowire.Number, typ protowire.Type, value, raw []byte) error {
		if n == num && typ == protowire.BytesType {
			changed, err := f(value)
			if err != nil {
				return err
			}
			out = protowire.AppendTag(out, n, typ)
			out = protowire.AppendBytes(out, changed)
			return nil
		}
		out = protowire.AppendTag(out, n, typ)
		out = append(out, raw...)
		return nil
	})
	return out, err
}

// eachField calls f for each field of a message: value is the content of a
// length-delimited field, raw the field as encoded after its tag.
func eachField(msg []byte, f func(num protowire.Number, typ protowire.Type, value, raw []byte) error) error {
	for len(msg) > 0 {
		num, typ, n := protowire.ConsumeTag(msg)
		if n < 0 {
			return errEncoding
		}
		msg = msg[n:]
		n = protowire.ConsumeFieldValue(num, typ, msg)
		if n < 0 {
			return errEncoding
		}
		var value []byte
		if typ == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(msg)
		}
		if err := f(num, typ, value, msg[:n]); err != nil {
			return err
		}
		msg = msg[n:]
	}
	return nil
}
