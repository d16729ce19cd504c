// Torture runs the program on files that are made to break it, and prints how
// many of each class there were and how they ended:
//
//	go run ./tools/torture [-narrow bin/narrow] [-n 10000] [-time 20m] [-seed 1]
//
// Every case runs the real program, in a folder of its own. It must end by
// itself in time, with exit code 0, 1 or 2; say nothing that acts on a terminal
// and no stack; leave no temporary file; and leave a result only where it says
// that it has one. A crash of ONNX Runtime is counted: what it takes is not ours
// to know, but it must be told in one line. A case that breaks a rule is kept
// in the folder -keep, with what was run and said.
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"narrow/graph"
	"narrow/graph/onnx"
	"narrow/internal/broken"
)

func main() {
	t := &torture{}
	flag.StringVar(&t.program, "narrow", "bin/narrow", "the program")
	flag.StringVar(&t.keep, "keep", "torture-failures", "folder for the cases that break a rule")
	flag.Uint64Var(&t.seed, "seed", 1, "draws the cases")
	flag.DurationVar(&t.patience, "patience", 60*time.Second, "how long a case may take")
	n := flag.Int("n", 10_000, "how many cases there are")
	limit := flag.Duration("time", 20*time.Minute, "when to stop, however many were run")
	jobs := flag.Int("jobs", runtime.NumCPU(), "how many run at once")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *limit)
	defer cancel()
	if err := t.run(ctx, *n, *jobs); err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(1)
	}
}

// torture is one run of many cases.
type torture struct {
	program, keep string
	seed          uint64
	patience      time.Duration

	draw    *broken.Random
	bundled []byte // a network that is right
	whole   []byte // of another one

	mu     sync.Mutex
	counts map[string]*count
	failed int
}

// count is how the cases of a class ended.
type count struct {
	cases, done, refused, crashed, failed int
	longest                               time.Duration
}

// testCase is one run of the program.
type testCase struct {
	class string
	files map[string][]byte
	args  []string
	// kill ends the program after a while, as nobody can expect.
	kill time.Duration
}

// classes are the ways to torture, in turn.
var classes = []struct {
	name string
	make func(*torture, *rand.Rand, int) testCase
}{
	{"random operators", (*torture).operators},
	{"models with changed bytes", (*torture).bytesOf},
	{"strategies with changed bytes", (*torture).strategies},
	{"samples with changed bytes", (*torture).samples},
	{"results with changed bytes", (*torture).results},
	{"hostile names", (*torture).names},
	{"kills", (*torture).kills},
}

func (t *torture) run(ctx context.Context, n, jobs int) error {
	program, err := filepath.Abs(t.program)
	if err != nil {
		return err
	}
	t.program = program
	if _, err := os.Stat(program); err != nil {
		return fmt.Errorf("%w: build it by make build, or name it with -narrow", err)
	}
	t.draw, t.counts = broken.NewRandom(), map[string]*count{}
	for _, c := range classes {
		t.counts[c.name] = &count{}
	}
	bases := broken.Bases()
	if t.bundled, err = onnx.Encode(bases[0].Net); err != nil {
		return err
	}
	if t.whole, err = onnx.Encode(bases[2].Net); err != nil {
		return err
	}
	began := time.Now()
	next := make(chan int)
	var wg sync.WaitGroup
	for range jobs {
		wg.Go(func() {
			for i := range next {
				t.one(ctx, i)
			}
		})
	}
	for i := range n {
		select {
		case next <- i:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(next)
	wg.Wait()
	t.print(time.Since(began))
	if t.failed > 0 {
		return fmt.Errorf("%d cases break a rule; see %s", t.failed, t.keep)
	}
	return nil
}

func (t *torture) print(took time.Duration) {
	fmt.Println("| class | cases | done | refused | ONNX Runtime crashed, told in a line | broke a rule | longest |")
	fmt.Println("|---|---|---|---|---|---|---|")
	all := 0
	for _, c := range classes {
		k := t.counts[c.name]
		all += k.cases
		fmt.Printf("| %s | %d | %d | %d | %d | %d | %.1f s |\n", c.name, k.cases, k.done, k.refused, k.crashed, k.failed, k.longest.Seconds())
	}
	fmt.Printf("\n%d cases in %.0f s, seed %d\n", all, took.Seconds(), t.seed)
}

// one runs a case and looks at how it ended.
func (t *torture) one(ctx context.Context, i int) {
	class := classes[i%len(classes)]
	r := rand.New(rand.NewPCG(t.seed, uint64(i)))
	c := class.make(t, r, i/len(classes))
	dir, err := os.MkdirTemp("", "torture-")
	if err != nil {
		return
	}
	defer os.RemoveAll(dir)
	tmp := filepath.Join(dir, "tmp")
	work := filepath.Join(dir, "work")
	for _, d := range []string{tmp, work} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return
		}
	}
	for name, data := range c.files {
		path := filepath.Join(work, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return
		}
	}
	limit, cancel := context.WithTimeout(context.Background(), t.patience)
	defer cancel()
	cmd := exec.CommandContext(limit, t.program, c.args...)
	cmd.Dir = work
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "NARROW_LANG=en")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return
	}
	if c.kill > 0 {
		time.AfterFunc(c.kill, func() { _ = cmd.Process.Kill() })
	}
	err = cmd.Wait()
	took := time.Since(start)
	if ctx.Err() != nil && limit.Err() != nil {
		return
	}
	why := t.judge(&c, err, limit.Err(), said.String(), tmp, work)

	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.counts[class.name]
	k.cases++
	k.longest = max(k.longest, took)
	switch {
	case why != "":
		k.failed++
		t.failed++
		t.keepCase(&c, i, why, said.String())
	case strings.Contains(said.String(), "ONNX Runtime crashed"):
		k.crashed++
	case err != nil:
		k.refused++
	default:
		k.done++
	}
}

