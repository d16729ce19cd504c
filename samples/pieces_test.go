package samples

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
)

// TestPieces: bytes come back from any place, written in portions of any size.
func TestPieces(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 0))
	want := make([]byte, 3*pieceSize+12345)
	for i := range want {
		want[i] = byte(r.IntN(256))
	}
	var p pieces
	for at := 0; at < len(want); {
		n := min(1+r.IntN(90_000), len(want)-at)
		if m, err := p.Write(want[at : at+n]); m != n || err != nil {
			t.Fatal(m, err)
		}
		at += n
	}
	for range 200 {
		at := r.IntN(len(want))
		b := make([]byte, r.IntN(2*pieceSize))
		n, err := p.ReadAt(b, int64(at))
		if end := min(at+len(b), len(want)); n != end-at || !bytes.Equal(b[:n], want[at:end]) || (n < len(b)) != (err == io.EOF) {
			t.Fatalf("%d bytes at %d: %d, %v", len(b), at, n, err)
		}
	}
	held := 0
	for _, b := range p.list {
		held += cap(b)
	}
	if held > len(want)+2*pieceSize {
		t.Errorf("%d bytes are held for %d", held, len(want))
	}
}
