package samples

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"narrow/diag"
	"narrow/engine"
)

// Options say which samples to use and how.
type Options struct {
	// Labels is the path of a file of labels; "" for none but those that class
	// folders give.
	Labels string
	// SubsetLen is how many samples to use at most; 0 for all.
	SubsetLen int
	// Skip skips this many samples before the subset begins, in the order
	// that Shuffle draws: those that the same Options with SubsetLen = Skip use.
	Skip int
	// Shuffle draws the samples in a random order that depends on Seed and
	// their number only; otherwise they come in the order of the array or of
	// their sorted names.
	Shuffle bool
	Seed    uint64
	// Preprocess applies to images and uint8 arrays.
	Preprocess Preprocess
	// Workers is how many goroutines decode; 0 means one per core.
	Workers int
}

// source is where samples come from.
type source interface {
	total() int
	name(i int) string     // for Batch.Names
	where(i int) diag.Text // for messages
	plans() []*plan
	choose(count int, at func(k int) int) error
	chunk() int
	// load reads sample i, which must have the digest known unless that is nil.
	load(i int, dst []row, sc *scratch, known *[sha256.Size]byte) error
	digest(i int, sc *scratch) ([sha256.Size]byte, error)
	check() error
	close() error
}

// Set is the samples chosen from a path. It may be used by several goroutines
// at once.
type Set struct {
	path     string
	src      source
	count    int           // samples in use
	skip     int           // samples skipped before them
	order    []int         // their indices in the source; nil for the first count behind skip
	labels   engine.Labels // of the samples in use
	fixed    int           // batch size that the network fixes; 0 for any
	recipe   recipe
	workers  int
	findings diag.List
	free     chan *engine.Batch
	// sums are the digests of some samples, once they are known.
	sums atomic.Pointer[digests]
}

// digests are those of the samples in use from first on.
type digests struct {
	first int
	sums  [][sha256.Size]byte
}

// of returns the digest of the k-th sample in use, or nil where it is not known.
func (d *digests) of(k int) *[sha256.Size]byte {
	if d == nil || k < d.first || k >= d.first+len(d.sums) {
		return nil
	}
	return &d.sums[k-d.first]
}

// Open opens a folder of images, an .npy, .npz or IDX file (.gz too) as
// samples for a network with the given inputs. Constants that the model lists
// among its inputs do not belong there.
//
// Errors are one line that names the file, what is wrong and the way out.
func Open(path string, inputs []InputSpec, opts Options) (set *Set, err error) {
	if len(inputs) == 0 {
		return nil, diag.Errorf("%s: the network has no inputs to feed", path)
	}
	if opts.SubsetLen < 0 {
		return nil, diag.Errorf("a subset of %d samples is impossible: give 1 or more", opts.SubsetLen)
	}
	if opts.Skip < 0 {
		return nil, diag.Errorf("skipping %d samples is impossible: give 0 or more", opts.Skip)
	}
	r, err := opts.Preprocess.recipe()
	if err != nil {
		return nil, err
	}
	fi, err := os.Stat(path)
	if os.IsNotExist(err) {
		return nil, diag.Errorf("%s: no such file or folder: give a folder of images, an .npy, .npz or IDX file", path)
	}
	if err != nil {
		return nil, diag.Errorf("%s: cannot be read: %w", path, bare(err))
	}
	s := &Set{path: path, recipe: r, workers: opts.Workers}
	if s.workers <= 0 {
		s.workers = runtime.GOMAXPROCS(0)
	}
	var dir *folder
	switch {
	case fi.IsDir():
		if names := arrayFiles(path); len(names) > 1 && len(inputs) == 1 {
			if s.src, err = openFolderList(path, names, inputs[0], r); err != nil {
				return nil, err
			}
			break
		}
		if len(inputs) > 1 {
			return nil, diag.Errorf("%s: a folder of images feeds one input, but the network has %d (%s): give an .npz with one array for each", path, len(inputs), names(inputs))
		}
		if dir, err = openFolder(path); err != nil {
			return nil, err
		}
		if dir.plan, err = fitPixels(inputs[0], r); err != nil {
			return nil, diag.Errorf("%s: %w", path, err)
		}
		s.src = dir
	case isImage(path):
		return nil, diag.Errorf("%s: is one image: give the folder that holds it", path)
	case !fi.Mode().IsRegular():
		return nil, diag.Errorf("%s: is neither a folder nor a plain file", path)
	default:
		if s.src, err = openArraysOrList(path, inputs, r); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err != nil {
			s.src.close()
		}
	}()
	if s.src.total() == 0 {
		return nil, diag.Errorf("%s: holds no samples", path)
	}
	if n := s.src.total(); opts.Skip >= n {
		return nil, diag.Errorf("%s: holds %d samples, none behind the first %d: skip fewer", path, n, opts.Skip)
	}
	s.pick(opts)
	if err := s.src.choose(s.count, s.at); err != nil {
		return nil, err
	}
	if err := s.batchAxis(); err != nil {
		return nil, diag.Errorf("%s: %w", path, err)
	}
	if err := s.findLabels(opts.Labels, dir); err != nil {
		return nil, err
	}
	if dir != nil {
		s.noteSkipped(dir)
	}
	s.warnOneClass(opts)
	s.noteRawPixels(opts)
	s.noteUnprocessed(opts)
	s.free = make(chan *engine.Batch, 4)
	return s, nil
}

