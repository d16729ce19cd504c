package metric

import (
	"archive/zip"
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"narrow/diag"
	"narrow/engine"
	"narrow/graph"
	"narrow/samples"
)

// folder is what a command is given of one network: its outputs for all samples.
type folder struct {
	dir   string
	set   Set
	names []string // of the outputs
	files []*array
	list  *csv.Writer
	csv   *os.File
	order []int // the samples' indices, in the order of the rows
	rows  int
}

// newFolder begins the files in dir, which is there and empty. names are those of
// the network's outputs.
func newFolder(dir string, set Set, names []string) (*folder, error) {
	f := &folder{dir: dir, set: set, names: names}
	var err error
	if f.csv, err = os.OpenFile(filepath.Join(dir, "samples.csv"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
		return nil, err
	}
	f.list = csv.NewWriter(f.csv)
	return f, f.list.Write([]string{"index", "name", "label"})
}

// add writes the outputs for a batch.
func (f *folder) add(b *engine.Batch, outs []engine.Tensor) error {
	if f.files == nil {
		taken := map[string]bool{"labels": true} // labels.npy
		for i, t := range outs {
			f.files = append(f.files, &array{dir: f.dir, base: fileName(f.names[i], taken), samples: f.set.Samples, typ: t.Type})
		}
	}
	for i, t := range outs {
		if err := f.files[i].add(b.Count, t); err != nil {
			return diag.Errorf("output %q: %w", f.names[i], err)
		}
	}
	for k := range b.Count {
		index := b.First + k
		name, label := "", ""
		if k < len(b.Names) {
			name = b.Names[k]
		}
		if l := f.set.Labels; l.Classes != nil && l.Shape == nil && index < len(l.Classes) && l.Classes[index] >= 0 {
			label = strconv.Itoa(l.Classes[index])
		}
		if err := f.list.Write([]string{strconv.Itoa(index), name, label}); err != nil {
			return err
		}
		f.order = append(f.order, index)
	}
	f.rows += b.Count
	return nil
}

// finish ends the files, and writes those about the whole.
func (f *folder) finish() error {
	f.list.Flush()
	if err := errors.Join(f.list.Error(), f.csv.Close()); err != nil {
		return err
	}
	type output struct {
		Name  string   `json:"name"`
		File  *string  `json:"file"`
		Type  string   `json:"type"`
		Shape []*int64 `json:"shape"`
	}
	list := []output{}
	for i, a := range f.files {
		if err := a.close(); err != nil {
			return diag.Errorf("output %q: %w", f.names[i], err)
		}
		o := output{Name: f.names[i], Type: a.typ.String()}
		if a.file != "" {
			o.File = &a.file
		}
		for k := range a.shape {
			d := &a.shape[k]
			if *d < 0 {
				d = nil
			}
			o.Shape = append(o.Shape, d)
		}
		list = append(list, o)
	}
	data, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(f.dir, "outputs.json"), append(data, '\n'), 0o600); err != nil {
		return err
	}
	return f.labels()
}

// labels writes labels.npy where one sample has many.
func (f *folder) labels() error {
	l := f.set.Labels
	if l.Classes == nil || l.Shape == nil {
		return nil
	}
	per := l.PerSample()
	raw := make([]byte, 0, 8*per*len(f.order))
	for _, i := range f.order {
		for _, c := range l.Classes[i*per : (i+1)*per] {
			for k := range 8 {
				raw = append(raw, byte(int64(c)>>(8*k)))
			}
		}
	}
	return writeFile(filepath.Join(f.dir, "labels.npy"), func(w io.Writer) error {
		npy, err := samples.NewNPYWriter(w, graph.Int64, append([]int64{int64(len(f.order))}, l.Shape...))
		if err != nil {
			return err
		}
		return errors.Join(npy.WriteRaw(raw), npy.Close())
	})
}

// close ends what is open, however far it came.
func (f *folder) close() {
	f.csv.Close()
	for _, a := range f.files {
		_ = a.close()
	}
}

func writeFile(name string, write func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	b := bufio.NewWriter(f)
	return errors.Join(write(b), b.Flush(), f.Close())
}

// fileName makes a file's name, without its ending, of an output's; none is given
// twice.
func fileName(output string, taken map[string]bool) string {
	base := strings.TrimLeft(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '_'
	}, output), ".-")
	if base = base[:min(len(base), 100)]; base == "" {
		base = "output"
	}
	name := base
	for n := 2; taken[strings.ToLower(name)]; n++ { // some systems do not tell case apart
		name = base + "-" + strconv.Itoa(n)
	}
	taken[strings.ToLower(name)] = true
	return name
}

// array is an output in a file: one .npy of all samples, or, from the first sample
// of another shape on, an .npz of one array a sample.
type array struct {
	dir, base string
	samples   int
	typ       graph.DataType

	file  string // its name; "" where numpy has no such type
	shape []int64
	open  *os.File
	buf   *bufio.Writer
	npy   *samples.NPYWriter
	zip   *zip.Writer
	n     int
}

