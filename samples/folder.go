package samples

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"narrow/diag"
)

// maxDepth bounds how deep class folders are searched, so that a link to a
// folder above ends.
const maxDepth = 12

// imageFile is an image below the folder.
type imageFile struct {
	name string // relative to the folder, with forward slashes
	seen stamp  // zero until the set is chosen
}

// folder is a source of images.
type folder struct {
	root    string
	files   []imageFile
	classes []string // sorted; nil for a flat folder
	class   []int    // of each file
	plan    *plan
	// skipped are files that look like samples, and are not read.
	skipped []string
}

// openFolder lists the images of a folder: those in it, or those below its
// folders, which are classes then. Names that begin with a dot are left out.
func openFolder(root string) (*folder, error) {
	f := &folder{root: root}
	dirs, others, err := f.list("", nil)
	if err != nil {
		return nil, err
	}
	if len(f.files) == 0 {
		if err := f.listClasses(dirs); err != nil {
			return nil, err
		}
	} else {
		for _, d := range dirs {
			sub := &folder{root: root}
			if err := sub.walk(d, 1); err == nil && len(sub.files) > 0 {
				return nil, diag.Errorf("%s: holds images of its own and folders of images (%s): give a folder of class folders, or a flat one", root, d)
			}
		}
	}
	if len(f.files) == 0 {
		msg := diag.Textf("is empty")
		if len(others)+len(dirs) > 0 {
			msg = diag.Textf("holds no images")
		}
		advice := diag.Textf("put images (%s) or class folders of images there", strings.Join(imageExts, " "))
		for _, o := range others {
			if ext := filepath.Ext(o); ext == ".npy" || ext == ".npz" || strings.Contains(o, "-ubyte") {
				advice = diag.Textf("to use the array in it, give %s", filepath.Join(root, o))
				break
			}
		}
		return nil, diag.Errorf("%s: the folder %s: %s", root, msg, advice)
	}
	return f, nil
}

// arrayFiles returns the .npy files right in a folder that holds no images there.
func arrayFiles(root string) []string {
	f := &folder{root: root}
	_, others, err := f.list("", nil)
	if err != nil || len(f.files) > 0 {
		return nil
	}
	return slices.DeleteFunc(others, func(name string) bool { return !strings.EqualFold(filepath.Ext(name), ".npy") })
}

// list adds the images right in root/rel and returns the names of the folders
// and of other files there.
func (f *folder) list(rel string, add func(imageFile)) (dirs, others []string, err error) {
	if add == nil {
		add = func(i imageFile) { f.files = append(f.files, i) }
	}
	path := filepath.Join(f.root, filepath.FromSlash(rel))
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, nil, diag.Errorf("%s: cannot be read: %w", path, bare(err))
	}
	for _, e := range entries { // sorted by name
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		name := e.Name()
		if rel != "" {
			name = rel + "/" + name
		}
		isDir := e.IsDir()
		if e.Type()&os.ModeSymlink != 0 {
			fi, err := os.Stat(filepath.Join(path, e.Name()))
			isDir = err == nil && fi.IsDir()
		}
		switch {
		case isDir:
			dirs = append(dirs, name)
		case isImage(name):
			add(imageFile{name: name})
		default:
			others = append(others, name)
			if slices.Contains(unread, strings.ToLower(filepath.Ext(name))) {
				f.skipped = append(f.skipped, name)
			}
		}
	}
	return dirs, others, nil
}

// unread are extensions of images and arrays that are not read in a folder of
// images, and that somebody may miss.
var unread = []string{
	".arw", ".avif", ".cr2", ".dcm", ".dng", ".exr", ".hdr", ".heic", ".heif", ".ico", ".j2k", ".jp2", ".jxl", ".nef", ".npy", ".npz", ".nii",
	".pbm", ".pcx", ".pgm", ".pnm", ".ppm", ".psd", ".ras", ".raw", ".svg", ".tga", ".tif", ".tiff", ".xbm", ".xpm",
}

