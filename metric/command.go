package metric

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mattn/go-shellwords"

	"narrow/diag"
	"narrow/engine"
	"narrow/evaluate"
	"narrow/internal/scratch"
)

// CommandOptions say how a command tells figures.
type CommandOptions struct {
	// Outputs are the names of the network's outputs, in its order.
	Outputs []string
	// Name is the figure that is the metric; "" for the first one.
	Name string
	// LowerIsBetter says that lower figures are better.
	LowerIsBetter bool
	// Stderr takes what the command writes on standard error; nil for nowhere.
	Stderr io.Writer
	// Large, when set, is called once, before more than [LargeFolder] bytes are
	// written, with how many there will be at a time, and where.
	Large func(bytes int64, dir string)
	// Networks is how many networks' outputs are there at once, the float network's
	// included: for Large.
	Networks int
	// Ended, when set, is called when the command has ended well.
	Ended func(took time.Duration)
}

// LargeFolder is from how many bytes on the size of a command's folders is told.
const LargeFolder = 1 << 30

// Split splits a command into words as a shell does: by blanks, with quotes and
// backslashes. Nothing is expanded. The error tells of quotes that do not end, and
// of what only a shell could do.
func Split(command string) ([]string, error) {
	p := shellwords.NewParser()
	words, err := p.Parse(command)
	switch {
	case err != nil:
		return nil, diag.Errorf("a quote or a backslash at its end is left open")
	case p.Position >= 0:
		return nil, diag.Errorf("no shell runs it, so that %q means nothing there: put it into a program of your own, or into quotes where it is meant as it stands", command[p.Position:])
	case len(words) == 0 || words[0] == "":
		return nil, diag.Errorf("it names no program")
	}
	return words, nil
}

// Command is a [Metric] that a program of the user's tells.
//
// It is run once for each network, with a folder as its last argument, in which
// there is an .npy file for each output (all samples along the first axis; an .npz
// with an array a sample, called 0, 1, ..., where their shapes differ), samples.csv
// (index, name, label), outputs.json (each output's name, file, type and shape),
// labels.npy where a sample has many labels, and, unless the network is the float
// network, float, a folder of the same form with that one's outputs. It prints
// one JSON object of numbers.
type Command struct {
	words []string
	opts  CommandOptions
	dir   *scratch.Dir

	mu    sync.Mutex
	name  string            // the metric's, once known
	float map[string]string // the float network's folders, by set
	told  bool
	n     int
}

// NewCommand returns the metric of a command that [Split] gave. The error says that
// there is no such program, or no temporary folder.
func NewCommand(words []string, opts CommandOptions) (*Command, error) {
	path, err := exec.LookPath(words[0])
	if err != nil {
		return nil, diag.Errorf("the program %q cannot be run: %w", words[0], cause(err))
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	dir, err := scratch.New()
	if err != nil {
		return nil, diag.Errorf("a folder for the metric: %w", err)
	}
	return &Command{words: append([]string{path}, words[1:]...), opts: opts, dir: dir, name: opts.Name, float: map[string]string{}}, nil
}

// cause leaves out what an error of package exec says of the name.
func cause(err error) error {
	var e *exec.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// Compares is false: the float network's outputs are in its folder.
func (c *Command) Compares() bool { return false }

// LowerIsBetter reports what the options say.
func (c *Command) LowerIsBetter() bool { return c.opts.LowerIsBetter }

// Close removes every folder.
func (c *Command) Close() error { return c.dir.Remove() }

// Begin makes a network's folder.
func (c *Command) Begin(_ context.Context, set Set, float bool) (Run, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	dir := filepath.Join(c.dir.Path, strconv.Itoa(c.n))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, diag.Errorf("a folder for the metric: %w", err)
	}
	f, err := newFolder(dir, set, c.opts.Outputs)
	if err != nil {
		return nil, diag.Errorf("a folder for the metric: %w", err)
	}
	return &commandRun{c: c, folder: f, float: float}, nil
}

// commandRun is one network's run.
type commandRun struct {
	c      *Command
	folder *folder
	float  bool
	ended  bool
}

func (r *commandRun) Add(b *engine.Batch, _, outs []engine.Tensor) error {
	r.c.tell(bytes(r.folder.set.Samples, b, outs))
	if err := r.folder.add(b, outs); err != nil {
		return diag.Errorf("writing the outputs for the metric: %w", room(err))
	}
	return nil
}

// tell tells how large the folders get, once.
func (c *Command) tell(size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	size *= int64(max(c.opts.Networks, 1))
	if c.told || size <= LargeFolder || c.opts.Large == nil {
		return
	}
	c.told = true
	c.opts.Large(size, filepath.Dir(c.dir.Path))
}

// room adds the way out of a full disk.
func room(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) && errors.Is(p.Err, syscall.ENOSPC) {
		return diag.Errorf("%w: name a folder with more room by the environment variable TMPDIR, or test on fewer samples", err)
	}
	return err
}