// judge returns which rule a case breaks, "" for none.
func (t *torture) judge(c *testCase, err, late error, said, tmp, work string) string {
	var exit *exec.ExitError
	code := 0
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		return err.Error()
	}
	switch {
	case late != nil:
		return "it does not end"
	case c.kill > 0: // it leaves what a kill leaves; the next run clears it
		return ""
	case code < 0 || code > 2:
		return fmt.Sprintf("exit code %d", code)
	case strings.Contains(said, "goroutine ") || strings.Contains(said, "a mistake in narrow"):
		return "it panics"
	case strings.ContainsFunc(said, func(c rune) bool { return c < ' ' && c != '\n' && c != '\t' || c >= 0x7f && c < 0xa0 }):
		return "it prints control characters"
	case code != 0 && strings.TrimSpace(said) == "":
		return "it says nothing"
	}
	for line := range strings.Lines(said) {
		if len(line) > 8000 {
			return "it prints a line of " + fmt.Sprint(len(line)) + " bytes"
		}
	}
	if left, _ := os.ReadDir(tmp); len(left) > 0 {
		return "it leaves temporary files: " + left[0].Name()
	}
	why := ""
	_ = filepath.WalkDir(work, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(d.Name(), ".narrow") {
			why = "it leaves " + d.Name()
		}
		return nil
	})
	if _, err := os.Stat(filepath.Join(work, "out", "quant_info.json")); code != 0 && err == nil && c.files["out/quant_info.json"] == nil {
		why = "it fails and leaves a result"
	}
	return why
}

// keepCase keeps a case that breaks a rule.
func (t *torture) keepCase(c *testCase, i int, why, said string) {
	dir := filepath.Join(t.keep, fmt.Sprintf("%06d", i))
	for name, data := range c.files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		_ = os.MkdirAll(filepath.Dir(path), 0o700)
		_ = os.WriteFile(path, data, 0o600)
	}
	_ = os.MkdirAll(dir, 0o700)
	_ = os.WriteFile(filepath.Join(dir, "WHY"), []byte(fmt.Sprintf("%s\nnarrow %s\n%s", why, strings.Join(c.args, " "), said)), 0o600)
	fmt.Fprintf(os.Stderr, "case %d (%s): %s\n", i, c.class, why)
}

// calib is the command that does most with a model.
func calib(more ...string) []string {
	return append([]string{"calib", "--model", "net.onnx", "--data", "x.npy", "-o", "out", "--threads", "1"}, more...)
}

