package supervise

import (
	"encoding/binary"
	"os"
	"sync"
	"unicode/utf8"
)

// The record is a file in memory that parent and child share.
const (
	recordSize = 4096
	endAt      = 0 // 0, or 1 and the exit code
	stepAt     = 16
	nodeAt     = 1024
)

// Record is where the child notes what it is at. A nil Record takes notes of
// nobody: a process that is not supervised has one.
type Record struct {
	mu     sync.Mutex
	memory []byte // shared
	said   *os.File
	alive  *os.File
}

// Step notes what is being done now, and forgets the node.
func (r *Record) Step(what string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	put(r.memory[nodeAt:], "")
	put(r.memory[stepAt:nodeAt], what)
}

// Node notes the last node of a network that is known to have run. It is cheap
// enough to be called for every layer.
func (r *Record) Node(name string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	put(r.memory[nodeAt:], name)
}

// end notes that the child ends by itself.
func (r *Record) end(code int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	binary.LittleEndian.PutUint32(r.memory[endAt:], uint32(code)+1)
}

// put writes a text of known length; what does not fit is cut.
func put(at []byte, s string) {
	room := len(at) - 2
	if len(s) > room {
		for s = s[:room]; len(s) > 0 && !utf8.ValidString(s[max(0, len(s)-utf8.UTFMax):]); {
			s = s[:len(s)-1]
		}
	}
	copy(at[2:], s)
	binary.LittleEndian.PutUint16(at, uint16(len(s)))
}

func get(at []byte) string {
	n := int(binary.LittleEndian.Uint16(at))
	if n > len(at)-2 {
		return ""
	}
	return string(at[2 : 2+n])
}

// read returns what a child noted, and whether it ended by itself.
func read(b []byte) *End {
	code := binary.LittleEndian.Uint32(b[endAt:])
	return &End{Done: code > 0, Code: int(code) - 1, Step: get(b[stepAt:nodeAt]), Node: get(b[nodeAt:])}
}
