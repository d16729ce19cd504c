package samples

import (
	"io"

	"narrow/diag"
)

// pieces holds bytes that are written once and read anywhere. It grows by
// pieces: what is there already is neither copied nor held twice.
type pieces struct {
	list [][]byte
	size int64
}

// pieceSize is the size of all pieces but the last.
const pieceSize = 1 << 20

// Write appends to the bytes.
func (p *pieces) Write(b []byte) (int, error) {
	total := len(b)
	for len(b) > 0 {
		if at := int(p.size % pieceSize); at == 0 {
			room := pieceSize
			if len(p.list) == 0 { // there may not be more
				room = min(pieceSize, max(len(b), 32<<10))
			}
			p.list = append(p.list, make([]byte, 0, room))
		}
		last := len(p.list) - 1
		n := min(len(b), pieceSize-len(p.list[last]))
		p.list[last] = append(p.list[last], b[:n]...)
		p.size += int64(n)
		b = b[n:]
	}
	return total, nil
}

// ReadAt reads from any place.
func (p *pieces) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 {
		return 0, diag.Errorf("reading before the beginning")
	}
	n := 0
	for n < len(b) && off < p.size {
		k := copy(b[n:], p.list[off/pieceSize][off%pieceSize:])
		n += k
		off += int64(k)
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}
