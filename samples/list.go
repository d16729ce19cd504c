package samples

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"narrow/diag"
	"narrow/graph"
)

// list is a source of arrays of which each is one sample, such as sequences of
// unlike lengths: a folder of .npy files, or an .npz.
type list struct {
	path    string
	members []member
	c       *container // of an .npz, else nil
	longest int        // the member whose plan stands for all
}

// member is one sample.
type member struct {
	name  string     // in messages
	path  string     // the file, "" in an .npz
	array *arrayFile // of an .npz
	seen  stamp
	typ   graph.DataType
	shape []int64
	plan  *plan
}

// openFolderList lists the .npy files of a folder, in the order of their names,
// numbers in them by value.
func openFolderList(root string, names []string, spec InputSpec, r recipe) (*list, error) {
	l := &list{path: root}
	names = slices.Clone(names)
	slices.SortFunc(names, natural)
	for _, name := range names {
		m := member{name: name, path: filepath.Join(root, filepath.FromSlash(name))}
		c, err := openContainer(m.path)
		if err != nil {
			return nil, err
		}
		m.seen, m.typ, m.shape = c.seen, c.arrays[0].typ, c.arrays[0].shape
		if err := errors.Join(c.close()); err != nil {
			return nil, diag.Errorf("%s: %w", m.path, err)
		}
		l.members = append(l.members, m)
	}
	if err := l.fit(spec, r); err != nil {
		return nil, err
	}
	return l, nil
}

// asList takes the arrays of an .npz for one sample each, where none is called
// as an input is, and each has the shape of one; nil where that is not so.
func asList(c *container, spec InputSpec, r recipe) *list {
	if !c.npz || len(c.arrays) < 2 || len(spec.Dims) == 0 {
		return nil
	}
	l := &list{path: c.path, c: c}
	for _, a := range c.arrays {
		if a.key == spec.Name || !accepts(spec.Dims[1:], a.shape) {
			return nil
		}
		l.members = append(l.members, member{name: a.key, array: a, typ: a.typ, shape: a.shape})
	}
	slices.SortStableFunc(l.members, func(a, b member) int { return natural(a.name, b.name) })
	if l.fit(spec, r) != nil {
		return nil
	}
	return l
}

// fit plans for every sample.
func (l *list) fit(spec InputSpec, r recipe) error {
	for i := range l.members {
		m := &l.members[i]
		if len(m.shape) == len(spec.Dims) && len(m.shape) > 0 && m.shape[0] == 1 && spec.Dims[0] <= 1 {
			m.shape = m.shape[1:] // a batch of one
		}
		var err error
		if m.plan, err = fitArray(spec, r, m.typ, m.shape); err != nil {
			return diag.Errorf("%s: each of several .npy files is one sample: %w", l.where(i), err)
		}
		if m.plan.width() == 0 {
			return diag.Errorf("%s: a sample of shape %s has no elements", l.where(i), shapeString(m.shape))
		}
		if m.plan.width() > l.members[l.longest].plan.width() {
			l.longest = i
		}
	}
	return nil
}

// unlike reports whether samples have different shapes: each is then a batch.
func (l *list) unlike() bool {
	return slices.ContainsFunc(l.members, func(m member) bool { return !slices.Equal(m.plan.shape, l.members[0].plan.shape) })
}

func (l *list) total() int                      { return len(l.members) }
func (l *list) name(i int) string               { return l.members[i].name }
func (l *list) plans() []*plan                  { return []*plan{l.members[l.longest].plan} }
func (l *list) choose(int, func(int) int) error { return nil }
func (l *list) chunk() int                      { return 1 }

func (l *list) where(i int) diag.Text {
	if m := l.members[i]; m.array == nil {
		return diag.Verbatim(m.path)
	}
	return diag.Textf("%s, array %q", l.path, l.members[i].name)
}

func (l *list) close() error {
	if l.c == nil {
		return nil
	}
	return l.c.close()
}

func (l *list) check() error {
	if l.c == nil {
		return nil // each file is checked when it is read
	}
	return l.c.seen.check(l.path)
}

// read fetches a sample.
func (l *list) read(i int, sc *scratch) ([]byte, error) {
	m := l.members[i]
	a := m.array
	if a == nil {
		c, err := openContainer(m.path)
		if errors.Is(err, os.ErrNotExist) {
			return nil, diag.Errorf("%s vanished while it was in use", m.path)
		}
		if err != nil {
			return nil, err
		}
		defer c.close() //nolint:errcheck // it was read only
		if a = c.arrays[0]; c.seen != m.seen || a.typ != m.typ {
			return nil, changed(m.path)
		}
	}
	raw := sc.bytes(product(m.shape) * int64(sizeOf(m.typ)))
	if err := a.read(a.offset, raw); err != nil {
		return nil, diag.Errorf("%s: %w", l.where(i), err)
	}
	return raw, nil
}

func (l *list) load(i int, dst []row, sc *scratch, known *[sha256.Size]byte) error {
	raw, err := l.read(i, sc)
	if err != nil {
		return err
	}
	if known != nil && l.sum(i, raw) != *known {
		return changed(l.where(i))
	}
	m := l.members[i]
	if err := m.plan.fromElements(dst[0], raw, m.shape, sc); err != nil {
		return diag.Errorf("%s: %w", l.where(i), err)
	}
	return nil
}

func (l *list) digest(i int, sc *scratch) ([sha256.Size]byte, error) {
	raw, err := l.read(i, sc)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	return l.sum(i, raw), nil
}

func (l *list) sum(i int, raw []byte) (sum [sha256.Size]byte) {
	h := sha256.New()
	m := l.members[i]
	hashArray(h, m.plan.spec.Name, m.typ, m.shape, raw)
	h.Sum(sum[:0])
	return sum
}

// natural compares names so that 2 comes before 10.
func natural(a, b string) int {
	whole := cmp.Compare(a, b)
	for a != "" && b != "" {
		x, restA := digits(a)
		y, restB := digits(b)
		if x != "" && y != "" {
			m, err1 := strconv.ParseUint(x, 10, 64)
			n, err2 := strconv.ParseUint(y, 10, 64)
			if err1 != nil || err2 != nil {
				break
			}
			if m != n {
				return cmp.Compare(m, n)
			}
			a, b = restA, restB
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Or(cmp.Compare(len(a), len(b)), whole)
}

// digits cuts the digits that s begins with.
func digits(s string) (number, rest string) {
	rest = strings.TrimLeft(s, "0123456789")
	return s[:len(s)-len(rest)], rest
}
