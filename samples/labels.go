package samples

import (
	"encoding/csv"
	"errors"
	"io"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"narrow/diag"
)

// findLabels reads the labels of the samples in use, from a file or from the
// class folders.
func (s *Set) findLabels(file string, dir *folder) error {
	total := s.src.total()
	var all []int
	switch {
	case file == "" && dir != nil && len(dir.classes) > 1:
		// One folder of images is a place, not a class.
		all = dir.class
	case file == "":
		return nil
	default:
		table, err := readLabels(file)
		if err != nil {
			return err
		}
		if table.files != nil && dir != nil {
			if all, err = table.byFile(dir); err != nil {
				return diag.Errorf("%s: %w", file, err)
			}
			break
		}
		if table.samples != total {
			return diag.Errorf("%s: holds %d labels, but %s holds %d samples: give one label for each", file, table.samples, s.path, total)
		}
		all, s.labels.Shape = table.class, table.shape
	}
	per := s.labels.PerSample()
	s.labels.Classes = make([]int, 0, s.count*per)
	for k := range s.count {
		s.labels.Classes = append(s.labels.Classes, all[s.at(k)*per:][:per]...)
	}
	s.labels.Implied = file == ""
	return nil
}

// labelTable holds labels in the order of a file; files is nil where they are
// not said to belong to files.
type labelTable struct {
	class []int
	files []string
	// samples is how many samples have labels, shape that of one sample's; nil
	// where it has one.
	samples int
	shape   []int64
}

// readLabels reads an .npy or IDX file of one integer a sample, or a CSV.
func readLabels(file string) (*labelTable, error) {
	fi, err := os.Stat(file)
	if err != nil {
		return nil, diag.Errorf("%s: the labels cannot be read: %w", file, bare(err))
	}
	if fi.IsDir() {
		return nil, diag.Errorf("%s: is a folder: labels are an .npy, IDX or CSV file", file)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, diag.Errorf("%s: the labels cannot be read: %w", file, bare(err))
	}
	defer f.Close()
	var head [8]byte
	n, err := io.ReadFull(f, head[:])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, diag.Errorf("%s: the labels cannot be read: %w", file, bare(err))
	}
	if !isContainer(head[:n]) {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, diag.Errorf("%s: the labels cannot be read: %w", file, bare(err))
		}
		t, err := readLabelCSV(f)
		if err != nil {
			return nil, diag.Errorf("%s: %w", file, err)
		}
		return t, nil
	}
	c, err := openContainer(file)
	if err != nil {
		return nil, err
	}
	defer c.close()
	if len(c.arrays) != 1 {
		return nil, diag.Errorf("%s: holds %d arrays: labels are one", file, len(c.arrays))
	}
	t, err := arrayLabels(c.arrays[0])
	if err != nil {
		return nil, diag.Errorf("%s: %w", file, err)
	}
	return t, nil
}

// arrayLabels reads an array of labels: of shape (N,) or (N, 1, ...) one a
// sample, else one for each position of a sample's output, where negative ones
// are ignored.
func arrayLabels(a *arrayFile) (*labelTable, error) {
	if len(a.shape) == 0 {
		return nil, diag.Errorf("labels must be one number a sample, but the array is a single one")
	}
	if !isInt(a.typ) {
		return nil, diag.Errorf("labels must be whole numbers, but the array holds %v: save class numbers, as x.astype(np.int64), or of one-hot rows x.argmax(1)", a.typ)
	}
	t := &labelTable{samples: int(a.shape[0])}
	if product(a.shape) != a.shape[0] {
		t.shape = slices.Clone(a.shape[1:])
	}
	n := int(product(a.shape))
	raw := make([]byte, n*sizeOf(a.typ)) // ready made sure that the file holds as much
	if err := a.read(a.offset, raw); err != nil {
		return nil, err
	}
	t.class = make([]int, n)
	for i := range t.class {
		v, neg := getInt(raw, a.typ, i)
		switch {
		case neg && t.shape != nil:
			t.class[i] = -1
			continue
		case neg || v > math.MaxInt32:
			return nil, diag.Errorf("label %d is %v: classes count from 0", i, get(raw, a.typ, i))
		}
		t.class[i] = int(v)
	}
	return t, nil
}

