package xmodel

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"narrow/diag"
)

// Comparison is how a board's dump differs from narrow's.
type Comparison struct {
	// Layers are those that both dumps hold, in the network's order.
	Layers []LayerComparison `json:"layers"`
	// Missing are the layers that the board's dump does not hold.
	Missing []string `json:"missing"`
}

// LayerComparison is how one layer's result differs.
type LayerComparison struct {
	// Name is the operator's, with _fix for integers; Shape that of its result.
	Name  string `json:"name"`
	Shape []int  `json:"shape"`
	// Elements is how many there are, Differing how many are not equal.
	Elements  int `json:"elements"`
	Differing int `json:"differing"`
	// Largest is the largest difference, in steps for integers.
	Largest float64 `json:"largest"`
	// First is the place of the first element that differs, with both values;
	// nil where none does.
	First []int `json:"first,omitempty"`
	// Expected and Got are the first such element in the dump and in the board's.
	Expected float64 `json:"expected,omitempty"`
	Got      float64 `json:"got,omitempty"`
}

// First returns the first layer that differs, or nil.
func (c *Comparison) First() *LayerComparison {
	for i := range c.Layers {
		if c.Layers[i].Differing > 0 {
			return &c.Layers[i]
		}
	}
	return nil
}

// CompareDumps compares two deploy-check dumps of one network, dir being
// narrow's (or vai_q_pytorch's) and board the board's, layer by layer: the
// integers of a layer where both have them, else its floats. An error names the
// file that is missing or has another size.
func CompareDumps(dir, board string) (*Comparison, error) {
	shapes, err := readShapes(filepath.Join(dir, ShapeFile))
	if err != nil {
		return nil, err
	}
	c := &Comparison{Layers: []LayerComparison{}, Missing: []string{}}
	for _, s := range shapes {
		found := false
		for _, name := range []string{s.name + "_fix", s.name} {
			a, err := os.ReadFile(filepath.Join(dir, name+".bin"))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, diag.Errorf("reading the dump: %w", err)
			}
			b, err := os.ReadFile(filepath.Join(board, name+".bin"))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, diag.Errorf("reading the board's dump: %w", err)
			}
			l, err := s.compare(name, a, b)
			if err != nil {
				return nil, diag.Errorf("%s: %w", filepath.Join(board, name+".bin"), err)
			}
			c.Layers = append(c.Layers, l)
			found = true
			break
		}
		if !found {
			c.Missing = append(c.Missing, s.name)
		}
	}
	if len(c.Layers) == 0 {
		return nil, diag.Errorf("%s has none of the %d layers of %s: dump on the board under the operators' names", board, len(shapes), dir)
	}
	return c, nil
}

// dumpedShape is a line of shape.txt.
type dumpedShape struct {
	name string
	dims []int
}

// readShapes reads a dump's shape.txt.
func readShapes(path string) ([]dumpedShape, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, diag.Errorf("reading the dump: %w", err)
	}
	defer f.Close()
	var list []dumpedShape
	sc := bufio.NewScanner(f)
	for line := 1; sc.Scan(); line++ {
		text := strings.TrimSpace(sc.Text())
		if text == "" {
			continue
		}
		dims, name, ok := strings.Cut(text, ":")
		s := dumpedShape{name: plainName(strings.TrimSpace(name))}
		for _, d := range strings.Split(strings.Trim(strings.TrimSpace(dims), "[]"), ",") {
			if strings.TrimSpace(d) == "" {
				continue
			}
			n, err := strconv.Atoi(strings.TrimSpace(d))
			ok = ok && err == nil && n > 0
			s.dims = append(s.dims, n)
		}
		if !ok || s.name == "" {
			return nil, diag.Errorf("%s:%d: %q is no line of a list of shapes, such as \"[1, 32, 32, 8]: Net__relu\"", path, line, text)
		}
		list = append(list, s)
	}
	if err := sc.Err(); err != nil {
		return nil, diag.Errorf("reading %s: %w", path, err)
	}
	if len(list) == 0 {
		return nil, diag.Errorf("%s is empty", path)
	}
	return list, nil
}

// plainName is a name with all but letters and digits made underscores, as
// vai_q_pytorch names the files of a dump.
func plainName(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return '_'
	}, s)
}

// compare compares a layer's two files.
func (s dumpedShape) compare(name string, a, b []byte) (LayerComparison, error) {
	l := LayerComparison{Name: name, Shape: s.dims}
	if len(a) != len(b) {
		return l, diag.Errorf("it has %d bytes, and the dump %d: another type or size", len(b), len(a))
	}
	n := 1
	for _, d := range s.dims {
		n *= d
	}
	at, ok := elements(a, n, strings.HasSuffix(name, "_fix"))
	if !ok {
		return l, diag.Errorf("%d bytes do not go into %d elements", len(a), n)
	}
	l.Elements = n
	for i := range n {
		x, y := at(a, i), at(b, i)
		if x == y || math.IsNaN(x) && math.IsNaN(y) {
			continue
		}
		if l.Differing++; l.Differing == 1 {
			l.First, l.Expected, l.Got = s.place(i), x, y
		}
		l.Largest = max(l.Largest, math.Abs(x-y))
	}
	return l, nil
}

// elements returns how to read element i of a file with n elements: floats, or
// integers of 4, 8 or 16 bits.
func elements(data []byte, n int, integers bool) (at func(b []byte, i int) float64, ok bool) {
	switch {
	case !integers && len(data) == 4*n:
		return func(b []byte, i int) float64 {
			return float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])))
		}, true
	case integers && len(data) == n:
		return func(b []byte, i int) float64 { return float64(int8(b[i])) }, true
	case integers && len(data) == 2*n:
		return func(b []byte, i int) float64 { return float64(int16(binary.LittleEndian.Uint16(b[2*i:]))) }, true
	case integers && len(data) == (n+1)/2:
		return func(b []byte, i int) float64 {
			if i%2 == 0 {
				return float64(int8(b[i/2]) >> 4)
			}
			return float64(int8(b[i/2]<<4) >> 4)
		}, true
	}
	return nil, false
}

// place returns where element i lies in the shape.
func (s dumpedShape) place(i int) []int {
	at := make([]int, len(s.dims))
	for a := len(at) - 1; a >= 0; a-- {
		at[a] = i % s.dims[a]
		i /= s.dims[a]
	}
	return at
}
