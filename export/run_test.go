package export_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"narrow/calibrate"
	"narrow/diag"
	"narrow/engine"
	"narrow/engine/ort"
	"narrow/evaluate"
	"narrow/export"
	"narrow/graph"
	"narrow/graph/graphtext"
	"narrow/graph/onnx"
	"narrow/internal/testnet"
	"narrow/plan"
	"narrow/rewrite"
	"narrow/strategy"
)

// inOrder loads networks without blocked layouts, so that float sums are those
// of the exported network.
type inOrder struct{ *ort.Runner }

func (r inOrder) Load(ctx context.Context, m *graph.Model, o engine.LoadOptions) (engine.Session, error) {
	o.AnyOrder = nil
	return r.Runner.Load(ctx, m, o)
}

func runner(t *testing.T) engine.Runner {
	t.Helper()
	return inOrder{testnet.Runner(t)}
}

// settings parses a strategy.
func settings(t *testing.T, text string) *strategy.Strategy {
	t.Helper()
	s, list := strategy.Parse("test.json", []byte(text)) // the golden files name it
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	return s
}

func load(t *testing.T, file string) *graph.Model {
	t.Helper()
	m, err := onnx.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// calibrated is a plan with encodings and what the simulation makes of samples.
type calibrated struct {
	*calibrate.Calibrated
	in map[string]engine.Tensor
}

// calibrateOn plans m by s and calibrates it on samples.
func calibrateOn(t *testing.T, m *graph.Model, s *strategy.Strategy) calibrated {
	t.Helper()
	return calibrateWith(t, m, s, plan.Options{})
}

// calibrateWith is calibrateOn with options of the plan.
func calibrateWith(t *testing.T, m *graph.Model, s *strategy.Strategy, o plan.Options) calibrated {
	t.Helper()
	m, _, err := rewrite.Apply(m, rewrite.FoldBatchNorm())
	if err != nil {
		t.Fatal(err)
	}
	p, list, err := plan.BuildWith(m, s, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	c, err := calibrate.Calibrate(context.Background(), p, runner(t), func(yield func(*engine.Batch, error) bool) {
		for i := range 2 {
			in := testnet.Inputs(m, 8, uint64(i), 1)
			count := 4
			for _, x := range in {
				count = int(x.Shape[0])
			}
			if !yield(&engine.Batch{First: count * i, Count: count, Inputs: in}, nil) {
				return
			}
		}
	}, calibrate.Options{Source: calibrate.Source{ModelPath: "net.onnx", ModelSHA256: "0123", SamplesSHA256: "4567", Version: "test"}})
	if err != nil {
		t.Fatal(err)
	}
	return calibrated{c, testnet.Inputs(m, 8, 99, 1)}
}

// simulate returns the outputs of the simulated network, in order.
func (c calibrated) simulate(t *testing.T) [][]float32 { return c.simulateWith(t, nil) }

// simulateWith is simulate with other biases than the calibrated ones.
func (c calibrated) simulateWith(t *testing.T, biases map[*tensor][]float32) [][]float32 {
	t.Helper()
	var out [][]float32
	net, err := c.Network(0, biases)
	if err != nil {
		t.Fatal(err)
	}
	_, err = evaluate.Run(context.Background(), runner(t), nil, []engine.Network{net}, func(yield func(*engine.Batch, error) bool) {
		count := 0
		for _, x := range c.in {
			count = int(x.Shape[0])
		}
		yield(&engine.Batch{Count: count, Inputs: c.in}, nil)
	}, evaluate.Options{Output: func(first int, ts []engine.Tensor) error {
		for _, x := range ts {
			out = append(out, x.Floats)
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// run saves m, loads it again and runs it.
func run(t *testing.T, m *graph.Model, in map[string]engine.Tensor) [][]float32 {
	t.Helper()
	file := filepath.Join(t.TempDir(), "m.onnx")
	if err := onnx.Save(m, file); err != nil {
		t.Fatal(err)
	}
	check(t, file)
	m = load(t, file)
	s, err := runner(t).Load(context.Background(), m, engine.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got, err := s.Run(context.Background(), in, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out [][]float32
	for _, v := range m.Graph.Outputs {
		out = append(out, got[v.Name].Floats)
	}
	return out
}

func qdq(t *testing.T, in *calibrate.Calibrated, o export.Options) (*graph.Model, diag.List) {
	t.Helper()
	m, list, err := export.QDQ(in, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	return m, list
}

// checker is a process that has the ONNX checker look at the files that it is
// told, a line each, and answers with a line.
type checker struct {
	sync.Mutex
	in  io.Writer
	out *bufio.Scanner
}

// onnxChecker starts the checker of Debian's python3-onnx, or of another python3
// that has one; nil where there is none. It ends with the tests, whose end
// closes its input.
var onnxChecker = sync.OnceValue(func() *checker {
	const code = `
import sys
try:
    import onnx
except ImportError:
    sys.exit()
print("ready", flush=True)
for line in sys.stdin:
    try:
        m = onnx.load(line.strip(), load_external_data=False)
        if all(o.domain or o.version <= onnx.defs.onnx_opset_version() for o in m.opset_import) and m.ir_version <= onnx.IR_VERSION:
            onnx.checker.check_model(line.strip(), full_check=True)
            print("good", flush=True)
        else:
            print("too new for this checker", flush=True)
    except Exception as e:
        print(repr(e), flush=True)
`
	for _, python := range []string{"/usr/bin/python3", "python3"} {
		cmd := exec.Command(python, "-c", code)
		in, err := cmd.StdinPipe()
		if err != nil {
			continue
		}
		out, err := cmd.StdoutPipe()
		if err != nil || cmd.Start() != nil {
			continue
		}
		c := &checker{in: in, out: bufio.NewScanner(out)}
		if c.out.Scan() && c.out.Text() == "ready" {
			return c
		}
	}
	return nil
})

// check has the ONNX checker look at a file, where it is installed and knows the
// file's operator set.
func check(t *testing.T, file string) {
	t.Helper()
	c := onnxChecker()
	if c == nil {
		return
	}
	c.Lock()
	defer c.Unlock()
	if _, err := fmt.Fprintln(c.in, file); err != nil || !c.out.Scan() {
		t.Fatalf("the ONNX checker ended: %v, %v", err, c.out.Err())
	}
	if answer := c.out.Text(); answer != "good" && answer != "too new for this checker" {
		t.Errorf("the ONNX checker refuses the export: %s", answer)
	}
}

// TestChecked says where exports go without the ONNX checker.
func TestChecked(t *testing.T) {
	if onnxChecker() == nil {
		t.Skip("no python3 with onnx here: apt-get install python3-onnx")
	}
	m := graphtext.MustParse(`g (float[N, 4] x) => (float[N, 4] y) { y = Relu (x) }`)
	m.Graph.Nodes[0].OpType = "NoSuchOperator"
	file := filepath.Join(t.TempDir(), "m.onnx")
	if err := onnx.Save(m, file); err != nil {
		t.Fatal(err)
	}
	c := onnxChecker()
	c.Lock()
	defer c.Unlock()
	if _, err := fmt.Fprintln(c.in, file); err != nil || !c.out.Scan() || !strings.Contains(c.out.Text(), "NoSuchOperator") {
		t.Errorf("the checker passes an operator that does not exist: %v %q", err, c.out.Text())
	}
}

// reference returns a file of the recorded networks.
func reference(parts ...string) string {
	return filepath.Join(append([]string{"..", "internal", "parity", "testdata"}, parts...)...)
}