// readLabelCSV reads columns file,class. A first line that is no data names
// the columns, in any order; without one they are file,class, or class alone.
func readLabelCSV(r io.Reader) (*labelTable, error) {
	cr := csv.NewReader(r)
	cr.TrimLeadingSpace = true
	cr.ReuseRecord = true
	cr.FieldsPerRecord = -1
	t := &labelTable{}
	fileCol, classCol := -1, -1
	for first := true; ; first = false {
		rec, err := cr.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, diag.Errorf("not a CSV file of labels (columns file,class): %w", err)
		}
		line, _ := cr.FieldPos(0)
		if first {
			rec[0] = strings.TrimPrefix(rec[0], "\ufeff")
			fileCol, classCol = columns(rec)
			if classCol < 0 { // no header
				switch len(rec) {
				case 1:
					classCol = 0
				case 2:
					fileCol, classCol = 0, 1
				default:
					return nil, diag.Errorf("line 1: has %d columns and names none of them class: expected file,class", len(rec))
				}
			} else {
				continue
			}
		}
		if max(fileCol, classCol) >= len(rec) {
			return nil, diag.Errorf("line %d: has %d columns, too few", line, len(rec))
		}
		text := strings.TrimSpace(rec[classCol])
		v, err := strconv.ParseUint(text, 10, 31)
		if err != nil && first {
			return nil, diag.Errorf("line 1: %q is neither a class nor the header of a column class: write the columns file,class", clip(text))
		}
		if err != nil {
			return nil, diag.Errorf("line %d: the class %q is no whole number of 0 or more", line, clip(text))
		}
		t.class = append(t.class, int(v))
		if fileCol >= 0 {
			t.files = append(t.files, strings.Clone(rec[fileCol]))
		}
	}
	if len(t.class) == 0 {
		return nil, diag.Errorf("holds no labels")
	}
	t.samples = len(t.class)
	return t, nil
}

// columns finds the columns in a header; class is -1 where rec is none.
func columns(rec []string) (file, class int) {
	file, class = -1, -1
	for i, name := range rec {
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "file", "filename", "file_name", "image", "path":
			file = i
		case "class", "label":
			class = i
		}
	}
	return file, class
}

// byFile looks up each image of a folder, by its path below the folder or else
// by its bare name. Rows about files that are not there do no harm.
func (t *labelTable) byFile(dir *folder) ([]int, error) {
	const twice = -2
	byPath := map[string]int{}
	byName := map[string]int{}
	for i, f := range t.files {
		f = path.Clean(filepath.ToSlash(f))
		if at, ok := byPath[f]; ok && t.class[at] != t.class[i] {
			return nil, diag.Errorf("%s has two classes, %d and %d", f, t.class[at], t.class[i])
		}
		byPath[f] = i
		base := path.Base(f)
		if at, ok := byName[base]; ok && (at == twice || t.class[at] != t.class[i]) {
			byName[base] = twice
		} else {
			byName[base] = i
		}
	}
	out := make([]int, 0, len(dir.files))
	for _, f := range dir.files {
		at, ok := byPath[f.name]
		if !ok {
			at, ok = byName[path.Base(f.name)]
		}
		if !ok {
			return nil, diag.Errorf("has no class for %s (it has %d rows, and the folder %d images): give a row file,class for each image", f.name, len(t.files), len(dir.files))
		}
		if at == twice {
			return nil, diag.Errorf("has several rows for %s, of different classes: write paths below the folder", path.Base(f.name))
		}
		out = append(out, t.class[at])
	}
	return slices.Clip(out), nil
}
