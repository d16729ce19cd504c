package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"narrow"
	"narrow/diag"
	"narrow/graph"
	"narrow/internal/footprint"
	"narrow/samples"
)

// memoryFlags bound the memory that a command takes.
type memoryFlags struct {
	text  string
	limit int64 // bytes; 0 for none
	// float says that samples run in float propagation, by eights; report that
	// the command measures for a report, too; high that it calibrates for high accuracy.
	float, report, high bool
	floatAsked          bool // whatever the accuracy
	// samples is how many calibrate.
	samples int
	// besides says what high takes where that is more than the limit: the guide's way
	// is then to be taken.
	besides int64
	// told is the batch size that was told of.
	told int
}

func (f *memoryFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.text, "max-memory", "", "choose the batch size, up to the default, so that the process takes no more memory than this, such as 2G or 600M")
}

// check reads the flag.
func (f *memoryFlags) check(c *cobra.Command) error {
	if f.text == "" {
		if c.Flags().Changed("max-memory") {
			return usagef("--max-memory is empty: give a number with a unit, such as 2G or 600M")
		}
		return nil
	}
	if c.Flags().Changed("batch-size") {
		return usagef("--max-memory chooses the batch size: leave it or --batch-size out")
	}
	var err error
	f.limit, err = parseBytes(f.text)
	return err
}

// parseBytes reads 600M, 2G, 1.5GiB or a number of bytes. Units are powers of
// 1024.
func parseBytes(s string) (int64, error) {
	wrong := usagef("--max-memory is %q: give a number with a unit, such as 2G or 600M", s)
	number := strings.TrimSuffix(strings.TrimSuffix(strings.ToUpper(s), "B"), "I")
	shift := 0
	for i, unit := range []string{"K", "M", "G", "T"} {
		if rest, ok := strings.CutSuffix(number, unit); ok {
			number, shift = rest, 10*(i+1)
			break
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || shift == 0 && strings.HasSuffix(strings.ToUpper(s), "I") {
		return 0, wrong
	}
	if v = math.Ldexp(v, shift); !(v >= 1 && v < 1<<60) {
		return 0, wrong
	}
	return int64(v), nil
}

// work is what the command does besides running batches.
func (m *memoryFlags) work() footprint.Work {
	return footprint.Work{Float: m.float, Report: m.report, High: m.high, Samples: m.samples}
}

// memoryReaders is how many goroutines read samples: each holds a picture.
const memoryReaders = 2

// chooseBatch sets the batch size of f by --max-memory, and says so.
func (a *app) chooseBatch(f *inputFlags, m *narrow.Model, set *samples.Set) error {
	limit := f.memory.limit
	if limit == 0 {
		return nil
	}
	foot, err := footprintOf(m, set)
	if errors.Is(err, footprint.ErrUnknown) {
		return diag.Errorf("--max-memory cannot tell what %s takes: %w: leave it out, and choose a --batch-size", f.model, err)
	}
	if err != nil {
		return diag.Errorf("--max-memory: %s: %w", f.model, err)
	}
	if f.memory.samples == 0 { // these calibrate; others may test
		f.memory.samples = set.Len()
	}
	choose := func() (n int, need int64) {
		work := f.memory.work()
		n = set.BatchSize(f.batch)
		if set.BatchSize(0) == 0 { // the network leaves it open
			n = foot.Batch(limit, n, work)
		}
		return n, foot.Process(n, work)
	}
	n, need := choose()
	if f.memory.high && need > limit {
		f.memory.besides, f.memory.high, f.memory.float = need, false, f.memory.floatAsked
		n, need = choose()
	}
	if need > limit {
		with := ""
		if f.memory.report {
			with = ", or --no-report"
		}
		return diag.Errorf("--max-memory is %s, but %s takes %s with batches of %s: give at least that much%s", f.memory.text, f.model, megabytes(need), count(n, "sample"), with)
	}
	f.batch = n
	if f.memory.told != n {
		f.memory.told = n
		fmt.Fprintln(a.stderr, a.lang.Sprint(diag.Textf("--max-memory %s: batches of %d (estimated to take %s)", f.memory.text, n, megabytes(need))))
	}
	return nil
}

// megabytes writes a number of bytes as --max-memory takes it, rounded up.
func megabytes(n int64) string { return fmt.Sprintf("%dM", (n+1<<20-1)>>20) }

// footprintOf estimates what a network takes with some samples.
func footprintOf(m *narrow.Model, set *samples.Set) (*footprint.Footprint, error) {
	return footprint.Of(m.Graph, func(n int64) map[string][]graph.Dim {
		shapes := map[string][]graph.Dim{}
		for _, in := range set.Inputs() {
			shape := make([]graph.Dim, len(in.Dims))
			for i, d := range in.Dims {
				if shape[i].Size = d; d < 0 {
					shape[i].Size = n
				}
			}
			shapes[in.Name] = shape
		}
		return shapes
	})
}

// estimate returns how many bytes a calibration takes.
func (a *app) estimate(f *inputFlags, m *narrow.Model, set *samples.Set) (int64, error) {
	foot, err := footprintOf(m, set)
	if err != nil {
		return 0, err
	}
	return foot.Process(set.BatchSize(f.batch), footprint.Work{Float: true}), nil
}

// availableMemory returns how many bytes are free for programs, where the system
// tells.
func availableMemory() (int64, bool) {
	data, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kb << 10, err == nil
		}
	}
	return 0, false
}