// pick chooses the samples. It holds memory for those in use only, and none
// where they are the first ones.
func (s *Set) pick(opts Options) {
	n := s.src.total()
	s.skip, s.count = opts.Skip, n-opts.Skip
	if opts.SubsetLen > 0 {
		s.count = min(s.count, opts.SubsetLen)
	}
	if !opts.Shuffle {
		return
	}
	// Fisher and Yates over a generator whose stream is specified: the order
	// must not change with the version of Go. The bias of the remainder is
	// below n/2^64. Places that no swap has touched hold their own index.
	gen := rand.NewPCG(opts.Seed, 0x6e6172726f77)
	moved := map[int]int{}
	at := func(i int) int {
		if v, ok := moved[i]; ok {
			return v
		}
		return i
	}
	for i := range s.skip + s.count {
		j := i + int(gen.Uint64()%uint64(n-i))
		if i >= s.skip {
			s.order = append(s.order, at(j))
		}
		moved[j] = at(i)
		delete(moved, i)
	}
}

// at returns the source's index of the k-th sample in use.
func (s *Set) at(k int) int {
	if s.order == nil {
		return s.skip + k
	}
	return s.order[k]
}

// batchAxis finds the batch size that the inputs fix.
func (s *Set) batchAxis() error {
	by := ""
	limit := func(n int64, name string) error {
		if s.fixed != 0 && int64(s.fixed) != n {
			return diag.Errorf("inputs %q and %q ask for batches of %d and %d samples: where the first axis of an input does not count samples, put an axis that does in front of it, or give an array of the input's shape for one sample, used for all", by, name, s.fixed, n)
		}
		s.fixed, by = int(n), name
		return nil
	}
	for k, p := range s.src.plans() {
		a, isArray := s.src.(*arraySource)
		if isArray && a.fixed[k] {
			if len(p.shape) > 0 && slices.ContainsFunc(p.spec.Dims, func(d int64) bool { return d < 0 }) {
				// One of the open axes may be the batch, which has the length
				// that the array says; it fits one sample for certain.
				if err := limit(1, p.spec.Name); err != nil {
					return err
				}
			}
			continue
		}
		n := int64(-1)
		switch {
		case p.whole:
			n = 1
		case len(p.spec.Dims) > 0:
			n = p.spec.Dims[0]
		}
		if n == 0 || n > 1<<20 {
			return diag.Errorf("input %q fixes an impossible batch of %d samples", p.spec.Name, n)
		}
		if n > 0 {
			if err := limit(n, p.spec.Name); err != nil {
				return err
			}
		}
	}
	if l, ok := s.src.(*list); ok && l.unlike() {
		if s.fixed > 1 {
			return diag.Errorf("its samples have different shapes, and input %q takes %d at a time", l.plans()[0].spec.Name, s.fixed)
		}
		s.fixed = 1
		s.findings = append(s.findings, diag.Finding{Severity: diag.Note, Code: "unlike-shapes", Range: diag.Range{File: s.path},
			Message: diag.Textf("the samples have different shapes: each is a batch of its own")})
	}
	s.noteBatch()
	return nil
}

