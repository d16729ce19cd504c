package serve

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"narrow/internal/testnet"
)

// spooled hands the bundled model and samples to a server.
func (c *client) spooled() (model, calibration, test int) {
	c.t.Helper()
	model, _ = c.must("open", map[string]any{"path": bundledPath(c.t)})
	for i, handle := range []*int{&calibration, &test} {
		*handle, _ = c.must("samples", map[string]any{"model": model})
		for b, err := range testnet.Noise([]int{16, 48}[i], 8, uint64(i)) {
			if err != nil {
				c.t.Fatal(err)
			}
			c.must("add", map[string]any{"samples": *handle}, asArray("image", b.Inputs["image"]))
		}
	}
	return model, calibration, test
}

// searchParams are those of the methods search and evaluator.
func (c *client) searchParams() map[string]any {
	model, calibration, test := c.spooled()
	labels := make([]int, 48)
	for i := range labels {
		labels[i] = i % 10
	}
	return map[string]any{"model": model, "samples": calibration, "test": test, "labels": labels, "target": "DPU", "propagate": "float", "seed": 2}
}

// TestTrialsElsewhere: a search whose trials other servers measure, two at once and
// in any order, finds what it finds by itself, with the same trials.
func TestTrialsElsewhere(t *testing.T) {
	driver := connect(t, Config{Threads: 1})
	params := driver.searchParams()
	params["max_drop"] = 0.1
	alone, _ := driver.ask("search", params)
	if alone.Error != nil {
		t.Fatal(alone.Error)
	}

	type job struct {
		number int
		params json.RawMessage
	}
	jobs, results := make(chan job, 100), make(chan map[string]any, 100)
	var workers sync.WaitGroup
	defer workers.Wait()
	defer close(jobs)
	measured := make([]atomic.Int64, 2)
	for i := range measured {
		worker := connect(t, Config{Threads: 1})
		p := worker.searchParams()
		handle, _ := worker.must("evaluator", p)
		workers.Go(func() {
			for j := range jobs {
				ask := map[string]any{}
				_ = json.Unmarshal(j.params, &ask)
				ask["evaluator"] = handle
				a, _ := worker.ask("measure", ask)
				measured[i].Add(1)
				results <- map[string]any{"reply": j.number, "result": a.Result}
			}
		})
	}
	params["trials"] = 2
	// run searches, with what spoil makes of each reply.
	run := func(spoil func(reply map[string]any)) answerOf {
		driver.last++
		id := driver.last
		driver.send(map[string]any{"id": id, "method": "search", "params": params})
		frames := make(chan answerOf)
		more := make(chan bool)
		go func() {
			for range more {
				a, _ := driver.read()
				frames <- a
			}
			close(frames)
		}()
		defer close(more)
		open, asked := map[int]bool{}, map[int]bool{}
		most, withdrawn := 0, 0
		more <- true
		for {
			select {
			case r := <-results:
				if n := r["reply"].(int); !open[n] {
					continue // withdrawn
				}
				delete(open, r["reply"].(int))
				spoil(r)
				r["id"] = id
				driver.send(r)
			case a := <-frames:
				switch {
				case a.Ask != nil:
					if a.Ask.Method != "trial" {
						t.Errorf("asked for %s", a.Ask.Method)
					}
					params, _ := json.Marshal(a.Ask.Params)
					open[a.Ask.Number], asked[a.Ask.Number] = true, true
					most = max(most, len(open))
					jobs <- job{a.Ask.Number, params}
				case a.Withdraw != 0:
					if !asked[a.Withdraw] { // its reply may be on the way
						t.Errorf("question %d is withdrawn, which was never asked", a.Withdraw)
					}
					delete(open, a.Withdraw)
					withdrawn++
				case a.Progress == nil:
					if a.Error == nil && (len(open) > 0 || most != 2) {
						t.Errorf("%d questions were open at once at most, %d are at the end", most, len(open))
					}
					t.Logf("%d questions were withdrawn", withdrawn)
					return a
				}
				more <- true
			}
		}
	}
	got := run(func(map[string]any) {})
	if got.Error != nil {
		t.Fatal(got.Error)
	}
	if !bytes.Equal(got.Result, alone.Result) {
		t.Errorf("%s\nnot\n%s", got.Result, alone.Result)
	}
	if a, b := measured[0].Load(), measured[1].Load(); a == 0 || b == 0 {
		t.Errorf("the servers measured %d and %d trials", a, b)
	}

	for member, words := range map[string]string{"canary": "other values on ", "version": "install one version everywhere", "score": "holds none"} {
		a := run(func(r map[string]any) {
			m := map[string]any{}
			_ = json.Unmarshal(r["result"].(json.RawMessage), &m)
			maps.DeleteFunc(m, func(k string, _ any) bool { return k == member })
			r["result"] = m
		})
		if a.Error == nil || !strings.Contains(a.Error.Message, words) {
			t.Errorf("an answer without %s: %+v", member, a.Error)
		}
	}
	a := run(func(r map[string]any) {
		r["result"], r["error"] = nil, map[string]any{"message": "the worker is on fire"}
	})
	if a.Error == nil || !strings.Contains(a.Error.Message, "the worker is on fire") {
		t.Errorf("a trial that failed: %+v", a.Error)
	}
}

// TestMeasure: what a server that measures trials refuses.
func TestMeasure(t *testing.T) {
	c := connect(t, Config{Threads: 1})
	p := c.searchParams()
	handle, _ := c.must("evaluator", p)
	c.refused(KindUsage, "kind takes score, noise or confirm", "measure", map[string]any{"evaluator": handle, "kind": "all", "strategy": "{}"})
	c.refused(KindStrategy, "bitwidth", "measure", map[string]any{"evaluator": handle, "kind": "score", "strategy": `{"overall_quantize_config": {"bitwidth": 8}}`})
	c.refused(KindUsage, "no evaluator", "measure", map[string]any{"evaluator": 99, "kind": "score", "strategy": "{}"})
	p["target"] = "TPU"
	c.refused(KindUsage, "target takes one of", "evaluator", p)
	// Trials follow one another; the network stays.
	for _, kind := range []string{"noise", "score", "confirm"} {
		c.must("measure", map[string]any{"evaluator": handle, "kind": kind, "strategy": "{}"})
	}
}
