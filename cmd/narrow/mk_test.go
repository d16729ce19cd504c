package main

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// mk is a program that the scripts call to make small files of samples, and
// to look into arrays. The values depend on the arguments alone.
//
//	mk npy FILE TYPE DIMS [abs] [times=N] [nan=SAMPLE]   TYPE is float32, float64, uint8 or int64; DIMS 8,1,28,28
//	mk npz FILE NAME=TYPE:DIMS...
//	mk idx FILE DIMS                                 bytes
//	mk images DIR COUNT WIDTHxHEIGHT [gray]
//	mk head FILE                                     prints an .npy file's header and the bytes behind it
//	mk cut FILE BYTES                                keeps the first bytes of a file
//	mk same FILE PATH OTHER PATH                     two values in JSON files are equal
func mk() {
	if err := mkFile(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "mk:", err)
		os.Exit(1)
	}
}

func mkFile(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("too few arguments: %q", args)
	}
	what, file, args := args[0], args[1], args[2:]
	switch {
	case what == "head":
		return mkHead(file)
	case what == "same" && len(args) == 3:
		return mkSame(file, args[0], args[1], args[2])
	case what == "npz":
		return mkNPZ(file, args)
	case what == "images" && len(args) >= 2:
		return mkImages(file, args[0], args[1], len(args) > 2)
	case what == "npy" && len(args) >= 2:
		data, err := npyBytes(args[0], args[1], args[2:]...)
		if err != nil {
			return err
		}
		return os.WriteFile(file, data, 0o600)
	case what == "idx" && len(args) == 1:
		dims, n, err := mkDims(args[0])
		if err != nil {
			return err
		}
		out := []byte{0, 0, 8, byte(len(dims))}
		for _, d := range dims {
			out = binary.BigEndian.AppendUint32(out, uint32(d))
		}
		body, err := mkValues("uint8", n, n/dims[0])
		if err != nil {
			return err
		}
		return os.WriteFile(file, append(out, body...), 0o600)
	case what == "cut" && len(args) == 1:
		n, err := strconv.ParseInt(args[0], 10, 64)
		if err != nil {
			return err
		}
		return os.Truncate(file, n)
	}
	return fmt.Errorf("cannot make %q", what)
}

func mkDims(s string) (dims []int, n int, err error) {
	n = 1
	for _, part := range strings.Split(s, ",") {
		d, err := strconv.Atoi(part)
		if err != nil {
			return nil, 0, err
		}
		dims, n = append(dims, d), n*d
	}
	return dims, n, nil
}

// mkValues returns n random elements, little-endian; per is how many a sample
// has. Floats are normal, bytes even, int64 are classes below 10.
func mkValues(typ string, n, per int, opts ...string) ([]byte, error) {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	var out []byte
	for i := range n {
		v := r.NormFloat64()
		for _, o := range opts {
			if o == "abs" {
				v = math.Abs(v)
			}
			if by, ok := strings.CutPrefix(o, "times="); ok {
				f, err := strconv.ParseFloat(by, 64)
				if err != nil {
					return nil, err
				}
				v *= f
			}
			if at, ok := strings.CutPrefix(o, "nan="); ok && strconv.Itoa(i/max(per, 1)) == at {
				v = math.NaN()
			}
		}
		switch typ {
		case "float32":
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(float32(v)))
		case "float64":
			out = binary.LittleEndian.AppendUint64(out, math.Float64bits(v))
		case "uint8":
			out = append(out, byte(r.IntN(256)))
		case "int64":
			out = binary.LittleEndian.AppendUint64(out, uint64(r.IntN(10)))
		default:
			return nil, fmt.Errorf("no type %q", typ)
		}
	}
	return out, nil
}

func npyBytes(typ, shape string, opts ...string) ([]byte, error) {
	dims, n, err := mkDims(shape)
	if err != nil {
		return nil, err
	}
	descr := map[string]string{"float32": "<f4", "float64": "<f8", "uint8": "|u1", "int64": "<i8"}[typ]
	body, err := mkValues(typ, n, n/max(dims[0], 1), opts...)
	if err != nil {
		return nil, err
	}
	tuple := strings.ReplaceAll(shape, ",", ", ")
	if len(dims) == 1 {
		tuple += ","
	}
	head := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, tuple)
	head += strings.Repeat(" ", 63-(10+len(head))%64) + "\n"
	out := append([]byte("\x93NUMPY\x01\x00"), byte(len(head)), byte(len(head)>>8))
	return append(append(out, head...), body...), nil
}

func mkNPZ(file string, args []string) error {
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for _, a := range args {
		name, rest, _ := strings.Cut(a, "=")
		typ, dims, _ := strings.Cut(rest, ":")
		data, err := npyBytes(typ, dims)
		if err != nil {
			return err
		}
		w, err := z.Create(name + ".npy")
		if err != nil {
			return err
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(file, buf.Bytes(), 0o600)
}

func mkImages(dir, count, size string, gray bool) error {
	var n, w, h int
	if _, err := fmt.Sscanf(count+" "+size, "%d %dx%d", &n, &w, &h); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(2, 0))
	for i := range n {
		var img interface {
			image.Image
			Set(x, y int, c color.Color)
		} = image.NewNRGBA(image.Rect(0, 0, w, h))
		if gray {
			img = image.NewGray(image.Rect(0, 0, w, h))
		}
		for y := range h {
			for x := range w {
				img.Set(x, y, color.NRGBA{byte(r.IntN(256)), byte(r.IntN(256)), byte(x * y), 255})
			}
		}
		var buf bytes.Buffer
		if err := png.Encode(&buf, img); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%03d.png", i)), buf.Bytes(), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func mkHead(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	var fixed [10]byte
	if _, err := io.ReadFull(f, fixed[:]); err != nil {
		return err
	}
	head := make([]byte, binary.LittleEndian.Uint16(fixed[8:]))
	if _, err := io.ReadFull(f, head); err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, f)
	if err != nil {
		return err
	}
	fmt.Printf("%s %d bytes\n", strings.TrimSpace(string(head)), n)
	return nil
}