// End runs the command.
func (r *commandRun) End(ctx context.Context) (*Figures, error) {
	c, dir := r.c, r.folder.dir
	if err := r.folder.finish(); err != nil {
		return nil, diag.Errorf("writing the outputs for the metric: %w", room(err))
	}
	r.ended = true
	c.mu.Lock()
	if r.float {
		c.float[r.folder.set.Name] = dir
	}
	float := c.float[r.folder.set.Name]
	c.mu.Unlock()
	if !r.float && float != "" {
		if err := link(float, filepath.Join(dir, "float")); err != nil {
			return nil, diag.Errorf("giving the metric the float network's outputs: %w", room(err))
		}
	}
	start := time.Now()
	out, err := c.run(ctx, dir)
	if err != nil {
		return nil, err
	}
	f, err := c.parse(out)
	if err != nil {
		return nil, diag.Errorf("the metric %s %w", c.title(), err)
	}
	f.Took = time.Since(start)
	if c.opts.Ended != nil {
		c.opts.Ended(f.Took)
	}
	return f, nil
}

// Close removes the folder, but for the float network's, which the others read.
func (r *commandRun) Close() error {
	if r.ended && r.float {
		return nil
	}
	if !r.ended {
		r.folder.close()
	}
	return os.RemoveAll(r.folder.dir)
}

// title is what messages call the command.
func (c *Command) title() string { return strconv.Quote(filepath.Base(c.words[0])) }

// run runs the command on a folder and returns what it prints.
func (c *Command) run(ctx context.Context, dir string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, c.words[0], append(slices.Clone(c.words[1:]), dir)...)
	var out strings.Builder
	most := &limited{w: &out, left: maxPrinted}
	cmd.Stdout, cmd.Stderr = most, c.opts.Stderr
	group(cmd) // its own children end with it
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		return nil, diag.Errorf("running the metric: %w", context.Cause(ctx))
	}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return nil, diag.Errorf("the metric %s failed with exit code %d", c.title(), exit.ExitCode())
	case errors.As(err, &exit):
		return nil, diag.Errorf("the metric %s was ended by %v", c.title(), exit.ProcessState)
	case errors.Is(err, errPrinted):
		return nil, diag.Errorf("the metric %s prints more than %d bytes: one JSON object of numbers is asked for", c.title(), maxPrinted)
	case err != nil:
		return nil, diag.Errorf("the metric %s cannot be run: %w", c.title(), cause(err))
	}
	return []byte(out.String()), nil
}

// maxPrinted is how much a command may print.
const maxPrinted = 1 << 20

var errPrinted = diag.Errorf("too much is printed")

// limited passes on so many bytes.
type limited struct {
	w    io.Writer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, errPrinted
	}
	return l.w.Write(p)
}

// parse reads what a command printed. Errors continue "the metric ...".
func (c *Command) parse(out []byte) (*Figures, error) {
	all, err := parseFigures(out)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.name == "" {
		c.name = all[0].Name
	}
	f := &Figures{Name: c.name, All: all}
	var ok bool
	if f.Value, ok = all.Find(c.name); !ok {
		var names []string
		for _, x := range all {
			names = append(names, x.Name)
		}
		return nil, diag.Errorf("prints no number %q: it prints %s", c.name, diag.Commas(names))
	}
	return f, nil
}

// parseFigures reads a JSON object of numbers, or null for what has none.
func parseFigures(out []byte) (evaluate.Figures, error) {
	text := strings.TrimSpace(string(out))
	if text == "" {
		return nil, diag.Errorf("prints nothing: a JSON object of numbers is asked for on standard output, such as {\"map50\": 0.41}")
	}
	notJSON := func() error {
		if i := slices.IndexFunc(words(text), func(w string) bool { return w == "NaN" || w == "Infinity" || w == "-Infinity" }); i >= 0 {
			return diag.Errorf("prints %s, which is no number: print null for what has no value", words(text)[i])
		}
		return diag.Errorf("prints no JSON object of numbers but %s", strconv.Quote(short(text)))
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, notJSON()
	}
	var all evaluate.Figures
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, notJSON()
		}
		var value any
		if err := d.Decode(&value); err != nil {
			return nil, notJSON()
		}
		name, _ := key.(string)
		if _, twice := all.Find(name); twice {
			return nil, diag.Errorf("prints %q twice", name)
		}
		f := evaluate.Figure{Name: name}
		switch v := value.(type) {
		case nil:
		case json.Number:
			x, err := v.Float64()
			if err != nil {
				return nil, diag.Errorf("prints %s for %q, which is too large", v, name)
			}
			f.Value = &x
		default:
			data, _ := json.Marshal(value) // it came from JSON
			return nil, diag.Errorf("prints %s for %q, which is no number", short(string(data)), name)
		}
		all = append(all, f)
	}
	if _, err := d.Token(); err != nil {
		return nil, notJSON()
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, notJSON()
	}
	if len(all) == 0 {
		return nil, diag.Errorf("prints a JSON object without any number")
	}
	return all, nil
}

// words cuts what was printed where no word of JSON continues.
func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n,:{}[]", r) })
}

// short shortens what a message quotes.
func short(s string) string {
	if r := []rune(s); len(r) > 80 {
		return string(r[:80]) + "..."
	}
	return s
}

// link gives a folder a second place: by hard links, or copies where the system has
// none.
func link(from, to string) error {
	files, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	for _, f := range files {
		if f.IsDir() {
			continue
		}
		a, b := filepath.Join(from, f.Name()), filepath.Join(to, f.Name())
		if os.Link(a, b) == nil {
			continue
		}
		in, err := os.Open(a)
		if err != nil {
			return err
		}
		err = writeFile(b, func(w io.Writer) error { _, err := io.Copy(w, in); return err })
		if err = errors.Join(err, in.Close()); err != nil {
			return err
		}
	}
	return nil
}
