package calibrate

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"narrow/engine"
	"narrow/graph/graphtext"
	"narrow/internal/bounded"
	"narrow/plan"
	"narrow/strategy"
)

// smallStats writes statistics of a small network by hand: two samples of each
// value, one of them invalid.
func smallStats(t testing.TB) (*plan.Plan, []byte) {
	t.Helper()
	m := graphtext.MustParse(`net (float[N, 2] x) => (float[N, 1] y)
<float[2, 1] w = {1, 2}, float[1] b = {0.5}> { [fc] y = Gemm (x, w, b) }`)
	s, list := strategy.Parse("s.json", []byte(`{}`))
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	p, list, err := plan.Build(m, s)
	if err != nil || list.HasErrors() {
		t.Fatal(err, list)
	}
	var buf bytes.Buffer
	c, err := newCalibration(p, Options{Propagate: Float})
	if err != nil {
		t.Fatal(err)
	}
	c.float.stats = newStatsWriter(&SaveStats{W: &buf}, c.float.watched.Tensors)
	c.float.gatherAll()
	b := &engine.Batch{Count: 2}
	for _, w := range c.float.watched.Tensors {
		shape := []int64{2, 2}
		x := []float32{1, -2, 3, 0.25}
		if w.Name == "y" {
			shape, x = []int64{2, 1}, []float32{5, -6}
		}
		if err := c.float.tap(w, b, x, x, shape); err != nil {
			t.Fatal(err)
		}
	}
	c.out.Samples, c.out.Batches = 2, 1
	if err := c.finish(); err != nil {
		t.Fatal(err)
	}
	if err := c.float.stats.finish(c.float); err != nil {
		t.Fatal(err)
	}
	return p, buf.Bytes()
}

// TestStatsDamaged: no byte can be changed and no end cut off unnoticed.
func TestStatsDamaged(t *testing.T) {
	_, data := smallStats(t)
	if _, err := ReadStats(data); err != nil {
		t.Fatal(err)
	}
	for i := range data {
		bad := bytes.Clone(data)
		bad[i] ^= 0x10
		if _, err := ReadStats(bad); err == nil {
			t.Errorf("byte %d of %d changed: no error", i, len(data))
		}
		if _, err := ReadStats(data[:i]); err == nil {
			t.Errorf("cut after %d of %d bytes: no error", i, len(data))
		}
	}
}

// statsBound is what reading statistics may allocate: docs/robustness.md.
var statsBound = bounded.Bound{Factor: 64, Constant: 1 << 20}

// FuzzReadStats: whatever the file holds, reading and using it does not panic
// nor take memory out of proportion.
func FuzzReadStats(f *testing.F) {
	p, data := smallStats(f)
	f.Add(data[len(statsMagic) : len(data)-4])
	f.Fuzz(func(t *testing.T, frames []byte) {
		b := append([]byte(statsMagic), frames...)
		b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
		var s *Stats
		var err error
		statsBound.Run(t, len(b), func() { s, err = ReadStats(b) })
		if err != nil {
			return
		}
		_, _ = CalibrateStats(p, s, Options{Threads: 1, SkipInvalid: len(frames)%2 == 0})
	})
}
