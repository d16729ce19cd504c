package samples

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"narrow/diag"
	"narrow/graph"
)

const (
	npyMagic = "\x93NUMPY"
	// maxHeader bounds the text of an .npy header; numpy itself refuses more
	// than 10,000 bytes by default.
	maxHeader = 1 << 16
	maxRank   = 32
)

// header describes an array in a file.
type header struct {
	typ     graph.DataType
	big     bool // big-endian elements
	fortran bool // first index fastest
	shape   []int64
	offset  int64 // of the first element
}

// elements returns the number of elements, and false where it (or the number
// of bytes) does not fit an int64.
func (h *header) elements() (int64, bool) {
	n := uint64(1)
	for _, d := range h.shape {
		if d < 0 {
			return 0, false
		}
		hi, lo := bits.Mul64(n, uint64(d))
		if hi != 0 {
			return 0, false
		}
		n = lo
	}
	if n > math.MaxInt64/16 {
		return 0, false
	}
	return int64(n), true
}

// checkSize makes sure that the file holds all elements that the header tells.
func (h *header) checkSize(size int64) error {
	n, ok := h.elements()
	if !ok {
		return diag.Errorf("its header claims the impossible shape %s", shapeString(h.shape))
	}
	want := n * int64(sizeOf(h.typ))
	if size-h.offset < want {
		return diag.Errorf("it is cut short: shape %s of %s needs %d bytes after the header, and %d are there",
			shapeString(h.shape), h.typ, want, max(size-h.offset, 0))
	}
	return nil
}

// readNPYHeader reads the header of an .npy file, versions 1 to 3.
//
// Format: numpy.lib.format, as documented by numpy.
func readNPYHeader(r io.ReaderAt) (*header, error) {
	var pre [12]byte
	n, err := r.ReadAt(pre[:], 0)
	if n < 10 {
		return nil, diag.Errorf("not an .npy file: it is too short (%d bytes): %w", n, noEOF(err))
	}
	if string(pre[:6]) != npyMagic {
		return nil, diag.Errorf("not an .npy file: it does not begin with \\x93NUMPY")
	}
	var length, start int64
	switch pre[6] {
	case 1:
		length, start = int64(binary.LittleEndian.Uint16(pre[8:])), 10
	case 2, 3:
		if n < 12 {
			return nil, diag.Errorf("corrupt .npy header: it is cut short")
		}
		length, start = int64(binary.LittleEndian.Uint32(pre[8:])), 12
	default:
		return nil, diag.Errorf(".npy format version %d.%d is not known (1.0 to 3.0 are)", pre[6], pre[7])
	}
	if length > maxHeader {
		return nil, diag.Errorf("corrupt .npy header: it claims to be %d bytes long", length)
	}
	text := make([]byte, length)
	if n, err := r.ReadAt(text, start); n < len(text) {
		return nil, diag.Errorf("corrupt .npy header: it is cut short after %d of %d bytes: %w", n, length, noEOF(err))
	}
	h, err := parseNPYDict(string(text))
	var other typeError
	switch {
	case errors.As(err, &other):
		return nil, err
	case err != nil:
		return nil, diag.Errorf("corrupt .npy header: %w", err)
	}
	h.offset = start + length
	return h, nil
}

// noEOF turns io.EOF into io.ErrUnexpectedEOF: where more was promised, the
// end is no ordinary one.
func noEOF(err error) error {
	if err == io.EOF || err == nil {
		return endError{}
	}
	return err
}

// cutShort is noEOF for readers that already tell an early end.
func cutShort(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return endError{}
	}
	return err
}

// endError is io.ErrUnexpectedEOF in words.
type endError struct{}

func (endError) Error() string { return "the file ends there" }
func (endError) Unwrap() error { return io.ErrUnexpectedEOF }

