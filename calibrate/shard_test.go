package calibrate_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"narrow"
	"narrow/calibrate"
	"narrow/engine"
	"narrow/internal/bounded"
	"narrow/internal/testnet"
)

// shardNets are networks whose operations differ in what bias correction knows of them:
// the bundled one, one with ConvTranspose, dilation and groups, one of MatMul and Gemm,
// one with two inputs and a fixed batch.
var shardNets = map[string]string{
	"bundled": "",
	"convolutions": `net (float[N, 4, 9, 9] x) => (float[N, 3, 18, 18] y)
<float[4, 2, 3, 3] w = {0.3, -0.2, 0.1, ...}, float[4] b = {0.1, ...}, float[4, 3, 2, 2] v = {0.2, -0.5, ...}, float[3] c = {0.3, ...}> {
 [a] h = Conv <group = 2, dilations = [2, 2], pads = [2, 2, 2, 2]> (x, w, b) [r] k = Relu (h) [t] y = ConvTranspose <strides = [2, 2]> (k, v, c) }`,
	"products": `net (float[N, 6] x) => (float[N, 3] y)
<float[6, 5] w = {0.3, -0.2, 0.1, ...}, float[5] b = {0.1, ...}, float[3, 5] v = {0.2, -0.5, ...}, float[3] c = {0.3, ...}> {
 [m] h = MatMul (x, w) [a] k = Add (h, b) [s] l = Sigmoid (k) [g] y = Gemm <transB = 1, alpha = 0.5> (l, v, c) }`,
	"fixed": `net (float[4, 3, 6] x) => (float[4, 2, 6] y)
<float[2, 3, 3] w = {0.3, -0.2, 0.1, ...}, float[2] b = {0.1, -0.3}> {
 [c] h = Conv <pads = [1, 1]> (x, w, b) [t] y = Tanh (h) }`,
}

// shardNet returns a network and n samples for it.
func shardNet(t testing.TB, name string, n int) (*narrow.Model, engine.Batches) {
	if shardNets[name] == "" {
		return testnet.Bundled(t), pictures(n)
	}
	m := testnet.Parse(t, shardNets[name])
	return m, func(yield func(*engine.Batch, error) bool) {
		yield(&engine.Batch{Count: n, Inputs: testnet.Inputs(m.Graph, int64(n), 3, 2)}, nil)
	}
}

// between yields the samples from first to before end.
func between(in engine.Batches, first, end int) engine.Batches {
	return func(yield func(*engine.Batch, error) bool) {
		for b, err := range engine.Rebatch(in, 1) {
			if err == nil && b.First < first {
				continue
			}
			if err == nil && b.First >= end || !yield(b, err) {
				return
			}
		}
	}
}

// batchOf is how many samples the first batch of shardNet has.
func batchOf(net string, n int) int {
	if shardNets[net] == "" {
		return 16
	}
	return n
}

// shardsOf calibrates on n parts of 75 samples.
func shardsOf(t testing.TB, m *narrow.Model, config string, a narrow.Accuracy, in engine.Batches, n int) [][]byte {
	t.Helper()
	return partsOf(t, m, config, a, in, 75, n)
}

// partsOf calibrates on n parts of all samples.
func partsOf(t testing.TB, m *narrow.Model, config string, a narrow.Accuracy, in engine.Batches, all, n int) [][]byte {
	t.Helper()
	var out [][]byte
	units := (all + 7) / 8
	for i := range n {
		first, end := units*i/n*8, min(units*(i+1)/n*8, all)
		s, err := testnet.PlanFor(t, m, config, a).Shard(context.Background(), testnet.Runner(t), narrow.ShardOptions{
			CalibrateOptions: narrow.CalibrateOptions{Some: between(in, 0, 40)},
			All:              all, ShardSamples: calibrate.ShardSamples{Own: between(in, first, end), First: first, Count: end - first, Canary: between(in, 0, 8)},
		})
		if err != nil {
			t.Fatal(err)
		}
		data, err := s.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, data)
	}
	return out
}

