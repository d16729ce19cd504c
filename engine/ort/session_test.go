package ort

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"narrow/engine"
	"narrow/graph"
)

// What a hook writes is what the next operator reads, tap by tap.
func TestHookFeedsTheNextOperator(t *testing.T) {
	m := newNet().input("x", graph.Float32, -1).output("y", graph.Float32, -1).
		tap("x", "x1").op("Neg", []string{"x1"}, []string{"n"}).tap("n", "n1").op("Abs", []string{"n1"}, []string{"y"})
	s := load(t, runner(t), m.Model, engine.LoadOptions{})
	for _, n := range []int{3, 1, 0, 5} {
		x := vector([]float32{1, -2, 3, -4, 5}[:n]...)
		before := slices.Clone(x.Floats)
		var taps []int
		out := run(t, s, feed("x", x), func(tap int, dst, src []float32, shape []int64) error {
			taps = append(taps, tap)
			if len(shape) != 1 || int(shape[0]) != n || len(dst) != n || len(src) != n {
				t.Errorf("tap %d: shape %v, %d and %d elements, want %d", tap, shape, len(dst), len(src), n)
			}
			for i, v := range src {
				dst[i] = v + 10*float32(tap+1)
			}
			return nil
		})
		var want []float32
		for _, v := range before {
			want = append(want, max(-(v+10)+20, (v+10)-20))
		}
		if y := out["y"]; !slices.Equal(y.Floats, want) || y.Type != graph.Float32 || !slices.Equal(y.Shape, []int64{int64(n)}) {
			t.Errorf("%d elements: got %+v, want %v", n, y, want)
		}
		if !slices.Equal(taps, []int{0, 1}) {
			t.Errorf("taps called: %v", taps)
		}
		if !slices.Equal(x.Floats, before) {
			t.Error("the input was written into")
		}
	}
	if out := run(t, s, feed("x", vector(1, -2)), nil); !slices.Equal(out["y"].Floats, []float32{1, 2}) {
		t.Errorf("without a hook: %v", out["y"].Floats)
	}
}

// A tap whose input nobody else reads works in place; where somebody does, he
// reads what was there before.
func TestTapInPlace(t *testing.T) {
	m := newNet().input("x", graph.Float32, 2).output("y", graph.Float32, 2).
		op("Neg", []string{"x"}, []string{"a"}).tap("a", "a1").
		op("Neg", []string{"a1"}, []string{"b"}).tap("b", "b1").
		op("Sub", []string{"b", "b1"}, []string{"y"})
	s := load(t, runner(t), m.Model, engine.LoadOptions{})
	same := map[int]bool{}
	out := run(t, s, feed("x", vector(1, 2)), func(tap int, dst, src []float32, _ []int64) error {
		same[tap] = engine.SameMemory(dst, src)
		for i, v := range src {
			dst[i] = v * 2
		}
		return nil
	})
	if want := map[int]bool{0: true, 1: false}; !maps.Equal(same, want) {
		t.Errorf("in place: %v, want %v", same, want)
	}
	if !slices.Equal(out["y"].Floats, []float32{-2, -4}) {
		t.Errorf("y = %v", out["y"].Floats)
	}
}