// parseNPYDict reads the Python literal {'descr': '<f4', 'fortran_order':
// False, 'shape': (3, 4), }.
func parseNPYDict(s string) (*header, error) {
	p := &literal{rest: s}
	h := &header{}
	seen := map[string]bool{}
	if err := p.expect("{"); err != nil {
		return nil, err
	}
	for !p.accept("}") {
		key, err := p.str()
		if err != nil {
			return nil, err
		}
		if seen[key] {
			return nil, diag.Errorf("%q is there twice", key)
		}
		seen[key] = true
		if err := p.expect(":"); err != nil {
			return nil, err
		}
		switch key {
		case "descr":
			if p.peek("[") {
				return nil, typeError{diag.Errorf("it holds records with named fields; save one plain array")}
			}
			descr, err := p.str()
			if err != nil {
				return nil, err
			}
			if h.typ, h.big, err = parseDescr(descr); err != nil {
				return nil, err
			}
		case "fortran_order":
			switch {
			case p.accept("True"):
				h.fortran = true
			case p.accept("False"):
			default:
				return nil, diag.Errorf("fortran_order is neither True nor False")
			}
		case "shape":
			if h.shape, err = p.tuple(); err != nil {
				return nil, err
			}
		default:
			return nil, diag.Errorf("unknown key %q", key)
		}
		if !p.accept(",") && !p.peek("}") {
			return nil, diag.Errorf("',' or '}' expected at %q", clip(p.rest))
		}
	}
	if strings.TrimSpace(p.rest) != "" {
		return nil, diag.Errorf("%q follows its end", clip(p.rest))
	}
	for _, key := range []string{"descr", "fortran_order", "shape"} {
		if !seen[key] {
			return nil, diag.Errorf("%q is missing", key)
		}
	}
	return h, nil
}

// typeError says that an array holds what no network takes: the file is as it should be.
type typeError struct{ error }

func (e typeError) Unwrap() error   { return e.error }
func (e typeError) Text() diag.Text { return diag.ErrorText(e.error) }

// parseDescr reads a numpy type string such as <f4; an error is a [typeError].
func parseDescr(d string) (t graph.DataType, big bool, err error) {
	name := d
	if name != "" {
		switch name[0] {
		case '>', '!':
			big = true
			fallthrough
		case '<', '|', '=':
			name = name[1:]
		}
	}
	switch name {
	case "f2":
		t = graph.Float16
	case "f4":
		t = graph.Float32
	case "f8":
		t = graph.Float64
	case "i1":
		t = graph.Int8
	case "i2":
		t = graph.Int16
	case "i4":
		t = graph.Int32
	case "i8":
		t = graph.Int64
	case "u1":
		t = graph.Uint8
	case "u2":
		t = graph.Uint16
	case "u4":
		t = graph.Uint32
	case "u8":
		t = graph.Uint64
	case "b1":
		t = graph.Bool
	default:
		what := diag.Textf("are no numbers that a network takes")
		switch {
		case strings.HasPrefix(name, "O"):
			return 0, false, typeError{diag.Errorf("its elements (numpy type %q) are pickled Python objects; save float32 or uint8, and samples of unlike shapes by np.savez(file, *samples) or as a folder of .npy files, one a sample", clip(d))}
		case strings.HasPrefix(name, "U"), strings.HasPrefix(name, "S"):
			what = diag.Textf("are strings")
		case strings.HasPrefix(name, "c"):
			what = diag.Textf("are complex")
		}
		return 0, false, typeError{diag.Errorf("its elements (numpy type %q) %s; save float32 or uint8", clip(d), what)}
	}
	return t, big && sizeOf(t) > 1, nil
}

// literal reads the few Python literals that .npy headers hold.
type literal struct{ rest string }

func (p *literal) space() { p.rest = strings.TrimLeft(p.rest, " \t\r\n\x00") }

func (p *literal) peek(tok string) bool {
	p.space()
	return strings.HasPrefix(p.rest, tok)
}

func (p *literal) accept(tok string) bool {
	if !p.peek(tok) {
		return false
	}
	p.rest = p.rest[len(tok):]
	return true
}

func (p *literal) expect(tok string) error {
	if !p.accept(tok) {
		return diag.Errorf("%q expected at %q", tok, clip(p.rest))
	}
	return nil
}

func (p *literal) str() (string, error) {
	for _, q := range []string{"'", `"`} {
		if p.accept(q) {
			body, rest, ok := strings.Cut(p.rest, q)
			if !ok {
				return "", diag.Errorf("a string does not end")
			}
			p.rest = rest
			return body, nil
		}
	}
	return "", diag.Errorf("a string expected at %q", clip(p.rest))
}

