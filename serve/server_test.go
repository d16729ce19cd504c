package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"narrow"
	"narrow/diag"
	"narrow/engine"
	"narrow/export"
	"narrow/graph"
	"narrow/internal/testnet"
	"narrow/scheme"
)

// client is a second client of the protocol, besides the Python one.
type client struct {
	t    testing.TB
	in   io.WriteCloser
	out  io.Reader
	last int
	done chan error
}

func connect(t testing.TB, cfg Config) *client {
	t.Helper()
	if cfg.Engine == nil {
		run := testnet.Runner(t)
		cfg.Engine = func() (engine.Runner, error) { return run, nil }
	}
	inR, inW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, in: inW, out: outR, done: make(chan error, 1)}
	go func() {
		c.done <- New(inR, outW, cfg).Serve(context.Background())
		outW.Close()
	}()
	t.Cleanup(func() {
		inW.Close()
		go io.Copy(io.Discard, outR) //nolint:errcheck // it ends with the server
		select {
		case <-c.done:
		case <-time.After(20 * time.Second):
			t.Error("the server runs on after its input was closed")
		}
	})
	return c
}

// failure is an error as a client reads it.
type failure struct{ Kind, Message string }

// answerOf is an answer as a client reads it.
type answerOf struct {
	ID       *int            `json:"id"`
	Result   json.RawMessage `json:"result"`
	Error    *failure        `json:"error"`
	Progress *Progress       `json:"progress"`
	Ask      *question       `json:"ask"`
	Withdraw int             `json:"withdraw"`
}

func (c *client) send(header map[string]any, arrays ...Array) {
	c.t.Helper()
	if len(arrays) > 0 {
		header["arrays"] = arrays
	}
	if err := WriteFrame(c.in, header, arrays); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) read() (answerOf, []Array) {
	c.t.Helper()
	header, arrays, err := ReadFrame(c.out)
	if err != nil {
		c.t.Fatal(err)
	}
	var a answerOf
	if err := json.Unmarshal(header, &a); err != nil {
		c.t.Fatalf("%s: %v", header, err)
	}
	return a, arrays
}

// ask makes a request and waits for the answer.
func (c *client) ask(method string, params any, arrays ...Array) (answerOf, []Array) {
	c.t.Helper()
	c.last++
	c.send(map[string]any{"id": c.last, "method": method, "params": params}, arrays...)
	for {
		a, out := c.read()
		if a.Progress == nil && a.Ask == nil {
			return a, out
		}
	}
}

// must is ask for what must not fail; it returns a handle, if there is one.
func (c *client) must(method string, params any, arrays ...Array) (handle int, out []Array) {
	c.t.Helper()
	a, out := c.ask(method, params, arrays...)
	if a.Error != nil {
		c.t.Fatalf("%s: %s: %s", method, a.Error.Kind, a.Error.Message)
	}
	var r struct{ Handle int }
	if err := json.Unmarshal(a.Result, &r); err != nil {
		c.t.Fatal(err)
	}
	return r.Handle, out
}

func (c *client) refused(kind, words, method string, params any, arrays ...Array) {
	c.t.Helper()
	a, _ := c.ask(method, params, arrays...)
	if a.Error == nil || a.Error.Kind != kind || !strings.Contains(a.Error.Message, words) {
		c.t.Errorf("%s %v: %+v; want %s: %q", method, params, a.Error, kind, words)
	}
}

func bundledPath(t testing.TB) string { return testnet.Bundled(t).Path }

func asArray(name string, x engine.Tensor) Array {
	return Array{Name: name, Type: "float32", Shape: x.Shape, Data: unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x.Floats))), 4*len(x.Floats))}
}

// unevenly are samples in batches of unlike sizes.
func unevenly(t testing.TB) []engine.Tensor {
	var parts []engine.Tensor
	for b, err := range testnet.Noise(24, 24, 1) {
		if err != nil {
			t.Fatal(err)
		}
		x := b.Inputs["image"]
		per := len(x.Floats) / b.Count
		at := 0
		for _, n := range []int{7, 1, 11, 5} {
			part := engine.Tensor{Type: graph.Float32, Shape: append([]int64{int64(n)}, x.Shape[1:]...)}
			part.Floats = slices.Clone(x.Floats[at*per : (at+n)*per])
			parts = append(parts, part)
			at += n
		}
	}
	return parts
}

func batches(parts []engine.Tensor) engine.Batches {
	return func(yield func(*engine.Batch, error) bool) {
		first := 0
		for _, x := range parts {
			n := int(x.Shape[0])
			if !yield(&engine.Batch{First: first, Count: n, Inputs: map[string]engine.Tensor{"image": x}}, nil) {
				return
			}
			first += n
		}
	}
}

