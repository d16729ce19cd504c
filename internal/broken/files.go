package broken

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"narrow/graph"
	"narrow/graph/onnx"
)

// fileCases spoil the bytes of a model's file.
func fileCases(base string, whole []byte) []Case {
	out := []Case{}
	add := func(kind string, at int, data []byte) {
		c := Case{Base: base, Kind: kind, Files: map[string][]byte{ModelFile: data}}
		if at >= 0 {
			c.At = strconv.Itoa(at)
		}
		out = append(out, c)
	}
	// Cut between two fields a file is a shorter model; that is rare, and those
	// here are not.
	for _, percent := range []int{1, 10, 25, 50, 75, 90, 99} {
		add("cut-off-at-percent", percent, whole[:len(whole)*percent/100])
	}
	add("cut-off-by-one-byte", -1, whole[:len(whole)-1])
	add("first-byte-lost", -1, whole[1:])
	add("text-in-front", -1, append([]byte("HTTP/1.1 200 OK\r\n\r\n"), whole...))
	add("garbage-behind", -1, append(whole[:len(whole):len(whole)], 0xff, 0xff, 0xff))
	add("zeros", -1, make([]byte, len(whole)))
	add("no-bytes", -1, nil)
	return out
}

// externalCases spoil how a model tells where its weights are. The weight named
// first lies in weights.bin; the others are inside of the model.
func externalCases(b Base) ([]Case, error) {
	net := b.Net.Clone()
	t := net.Graph.Initializers[0]
	net.Graph.Initializers = net.Graph.Initializers[1:]
	rest, err := onnx.Encode(net)
	if err != nil {
		return nil, err
	}
	size := strconv.Itoa(len(t.Raw))
	const file = "weights.bin"
	data := append([]byte("some bytes that come first......"), t.Raw...)
	const offset = "32"
	// model is the network with the weight's place told by pairs of key and value.
	model := func(pairs ...string) []byte {
		return append(rest[:len(rest):len(rest)], externalTensor(t, pairs...)...)
	}
	at := func(location, offset, length string) []byte {
		return model("location", location, "offset", offset, "length", length)
	}
	var out []Case
	add := func(kind string, model, data []byte) *Case {
		files := map[string][]byte{ModelFile: model}
		if data != nil {
			files[file] = data
		}
		out = append(out, Case{Base: b.Name, Kind: kind, Names: []string{t.Name}, Files: files})
		return &out[len(out)-1]
	}
	add("ok-external", at(file, offset, size), data).Legal = true
	add("ok-external-without-length", model("location", file, "offset", offset), data).Legal = true
	add("ok-external-with-unknown-key", model("location", file, "offset", offset, "length", size, "checksum", "0"), data).Legal = true
	for i, location := range []string{"../weights.bin", "../../etc/passwd", "sub/../../weights.bin", "/etc/passwd", "./../weights.bin", ".."} {
		add("location-leads-out-"+strconv.Itoa(i+1), at(location, offset, size), data)
	}
	link := func(kind, target string) {
		c := add(kind, at("link.bin", offset, size), data)
		c.Links = map[string]string{"link.bin": target}
	}
	link("location-is-a-link-out", "/etc/passwd")
	link("location-is-a-link-up", "../weights.bin")
	link("location-is-a-link-to-itself", "link.bin")
	link("location-is-a-link-to-nothing", "gone.bin")
	c := add("location-below-a-link-out", at("etc/passwd", offset, size), data)
	c.Links = map[string]string{"etc": "/etc"}
	add("location-missing", model("offset", offset, "length", size), data)
	add("location-empty", at("", offset, size), data)
	add("location-is-the-folder", at(".", offset, size), data)
	add("location-with-zero-byte", at("weights\x00.bin", offset, size), data)
	add("file-missing", at(file, offset, size), nil)
	add("file-empty", at(file, offset, size), []byte{})
	add("file-cut-off", at(file, offset, size), data[:len(data)-1])
	add("offset-behind-the-end", at(file, "100000", size), data)
	add("offset-negative", at(file, "-1", size), data)
	add("offset-absurd", at(file, "9223372036854775807", size), data)
	add("offset-overflows", at(file, "99999999999999999999", size), data)
	add("offset-no-number", at(file, "here", size), data)
	add("length-too-short", at(file, offset, "8"), data)
	add("length-too-long", at(file, "0", "9999"), data)
	add("length-negative", at(file, offset, "-4"), data)
	add("length-no-number", at(file, offset, "all"), data)
	add("nothing-told", model(), data)
	huge := &graph.Tensor{Name: t.Name, Type: t.Type, Dims: []int64{1 << 20, 1 << 20}}
	out = append(out, Case{Base: b.Name, Kind: "shape-of-terabytes", Names: []string{t.Name}, Files: map[string][]byte{
		ModelFile: append(rest[:len(rest):len(rest)], externalTensor(huge, "location", file, "offset", "0", "length", fmt.Sprint(int64(4)<<40))...),
		file:      data,
	}})
	return out, nil
}

// externalTensor is a model's message with one initializer, which lies in
// another file. Appended to another model's bytes it adds the initializer:
// protobuf joins messages that are written one behind the other.
//
// The numbers are those of the fields in ONNX's definition (onnx.proto).
func externalTensor(t *graph.Tensor, pairs ...string) []byte {
	var tensor []byte
	for _, d := range t.Dims {
		tensor = number(tensor, 1, uint64(d)) // dims
	}
	tensor = number(tensor, 2, uint64(t.Type)) // data_type
	tensor = field(tensor, 8, []byte(t.Name))  // name
	for i := 0; i+1 < len(pairs); i += 2 {
		entry := field(nil, 1, []byte(pairs[i]))
		entry = field(entry, 2, []byte(pairs[i+1]))
		tensor = field(tensor, 13, entry) // external_data
	}
	tensor = number(tensor, 14, 1) // data_location: EXTERNAL
	return field(nil, 7, field(nil, 5, tensor))
}

// number appends a field that holds a number, field one that holds bytes.
func number(b []byte, num int, v uint64) []byte {
	b = binary.AppendUvarint(b, uint64(num)<<3)
	return binary.AppendUvarint(b, v)
}

func field(b []byte, num int, v []byte) []byte {
	b = binary.AppendUvarint(b, uint64(num)<<3|2)
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}