// noteBatch takes over the number of samples that a network takes at once where
// only its inside tells, and says what was found out about the axis of samples.
func (s *Set) noteBatch() {
	for _, p := range s.src.plans() {
		note := func(code string, msg diag.Text) {
			s.findings = append(s.findings, diag.Finding{Severity: diag.Note, Code: code, Range: diag.Range{File: s.path}, Message: msg})
		}
		switch {
		case p.whole && p.spec.Axis > 0:
			note("sample-axis", diag.Textf("samples go along axis %d of input %q of shape %s, one at a time", p.spec.Axis, p.spec.Name, shapeString(p.spec.Dims)))
		case s.fixed == 0 && p.spec.Batch > 0:
			s.fixed = p.spec.Batch
			msg := diag.Textf("the network takes one sample at a time, although input %q leaves it open: an operator inside, such as a Reshape, holds that number", p.spec.Name)
			if p.spec.Batch > 1 {
				msg = diag.Textf("the network takes %d samples at a time, although input %q leaves it open: an operator inside, such as a Reshape, holds that number; the last batch is filled up", p.spec.Batch, p.spec.Name)
			}
			note("batch-size", msg)
		}
	}
}

// noteRawPixels notices pixels that nobody said how to preprocess: few networks
// take them from 0 to 255.
func (s *Set) noteRawPixels(opts Options) {
	if opts.Preprocess.Preset != "" || !s.recipe.plain() {
		return
	}
	for _, p := range s.src.plans() {
		if !p.pixels || !isFloat(p.spec.Type) {
			continue
		}
		s.findings = append(s.findings, diag.Finding{
			Severity: diag.Note,
			Code:     "raw-pixels",
			Range:    diag.Range{File: s.path},
			Message:  diag.Textf("pixels enter input %q as they are, 0 to 255", p.spec.Name),
			Fix:      diag.Textf("--preprocess unit, pm1 or imagenet, as the network was trained; --preprocess none if 0 to 255 is right"),
		})
	}
}

// noteUnprocessed notices preprocessing that is asked for and done to nothing.
func (s *Set) noteUnprocessed(opts Options) {
	p := opts.Preprocess
	asked := p.Preset != "" && p.Preset != None || !s.recipe.plain()
	if !asked || slices.ContainsFunc(s.src.plans(), func(p *plan) bool { return p.pixels }) {
		return
	}
	s.findings = append(s.findings, diag.Finding{
		Severity: diag.Note,
		Code:     "preprocessing-unused",
		Range:    diag.Range{File: s.path},
		Message:  diag.Textf("these values are taken as they are: only images and uint8 arrays are preprocessed"),
	})
}

// noteSkipped names the files of a folder that are not read, the first of them.
func (s *Set) noteSkipped(dir *folder) {
	const most = 5
	names := slices.Clone(dir.skipped)
	if len(names) == 0 {
		return
	}
	all, rest := len(names)+len(dir.files), len(names)-most
	list := diag.Commas(names[:min(len(names), most)])
	if rest > 0 {
		list = diag.Textf("%s and %d more", list, rest)
	}
	s.findings = append(s.findings, diag.Finding{
		Severity: diag.Note,
		Code:     "files-not-read",
		Range:    diag.Range{File: s.path},
		Message:  diag.Textf("%d of %d files are not read: %s", len(names), all, list),
		Fix:      diag.Textf("convert them to PNG or JPEG if they are samples"),
	})
}