// What is calibrated and run through frames is what the library gives, byte for
// byte, with the client's batches, in memory and on disk.
func TestSameAsLibrary(t *testing.T) {
	parts := unevenly(t)
	for _, tt := range []struct {
		accuracy string
		memory   int64
	}{{"guide", 1 << 20}, {"guide", 3 * 28 * 28 * 4}, {"high", 1 << 20}} {
		{
			accuracy, memory := tt.accuracy, tt.memory
			t.Run(fmt.Sprint(accuracy, memory), func(t *testing.T) {
				run := testnet.Runner(t)
				c := connect(t, Config{MemoryPerSamples: memory})
				m, _ := c.must("open", map[string]any{"path": bundledPath(t)})
				p, _ := c.must("resolve", map[string]any{"model": m, "accuracy": accuracy})
				s, _ := c.must("samples", map[string]any{"model": m})
				for _, x := range parts {
					c.must("add", map[string]any{"samples": s}, asArray("image", x))
				}
				k, _ := c.must("calibrate", map[string]any{"plan": p, "samples": s})
				dir := t.TempDir()
				c.must("save", map[string]any{"calibration": k, "dir": dir})

				own := testnet.Bundled(t)
				how, err := scheme.ParseAccuracy(accuracy)
				if err != nil {
					t.Fatal(err)
				}
				r := testnet.PlanFor(t, own, "{}", how)
				info, err := os.ReadFile(filepath.Join(dir, export.QuantInfoFile))
				if err != nil {
					t.Fatal(err)
				}
				var q struct {
					Samples struct {
						Count, Batches int
						SHA256         string
					}
				}
				if err := json.Unmarshal(info, &q); err != nil || q.Samples.Count != 24 || len(q.Samples.SHA256) != 64 {
					t.Fatalf("samples %+v, %v", q, err)
				}
				want, err := r.Calibrate(t.Context(), run, batches(parts), narrow.CalibrateOptions{SamplesSHA256: q.Samples.SHA256})
				if err != nil {
					t.Fatal(err)
				}
				files, err := export.Files(want.Result)
				if err != nil {
					t.Fatal(err)
				}
				for _, name := range slices.Sorted(maps.Keys(files)) {
					got, err := os.ReadFile(filepath.Join(dir, name))
					if err != nil || !bytes.Equal(got, files[name]) {
						t.Errorf("%s differs (%v)", name, err)
					}
				}

				m2, _ := c.must("open", map[string]any{"path": bundledPath(t)})
				l, _ := c.must("load", map[string]any{"model": m2, "dir": dir})
				ses, _ := c.must("session", map[string]any{"calibration": l})
				i := 0
				_, err = want.Test(t.Context(), run, batches(parts), narrow.TestOptions{QuantizedOnly: true, Output: func(_ int, outs []engine.Tensor) error {
					_, got := c.must("run", map[string]any{"session": ses}, asArray("image", parts[i]))
					if !slices.Equal(floats(got[0].Data), outs[0].Floats) {
						t.Errorf("batch %d: other outputs than test's", i)
					}
					i++
					return nil
				}})
				if err != nil || i != len(parts) {
					t.Fatal(i, err)
				}
			})
		}
	}
}

func TestRefusals(t *testing.T) {
	c := connect(t, Config{MaxFrame: 1 << 20})
	x := asArray("image", unevenly(t)[0])
	m, _ := c.must("open", map[string]any{"path": bundledPath(t)})
	s, _ := c.must("samples", map[string]any{"model": m})
	ses, _ := c.must("session", map[string]any{"model": m})
	p, _ := c.must("resolve", map[string]any{"model": m})
	c.refused(KindProtocol, "there is no method", "fly", nil)
	c.refused(KindProtocol, "which speaks", "hello", map[string]any{"protocol": "narrow.serve/9"})
	c.refused(KindUsage, "unknown field", "open", map[string]any{"pth": "x"})
	c.refused(KindFailure, "no such file", "open", map[string]any{"path": "missing.onnx"})
	c.refused(KindUsage, "is no model", "samples", map[string]any{"model": s})
	c.refused(KindUsage, "there are no samples", "calibrate", map[string]any{"plan": p, "samples": s})
	c.refused(KindUsage, "no array for the input", "run", map[string]any{"session": ses})
	other := x
	other.Name = "picture"
	c.refused(KindUsage, "no array for the input", "add", map[string]any{"samples": s}, other)
	wrong := Array{Name: "image", Type: "float32", Shape: []int64{1, 1, 28, 27}, Data: alignedBytes(4 * 28 * 27)}
	c.refused(KindFailure, "takes the shape", "run", map[string]any{"session": ses}, wrong)
	c.refused(KindFailure, "takes the shape", "add", map[string]any{"samples": s}, wrong)
	ints := Array{Name: "image", Type: "int32", Shape: []int64{1, 1, 28, 28}, Data: alignedBytes(4 * 28 * 28)}
	c.refused(KindUsage, "takes float32", "run", map[string]any{"session": ses}, ints)
	c.refused(KindUsage, "at most", "run", map[string]any{"session": ses}, Array{Name: "image", Type: "int8", Shape: []int64{2 << 20}, Data: alignedBytes(2 << 20)})
	c.refused(KindStrategy, "bit_witdh", "resolve", map[string]any{"model": m, "file": "s.json", "text": `{"overall_quantize_config":{"bit_witdh":8,"method":"best"}}`})
	c.refused(KindFailure, "quant_info.json", "load", map[string]any{"model": m, "dir": t.TempDir()})
	c.must("close", map[string]any{"handle": ses})
	c.refused(KindUsage, "is closed", "run", map[string]any{"session": ses}, x)

	// A header that is none is answered, and the next request served.
	for _, header := range []string{`{`, `[]`, `{"id":"seven"}`, `{"id":1}`, `{"method":"hello"}`} {
		if _, err := c.in.Write(frameOf(t, header)); err != nil {
			t.Fatal(err)
		}
		if a, _ := c.read(); a.Error == nil || a.Error.Kind != KindProtocol {
			t.Errorf("%s: %+v", header, a)
		}
	}
	c.must("hello", nil)
	if _, err := c.in.Write([]byte("GET / HTTP/1.1\r\n")); err != nil {
		t.Fatal(err)
	}
	if a, _ := c.read(); a.Error == nil || !strings.Contains(a.Error.Message, "conversation ends") {
		t.Errorf("%+v", a)
	}
	if err := <-c.done; err == nil {
		t.Error("the server ends without an error")
	}
	c.done <- nil
}