// merge merges shards' files in a random order, after reading them again.
func merge(t *testing.T, files [][]byte, seed uint64) *calibrate.Shard {
	t.Helper()
	files = slices.Clone(files)
	rand.New(rand.NewPCG(seed, 1)).Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
	var all *calibrate.Shard
	for _, data := range append(files, files[0]) {
		s, err := calibrate.ReadShard(data)
		if err != nil {
			t.Fatal(err)
		}
		if all == nil {
			all = s
		} else if err := all.Merge(s); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestShards: any number of shards, in any order, gives the bytes of one run, with every
// method, per channel, with bias correction.
func TestShards(t *testing.T) {
	for net := range shardNets {
		for name, settings := range methods {
			t.Run(net+"/"+name, func(t *testing.T) {
				m, in := shardNet(t, net, 75)
				settings := settings
				weights := `, "tensor_quantize_config": {"weights": {"method": "maxmin", "per_channel": true}}`
				if strings.Contains(settings, "datatype") {
					weights = ""
				}
				config := fmt.Sprintf(`{"target_device": "CPU", "overall_quantize_config": {%s}%s}`, settings, weights)
				c, err := testnet.Plan(t, m, config).Calibrate(context.Background(), testnet.Runner(t), in, narrow.CalibrateOptions{Propagate: calibrate.Float})
				if err != nil {
					t.Fatal(err)
				}
				want := content(t, c)
				for _, n := range []int{1, 2, 4, 7} {
					s := merge(t, shardsOf(t, m, config, narrow.Guide, in, n), uint64(n))
					c, err := testnet.Plan(t, m, config).Calibrate(context.Background(), testnet.Runner(t), nil, narrow.CalibrateOptions{FromShards: s})
					if err != nil {
						t.Fatal(err)
					}
					if got := content(t, c); !maps.Equal(got, want) {
						for file := range want {
							if got[file] != want[file] {
								t.Errorf("%d shards give another %s", n, file)
							}
						}
					}
				}
			})
		}
	}
}

// TestHighShards: high chooses over the kept samples alone, in one run as after a merge;
// with more samples than are kept too.
func TestHighShards(t *testing.T) {
	configs := map[string]string{
		"DPU":        "{}",
		"CPU":        `{"target_device": "CPU", "overall_quantize_config": {"method": "maxmin", "scale_type": "float", "calib_statistic_method": "max"}}`,
		"percentile": `{"target_device": "GPU", "overall_quantize_config": {"method": "percentile", "percentage": 99.9, "scale_type": "float", "calib_statistic_method": "mean"}}`,
	}
	for net := range shardNets {
		for name, config := range configs {
			t.Run(net+"/"+name, func(t *testing.T) {
				all := 75
				if net == "products" {
					all = 300
				}
				m, in := shardNet(t, net, all)
				c, err := testnet.PlanFor(t, m, config, narrow.High).Calibrate(context.Background(), testnet.Runner(t), in, narrow.CalibrateOptions{Some: between(in, 0, 40)})
				if err != nil {
					t.Fatal(err)
				}
				s := merge(t, partsOf(t, m, config, narrow.High, in, all, 4), 9)
				merged, err := testnet.PlanFor(t, m, config, narrow.High).Calibrate(context.Background(), testnet.Runner(t), nil, narrow.CalibrateOptions{FromShards: s, BatchSize: batchOf(net, all)})
				if err != nil {
					t.Fatal(err)
				}
				if !maps.Equal(content(t, c), content(t, merged)) {
					t.Errorf("shards give another calibration; samples %d and %d", c.Result.Samples, merged.Result.Samples)
				}
			})
		}
	}
}

const shardConfig = `{"target_device": "CPU", "overall_quantize_config": {"method": "maxmin", "scale_type": "float", "calib_statistic_method": "mean"}}`

// TestShardRefused: what does not go together is refused, by name, and leaves the other
// as it was.
func TestShardRefused(t *testing.T) {
	m, in := shardNet(t, "products", 75)
	four := shardsOf(t, m, shardConfig, narrow.Guide, in, 4)
	read := func(data []byte, name string) *calibrate.Shard {
		t.Helper()
		s, err := calibrate.ReadShard(data)
		if err != nil {
			t.Fatal(err)
		}
		s.File = name
		return s
	}
	refused := func(err error, of string, parts ...string) {
		t.Helper()
		if err == nil {
			t.Errorf("merged with another %s", of)
			return
		}
		var mismatch *narrow.MismatchError
		if of != "" && (!errors.As(err, &mismatch) || mismatch.Of != of) {
			t.Errorf("%v is of %+v, want %s", err, mismatch, of)
		}
		for _, p := range parts {
			if !strings.Contains(err.Error(), p) {
				t.Errorf("%q does not say %q", err, p)
			}
		}
	}
	other := testnet.Parse(t, strings.Replace(shardNets["products"], "0.3", "0.4", 1))
	for of, data := range map[string][]byte{
		"model":    shardsOf(t, other, shardConfig, narrow.Guide, in, 4)[1],
		"strategy": shardsOf(t, m, strings.Replace(shardConfig, "mean", "max", 1), narrow.Guide, in, 4)[1],
		"machine":  shardsOf(t, m, shardConfig, narrow.Guide, between(larger(in), 0, 75), 4)[1],
	} {
		refused(read(four[0], "a.shard").Merge(read(data, "b.shard")), of, "a.shard", "b.shard")
	}
	overlap := shardsOf(t, m, shardConfig, narrow.Guide, in, 7)
	refused(read(four[0], "a.shard").Merge(read(overlap[1], "b.shard")), "", "a.shard", "b.shard", "overlap", "0 to 15", "8 to 15")
	s := read(four[0], "a.shard")
	if err := s.Merge(read(four[2], "c.shard")); err != nil {
		t.Fatal(err)
	}
	refused(s.Complete(), "", "16 to 39, 56 to 74 of 75")
	_, err := testnet.Plan(t, m, shardConfig).Calibrate(context.Background(), testnet.Runner(t), nil, narrow.CalibrateOptions{FromShards: s})
	refused(err, "", "16 to 39")
	_, err = testnet.Plan(t, other, shardConfig).Calibrate(context.Background(), testnet.Runner(t), nil, narrow.CalibrateOptions{FromShards: merge(t, four, 1)})
	refused(err, "model")
	_, err = testnet.Plan(t, m, shardConfig).Calibrate(context.Background(), testnet.Runner(t), nil, narrow.CalibrateOptions{FromShards: merge(t, four, 1), Propagate: calibrate.Progressive})
	refused(err, "", "progressive", "propagate float")

	// A damaged file is never read, wherever the damage is.
	whole := four[1]
	for at := 0; at < len(whole); at += 1 + len(whole)/200 {
		cut, flipped := whole[:at], slices.Clone(whole)
		flipped[at] ^= 4
		for _, data := range [][]byte{cut, flipped} {
			if _, err := calibrate.ReadShard(data); err == nil {
				t.Errorf("a shard that is damaged at byte %d was read", at)
			}
		}
	}
	file := filepath.Join(t.TempDir(), "cut.shard")
	if err := os.WriteFile(file, whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := calibrate.OpenShards([]string{file}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("%v does not name %s", err, file)
	}
}

// larger yields other samples.
func larger(in engine.Batches) engine.Batches {
	return func(yield func(*engine.Batch, error) bool) {
		for b, err := range in {
			if err == nil {
				b = b.Clone()
				for _, x := range b.Inputs {
					for i := range x.Floats {
						x.Floats[i] *= 1.5
					}
				}
			}
			if !yield(b, err) {
				return
			}
		}
	}
}

// shardBound is what reading a shard may allocate: docs/robustness.md.
var shardBound = bounded.Bound{Factor: 2048, Constant: 64 << 20}

// FuzzReadShard: whatever is read does not panic nor take memory out of proportion, can be
// written, and reads the same again.
func FuzzReadShard(f *testing.F) {
	m, in := shardNet(f, "products", 75)
	for _, a := range []narrow.Accuracy{narrow.Guide, narrow.High} {
		data := partsOf(f, m, shardConfig, a, in, 75, 5)[0]
		f.Add(data[:len(data)-32])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		data = calibrate.Sealed(data)
		var s *calibrate.Shard
		var err error
		shardBound.Run(t, len(data), func() { s, err = calibrate.ReadShard(data) })
		if err != nil {
			return
		}
		again, err := s.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		back, err := calibrate.ReadShard(again)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := back.Bytes(); err != nil || string(b) != string(again) {
			t.Fatalf("reading again changed the shard (%v)", err)
		}
		_ = back.Merge(s) // whatever they are, it must not panic
	})
}