func (p *literal) tuple() ([]int64, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	dims := []int64{}
	for !p.accept(")") {
		p.space()
		n := 0
		for n < len(p.rest) && p.rest[n] >= '0' && p.rest[n] <= '9' {
			n++
		}
		d, err := strconv.ParseInt(p.rest[:n], 10, 64)
		if err != nil {
			return nil, diag.Errorf("a dimension expected at %q", clip(p.rest))
		}
		p.rest = p.rest[n:]
		p.accept("L") // Python 2 wrote long integers so
		if dims = append(dims, d); len(dims) > maxRank {
			return nil, diag.Errorf("more than %d dimensions", maxRank)
		}
		if !p.accept(",") && !p.peek(")") {
			return nil, diag.Errorf("',' or ')' expected at %q", clip(p.rest))
		}
	}
	return dims, nil
}

// clip shortens what a message quotes.
func clip(s string) string {
	if len(s) > 24 {
		return s[:24] + "..."
	}
	return s
}

// shapeString writes a shape as numpy does: (3,) and (2, 3), with ? for what
// is open.
func shapeString(dims []int64) string {
	parts := make([]string, len(dims))
	for i, d := range dims {
		if parts[i] = strconv.FormatInt(d, 10); d < 0 {
			parts[i] = "?"
		}
	}
	if len(parts) == 1 {
		return "(" + parts[0] + ",)"
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

// NPYWriter writes an .npy file (version 1.0, little-endian, C order) piece by
// piece.
type NPYWriter struct {
	w    io.Writer
	typ  graph.DataType
	left int64 // bytes
	buf  []byte
}

// NewNPYWriter writes the header of an array of the given type and shape to w
// and returns a writer for its elements. The error is w's, or tells of a type
// that numpy does not have or a shape that is impossible.
func NewNPYWriter(w io.Writer, t graph.DataType, shape []int64) (*NPYWriter, error) {
	descr := map[graph.DataType]string{
		graph.Float16: "<f2", graph.Float32: "<f4", graph.Float64: "<f8", graph.Int8: "|i1", graph.Int16: "<i2", graph.Int32: "<i4", graph.Int64: "<i8",
		graph.Uint8: "|u1", graph.Uint16: "<u2", graph.Uint32: "<u4", graph.Uint64: "<u8", graph.Bool: "|b1",
	}[t]
	if descr == "" {
		return nil, diag.Errorf("writing .npy: numpy has no %v", t)
	}
	h := &header{typ: t, shape: shape}
	n, ok := h.elements()
	if !ok || len(shape) > maxRank {
		return nil, diag.Errorf("writing .npy: impossible shape %s", shapeString(shape))
	}
	text := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr, shapeString(shape))
	// numpy aligns the elements to 64 bytes, and ends the header with a newline.
	pad := 63 - (10+len(text))%64
	text += strings.Repeat(" ", pad) + "\n"
	head := append([]byte(npyMagic), 1, 0)
	head = binary.LittleEndian.AppendUint16(head, uint16(len(text)))
	if _, err := w.Write(append(head, text...)); err != nil {
		return nil, diag.Errorf("writing .npy: %w", err)
	}
	return &NPYWriter{w: w, typ: t, left: n * int64(sizeOf(t))}, nil
}

// WriteFloats appends elements to a float32 array.
func (w *NPYWriter) WriteFloats(v []float32) error {
	if w.typ != graph.Float32 {
		return diag.Errorf("writing .npy: float32 elements for an array of %v", w.typ)
	}
	for chunk := range slices.Chunk(v, 1<<14) {
		w.buf = w.buf[:0]
		for _, x := range chunk {
			w.buf = binary.LittleEndian.AppendUint32(w.buf, math.Float32bits(x))
		}
		if err := w.WriteRaw(w.buf); err != nil {
			return err
		}
	}
	return nil
}

// WriteRaw appends little-endian elements.
func (w *NPYWriter) WriteRaw(b []byte) error {
	if int64(len(b)) > w.left {
		return diag.Errorf("writing .npy: %d bytes more than the shape holds", int64(len(b))-w.left)
	}
	w.left -= int64(len(b))
	if _, err := w.w.Write(b); err != nil {
		return diag.Errorf("writing .npy: %w", err)
	}
	return nil
}

// Close reports whether all elements that the shape promised were written. It
// does not close the writer below.
func (w *NPYWriter) Close() error {
	if w.left != 0 {
		return diag.Errorf("writing .npy: %d bytes fewer than the shape holds", w.left)
	}
	return nil
}