// Cancelling ends a request soon, and the conversation continues.
func TestCancel(t *testing.T) {
	c := connect(t, Config{})
	m, _ := c.must("open", map[string]any{"path": bundledPath(t)})
	p, _ := c.must("resolve", map[string]any{"model": m})
	s, _ := c.must("samples", map[string]any{"model": m})
	for range 200 {
		for _, x := range unevenly(t) {
			c.must("add", map[string]any{"samples": s}, asArray("image", x))
		}
	}
	c.last++
	c.send(map[string]any{"id": c.last, "method": "calibrate", "params": map[string]any{"plan": p, "samples": s}})
	c.read() // that it has begun
	c.send(map[string]any{"id": 99, "method": "hello"})
	c.send(map[string]any{"cancel": c.last})
	busy, canceled := false, false
	for !canceled {
		a, _ := c.read()
		switch {
		case a.Error == nil:
		case *a.ID == 99:
			busy = strings.Contains(a.Error.Message, "still being served")
		case a.Error.Kind == KindCanceled:
			canceled = true
		default:
			t.Fatalf("%+v", a.Error)
		}
	}
	if !busy {
		t.Error("a second request at once was not refused")
	}
	c.must("hello", nil)
}

// A closed input ends the server though a request is being served.
func TestClosedInput(t *testing.T) {
	c := connect(t, Config{})
	m, _ := c.must("open", map[string]any{"path": bundledPath(t)})
	p, _ := c.must("resolve", map[string]any{"model": m})
	s, _ := c.must("samples", map[string]any{"model": m})
	for range 200 {
		for _, x := range unevenly(t) {
			c.must("add", map[string]any{"samples": s}, asArray("image", x))
		}
	}
	c.send(map[string]any{"id": 1, "method": "calibrate", "params": map[string]any{"plan": p, "samples": s}})
	c.read()
	// The cleanup closes the input and waits for the end.
}

// Memory stays flat, however many batches there are.
func TestFlatMemory(t *testing.T) {
	n := 10000
	if testing.Short() {
		n = 1000
	}
	c := connect(t, Config{Threads: 1})
	m, _ := c.must("open", map[string]any{"path": bundledPath(t)})
	ses, _ := c.must("session", map[string]any{"model": m})
	x := asArray("image", unevenly(t)[1])
	heap := func() uint64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	var before uint64
	for i := range n {
		if i == n/10 {
			before = heap()
		}
		c.must("run", map[string]any{"session": ses}, x)
	}
	if after := heap(); after > before+(1<<20) {
		t.Errorf("the heap grows from %d to %d bytes", before, after)
	}
}

// TestSay: what a user did wrong is told in the language of the program, what the
// client did wrong in English.
func TestSay(t *testing.T) {
	c := connect(t, Config{Say: func(t diag.Text) string { return "说：" + t.String() }})
	m, _ := c.must("open", map[string]any{"path": bundledPath(t)})
	s, _ := c.must("samples", map[string]any{"model": m})
	p, _ := c.must("resolve", map[string]any{"model": m})
	c.refused(KindUsage, "说：there are no samples", "calibrate", map[string]any{"plan": p, "samples": s})
	c.refused(KindFailure, "说：model missing.onnx", "open", map[string]any{"path": "missing.onnx"})
	a, _ := c.ask("fly", nil)
	if a.Error == nil || strings.Contains(a.Error.Message, "说") {
		t.Errorf("%+v", a.Error)
	}
}