// warnOneClass notices the classic mistake with sorted class folders.
func (s *Set) warnOneClass(opts Options) {
	if s.count < 2 || s.count == s.src.total() || s.skip > 0 || opts.Shuffle || s.labels.Classes == nil || s.labels.Shape != nil {
		return
	}
	for _, l := range s.labels.Classes {
		if l != s.labels.Classes[0] {
			return
		}
	}
	s.findings = append(s.findings, diag.Finding{
		Severity: diag.Warning,
		Code:     "one-class",
		Range:    diag.Range{File: s.path},
		Message:  diag.Textf("all of the first %d samples are of class %d", s.count, s.labels.Classes[0]),
		Fix:      diag.Textf("--shuffle draws from all classes"),
	})
}

// Len returns the number of samples in use.
func (s *Set) Len() int { return s.count }

// Path returns the path that was opened.
func (s *Set) Path() string { return s.path }

// Labels returns the classes of the samples in use, in order.
func (s *Set) Labels() engine.Labels { return s.labels }

// Findings are warnings about the choice of samples.
func (s *Set) Findings() diag.List { return slices.Clone(s.findings) }

// BatchSize returns the number of samples per batch that Batches would use
// when asked for want: the network's own where it fixes one.
func (s *Set) BatchSize(want int) int {
	if s.fixed > 0 {
		return s.fixed
	}
	return want
}

// Inputs returns the inputs with the dimensions that every batch has; those of
// the batch axis are -1 unless the network fixes it.
func (s *Set) Inputs() []InputSpec {
	var out []InputSpec
	for k, p := range s.src.plans() {
		spec := p.spec
		if s.single(k) {
			spec.Dims = slices.Clone(p.shape)
		} else {
			n := int64(-1)
			if s.fixed > 0 {
				n = int64(s.fixed)
			}
			spec.Dims = append([]int64{n}, p.shape...)
		}
		out = append(out, spec)
	}
	return out
}

// Close closes the files. Batches that were handed out stay valid.
func (s *Set) Close() error { return s.src.close() }

// Hash returns the SHA-256, in hexadecimal, of the samples in use, in their
// order, and of the preprocessing. It does not depend on names, times, batch
// size or the number of workers. Batches that are asked for later must hold the
// same samples: one that has changed is an error.
func (s *Set) Hash(ctx context.Context) (string, error) {
	sums, err := s.Digests(ctx, 0, s.count)
	if err != nil {
		return "", err
	}
	return hashSamples(s.HashHead(), sums), nil
}

// Digests returns what [Set.Hash] hashes of count samples from first on: a SHA-256 of
// each, in order. Batches that are asked for later must hold the same samples.
func (s *Set) Digests(ctx context.Context, first, count int) ([][sha256.Size]byte, error) {
	if first < 0 || count < 0 || first+count > s.count {
		return nil, diag.Errorf("there are no %d samples from sample %d on: %d are in use", count, first, s.count)
	}
	sums := make([][sha256.Size]byte, count)
	errs := make([]error, s.workers)
	var wg sync.WaitGroup
	for w := range s.workers {
		wg.Go(func() {
			sc := &scratch{}
			for k := w; k < count; k += s.workers {
				if errs[w] = ctx.Err(); errs[w] != nil {
					return
				}
				if sums[k], errs[w] = s.src.digest(s.at(first+k), sc); errs[w] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, diag.Errorf("hashing the samples: %w", err)
		}
	}
	s.sums.Store(&digests{first, sums})
	return sums, nil
}

// HashHead returns what [Set.Hash] hashes before the samples' digests: how many they
// are, and how they are read.
func (s *Set) HashHead() string { return hashHead(s.src.plans(), s.count) }

func hashHead(plans []*plan, count int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "narrow.samples/1 %d\n", count)
	for _, p := range plans {
		how := "as they are"
		if p.tables != nil {
			how = p.recipe.String()
		}
		fmt.Fprintf(&b, "%q %v %v %s\n", p.spec.Name, p.spec.Type, p.shape, how)
	}
	return b.String()
}

// hashSamples is the hash of samples whose digests are sums, read as head says.
func hashSamples(head string, sums [][sha256.Size]byte) string {
	h := sha256.New()
	h.Write([]byte(head))
	for _, sum := range sums {
		h.Write(sum[:])
	}
	return hex.EncodeToString(h.Sum(nil))
}
