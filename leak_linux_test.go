package narrow_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/png"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"narrow"
	"narrow/calibrate"
	"narrow/engine/ort"
	"narrow/internal/testnet"
	"narrow/samples"
	"narrow/strategy"
)

// TestNothingLeaks: fifty calibrations and tests in one process leave no
// goroutine, no open file, no object of ONNX Runtime, no temporary file, and
// take no more memory than the first ones.
func TestNothingLeaks(t *testing.T) {
	const rounds, warm = 50, 20
	if os.Getenv(oneArena) == "" {
		// Which of glibc's arenas a thread takes is chance, and what each keeps
		// is megabytes: with one the figures say something.
		c := exec.Command(os.Args[0], "-test.run=^TestNothingLeaks$", "-test.v", "-test.short="+strconv.FormatBool(testing.Short()))
		c.Env = append(os.Environ(), oneArena+"=1")
		out, err := c.CombinedOutput()
		if t.Logf("%s", out); err != nil {
			t.Error(err)
		}
		return
	}
	r, err := ort.Open("")
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	t.Setenv("TMPDIR", filepath.Join(work, "tmp"))
	for _, d := range []string{"tmp", "images"} {
		if err := os.Mkdir(filepath.Join(work, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	draw := rand.New(rand.NewPCG(1, 0))
	for i := range 16 {
		img := image.NewGray(image.Rect(0, 0, 28, 28))
		for j := range img.Pix {
			img.Pix[j] = byte(draw.IntN(256))
		}
		var b bytes.Buffer
		if err := png.Encode(&b, img); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(work, "images", strconv.Itoa(i)+".png"), b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	round := func(i int) {
		if err := calibrateAndTest(r, work, i); err != nil {
			t.Fatal(err)
		}
	}
	var memory []int
	goroutines, files := 0, 0
	for i := range rounds {
		round(i)
		if i == 0 {
			goroutines, files = settled(runtime.NumGoroutine), openFiles(t)
		}
		debug.FreeOSMemory()
		memory = append(memory, resident(t))
	}
	if n := settled(runtime.NumGoroutine); n > goroutines {
		buf := make([]byte, 1<<16)
		t.Errorf("%d goroutines after the first round, %d after the last:\n%s", goroutines, n, buf[:runtime.Stack(buf, true)])
	}
	if n := openFiles(t); n > files {
		t.Errorf("%d files were open after the first round, %d after the last", files, n)
	}
	if live := r.Live(); live != (ort.Live{}) {
		t.Errorf("objects of ONNX Runtime are left: %+v", live)
	}
	if left, err := os.ReadDir(filepath.Join(work, "tmp")); err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
	// A moment's memory is chance: over 200 rounds it goes up and down between 54 and 62 MB,
	// since glibc gives back what it can where it can. So the most of some early rounds is
	// compared with the least of the last. What a session holds is a megabyte, so one lost
	// in five rounds shows.
	early, late := slices.Max(memory[warm-10:warm+5]), slices.Min(memory[rounds-10:])
	t.Logf("memory: %d KB after the first round, at most %d KB around round %d, %d KB in the end", memory[0], early, warm, late)
	if late > early+2048 && !testing.Short() { // the race detector takes memory of its own
		t.Errorf("memory grew from %d KB to %d KB over %d rounds: %d", early, late, rounds-warm, memory)
	}
}

// oneArena, set to 1, has glibc keep all that is freed in one place.
const oneArena = "MALLOC_ARENA_MAX"

// calibrateAndTest does what calib, test and export do, in one of four ways.
func calibrateAndTest(r *ort.Runner, work string, i int) (err error) {
	ctx := context.Background()
	m, err := narrow.Open(context.Background(), dscnn)
	if err != nil {
		return err
	}
	text := testnet.Configs["per channel"]
	if i%2 == 0 {
		text = "{}"
	}
	st, _ := strategy.Parse("s.json", []byte(text))
	resolved, err := m.Plan(st, narrow.PlanOptions{Accuracy: narrow.Guide})
	if err != nil {
		return err
	}
	set, err := samples.Open(filepath.Join(work, "images"), m.Inputs(), samples.Options{Preprocess: samples.Preprocess{Preset: samples.Unit}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, set.Close()) }()
	// A calibration that is broken off must leave nothing either.
	short, cancel := context.WithCancel(ctx)
	_, err = resolved.Calibrate(short, r, set.Batches(short, 4), narrow.CalibrateOptions{Progress: func(int) { cancel() }})
	if cancel(); !errors.Is(err, context.Canceled) {
		return errors.Join(errors.New("a cancelled calibration continues"), err)
	}
	c, err := resolved.Calibrate(ctx, r, set.Batches(ctx, 4), narrow.CalibrateOptions{Propagate: 1 + calibrate.Propagation(i/2%2)})
	if err != nil {
		return err
	}
	if err := c.Save(filepath.Join(work, "out")); err != nil {
		return err
	}
	if c, err = narrow.Load(filepath.Join(work, "out"), m, nil); err != nil {
		return err
	}
	if _, err := c.Test(ctx, r, set.Batches(ctx, 4), narrow.TestOptions{}); err != nil {
		return err
	}
	x, err := c.Export(narrow.ExportOptions{})
	if err != nil {
		return err
	}
	return x.Save(filepath.Join(work, "out", "net.onnx"))
}

// settled waits until a number no longer falls: what ends by itself needs a
// moment.
func settled(count func() int) int {
	n := count()
	for range 20 {
		time.Sleep(5 * time.Millisecond)
		runtime.GC()
		n = min(n, count())
	}
	return n
}

func openFiles(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(fds)
}

// resident is how much memory the process has, in KB.
func resident(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("no VmRSS")
	return 0
}
