package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"narrow/diag"
	"narrow/evaluate"
	"narrow/internal/messages"
	"narrow/internal/ortlib"
	"narrow/internal/setup"
	"narrow/search"
)

// fashion writes the first n test images of Fashion-MNIST and their classes as
// x.idx and y.idx.
func fashion(t *testing.T, n uint32) {
	t.Helper()
	cache, err := ortlib.CacheRoot()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []struct {
		from, to     string
		header, each int
	}{
		{"t10k-images-idx3-ubyte.gz", "x.idx", 16, 28 * 28},
		{"t10k-labels-idx1-ubyte.gz", "y.idx", 8, 1},
	} {
		r, err := os.Open(filepath.Join(setup.DataDir(cache), f.from))
		if err != nil {
			t.Fatalf("%v: make setup installs it", err)
		}
		defer r.Close()
		z, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		data := make([]byte, f.header+int(n)*f.each)
		if _, err := io.ReadFull(z, data); err != nil {
			t.Fatal(err)
		}
		binary.BigEndian.PutUint32(data[4:], n)
		if err := os.WriteFile(f.to, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSearch searches on the bundled network: the file is one that lint takes,
// in canonical form, and the run that its provenance names gives the accuracy
// that it promises. A search that is interrupted again and again, with another
// number of threads, ends with the same bytes.
func TestSearch(t *testing.T) {
	t.Setenv(accuracyEnv, "guide") // the quick way, as in the others here
	model := emptyFolder(t)
	fashion(t, 240)
	args := "search --model " + model + " --data ../x.idx --labels ../y.idx --preprocess unit --subset-len 32 --shuffle --seed 5 --target GPU --max-drop 0.015"
	for _, d := range []string{"whole", "pieces"} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}

	t.Chdir("whole")
	code, stdout, stderr := execute(args)
	if code != 0 {
		t.Fatal(stderr)
	}
	whole := tree(t, ".")
	if len(whole) != 3 {
		t.Errorf("wrote %v", maps.Keys(whole))
	}
	for _, want := range []string{"drop ", "held out ", "again by   narrow run ", "wrote      strategy.json and strategy.provenance.json"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("standard output lacks %q:\n%s", want, stdout)
		}
	}
	for _, want := range []string{"32 samples calibrate; of 208 test samples, 144 are searched on and 64 held out; the float network's top-1 is ", "  1 wide ", " recipe ", " rank ", " mix ", " confirm ", " left\n"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("standard error lacks %q:\n%s", want, stderr)
		}
	}
	for _, line := range []string{"lint strategy.json --strict --model " + model, "fmt --check strategy.json"} {
		if code, stdout, stderr := execute(line); code != 0 {
			t.Errorf("narrow %s: %s%s", line, stdout, stderr)
		}
	}
	var p search.Provenance
	if err := json.Unmarshal([]byte(whole["strategy.provenance.json"]), &p); err != nil {
		t.Fatal(err)
	}
	if !p.Complete || p.Promise.All.Drop() > 0.015 || p.Cost >= 1.0/16 || p.Trials < 10 {
		t.Errorf("%+v", p)
	}
	code, stdout, stderr = execute(strings.TrimPrefix(p.Command, "narrow ") + " --json -o ../run")
	if code != 0 {
		t.Fatalf("%s: %s", p.Command, stderr)
	}
	var sum struct{ Test *evaluate.Result }
	if err := json.Unmarshal([]byte(stdout), &sum); err != nil {
		t.Fatal(err)
	}
	if r := sum.Test; r.Samples != p.Promise.Samples || r.Float.Top1 != p.Promise.Float || r.Quantized.Top1 != p.Promise.Quantized || *r.Agreement != p.Promise.Agreement {
		t.Errorf("%s: %+v, %+v, %+v\nnot what was promised: %+v", p.Command, r, r.Float, r.Quantized, p.Promise)
	}

	// Known trials are not measured again.
	code, _, stderr = execute(args)
	if code != 0 || strings.Contains(stderr, "\n  1 wide") || !strings.Contains(stderr, "resuming with") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if again := tree(t, "."); !maps.Equal(again, whole) {
		t.Error("searching again changes", difference(whole, again))
	}

	t.Chdir("../pieces")
	if runtime.GOOS != "windows" {
		interrupt(t, args+" --threads 1", 4)
		interrupt(t, args+" --threads 1", 16)
	}
	// A budget that is used up at once leaves what was found.
	if code, _, stderr := execute(args + " --threads 1 --budget 1ns"); runtime.GOOS != "windows" && code != 0 {
		t.Error(stderr)
	}
	if code, _, stderr := execute(args + " --threads 1"); code != 0 {
		t.Fatal(stderr)
	}
	if pieces := tree(t, "."); !maps.Equal(pieces, whole) {
		t.Error("in pieces it ends with other bytes:", difference(whole, pieces))
	}
}

// interrupt runs a search until it has made some trials and sends Ctrl-C. What it
// leaves are its trials, and the best so far if there is one.
func interrupt(t *testing.T, args string, trials int) {
	t.Helper()
	c, stderr := narrowCommand(args)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(5 * time.Minute); time.Now().Before(until); {
		if data, err := os.ReadFile("strategy.search.json"); err == nil {
			if log, err := search.ReadLog(data); err != nil {
				t.Fatal(err)
			} else if len(log.Trials) >= trials {
				break
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	err := c.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.HasSuffix(stderr.String(), "narrow: interrupted\n") {
		t.Fatalf("interrupted: %v\n%s", err, stderr)
	}
	if code, _, stderr := execute("lint strategy.json"); code != 0 {
		t.Errorf("the best so far: %s", stderr)
	}
	data, err := os.ReadFile("strategy.provenance.json")
	if err != nil || !bytes.Contains(data, []byte(`"complete": false`)) {
		t.Errorf("%v: %s", err, data)
	}
}

// TestSearchCaveat: where few samples or none were held out, and where they
// cannot tell the drop from none, the result says so, also if the networks
// disagree on none of them.
func TestSearchCaveat(t *testing.T) {
	heldOut := &search.Score{Samples: 5}
	for _, test := range []struct {
		name          string
		drop          float64
		all           search.Score
		heldOut       *search.Score
		none, caveats bool
	}{
		{"one batch", 0.01, search.Score{Samples: 10}, nil, true, true},
		{"no disagreement", 0.01, search.Score{Samples: 10}, heldOut, false, true},
		{"enough", 0.01, search.Score{Samples: 1000, Lost: 9, Gained: 9}, heldOut, false, false},
		{"noise", 0.01, search.Score{Samples: 1000, Lost: 90, Gained: 90}, heldOut, false, true},
		{"no drop allowed", 0, search.Score{Samples: 1000, Lost: 9, Gained: 9}, heldOut, false, false},
	} {
		j := &searchJob{a: &app{lang: messages.English}, f: &searchFlags{maxDrop: test.drop, file: "s.json"}}
		j.provenance.Promise = search.Promise{Samples: test.all.Samples, All: test.all, HeldOut: test.heldOut}
		var b bytes.Buffer
		if err := j.print(&b, &search.Found{}, diag.Text{}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(b.String(), "held out   none: 10 test samples make one batch"); got != test.none {
			t.Errorf("%s: none held out: %v\n%s", test.name, got, &b)
		}
		if got := strings.Contains(b.String(), "so few samples do not tell"); got != test.caveats {
			t.Errorf("%s: caveat: %v\n%s", test.name, got, &b)
		}
	}
}