// A tap of two inputs shows the second, then treats the first as every tap does.
func TestTapOfTwo(t *testing.T) {
	m := newNet().input("x", graph.Float32, -1).output("y", graph.Float32, -1).
		op("Neg", []string{"x"}, []string{"n"}).op("Abs", []string{"x"}, []string{"a"}).
		tap("n", "t").withInput("a").op("Neg", []string{"t"}, []string{"y"})
	for _, anyOrder := range []func(int) bool{nil, func(int) bool { return true }} {
		s := load(t, runner(t), m.Model, engine.LoadOptions{AnyOrder: anyOrder})
		var side []float32
		calls := 0
		out := run(t, s, feed("x", vector(1, -2, 3)), func(tap int, dst, src []float32, shape []int64) error {
			calls++
			if tap != 0 || !slices.Equal(shape, []int64{3}) {
				t.Errorf("tap %d of shape %v", tap, shape)
			}
			if dst == nil {
				side = src
				return nil
			}
			if !engine.SameMemory(dst, src) {
				t.Error("not in place")
			}
			for i, v := range src {
				dst[i] = v + 10*side[i]
			}
			return nil
		})
		if calls != 2 || !slices.Equal(out["y"].Floats, []float32{-9, -22, -27}) {
			t.Errorf("%d calls, got %v", calls, out["y"].Floats)
		}
		if out := run(t, s, feed("x", vector(4)), nil); !slices.Equal(out["y"].Floats, []float32{4}) {
			t.Errorf("without a hook: %v", out["y"].Floats)
		}
	}
}

// Taps on constants, on values nobody uses, and several on one value are
// called all the same.
func TestEveryTapIsCalled(t *testing.T) {
	m := newNet().input("x", graph.Float32, 1, 16, 4, 4).output("y", graph.Float32, 1, 16, 4, 4).
		constant(randomTensor("c", 400)).
		tap("c", "c1").op("Neg", []string{"c1"}, []string{"c2"}).tap("c2", "c3").
		conv("x", "k", 16, 16).tap("k", "k1").tap("k", "k2").tap("k2", "k3").
		op("Relu", []string{"k1"}, []string{"y"})
	for _, outputs := range [][]string{nil, {}, {"x"}, {"c3"}, {"k"}} {
		for _, anyOrder := range []func(int) bool{nil, func(int) bool { return true }} {
			s := load(t, runner(t), m.Model, engine.LoadOptions{Outputs: outputs, AnyOrder: anyOrder})
			var taps []int
			run(t, s, feed("x", random(1, 16, 4, 4)), func(tap int, dst, src []float32, _ []int64) error {
				taps = append(taps, tap)
				copy(dst, src)
				return nil
			})
			slices.Sort(taps)
			if !slices.Equal(taps, []int{0, 1, 2, 3, 4}) {
				t.Errorf("outputs %q, any order %v: taps called: %v", outputs, anyOrder != nil, taps)
			}
		}
	}
}

func TestOutputs(t *testing.T) {
	m := newNet().input("x", graph.Float32, -1).input("z", graph.Int64, 1).output("y", graph.Float32, -1).output("x", graph.Float32, -1).
		constant(graph.NewFloats("c", []int64{1}, []float32{5})).
		op("Add", []string{"x", "c"}, []string{"s"}).op("Neg", []string{"s"}, []string{"y"})
	in := map[string]engine.Tensor{"x": vector(1, 2), "z": {Type: graph.Int64, Shape: []int64{1}, Raw: []byte{1, 2, 3, 4, 5, 6, 7, 8}}}
	x, c, sum, y := vector(1, 2), vector(5), vector(6, 7), vector(-6, -7)
	for _, test := range []struct {
		outputs []string
		want    map[string]engine.Tensor
	}{
		{nil, map[string]engine.Tensor{"y": y, "x": x}},
		{[]string{}, map[string]engine.Tensor{}},
		{[]string{"s", "s", "c"}, map[string]engine.Tensor{"s": sum, "c": c}},
		{[]string{"z"}, map[string]engine.Tensor{"z": in["z"]}},
		{[]string{"y", "s", "x"}, map[string]engine.Tensor{"y": y, "s": sum, "x": x}},
	} {
		s := load(t, runner(t), m.Model, engine.LoadOptions{Outputs: test.outputs})
		got := run(t, s, in, nil)
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("outputs %q: got %v, want %v", test.outputs, got, test.want)
		}
		for name, v := range got {
			if len(v.Floats) > 0 && name != "y" && name != "s" && engine.SameMemory(v.Floats, in[name].Floats) {
				t.Errorf("output %q is the caller's input, not a copy", name)
			}
		}
	}
}

