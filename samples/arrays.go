package samples

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"narrow/diag"
	"narrow/graph"
)

const (
	// inMemory is how many unpacked bytes of a compressed file are held in
	// memory; the rest goes to temporary files.
	inMemory = 256 << 20
	// A compressed file may unpack to freeRoom bytes, or to maxRatio times its
	// size where that is more. Arrays of samples shrink to a half or a tenth;
	// what shrinks to a thousandth is made to fill memory or disk.
	freeRoom = 1 << 30
	maxRatio = 200
	// maxFortran bounds the arrays that are rearranged in memory.
	maxFortran = 1 << 30
)

// arrayFile is one array on disk, read by range.
type arrayFile struct {
	header
	key   string // its name inside an .npz, else ""
	title string // what messages call it
	r     io.ReaderAt
}

// container is an open file with one or more arrays.
type container struct {
	path   string
	file   *os.File
	arrays []*arrayFile
	npz    bool
	seen   stamp
	clean  []func() error
	// memory and room are how many bytes may still be unpacked into memory, and
	// in all.
	memory, room int64
}

// newContainer is one of a file of so many bytes.
func newContainer(path string, size int64) *container {
	return &container{path: path, memory: inMemory, room: max(freeRoom, maxRatio*size)}
}

func (c *container) close() error {
	var errs []error
	for _, f := range c.clean {
		errs = append(errs, f())
	}
	c.clean = nil
	return errors.Join(errs...)
}

// stamp is what tells that a file is still the one that was opened.
type stamp struct {
	size  int64
	mtime int64
}

func stampOf(fi os.FileInfo) stamp { return stamp{fi.Size(), fi.ModTime().UnixNano()} }

// check reports whether the file at path is still the one seen.
func (s stamp) check(path string) error {
	fi, err := os.Stat(path)
	if err != nil {
		return diag.Errorf("%s vanished while it was in use: %w", path, bare(err))
	}
	if stampOf(fi) != s {
		return changed(path)
	}
	return nil
}

// changed is the error about a file that is not what it was.
func changed(path any) error {
	return diag.Errorf("%s changed while it was in use: run again once nothing writes to it", path)
}