func (t *torture) operators(r *rand.Rand, i int) testCase {
	m := t.draw.Model(r, i)
	// One input that samples can feed; the others are constants of their shape.
	keep := m.Graph.Inputs[:1]
	for _, v := range m.Graph.Inputs[1:] {
		m.Graph.Initializers = append(m.Graph.Initializers, filled(v, r))
	}
	m.Graph.Inputs = keep
	data, err := onnx.Encode(m)
	if err != nil {
		data = nil
	}
	return testCase{class: "random operators", files: map[string][]byte{"net.onnx": data, "x.npy": npy([]int{6, 4}, r)}, args: calib()}
}

// filled is a small constant in the place of an input.
func filled(v *graph.Value, r *rand.Rand) *graph.Tensor {
	dims := []int64{}
	n := 1
	for _, d := range v.Shape {
		k := d.Size
		if k < 0 || k > 4 {
			k = 2
		}
		if n*int(k) > 256 {
			k = 1
		}
		n *= int(k)
		dims = append(dims, k)
	}
	raw := make([]byte, n*v.Type.Bits()/8)
	if v.Type == graph.Float32 {
		for i := range n {
			binary.LittleEndian.PutUint32(raw[4*i:], math.Float32bits(r.Float32()))
		}
	}
	return &graph.Tensor{Name: v.Name, Type: v.Type, Dims: dims, Raw: raw}
}

// spoiled changes some bytes: bits, whole bytes, parts taken out or doubled, the
// end cut off.
func spoiled(data []byte, r *rand.Rand) []byte {
	b := bytes.Clone(data)
	for range 1 + r.IntN(4) {
		if len(b) < 8 {
			return b
		}
		at := r.IntN(len(b))
		n := 1 + r.IntN(min(64, len(b)-at))
		switch r.IntN(6) {
		case 0:
			b[at] ^= 1 << r.IntN(8)
		case 1:
			b[at] = []byte{0, 1, 0x7f, 0x80, 0xff, '"', '{', '\n', 0x1b}[r.IntN(9)]
		case 2:
			b = slices.Delete(b, at, at+n)
		case 3:
			b = slices.Insert(b, at, b[at:at+n]...)
		case 4:
			b = b[:at]
		case 5:
			for i := range n {
				b[at+i] = byte(r.IntN(256))
			}
		}
	}
	return b
}

func (t *torture) bytesOf(r *rand.Rand, i int) testCase {
	base := t.bundled
	if i%2 == 1 {
		base = t.whole
	}
	return testCase{class: "models", files: map[string][]byte{"net.onnx": spoiled(base, r), "x.npy": npy([]int{2, 3, 8, 8}, r)}, args: calib()}
}

// strategy is a file with a bit of everything.
const strategy = `{
  "include_cle": false, "include_bias_corr": false, "target_device": "CPU", "quantizable_data_type": ["input", "weights", "bias", "activation"],
  "overall_quantize_config": {"datatype": "int", "bit_width": 8, "method": "maxmin", "round_mode": "half_even", "symmetry": true, "per_channel": false,
    "signed": true, "narrow_range": false, "scale_type": "float", "calib_statistic_method": "max"},
  "tensor_quantize_config": {"weights": {"per_channel": true}, "bias": {"datatype": "bfloat16"}},
  "layer_quantize_config": [{"layer_type": "torch.nn.Conv2d", "layer_name": null, "quantizable_data_type": ["weights"], "overall_quantize_config": {"bit_width": 6}},
    {"layer_type": null, "layer_name": ["layer1", "conv1"], "quantizable_data_type": ["activation"], "overall_quantize_config": {"method": "percentile", "percentage": 99.9}}]
}
`

func (t *torture) strategies(r *rand.Rand, i int) testCase {
	c := testCase{class: "strategies", files: map[string][]byte{"net.onnx": t.bundled, "s.json": spoiled([]byte(strategy), r), "x.npy": npy([]int{2, 3, 8, 8}, r)}}
	switch i % 4 {
	case 0:
		c.args = calib("--config-file", "s.json")
	case 1:
		c.args = []string{"explain", "--model", "net.onnx", "--config-file", "s.json"}
	default:
		c.args = []string{"lint", "s.json", "--model", "net.onnx"}
	}
	return c
}