func TestNoNodes(t *testing.T) {
	m := newNet().input("x", graph.Float32, 1).output("x", graph.Float32, 1)
	s := load(t, runner(t), m.Model, engine.LoadOptions{})
	if out := run(t, s, feed("x", vector(3)), nil); !slices.Equal(out["x"].Floats, []float32{3}) {
		t.Errorf("got %v", out)
	}
}

// Values of every type go in and come out as they were.
func TestTypes(t *testing.T) {
	r := runner(t)
	for _, typ := range []graph.DataType{
		graph.Float32, graph.Uint8, graph.Int8, graph.Uint16, graph.Int16, graph.Int32, graph.Int64, graph.String,
		graph.Bool, graph.Float16, graph.Float64, graph.Uint32, graph.Uint64, graph.BFloat16,
	} {
		m := newNet().input("x", typ).output("y", typ)
		m.Graph.Inputs[0].Shape, m.Graph.Outputs[0].Shape = nil, nil // any rank
		m.constant(graph.NewInts("shape", []int64{1}, []int64{-1}))
		m.op("Reshape", []string{"x", "shape"}, []string{"y"})
		s := load(t, r, m.Model, engine.LoadOptions{})
		for _, shape := range [][]int64{{}, {3}, {2, 3}} {
			x := engine.Tensor{Type: typ, Shape: shape}
			for i := range x.Len() {
				switch typ {
				case graph.Float32:
					x.Floats = append(x.Floats, float32(i)+0.5)
				case graph.String:
					x.Strings = append(x.Strings, strings.Repeat("é\x00", i))
				default:
					for j := range typ.Bits() / 8 {
						x.Raw = append(x.Raw, byte(i+j)&1)
					}
				}
			}
			got, err := s.Run(context.Background(), feed("x", x), nil)
			if err != nil {
				t.Errorf("%v of shape %v: %v", typ, shape, err)
				continue
			}
			y := got["y"]
			want := x
			want.Shape = []int64{int64(x.Len())}
			if typ == graph.String {
				// Strings end at a zero byte on their way in: ONNX Runtime's API takes C strings.
				for i := range want.Strings {
					want.Strings[i], _, _ = strings.Cut(want.Strings[i], "\x00")
				}
			}
			if !reflect.DeepEqual(y, want) {
				t.Errorf("%v of shape %v: got %+v, want %+v", typ, shape, y, want)
			}
		}
	}
}

// Control flow goes through: taps outside see values from inside and the other
// way round.
func TestControlFlow(t *testing.T) {
	branch := func(name, op string) *graph.Attr {
		return &graph.Attr{Name: name, Kind: graph.AttrGraph, Graph: &graph.Graph{
			Name:    name,
			Nodes:   []*graph.Node{{OpType: op, Inputs: []string{"x1"}, Outputs: []string{name + "_y"}}},
			Outputs: []*graph.Value{{Name: name + "_y", Type: graph.Float32, Shape: []graph.Dim{{Size: 2}}}},
		}}
	}
	m := newNet().input("x", graph.Float32, 2).input("which", graph.Bool).output("y", graph.Float32, 2).
		tap("x", "x1").op("If", []string{"which"}, []string{"i"}, branch("then_branch", "Neg"), branch("else_branch", "Abs")).
		tap("i", "y")
	s := load(t, runner(t), m.Model, engine.LoadOptions{})
	for which, want := range map[byte][]float32{1: {-102, 97}, 0: {102, 97}} {
		in := feed("x", vector(1, -98))
		in["which"] = engine.Tensor{Type: graph.Bool, Shape: []int64{}, Raw: []byte{which}}
		out := run(t, s, in, func(tap int, dst, src []float32, _ []int64) error {
			for i, v := range src {
				dst[i] = v + float32(1-tap)
				if tap == 0 && i == 0 {
					dst[i] += 100
				}
			}
			return nil
		})
		if !slices.Equal(out["y"].Floats, want) {
			t.Errorf("branch %d: got %v, want %v", which, out["y"].Floats, want)
		}
	}
}

