package serve

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

func frameOf(t testing.TB, header string, arrays ...[]byte) []byte {
	t.Helper()
	total := 0
	for _, a := range arrays {
		total += len(a)
	}
	b := make([]byte, prefixSize)
	copy(b, magic)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(header)))
	binary.LittleEndian.PutUint64(b[8:], uint64(total))
	b = append(b, header...)
	for _, a := range arrays {
		b = append(b, a...)
	}
	return b
}

func TestFrameRoundTrip(t *testing.T) {
	arrays := []Array{
		{Name: "x", Type: "float32", Shape: []int64{2, 3}, Data: alignedBytes(24)},
		{Name: "none", Type: "int64", Shape: []int64{0, 4}, Data: []byte{}},
		{Name: "scalar", Type: "bool", Shape: []int64{}, Data: []byte{1}},
	}
	for i := range arrays[0].Data {
		arrays[0].Data[i] = byte(i)
	}
	var b bytes.Buffer
	if err := WriteFrame(&b, map[string]any{"id": 7, "arrays": arrays}, arrays); err != nil {
		t.Fatal(err)
	}
	header, got, err := ReadFrame(&b)
	if err != nil {
		t.Fatal(err)
	}
	var h struct{ ID int }
	if err := json.Unmarshal(header, &h); err != nil || h.ID != 7 {
		t.Errorf("header %s: %v", header, err)
	}
	if len(got) != 3 || !bytes.Equal(got[0].Data, arrays[0].Data) || !slices.Equal(got[2].Data, []byte{1}) || len(got[1].Data) != 0 {
		t.Errorf("arrays %v", got)
	}
	if b.Len() != 0 {
		t.Errorf("%d bytes left", b.Len())
	}
}

func TestBrokenFrames(t *testing.T) {
	good := frameOf(t, `{"arrays":[{"name":"x","type":"float32","shape":[2]}]}`, make([]byte, 8))
	tests := []struct {
		name  string
		bytes []byte
		want  string
	}{
		{"no magic", append([]byte("HTTP"), good[4:]...), "another protocol"},
		{"cut in the prefix", good[:9], "ended within a frame"},
		{"cut in the header", good[:prefixSize+4], "ended within a frame"},
		{"cut in the arrays", good[:len(good)-1], "ended within a frame"},
		{"too few bytes", frameOf(t, `{"arrays":[{"name":"x","type":"float32","shape":[3]}]}`, make([]byte, 8)), "have 12 bytes, but 8 follow"},
		{"unknown type", frameOf(t, `{"arrays":[{"name":"x","type":"float31","shape":[2]}]}`, make([]byte, 8)), "float31"},
		{"negative", frameOf(t, `{"arrays":[{"name":"x","type":"int8","shape":[-8]}]}`, make([]byte, 8)), "negative"},
		{"overflow", frameOf(t, `{"arrays":[{"name":"x","type":"int64","shape":[4294967296,4294967296]}]}`), "more elements than there can be"},
		{"sum overflow", frameOf(t, `{"arrays":[{"type":"int8","shape":[9223372036854775807]},{"type":"int8","shape":[9223372036854775807]}]}`), "more bytes than there can be"},
		{"header too long", []byte("NRW1\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00"), "at most"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := ReadFrame(bytes.NewReader(tt.bytes))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v; want %q", err, tt.want)
			}
		})
	}
	if _, _, err := ReadFrame(bytes.NewReader(nil)); !errors.Is(err, io.EOF) {
		t.Errorf("an end between frames: %v", err)
	}
}

// FuzzServe holds that whatever comes in, the server ends without a panic, and
// that all it says are frames.
func FuzzServe(f *testing.F) {
	f.Add(frameOf(f, `{"id":1,"method":"hello"}`))
	f.Add(frameOf(f, `{"id":1,"method":"run","params":{"session":1},"arrays":[{"name":"x","type":"float32","shape":[1]}]}`, make([]byte, 4)))
	f.Add(append(frameOf(f, `{"cancel":1}`), frameOf(f, `{"id":2,"reply":1,"result":{}}`)...))
	f.Add(frameOf(f, `{"id":1,"method":"open","params":{"path":""}}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		var out bytes.Buffer
		if bytes.Contains(in, []byte("search")) || bytes.Contains(in, []byte("save")) || bytes.Contains(in, []byte("file")) {
			return // these write files
		}
		_ = New(bytes.NewReader(in), &out, Config{MaxFrame: 1 << 20}).Serve(t.Context())
		for out.Len() > 0 {
			if _, _, err := ReadFrame(&out); err != nil {
				t.Fatalf("the server wrote no frame: %v", err)
			}
		}
	})
}