func (f *folder) walk(rel string, depth int) error {
	if depth > maxDepth {
		return nil
	}
	dirs, _, err := f.list(rel, nil)
	if err != nil {
		return err
	}
	for _, d := range dirs {
		if err := f.walk(d, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (f *folder) listClasses(dirs []string) error {
	var empty []string
	for i, d := range dirs {
		from := len(f.files)
		if err := f.walk(d, 1); err != nil {
			return err
		}
		part := f.files[from:]
		if len(part) == 0 {
			empty = append(empty, d)
		}
		slices.SortFunc(part, func(a, b imageFile) int { return cmp.Compare(a.name, b.name) })
		for range part {
			f.class = append(f.class, i)
		}
	}
	if len(f.files) > 0 && len(empty) > 0 {
		return diag.Errorf("%s: the class folder %s holds no images, so which class is which would be in doubt: fill it or move it away", f.root, empty[0])
	}
	f.classes = dirs
	return nil
}

func (f *folder) total() int        { return len(f.files) }
func (f *folder) name(i int) string { return f.files[i].name }
func (f *folder) where(i int) diag.Text {
	return diag.Verbatim(f.path(i))
}
func (f *folder) path(i int) string {
	return filepath.Join(f.root, filepath.FromSlash(f.files[i].name))
}
func (f *folder) plans() []*plan { return []*plan{f.plan} }
func (f *folder) close() error   { return nil }
func (f *folder) check() error   { return nil } // each file is checked when it is read
func (f *folder) chunk() int     { return 1 }

// choose notes what the files in use are now, and where their size is not
// known yet, has the first one tell it.
func (f *folder) choose(count int, at func(k int) int) error {
	for k := range count {
		i := at(k)
		fi, err := os.Stat(f.path(i))
		if err != nil {
			return diag.Errorf("%s: cannot be read: %w", f.path(i), bare(err))
		}
		f.files[i].seen = stampOf(fi)
	}
	if f.plan.h > 0 {
		return nil
	}
	first := at(0)
	data, err := f.read(first, nil)
	if err != nil {
		return err
	}
	w, h, err := imageSize(data)
	if err != nil {
		return diag.Errorf("%s: %w", f.path(first), err)
	}
	_, _, h, w = f.plan.recipe.resized(h, w)
	if h < 1 || w < 1 || h > maxPixels/w {
		return diag.Errorf("%s: preprocessing makes an impossible image of %d x %d (height x width)", f.path(first), h, w)
	}
	d := f.plan.spec.Dims
	if len(d) == 4 {
		netH, netW := d[2], d[3]
		if f.plan.hwc {
			netH, netW = d[1], d[2]
		}
		if netH > 0 && netH != int64(h) || netW > 0 && netW != int64(w) {
			return diag.Errorf("%s: it is %d x %d (height x width) once preprocessed, but %s: %s", f.path(first), h, w, f.plan.want(), sizeAdvice(netH, netW))
		}
	}
	f.plan.setSize(h, w)
	return nil
}

// read returns the file's bytes, if it still is the one that was listed.
func (f *folder) read(i int, buf []byte) ([]byte, error) {
	path := f.path(i)
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, diag.Errorf("%s vanished while it was in use", path)
	}
	if err != nil {
		return nil, diag.Errorf("%s: cannot be read: %w", path, bare(err))
	}
	defer file.Close()
	seen := f.files[i].seen
	fi, err := file.Stat()
	if err != nil {
		return nil, diag.Errorf("%s: cannot be read: %w", path, bare(err))
	}
	if fi.IsDir() {
		return nil, diag.Errorf("%s: is a folder", path)
	}
	if stampOf(fi) != seen {
		return nil, changed(path)
	}
	buf = slices.Grow(buf[:0], int(seen.size))[:seen.size]
	if _, err := io.ReadFull(file, buf); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, changed(path)
	} else if err != nil {
		return nil, diag.Errorf("%s: cannot be read: %w", path, bare(err))
	}
	return buf, nil
}

func (f *folder) load(i int, dst []row, sc *scratch, known *[sha256.Size]byte) error {
	data, err := f.read(i, sc.file)
	if err != nil {
		return err
	}
	sc.file = data
	if known != nil && sha256.Sum256(data) != *known {
		return changed(f.path(i))
	}
	if err := decodeImage(&sc.a, data); err != nil {
		return diag.Errorf("%s: %w", f.path(i), err)
	}
	if err := f.plan.fromPixels(dst[0], sc); err != nil {
		return diag.Errorf("%s: %w", f.path(i), err)
	}
	return nil
}

func (f *folder) digest(i int, sc *scratch) ([sha256.Size]byte, error) {
	data, err := f.read(i, sc.file)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	sc.file = data
	return sha256.Sum256(data), nil
}