// bare drops the operation and path from an error of package os, so that a
// message that names the file already does not name it twice.
func bare(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// isContainer reports whether b, the first bytes of a file, are those of an
// array file of a known format.
func isContainer(b []byte) bool {
	return bytes.HasPrefix(b, []byte(npyMagic)) || bytes.HasPrefix(b, []byte("PK\x03\x04")) || bytes.HasPrefix(b, []byte("PK\x05\x06")) ||
		bytes.HasPrefix(b, []byte{0x1f, 0x8b}) || isIDX(b)
}

// openContainer opens an .npy, .npz or IDX file, the latter packed by gzip too.
// The content, not the name, tells the format. Errors name the path.
func openContainer(path string) (c *container, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, diag.Errorf("%s: cannot be read: %w", path, bare(err))
	}
	fi, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, diag.Errorf("%s: cannot be read: %w", path, bare(err))
	}
	c = newContainer(path, fi.Size())
	c.file, c.clean, c.seen = f, []func() error{f.Close}, stampOf(fi)
	if err := c.open(f, fi.Size()); err != nil {
		c.close()
		return nil, diag.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func (c *container) open(r io.ReaderAt, size int64) error {
	var head [8]byte
	n, err := r.ReadAt(head[:], 0)
	if err != nil && err != io.EOF {
		return bare(err)
	}
	b := head[:n]
	switch {
	case n == 0:
		return diag.Errorf("the file is empty; an .npy, .npz or IDX file is expected")
	case bytes.HasPrefix(b, []byte{0x1f, 0x8b}):
		zr, err := gzip.NewReader(io.NewSectionReader(r, 0, size))
		if err != nil {
			return diag.Errorf("corrupt gzip file: %w: fetch or pack it again", noEOF(err))
		}
		plain, n, err := c.unpack(zr, -1)
		if errors.Is(err, errBomb) {
			return err
		}
		if err != nil {
			return diag.Errorf("corrupt gzip file: %w: fetch or pack it again", cutShort(err))
		}
		if m, _ := plain.ReadAt(head[:2], 0); m == 2 && bytes.Equal(head[:2], []byte{0x1f, 0x8b}) {
			return diag.Errorf("it is packed by gzip twice")
		}
		return c.open(plain, n)
	case bytes.HasPrefix(b, []byte("PK")):
		c.npz = true
		return c.openZip(r, size)
	}
	a := &arrayFile{title: filepath.Base(c.path), r: r}
	h, err := readArrayHeader(r, b)
	if err != nil {
		return err
	}
	a.header = *h
	if err := a.ready(size); err != nil {
		return err
	}
	c.arrays = append(c.arrays, a)
	return nil
}

func readArrayHeader(r io.ReaderAt, first []byte) (*header, error) {
	switch {
	case bytes.HasPrefix(first, []byte(npyMagic)):
		return readNPYHeader(r)
	case isIDX(first):
		return readIDXHeader(r)
	}
	return nil, diag.Errorf("is none of .npy, .npz or IDX: give one of these, or a folder of images")
}

// isIDX reports whether b begins like an IDX file.
func isIDX(b []byte) bool {
	return len(b) >= 4 && b[0] == 0 && b[1] == 0 && idxType(b[2]) != 0 && b[3] > 0 && b[3] <= maxRank
}

// idxType returns the element type of an IDX type code, 0 for none.
func idxType(code byte) graph.DataType {
	switch code {
	case 0x08:
		return graph.Uint8
	case 0x09:
		return graph.Int8
	case 0x0b:
		return graph.Int16
	case 0x0c:
		return graph.Int32
	case 0x0d:
		return graph.Float32
	case 0x0e:
		return graph.Float64
	}
	return 0
}

// readIDXHeader reads the header of an IDX file, the format of MNIST: two zero
// bytes, a type code, the rank, and big-endian dimensions.
func readIDXHeader(r io.ReaderAt) (*header, error) {
	var b [4 + 4*maxRank]byte
	n, err := r.ReadAt(b[:], 0)
	if err != nil && err != io.EOF {
		return nil, bare(err)
	}
	if n < 4 || !isIDX(b[:n]) {
		return nil, diag.Errorf("not an IDX file")
	}
	rank := int(b[3])
	h := &header{typ: idxType(b[2]), offset: int64(4 + 4*rank)}
	h.big = sizeOf(h.typ) > 1
	if int64(n) < h.offset {
		return nil, diag.Errorf("corrupt IDX header: it is cut short")
	}
	for i := range rank {
		h.shape = append(h.shape, int64(binary.BigEndian.Uint32(b[4+4*i:])))
	}
	return h, nil
}

// unpack reads all of zr, into memory or a temporary file. A size >= 0 is how
// many bytes are expected.
func (c *container) unpack(zr io.Reader, size int64) (io.ReaderAt, int64, error) {
	if size > c.room {
		return nil, 0, errBomb
	}
	var buf pieces
	n, err := io.CopyN(&buf, zr, c.memory)
	if err == io.EOF {
		if size >= 0 && n != size {
			return nil, 0, diag.Errorf("it holds %d bytes and not the %d it claims", n, size)
		}
		c.memory, c.room = c.memory-n, c.room-n
		return &buf, n, nil
	}
	if err != nil {
		return nil, 0, err
	}
	tmp, err := os.CreateTemp("", "narrow-samples-*")
	if err != nil {
		return nil, 0, diag.Errorf("making a temporary file to unpack into: %w", err)
	}
	// Unlinked at once where the system allows, so that no crash leaves it.
	unlinked := os.Remove(tmp.Name()) == nil
	c.clean = append(c.clean, func() error {
		err := tmp.Close()
		if !unlinked {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
		return err
	})
	m, err := io.Copy(tmp, io.LimitReader(io.MultiReader(io.NewSectionReader(&buf, 0, n), zr), c.room+1))
	switch {
	case err != nil:
		return nil, 0, diag.Errorf("unpacking to a temporary file: %w", err)
	case m > c.room:
		return nil, 0, errBomb
	case size >= 0 && m != size:
		return nil, 0, diag.Errorf("it holds %d bytes and not the %d it claims", m, size)
	}
	c.room -= m
	return tmp, m, nil
}

// errBomb says that a file unpacks to far more than arrays do.
var errBomb = diag.Errorf("it unpacks to more than %d times its size: unpack it yourself and give the .npy if that is right", maxRatio)

// openZip reads the members of an .npz. Stored members are read in place.
func (c *container) openZip(r io.ReaderAt, size int64) error {
	zr, err := zip.NewReader(r, size)
	if err != nil {
		return diag.Errorf("corrupt .npz (zip) file: %w: copy or save it again", noEOF(err))
	}
	seen := make(map[string]bool, len(zr.File))
	for _, m := range zr.File {
		if leadsOut(m.Name) {
			return diag.Errorf("entry %q has a name that leads out of the archive: np.savez makes no such file; save it again", m.Name)
		}
		if strings.HasSuffix(m.Name, "/") {
			continue
		}
		key := strings.TrimSuffix(m.Name, ".npy")
		if seen[key] {
			return diag.Errorf("array %q is there twice", key)
		}
		seen[key] = true
		a := &arrayFile{key: key, title: fmt.Sprintf("%s, array %q", filepath.Base(c.path), key)}
		if err := c.openMember(a, m, r, size); err != nil {
			return diag.Errorf("array %q: %w", key, err)
		}
		c.arrays = append(c.arrays, a)
	}
	if len(c.arrays) == 0 {
		return diag.Errorf("it holds no array")
	}
	return nil
}

// leadsOut reports whether an entry's name, taken for a path on any system,
// leaves the folder that it is unpacked into. Nothing is unpacked to such names
// here; who makes them means no good.
func leadsOut(name string) bool {
	parts := strings.FieldsFunc(name, func(r rune) bool { return r == '/' || r == '\\' })
	drive := len(name) >= 2 && name[1] == ':' && (len(name) == 2 || name[2] == '/' || name[2] == '\\')
	return strings.HasPrefix(name, "/") || strings.HasPrefix(name, `\`) || drive || slices.Contains(parts, "..")
}

func (c *container) openMember(a *arrayFile, m *zip.File, r io.ReaderAt, size int64) error {
	var n int64
	if m.Method == zip.Store {
		off, err := m.DataOffset()
		if err != nil {
			return diag.Errorf("corrupt zip entry: %w", noEOF(err))
		}
		if m.UncompressedSize64 > uint64(size) || off > size-int64(m.UncompressedSize64) {
			return diag.Errorf("corrupt zip entry: it claims %d bytes, which the file does not hold", m.UncompressedSize64)
		}
		n = int64(m.UncompressedSize64)
		sec := io.NewSectionReader(r, off, n)
		if n <= inMemory { // else the check would read a file that may be larger than memory
			sum := crc32.NewIEEE()
			if _, err := io.Copy(sum, sec); err != nil {
				return bare(err)
			}
			if sum.Sum32() != m.CRC32 {
				return diag.Errorf("corrupt zip entry: its checksum is wrong")
			}
		}
		a.r = sec
	} else {
		rc, err := m.Open()
		if err != nil {
			return diag.Errorf("corrupt zip entry: %w", err)
		}
		defer rc.Close()
		if a.r, n, err = c.unpack(rc, int64(m.UncompressedSize64)); err != nil {
			if errors.Is(err, errBomb) {
				return err
			}
			return diag.Errorf("corrupt zip entry: %w", noEOF(err))
		}
	}
	h, err := readNPYHeader(a.r)
	if err != nil {
		return err
	}
	a.header = *h
	return a.ready(n)
}

// ready checks the array against the bytes there are, and rearranges one in
// Fortran order.
func (a *arrayFile) ready(size int64) error {
	if err := a.checkSize(size); err != nil {
		return err
	}
	if !a.fortran || len(a.shape) < 2 {
		return nil
	}
	n, _ := a.elements()
	width := int64(sizeOf(a.typ))
	if n*width > maxFortran {
		return diag.Errorf("it is in Fortran order and larger than %d MiB; save it as np.ascontiguousarray(x)", maxFortran>>20)
	}
	src := make([]byte, n*width)
	if err := readFull(a.r, src, a.offset); err != nil {
		return err
	}
	dst := make([]byte, n*width)
	fromFortran(dst, src, a.shape, int(width))
	a.r, a.offset, a.fortran = bytes.NewReader(dst), 0, false
	return nil
}

// fromFortran copies elements of the given width from Fortran to C order.
func fromFortran(dst, src []byte, shape []int64, width int) {
	index := make([]int64, len(shape))
	stride := make([]int, len(shape))
	step := width
	for i, d := range shape {
		stride[i] = step
		step *= int(d)
	}
	at := 0
	for out := 0; out < len(dst); out += width {
		copy(dst[out:out+width], src[at:at+width])
		for i := len(shape) - 1; i >= 0; i-- {
			index[i]++
			at += stride[i]
			if index[i] < shape[i] {
				break
			}
			at -= int(shape[i]) * stride[i]
			index[i] = 0
		}
	}
}

// rowShape is the shape of one sample; rows is how many there are.
func (a *arrayFile) rowShape() []int64 { return a.shape[1:] }
func (a *arrayFile) rows() int64       { return a.shape[0] }

// readRow fills dst with sample i, little-endian.
func (a *arrayFile) readRow(i int64, dst []byte) error {
	return a.read(a.offset+i*int64(len(dst)), dst)
}

func (a *arrayFile) read(at int64, dst []byte) error {
	if err := readFull(a.r, dst, at); err != nil {
		return err
	}
	if a.big {
		swap(dst, sizeOf(a.typ))
	}
	return nil
}

func readFull(r io.ReaderAt, dst []byte, at int64) error {
	if n, err := r.ReadAt(dst, at); n < len(dst) {
		return diag.Errorf("reading %d bytes at %d: %w", len(dst), at, noEOF(bare(err)))
	}
	return nil
}

// swap turns the bytes of each element around.
func swap(b []byte, width int) {
	for ; len(b) >= width; b = b[width:] {
		slices.Reverse(b[:width])
	}
}

// product returns the number of elements of a shape that checkSize has passed.
func product(dims []int64) int64 {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	return n
}