var errHook = errors.New("the hook's own error")

func TestRunErrors(t *testing.T) {
	m := newNet().input("x", graph.Float32, -1, 4).input("n", graph.Int64, -1).output("y", graph.Float32).
		tap("x", "x1").op("Reshape", []string{"x1", "n"}, []string{"y"})
	m.Graph.Outputs[0].Shape = nil
	s := load(t, runner(t), m.Model, engine.LoadOptions{})
	ints := func(v ...byte) engine.Tensor {
		out := engine.Tensor{Type: graph.Int64, Shape: []int64{int64(len(v))}}
		for _, b := range v {
			out.Raw = append(out.Raw, b, 0, 0, 0, 0, 0, 0, 0)
		}
		return out
	}
	good := func() map[string]engine.Tensor {
		return map[string]engine.Tensor{"x": random(2, 4), "n": ints(8)}
	}
	for _, test := range []struct {
		name   string
		change func(map[string]engine.Tensor)
		hook   engine.Hook
		want   []string
		is     error
	}{
		{name: "missing", change: func(in map[string]engine.Tensor) { delete(in, "n") }, want: []string{`input "n" is missing`}},
		{name: "unknown", change: func(in map[string]engine.Tensor) { in["q"] = random(1) }, want: []string{`no input "q"`, `"x"`}},
		{name: "type", change: func(in map[string]engine.Tensor) { in["x"] = ints(1) }, want: []string{`input "x"`, "float32", "int64"}},
		{name: "rank", change: func(in map[string]engine.Tensor) { in["x"] = random(4) }, want: []string{`input "x"`, "[? 4]", "[4]"}},
		{name: "dimension", change: func(in map[string]engine.Tensor) { in["x"] = random(2, 5) }, want: []string{`input "x"`, "[? 4]", "[2 5]"}},
		{name: "negative", change: func(in map[string]engine.Tensor) {
			in["x"] = engine.Tensor{Type: graph.Float32, Shape: []int64{-1, 4}}
		}, want: []string{`input "x"`, "negative"}},
		{name: "count", change: func(in map[string]engine.Tensor) {
			in["x"] = engine.Tensor{Type: graph.Float32, Shape: []int64{1, 4}, Floats: make([]float32, 3)}
		}, want: []string{`input "x"`, "3 elements, not 4"}},
		{name: "bytes", change: func(in map[string]engine.Tensor) {
			in["n"] = engine.Tensor{Type: graph.Int64, Shape: []int64{1}, Raw: make([]byte, 7)}
		}, want: []string{`input "n"`, "7 bytes, not 8"}},
		{name: "node", change: func(in map[string]engine.Tensor) { in["n"] = ints(7) }, want: []string{"make_y", "Reshape", "{2,4}"}},
		{name: "hook", hook: func(int, []float32, []float32, []int64) error { return errHook }, want: []string{`tap "make_x1"`}, is: errHook},
		{name: "panic", hook: func(int, []float32, []float32, []int64) error { panic("oh no") }, want: []string{"panicked: oh no"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := good()
			if test.change != nil {
				test.change(in)
			}
			_, err := s.Run(context.Background(), in, test.hook)
			checkError(t, err, append(test.want, `model "net"`)...)
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("%v does not wrap %v", err, test.is)
			}
			if _, err := s.Run(context.Background(), good(), nil); err != nil {
				t.Errorf("the next run: %v", err)
			}
		})
	}
	s.Close()
	_, err := s.Run(context.Background(), good(), nil)
	checkError(t, err, "closed")
}