func (a *array) add(count int, t engine.Tensor) error {
	if t.Type == graph.String {
		return nil
	}
	if t.Type == graph.BFloat16 { // which numpy has not
		x, _ := t.Float32s()
		a.typ, t = graph.Float32, engine.Tensor{Type: graph.Float32, Shape: t.Shape, Floats: x}
	}
	if len(t.Shape) == 0 || int(t.Shape[0]) != count {
		return diag.Errorf("its shape %v has no axis of %d samples", t.Shape, count)
	}
	if a.n == 0 {
		a.shape = slices.Clone(t.Shape)
		a.shape[0] = int64(a.samples)
		if err := a.create(a.base + ".npy"); err != nil {
			return err
		}
		var err error
		if a.npy, err = samples.NewNPYWriter(a.buf, t.Type, a.shape); err != nil {
			return err
		}
	} else if !slices.Equal(a.shape[1:], t.Shape[1:]) {
		if err := a.split(t); err != nil {
			return err
		}
	}
	defer func() { a.n += count }()
	if a.zip == nil {
		return write(a.npy, t)
	}
	for k := range count {
		if err := a.entry(a.n+k, row(t, k)); err != nil {
			return err
		}
	}
	return nil
}

// split puts what the .npy holds so far into an .npz, one array a sample.
func (a *array) split(next engine.Tensor) error {
	own := slices.Clone(a.shape[1:])
	if len(own) != len(next.Shape)-1 {
		a.shape = make([]int64, len(next.Shape))
		for i := range a.shape {
			a.shape[i] = -1
		}
		a.shape[0] = int64(a.samples)
	}
	for i, d := range next.Shape[1:] {
		if a.shape[i+1] != d {
			a.shape[i+1] = -1
		}
	}
	if a.zip != nil {
		return nil
	}
	if err := errors.Join(a.buf.Flush(), a.open.Close()); err != nil {
		return err
	}
	whole := filepath.Join(a.dir, a.file)
	from, err := os.Open(whole)
	if err != nil {
		return err
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		return err
	}
	size := int64(a.typ.Bits() / 8)
	for _, d := range own {
		size *= d
	}
	if _, err := from.Seek(info.Size()-int64(a.n)*size, io.SeekStart); err != nil {
		return err
	}
	if err := a.create(a.base + ".npz"); err != nil {
		return err
	}
	a.zip, a.npy = zip.NewWriter(a.buf), nil
	raw := make([]byte, size)
	for k := range a.n {
		if _, err := io.ReadFull(from, raw); err != nil {
			return err
		}
		t := engine.Tensor{Type: a.typ, Shape: own, Raw: raw}
		if err := a.entry(k, t); err != nil {
			return err
		}
	}
	return os.Remove(whole)
}

// entry adds a sample to the .npz.
func (a *array) entry(k int, t engine.Tensor) error {
	w, err := a.zip.CreateHeader(&zip.FileHeader{Name: strconv.Itoa(k) + ".npy", Method: zip.Store})
	if err != nil {
		return err
	}
	npy, err := samples.NewNPYWriter(w, t.Type, t.Shape)
	if err != nil {
		return err
	}
	return write(npy, t)
}

func (a *array) create(name string) error {
	f, err := os.OpenFile(filepath.Join(a.dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	a.file, a.open, a.buf = name, f, bufio.NewWriterSize(f, 1<<20)
	return err
}

// close ends the file; a second time does nothing.
func (a *array) close() error {
	if a.open == nil {
		return nil
	}
	var err error
	if a.zip != nil {
		err = a.zip.Close()
	} else if a.npy != nil {
		err = a.npy.Close()
	}
	err = errors.Join(err, a.buf.Flush(), a.open.Close())
	a.open = nil
	return err
}

func write(w *samples.NPYWriter, t engine.Tensor) error {
	if t.Floats != nil {
		return w.WriteFloats(t.Floats)
	}
	return w.WriteRaw(t.Raw)
}

// row returns sample k of t, without the axis of samples.
func row(t engine.Tensor, k int) engine.Tensor {
	n := 1
	for _, d := range t.Shape[1:] {
		n *= int(d)
	}
	out := engine.Tensor{Type: t.Type, Shape: t.Shape[1:]}
	if t.Floats != nil {
		out.Floats = t.Floats[k*n : (k+1)*n]
		return out
	}
	n *= t.Type.Bits() / 8
	out.Raw = t.Raw[k*n : (k+1)*n]
	return out
}

// bytes returns how large the outputs of all samples are, going by a batch.
func bytes(samples int, b *engine.Batch, outs []engine.Tensor) int64 {
	var n int64
	for _, t := range outs {
		n += int64(t.Len()) * int64(max(t.Type.Bits(), 8)) / 8
	}
	return n / int64(max(b.Count, 1)) * int64(samples)
}
