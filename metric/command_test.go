package metric

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"narrow/engine"
	"narrow/graph"
)

// TestMain is the metric's program too: it does what its first argument says with
// the folder, its last one.
func TestMain(m *testing.M) {
	if os.Getenv("NARROW_METRIC_TEST") == "" {
		os.Exit(m.Run())
	}
	what, dir := os.Args[1], os.Args[len(os.Args)-1]
	switch what {
	case "files":
		var names []string
		_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				rel, _ := filepath.Rel(dir, path)
				names = append(names, filepath.ToSlash(rel))
			}
			return err
		})
		fmt.Fprintln(os.Stderr, strings.Join(names, " "))
		for _, name := range []string{"samples.csv", "outputs.json"} {
			data, _ := os.ReadFile(filepath.Join(dir, name))
			fmt.Fprintf(os.Stderr, "%s", data)
		}
		fmt.Println(`{"first": 0.5, "second": 2}`)
	case "print":
		fmt.Print(os.Args[2])
	case "fail":
		fmt.Fprintln(os.Stderr, "no such thing")
		os.Exit(3)
	case "wait":
		_ = os.WriteFile(os.Args[2], nil, 0o600)
		time.Sleep(time.Minute)
	}
}

func newTestCommand(t *testing.T, opts CommandOptions, args ...string) (*Command, *strings.Builder) {
	t.Helper()
	t.Setenv("NARROW_METRIC_TEST", "1")
	var stderr strings.Builder
	opts.Stderr = &stderr
	if opts.Outputs == nil {
		opts.Outputs = []string{"out"}
	}
	c, err := NewCommand(append([]string{os.Args[0]}, args...), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, &stderr
}

func tensor(shape ...int64) engine.Tensor {
	t := engine.Tensor{Type: graph.Float32, Shape: shape}
	t.Floats = make([]float32, t.Len())
	for i := range t.Floats {
		t.Floats[i] = float32(i)
	}
	return t
}

var twoBatches = []*engine.Batch{{First: 4, Count: 2, Names: []string{"a, b.png", "c.png"}}, {First: 8, Count: 1}}

func over(c Metric, set Set, float bool, outs ...[]engine.Tensor) (*Figures, error) {
	return Over(context.Background(), c, set, float, twoBatches[:len(outs)], nil, outs)
}

// TestCommandFolder: what the program finds, and that nothing of it stays.
func TestCommandFolder(t *testing.T) {
	c, stderr := newTestCommand(t, CommandOptions{Outputs: []string{"out/put:0", "OUT_put:0"}}, "files")
	set := Set{Samples: 3, Labels: engine.Labels{Classes: []int{0, 1, 2, 3, 7, -1, 6, 7, 9}}}
	raw := engine.Tensor{Type: graph.Int64, Shape: []int64{2, 1}, Raw: make([]byte, 16)}
	last := engine.Tensor{Type: graph.Int64, Shape: []int64{1, 1}, Raw: make([]byte, 8)}
	f, err := over(c, set, true, []engine.Tensor{tensor(2, 3), raw}, []engine.Tensor{tensor(1, 3), last})
	if err != nil {
		t.Fatal(err)
	}
	if f.Name != "first" || *f.Value != 0.5 || len(f.All) != 2 || f.Took <= 0 {
		t.Errorf("%+v", f)
	}
	want := `OUT_put_0-2.npy out_put_0.npy outputs.json samples.csv
index,name,label
4,"a, b.png",7
5,c.png,
8,,9
`
	if got := stderr.String(); !strings.HasPrefix(got, want) {
		t.Errorf("the program finds\n%s\nnot\n%s", got, want)
	}
	var outputs []map[string]any
	if err := json.Unmarshal([]byte(stderr.String()[len(want):]), &outputs); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(outputs[0], map[string]any{"name": "out/put:0", "file": "out_put_0.npy", "type": "float32", "shape": []any{3.0, 3.0}}) {
		t.Errorf("%v", outputs[0])
	}
	stderr.Reset()
	if _, err = over(c, set, false, []engine.Tensor{tensor(2, 3), raw}, []engine.Tensor{tensor(1, 3), last}); err != nil {
		t.Fatal(err)
	}
	names, _, _ := strings.Cut(stderr.String(), "\n")
	if names != "OUT_put_0-2.npy float/OUT_put_0-2.npy float/out_put_0.npy float/outputs.json float/samples.csv out_put_0.npy outputs.json samples.csv" {
		t.Errorf("a quantized network's folder holds %s", names)
	}
	left, err := os.ReadDir(c.dir.Path)
	if err != nil || len(left) != 2 { // the float network's, and the lock
		t.Errorf("%v, %v", left, err)
	}
}

// TestCommandShapes: an array a sample where they differ, from whatever sample on.
func TestCommandShapes(t *testing.T) {
	c, _ := newTestCommand(t, CommandOptions{}, "files")
	run, err := c.Begin(context.Background(), Set{Samples: 3}, true)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	for i, shape := range [][]int64{{2, 2, 2}, {1, 3, 2}} {
		if err := run.Add(twoBatches[i], nil, []engine.Tensor{tensor(shape...)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := run.End(context.Background()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(run.(*commandRun).folder.dir, "outputs.json"))
	if err != nil {
		t.Fatal(err)
	}
	var outputs []struct {
		File  string
		Shape []*int64
	}
	if err := json.Unmarshal(data, &outputs); err != nil || outputs[0].File != "out.npz" || *outputs[0].Shape[0] != 3 || outputs[0].Shape[1] != nil || *outputs[0].Shape[2] != 2 {
		t.Errorf("%s, %v", data, err)
	}
	z, err := os.ReadFile(filepath.Join(run.(*commandRun).folder.dir, "out.npz"))
	if err != nil {
		t.Fatal(err)
	}
	for i, shape := range []string{"(2, 2)", "(2, 2)", "(3, 2)"} {
		if want := fmt.Sprintf("%d.npy", i); !strings.Contains(string(z), want) || !strings.Contains(string(z), "'shape': "+shape) {
			t.Errorf("there is no %s of %s", want, shape)
		}
	}
	// The second sample's elements are 4, 5, 6, 7: those of the .npy that was begun.
	if !strings.Contains(string(z), "\x00\x00\x80\x40\x00\x00\xa0\x40\x00\x00\xc0\x40\x00\x00\xe0\x40") {
		t.Error("the second sample is not there")
	}
}

// TestCommandFails: whatever a program does wrong is told as such.
func TestCommandFails(t *testing.T) {
	for _, tt := range []struct {
		args []string
		name string
		want string
	}{
		{[]string{"fail"}, "", "failed with exit code 3"},
		{[]string{"print", ""}, "", "prints nothing"},
		{[]string{"print", "map 0.3"}, "", `prints no JSON object of numbers but "map 0.3"`},
		{[]string{"print", "[1]"}, "", "prints no JSON object of numbers"},
		{[]string{"print", `{"a": 1} {"b": 2}`}, "", "prints no JSON object of numbers"},
		{[]string{"print", `{"a": 1`}, "", "prints no JSON object of numbers"},
		{[]string{"print", `{"a": NaN}`}, "", "prints NaN, which is no number"},
		{[]string{"print", `{"a": -Infinity}`}, "", "prints -Infinity, which is no number"},
		{[]string{"print", `{"a": 1e999}`}, "", "too large"},
		{[]string{"print", `{"a": "x"}`}, "", `prints "x" for "a", which is no number`},
		{[]string{"print", `{"a": true}`}, "", `prints true for "a", which is no number`},
		{[]string{"print", `{"a": 1, "a": 2}`}, "", `prints "a" twice`},
		{[]string{"print", `{}`}, "", "without any number"},
		{[]string{"print", `{"a": 1, "b": 2}`}, "c", `prints no number "c": it prints a, b`},
	} {
		c, stderr := newTestCommand(t, CommandOptions{Name: tt.name}, tt.args...)
		_, err := over(c, Set{Samples: 2}, true, []engine.Tensor{tensor(2, 3)})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v", tt.args, err)
		}
		if tt.args[0] == "fail" && stderr.String() != "no such thing\n" {
			t.Errorf("on standard error there is %q", stderr)
		}
	}
	// null is a value that there is not: of the float network it may be.
	c, _ := newTestCommand(t, CommandOptions{Name: "b"}, "print", `{"a": 1, "b": null}`)
	f, err := over(c, Set{Samples: 2}, true, []engine.Tensor{tensor(2, 3)})
	if err != nil || f.Value != nil || f.Name != "b" {
		t.Errorf("%+v, %v", f, err)
	}
	if _, err := Result(c, f, f); err == nil {
		t.Error("the quantized network has no value, and that is a result")
	}
	if _, err := NewCommand([]string{"there-is-no-such-program"}, CommandOptions{}); err == nil {
		t.Error("a program that there is not is none")
	}
}

// TestCommandCancelled: a program that is at work ends with its context, and its
// folder goes.
func TestCommandCancelled(t *testing.T) {
	started := filepath.Join(t.TempDir(), "started")
	c, _ := newTestCommand(t, CommandOptions{}, "wait", started)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		for {
			if _, err := os.Stat(started); err == nil {
				cancel()
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	_, err := Over(ctx, c, Set{Samples: 2}, false, twoBatches[:1], nil, [][]engine.Tensor{{tensor(2, 3)}})
	if ctx.Err() == nil || err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("%v", err)
	}
	if left, _ := os.ReadDir(c.dir.Path); len(left) != 1 {
		t.Errorf("%v", left)
	}
}

// TestCommandLarge: the size is told once, before the outputs are written.
func TestCommandLarge(t *testing.T) {
	var told []int64
	c, _ := newTestCommand(t, CommandOptions{Networks: 3, Large: func(n int64, _ string) { told = append(told, n) }}, "files")
	run, err := c.Begin(context.Background(), Set{Samples: 1 << 27}, true)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	_ = run.Add(twoBatches[0], nil, []engine.Tensor{tensor(2, 3)})
	_ = run.Add(twoBatches[1], nil, []engine.Tensor{tensor(1, 3)})
	if want := int64(3) * 4 * 3 << 27; !slices.Equal(told, []int64{want}) {
		t.Errorf("told %v, not %d", told, want)
	}
}

func TestSplit(t *testing.T) {
	for _, tt := range []struct {
		command string
		want    []string // nil: refused
	}{
		{`python3 m.py`, []string{"python3", "m.py"}},
		{` a  "x y"  'it'\''s' b\ c "" `, []string{"a", "x y", "it's", "b c", ""}},
		{`a "q\"z" '\n' $HOME *.py`, []string{"a", `q"z`, `\n`, "$HOME", "*.py"}},
		{`a "x|y;z"`, []string{"a", "x|y;z"}},
		{`a | b`, nil},
		{`a; b`, nil},
		{`a > b`, nil},
		{`a 'b`, nil},
		{`a \`, nil},
		{``, nil},
		{`""`, nil},
	} {
		got, err := Split(tt.command)
		if !slices.Equal(got, tt.want) || (err == nil) != (tt.want != nil) {
			t.Errorf("%q: %q, %v", tt.command, got, err)
		}
	}
}