func TestLoadErrors(t *testing.T) {
	base := func() net {
		return newNet().input("x", graph.Float32, 2).output("y", graph.Float32, 2)
	}
	inner := &graph.Attr{Name: "then_branch", Kind: graph.AttrGraph, Graph: &graph.Graph{Name: "b", Nodes: newNet().tap("x", "z").Graph.Nodes}}
	foreign := base().op("Frobnicate", []string{"x"}, []string{"y"})
	foreign.Graph.Nodes[0].Domain = "com.example"
	foreign.Opsets["com.example"] = 1
	for _, test := range []struct {
		name string
		m    net
		opts engine.LoadOptions
		want []string
	}{
		{name: "unknown domain", m: foreign, want: []string{"make_y", "Frobnicate", "com.example"}},
		{name: "unknown op", m: base().op("Frobnicate", []string{"x"}, []string{"y"}), want: []string{"Frobnicate"}},
		{name: "inner tap", m: base().op("If", []string{"x"}, []string{"y"}, inner), want: []string{"make_z", "make_y"}},
		{name: "tap of three", m: base().op("Neg", []string{"x"}, []string{"y"}).tap("y", "z").withInput("x").withInput("x"), want: []string{"make_z", "one or two"}},
		{name: "no such output", m: base().op("Neg", []string{"x"}, []string{"y"}), opts: engine.LoadOptions{Outputs: []string{"q"}}, want: []string{`"q"`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := runner(t).Load(context.Background(), test.m.Model, test.opts)
			checkError(t, err, append(test.want, `model "net"`)...)
		})
	}
}

// withInput gives the last node one input more.
func (n net) withInput(name string) net {
	last := n.Graph.Nodes[len(n.Graph.Nodes)-1]
	last.Inputs = append(last.Inputs, name)
	return n
}

func checkError(t *testing.T, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Error("no error")
		return
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error %q does not say %q", err, w)
		}
	}
	if strings.Contains(err.Error(), "onnxruntime/core") {
		t.Errorf("the error %q names a place in ONNX Runtime's source", err)
	}
}

func TestOpenErrors(t *testing.T) {
	for path, want := range map[string]string{
		"testdata/no-such-library.so": "no-such-library.so", "session_test.go": "session_test.go",
	} {
		_, err := Open(path)
		checkError(t, err, want)
	}
}

// endless is a network that works for many seconds in one Loop.
func endless() net {
	body := &graph.Graph{
		Name:   "body",
		Inputs: []*graph.Value{value("i", graph.Int64, nil), value("go", graph.Bool, nil), value("s", graph.Float32, []int64{1024})},
		Nodes: []*graph.Node{
			{OpType: "Identity", Inputs: []string{"go"}, Outputs: []string{"go2"}},
			{OpType: "Cos", Inputs: []string{"s"}, Outputs: []string{"s2"}},
		},
		Outputs: []*graph.Value{value("go2", graph.Bool, nil), value("s2", graph.Float32, []int64{1024})},
	}
	return newNet().input("x", graph.Float32, 1024).output("y", graph.Float32, 1024).
		constant(graph.NewInts("times", nil, []int64{1 << 40})).tap("x", "x1").
		op("Loop", []string{"times", "", "x1"}, []string{"y"}, &graph.Attr{Name: "body", Kind: graph.AttrGraph, Graph: body})
}