func (t *torture) samples(r *rand.Rand, i int) testCase {
	files := map[string][]byte{"net.onnx": t.bundled}
	args := calib()
	switch i % 3 {
	case 0:
		files["x.npy"] = spoiled(npy([]int{2, 3, 8, 8}, r), r)
	case 1: // an IDX file
		head := []byte{0, 0, 8, 4, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 8, 0, 0, 0, 8}
		files["x.npy"] = spoiled(append(head, make([]byte, 2*3*8*8)...), r)
	default: // several samples in a folder
		for k := range 3 {
			files[fmt.Sprintf("x.npy/%d.npy", k)] = npy([]int{3, 8, 8}, r)
		}
		files["x.npy/1.npy"] = spoiled(files["x.npy/1.npy"], r)
	}
	return testCase{class: "samples", files: files, args: args}
}

// results are read again by test: of a folder that no command wrote.
func (t *torture) results(r *rand.Rand, _ int) testCase {
	info := `{"format": "narrow.quant_info/1", "model": {"path": "net.onnx", "sha256": ""}, "strategy": {}, "strategy_sha256": "", "samples": {"count": 2, "batches": 1, "sha256": ""}, "propagate": "progressive", "tensors": [{"name": "x", "kind": "input", "scale": [0.5], "zero_point": [0], "quant_min": -128, "quant_max": 127}]}`
	return testCase{
		class: "results", files: map[string][]byte{"net.onnx": t.bundled, "x.npy": npy([]int{2, 3, 8, 8}, r), "out/quant_info.json": spoiled([]byte(info), r)},
		args: []string{"test", "--model", "net.onnx", "--data", "x.npy", "-o", "out"},
	}
}

// hostile are names that a terminal, a shell or a report could trip over.
var hostile = []string{
	"\x1b[31mred\x1b]0;pwned\a\nx", "a\x00b", "\u202egpj.exe", strings.Repeat("A", 100_000), strings.Repeat("b ", 5000), "</script><script>alert(1)</script>",
	"%s%n%d", "../../etc/passwd", "\xff\xfe", "\u009b31m", "名字" + strings.Repeat("长", 1000), "'\"`$(id)", "",
}

func (t *torture) names(r *rand.Rand, i int) testCase {
	m := broken.Bases()[r.IntN(3)].Net
	bad := hostile[r.IntN(len(hostile))]
	n := m.Graph.Nodes[r.IntN(len(m.Graph.Nodes))]
	switch r.IntN(7) {
	case 0:
		n.Name = bad
	case 1:
		n.OpType = bad
	case 2:
		n.Domain = bad
	case 3:
		n.Attrs = append(n.Attrs, &graph.Attr{Name: bad, Kind: graph.AttrInt, Int: 1})
	case 4:
		m.Graph.Name = bad
	case 5:
		old := n.Outputs[0]
		for _, k := range m.Graph.Nodes {
			for j, in := range k.Inputs {
				if in == old {
					k.Inputs[j] = bad
				}
			}
		}
		n.Outputs[0] = bad
	default:
		m.Graph.Inputs[0].Name = bad
	}
	data, err := onnx.Encode(m)
	if err != nil {
		data = []byte(bad)
	}
	args := calib()
	if i%3 == 0 {
		args = []string{"layers", "--model", "net.onnx"}
	}
	return testCase{class: "names", files: map[string][]byte{"net.onnx": data, "x.npy": npy([]int{2, 3, 8, 8}, r)}, args: args}
}

func (t *torture) kills(r *rand.Rand, _ int) testCase {
	return testCase{
		class: "kills", files: map[string][]byte{"net.onnx": t.bundled, "x.npy": npy([]int{64, 3, 8, 8}, r)}, args: calib(),
		kill: time.Duration(1+r.IntN(400)) * time.Millisecond,
	}
}

// npy is an .npy file of float32.
func npy(shape []int, r *rand.Rand) []byte {
	var dims []string
	n := 1
	for _, d := range shape {
		dims = append(dims, fmt.Sprint(d))
		n *= d
	}
	head := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%s,), }", strings.Join(dims, ", "))
	head += strings.Repeat(" ", 63-(len(head)+10)%64) + "\n"
	b := append([]byte("\x93NUMPY\x01\x00"), byte(len(head)), byte(len(head)>>8))
	b = append(b, head...)
	for range n {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(r.Float32()))
	}
	return b
}