func TestCancel(t *testing.T) {
	s := load(t, runner(t), endless().Model, engine.LoadOptions{})
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := s.Run(ctx, feed("x", random(1024)), nil) // which never ends by itself
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	// Within a hook, and before the start.
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	for range 2 {
		_, err = s.Run(ctx, feed("x", random(1024)), func(int, []float32, []float32, []int64) error {
			stop()
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
	_, err = runner(t).Load(ctx, endless().Model, engine.LoadOptions{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("load: got %v", err)
	}
}

// Sessions and runs at once keep apart; each run finds its own hook, a hook
// may run another session, and Close waits.
func TestConcurrent(t *testing.T) {
	r := runner(t)
	m := newNet().input("x", graph.Float32, -1).output("y", graph.Float32, -1).tap("x", "x1").op("Neg", []string{"x1"}, []string{"y"})
	inner := load(t, r, m.Model, engine.LoadOptions{Threads: 1})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			s, err := r.Load(context.Background(), m.Model, engine.LoadOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			var runs sync.WaitGroup
			for k := range 4 {
				runs.Go(func() {
					for i := range 50 {
						add := float32(100*k + i)
						out, err := s.Run(context.Background(), feed("x", vector(1)), func(_ int, dst, src []float32, _ []int64) error {
							out, err := inner.Run(context.Background(), feed("x", vector(src[0])), func(_ int, dst, src []float32, _ []int64) error {
								dst[0] = src[0] + 1000
								return nil
							})
							if err != nil {
								return err
							}
							dst[0] = out["y"].Floats[0] + add
							return nil
						})
						if err != nil {
							t.Error(err)
							return
						}
						if got, want := out["y"].Floats[0], 1001-add; got != want {
							t.Errorf("got %v, want %v", got, want)
						}
					}
				})
			}
			runs.Wait()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Errorf("closing again: %v", err)
			}
		})
	}
	wg.Wait()
	// Close comes back only when the run under way has.
	s := load(t, r, m.Model, engine.LoadOptions{})
	inHook, done := make(chan bool), false
	wg.Go(func() {
		_, err := s.Run(context.Background(), feed("x", vector(1)), func(_ int, dst, src []float32, _ []int64) error {
			close(inHook)
			time.Sleep(20 * time.Millisecond)
			done = true
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-inHook
	s.Close()
	if !done {
		t.Error("the session was closed under a run")
	}
	wg.Wait()
}

// The model given to Load is not changed by it.
func TestLoadLeavesTheModel(t *testing.T) {
	m := newNet().input("x", graph.Float32, 1, 16, 4, 4).output("y", graph.Float32, 1, 16, 4, 4).conv("x", "k", 16, 16).tap("k", "y")
	show := func() string {
		text := fmt.Sprint(m.Opsets, m.Graph.Outputs[0], len(m.Graph.Initializers))
		for _, n := range m.Graph.Nodes {
			text += fmt.Sprintf(" %+v", *n)
		}
		return text
	}
	before := show()
	load(t, runner(t), m.Model, engine.LoadOptions{Outputs: []string{"k"}, AnyOrder: func(int) bool { return true }})
	if after := show(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// A tap tells ONNX Runtime the shape of what passes it, open dimensions and
// unknown ranks included: what comes behind is computed right.
func TestShapesBehindTaps(t *testing.T) {
	m := newNet().input("x", graph.Float32, -1, 3).output("y", graph.Float32).
		constant(graph.NewInts("axes", []int64{1}, []int64{0})).
		tap("x", "x1").op("Shape", []string{"x1"}, []string{"s"}).
		op("Reshape", []string{"x1", "s"}, []string{"r"}).tap("r", "r1").
		op("Unsqueeze", []string{"r1", "axes"}, []string{"u"}).tap("u", "u1").
		op("ReduceSum", []string{"u1"}, []string{"sum"}).tap("sum", "sum1").
		op("Add", []string{"u1", "sum1"}, []string{"y"})
	m.Graph.Outputs[0].Shape = nil
	for _, any := range []bool{false, true} {
		if any { // of any rank
			m.Graph.Inputs[0].Shape = nil
		}
		s := load(t, runner(t), m.Model, engine.LoadOptions{})
		for _, n := range []int64{1, 2} {
			shapes := map[int][]int64{}
			out := run(t, s, feed("x", random(n, 3)), func(tap int, dst, src []float32, shape []int64) error {
				shapes[tap] = slices.Clone(shape)
				copy(dst, src)
				return nil
			})
			want := map[int][]int64{0: {n, 3}, 1: {n, 3}, 2: {1, n, 3}, 3: {1, 1, 1}}
			if !reflect.DeepEqual(shapes, want) || !slices.Equal(out["y"].Shape, want[2]) {
				t.Errorf("taps saw the shapes %v, the output has %v", shapes, out["y"].Shape)
			}
		}
	}
}
