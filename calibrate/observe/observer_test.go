package observe

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"narrow/internal/kernel"
	"narrow/scheme"
)

// everySetting returns settings that together use every method, range, scale type and
// statistic that can be calibrated per tensor.
func everySetting() []scheme.Settings {
	var out []scheme.Settings
	for _, bits := range []int{2, 4, 8, 9, 16, 24, 32} {
		base := scheme.Settings{Datatype: scheme.Int, BitWidth: bits, RoundMode: scheme.HalfEven, Symmetry: true, Signed: true, Percentage: 99}
		for _, m := range []scheme.Method{scheme.MaxMin, scheme.Percentile, scheme.Entropy, scheme.MSE} {
			s := base
			s.ScaleType, s.Method, s.Statistic = scheme.FloatScale, m, scheme.Statistic(2+len(out)%3)
			out = append(out, s)
			s.NarrowRange, s.RoundMode = true, scheme.HalfDown
			out = append(out, s)
			s.Signed, s.NarrowRange, s.RoundMode = false, false, scheme.StdRound
			out = append(out, s)
			if m == scheme.MaxMin || m == scheme.Percentile {
				s.Symmetry = false
				out = append(out, s)
			}
		}
		for _, m := range []scheme.Method{scheme.MaxMin, scheme.Diffs} {
			s := base
			s.ScaleType, s.Method, s.Statistic = scheme.PowerOfTwo, m, scheme.Modal
			out = append(out, s)
		}
	}
	return out
}

// batches returns n batches of one shape whose character changes from tiny to large.
func batchesOf(n int, seed uint64, positive bool) [][]float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([][]float32, n)
	for i := range out {
		out[i] = make([]float32, 3*70)
		k := math.Pow(10, float64(i%5)-2)
		for j := range out[i] {
			out[i][j] = float32(k * r.NormFloat64())
			if positive {
				out[i][j] = max(out[i][j], 0)
			}
		}
	}
	return out
}

var batchShape = []int64{3, 70}

func observed(t testing.TB, cfg Config, batches [][]float32) *Observer {
	t.Helper()
	o, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range batches {
		if err := o.Observe(x, batchShape); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

func encoding(t testing.TB, o *Observer) scheme.Encoding {
	t.Helper()
	e, err := o.Encoding()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func merged(t testing.TB, a, b *Observer) *Observer {
	t.Helper()
	o, err := New(a.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(o.Merge(a), o.Merge(b)); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestLaws holds every observer to the laws that Observer's docstring gives.
func TestLaws(t *testing.T) {
	for i, s := range everySetting() {
		cfg := Config{Name: "x", Kind: scheme.Activation, Settings: s}
		data := batchesOf(9, uint64(i), !s.Signed)
		whole := observed(t, cfg, data)
		want := encoding(t, whole)
		a, b, c := observed(t, cfg, data[:2]), observed(t, cfg, data[2:7]), observed(t, cfg, data[7:])
		for name, o := range map[string]*Observer{
			"(ab)c":    merged(t, merged(t, a, b), c),
			"a(bc)":    merged(t, a, merged(t, b, c)),
			"cba":      merged(t, merged(t, c, b), a),
			"nothing":  merged(t, whole, observed(t, cfg, nil)),
			"backward": observed(t, cfg, [][]float32{data[8], data[3], data[5], data[4], data[0], data[7], data[6], data[2], data[1]}),
			"pool":     observed(t, Config{Name: "x", Kind: scheme.Activation, Settings: s, Pool: kernel.NewPool(3)}, data),
		} {
			if got := encoding(t, o); !reflect.DeepEqual(got, want) {
				t.Errorf("%+v: %s gives %+v, want %+v", s, name, got, want)
			}
		}
		if s.Method == scheme.MaxMin && s.ScaleType == scheme.FloatScale && s.Statistic == scheme.Max && s.Symmetry {
			var all []float32
			for _, x := range data {
				all = append(all, x...)
			}
			o, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := o.Observe(all, []int64{27, 70}); err != nil {
				t.Fatal(err)
			}
			if got := encoding(t, o); got.Scale[0] != want.Scale[0] {
				t.Errorf("%+v: regrouped %v, want %v", s, got.Scale, want.Scale)
			}
		}
	}
}

// TestSamplesAtAnySplit is the rule of float propagation: a sample is the unit.
func TestSamplesAtAnySplit(t *testing.T) {
	for i, s := range everySetting() {
		data := joined(batchesOf(8, uint64(i), !s.Signed))
		var want scheme.Encoding
		for j, n := range []int{1, 2, 8, 24} {
			o, err := New(Config{Name: "x", Kind: scheme.Activation, Settings: s, Pool: kernel.NewPool(j)})
			if err != nil {
				t.Fatal(err)
			}
			for at := 0; at < 24; at += n {
				if err := o.ObserveSamples(data[at*70:(at+n)*70], []int64{int64(n), 70}, n); err != nil {
					t.Fatal(err)
				}
			}
			got := encoding(t, o)
			if j == 0 {
				want = got
			}
			if got.Batches != 24 || !reflect.DeepEqual(got, want) {
				t.Errorf("%+v: in batches of %d %+v, want %+v", s, n, got, want)
			}
		}
	}
}

func joined(parts [][]float32) (out []float32) {
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func TestRecordsEqualValues(t *testing.T) {
	extra := [][]float32{make([]float32, 210), make([]float32, 210)}
	extra[1][7] = 3e-42
	for i, s := range everySetting() {
		for _, input := range []bool{false, true} {
			cfg := Config{Name: "x", Kind: scheme.Activation, Settings: s, GraphInput: input}
			data := append(batchesOf(5, uint64(i), !s.Signed), extra...)
			want := encoding(t, observed(t, cfg, data))
			o, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			var file []byte
			for _, x := range data {
				r, err := NewRecord(nil, "x", x, batchShape)
				if err != nil {
					t.Fatal(err)
				}
				if file, err = r.AppendBinary(file); err != nil {
					t.Fatal(err)
				}
			}
			for range data {
				var r *Record
				if r, file, err = DecodeRecord(file); err != nil {
					t.Fatal(err)
				}
				if err := o.ObserveRecord(r); err != nil {
					t.Fatal(err)
				}
			}
			if got := encoding(t, o); len(file) != 0 || !reflect.DeepEqual(got, want) {
				t.Errorf("%+v: from records %+v, want %+v", s, got, want)
			}
		}
	}
}

func FuzzDecodeRecord(f *testing.F) {
	for i, x := range batchesOf(2, 1, false) {
		r, err := NewRecord(nil, "x", x[:40+i], nil)
		if err != nil {
			f.Fatal(err)
		}
		b, _ := r.AppendBinary(nil)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, rest, err := DecodeRecord(b)
		if err != nil {
			return
		}
		again, _ := r.AppendBinary(nil)
		r2, left, err := DecodeRecord(again)
		if err != nil || len(left) != 0 || *r2 != *r || len(rest) > len(b) {
			t.Fatalf("reading again changed the record: %v", err)
		}
	})
}

func FuzzUnmarshalObserver(f *testing.F) {
	cfg := Config{Name: "x", Kind: scheme.Activation, Settings: everySetting()[0]}
	for n := range 3 {
		b, err := observed(f, cfg, batchesOf(n, 1, false)).MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if o.UnmarshalBinary(b) != nil {
			if o.Batches() != 0 {
				t.Fatal("a refused state shows")
			}
			return
		}
		again, _ := o.MarshalBinary()
		p, _ := New(cfg)
		if err := p.UnmarshalBinary(again); err != nil || !reflect.DeepEqual(o, p) {
			t.Fatalf("reading again changed the state: %v", err)
		}
	})
}

func TestStateRoundTrip(t *testing.T) {
	for i, s := range everySetting() {
		cfg := Config{Name: "x", Kind: scheme.Activation, Settings: s}
		o := observed(t, cfg, batchesOf(4, uint64(i), !s.Signed))
		b, err := o.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		p := observed(t, cfg, nil)
		if err := p.UnmarshalBinary(b); err != nil {
			t.Fatal(err)
		}
		again, _ := p.MarshalBinary()
		if !reflect.DeepEqual(encoding(t, o), encoding(t, p)) || !bytes.Equal(b, again) {
			t.Errorf("%+v: state changed", s)
		}
		if err := p.UnmarshalBinary(b[:len(b)-1]); err == nil || !strings.Contains(err.Error(), `"x"`) {
			t.Errorf("a cut state was read: %v", err)
		}
	}
}

func TestGuards(t *testing.T) {
	nan := float32(math.NaN())
	for i, s := range everySetting() {
		cfg := Config{Name: "layer/x", Kind: scheme.Activation, Settings: s}
		o := observed(t, cfg, batchesOf(2, uint64(i), true))
		before := encoding(t, o)
		bad := batchesOf(1, 7, true)[0]
		bad[150] = nan
		var invalid *InvalidError
		if err := o.Observe(bad, batchShape); !errors.As(err, &invalid) || invalid.Sample != 2 || invalid.Index != 150 ||
			!strings.Contains(err.Error(), `"layer/x" holds NaN in sample 2`) {
			t.Errorf("NaN: %v", err)
		}
		if err := o.ObserveSamples(bad, batchShape, 3); !errors.As(err, &invalid) || invalid.Sample != 2 || invalid.Index != 150 {
			t.Errorf("NaN among samples: %v", err)
		}
		var negative *NegativeError
		err := o.Observe([]float32{-2, 5}, []int64{2})
		if wants := !s.Signed && s.Symmetry; wants != errors.As(err, &negative) || wants && !strings.Contains(err.Error(), `"layer/x"`) ||
			wants && !strings.Contains(err.Error(), "from -2 to 5") {
			t.Errorf("%+v: negative values: %v", s, err)
		}
		if s.Symmetry && !s.Signed && !reflect.DeepEqual(before, encoding(t, o)) {
			t.Error("a refused batch shows")
		}

		// Tensors of zeros, of one value, of denormals, of extremes: scales are
		// normal numbers, zero points in range.
		for _, v := range []float32{0, 1, -1, 3e-42, 1e-38, 0x1p-126, math.MaxFloat32, -math.MaxFloat32} {
			if v < 0 && !s.Signed && s.Symmetry {
				continue
			}
			x := make([]float32, 210)
			for i := range x {
				x[i] = v
			}
			e := encoding(t, observed(t, cfg, [][]float32{x}))
			sc := e.Scale[0]
			if !(sc >= minScale) || math.IsInf(float64(sc), 0) || e.ZeroPoint[0] < e.Min || e.ZeroPoint[0] > e.Max {
				t.Errorf("%+v: all %v gives %+v", s, v, e)
			}
			y := make([]float32, len(x))
			if err := Apply(nil, y, x, s, e, batchShape); err != nil {
				t.Fatal(err)
			}
			if y[0] != y[0] || v == 0 && y[0] != 0 {
				t.Errorf("%+v: all %v quantizes to %v", s, v, y[0])
			}
			// One value of ordinary size is held well.
			if math.Abs(float64(v)) == 1 && s.BitWidth >= 8 && math.Abs(float64(y[0]-v)) > 0.3 {
				t.Errorf("%+v: all %v quantizes to %v", s, v, y[0])
			}
		}
	}
}

// TestTinyThenHuge: a first batch of tiny values does not spoil the bins of
// the next.
func TestTinyThenHuge(t *testing.T) {
	for _, m := range []scheme.Method{scheme.Percentile, scheme.Entropy, scheme.MSE} {
		s := scheme.Settings{Datatype: scheme.Int, BitWidth: 8, RoundMode: scheme.HalfEven, Symmetry: true, Signed: true,
			Percentage: 99.9, ScaleType: scheme.FloatScale, Method: m, Statistic: scheme.Max}
		cfg := Config{Name: "x", Kind: scheme.Activation, Settings: s}
		tiny, huge := batchesOf(1, 1, false)[0], batchesOf(1, 2, false)[0]
		for i := range tiny {
			tiny[i] *= 1e-20
			huge[i] *= 1e20
		}
		got, want := encoding(t, observed(t, cfg, [][]float32{tiny, huge})), encoding(t, observed(t, cfg, [][]float32{huge}))
		if got.Scale[0] != want.Scale[0] {
			t.Errorf("%v: %v, of the second batch alone %v", m, got.Scale, want.Scale)
		}
	}
}

func TestStatistics(t *testing.T) {
	for _, c := range []struct {
		st     scheme.Statistic
		scales []float64
		want   float64
	}{
		{scheme.Max, []float64{1, 4, 2}, 4},
		{scheme.Mean, []float64{1, 4, 4}, 3},
		{scheme.Median, []float64{4, 1, 2}, 2},
		{scheme.Median, []float64{4, 1, 2, 8}, 3},
		{scheme.Modal, []float64{4, 1, 4, 1, 2}, 1},
		{scheme.Modal, []float64{4, 4, 1}, 4},
	} {
		s := samples{st: c.st}
		for i, v := range c.scales {
			s.add(unit{v, int64(5 - i%2)})
		}
		if got := s.statistic(false); got.scale != c.want || got.zero != 5-int64(btoi(len(c.scales)%2 == 0)) {
			t.Errorf("%v of %v is %+v, want %v", c.st, c.scales, got, c.want)
		}
	}
	// Ties of fix positions: the smaller position on the DPU, the smaller scale elsewhere.
	for target, want := range map[scheme.Target]int{scheme.DPU: 3, scheme.CPU: 5, scheme.GPU: 5, 0: 3} {
		s := scheme.Settings{Datatype: scheme.Int, BitWidth: 8, RoundMode: scheme.StdRound, Symmetry: true, Signed: true,
			ScaleType: scheme.PowerOfTwo, Method: scheme.MaxMin, Statistic: scheme.Modal}
		o := observed(t, Config{Name: "x", Kind: scheme.Activation, Settings: s, Target: target}, [][]float32{{3}, {12}})
		if e := encoding(t, o); e.FixPosition[0] != want || e.Scale[0] != scheme.FixScale(want) {
			t.Errorf("%v: %+v, want fix position %d", target, e, want)
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestRefusedSettings(t *testing.T) {
	good := scheme.Settings{Datatype: scheme.Int, BitWidth: 8, Method: scheme.MaxMin, RoundMode: scheme.HalfEven, Symmetry: true, Signed: true,
		ScaleType: scheme.FloatScale, Statistic: scheme.Max}
	for name, change := range map[string]func(s *scheme.Settings){
		"datatype":   func(s *scheme.Settings) { s.Datatype = 0 },
		"bit width":  func(s *scheme.Settings) { s.BitWidth = 33 },
		"round mode": func(s *scheme.Settings) { s.RoundMode = 0 },
		"statistic":  func(s *scheme.Settings) { s.Statistic = 0 },
		"scale type": func(s *scheme.Settings) { s.ScaleType = 0 },
		"percentage": func(s *scheme.Settings) { s.Method, s.Percentage = scheme.Percentile, 0 },
		"method diffs does not go with a float scale": func(s *scheme.Settings) { s.Method = scheme.Diffs },
		"method mse does not go with symmetry false":  func(s *scheme.Settings) { s.Method, s.Symmetry = scheme.MSE, false },
		"does not go with a poweroftwo scale":         func(s *scheme.Settings) { s.Method, s.ScaleType = scheme.MSE, scheme.PowerOfTwo },
		"statistic mean":                              func(s *scheme.Settings) { s.Statistic, s.ScaleType = scheme.Mean, scheme.PowerOfTwo },
		"signed and symmetric":                        func(s *scheme.Settings) { s.Signed, s.ScaleType = false, scheme.PowerOfTwo },
		"channel axis":                                func(s *scheme.Settings) { s.PerChannel = true },
	} {
		s := good
		change(&s)
		if _, err := New(Config{Name: "x", Kind: scheme.Activation, Settings: s, Axis: -1}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	o, err := New(Config{Name: "x", Kind: scheme.Activation, Settings: good, Axis: -1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Encoding(); err == nil || !strings.Contains(err.Error(), `"x" was never observed`) {
		t.Errorf("nothing observed: %v", err)
	}
	good.BitWidth = 4
	if p, _ := New(Config{Name: "x", Kind: scheme.Activation, Settings: good, Axis: -1}); o.Merge(p) == nil {
		t.Error("observers of different settings merged")
	}
}

// TestConvTransposeChannels: axis 1, with every method that weights have.
func TestConvTransposeChannels(t *testing.T) {
	x := batchesOf(1, 3, false)[0][:2*3*4]
	s := scheme.Settings{Datatype: scheme.Int, BitWidth: 8, Method: scheme.MaxMin, RoundMode: scheme.HalfEven, Symmetry: true, Signed: true,
		ScaleType: scheme.FloatScale, PerChannel: true}
	for _, st := range []scheme.ScaleType{scheme.FloatScale, scheme.PowerOfTwo} {
		for _, m := range []scheme.Method{scheme.MaxMin, scheme.Diffs} {
			if st == scheme.FloatScale && m == scheme.Diffs {
				continue
			}
			s.ScaleType, s.Method = st, m
			o, err := New(Config{Name: "w", Kind: scheme.Weights, Settings: s, Axis: 1})
			if err != nil {
				t.Fatal(err)
			}
			if err := o.Observe(x, []int64{2, 3, 4}); err != nil {
				t.Fatal(err)
			}
			e := encoding(t, o)
			if e.Axis != 1 || len(e.Scale) != 3 {
				t.Fatalf("%+v", e)
			}
			y := make([]float32, len(x))
			if err := Apply(kernel.NewPool(2), y, x, s, e, []int64{2, 3, 4}); err != nil {
				t.Fatal(err)
			}
			q, err := Quantize[int8](x, s, e, []int64{2, 3, 4})
			if err != nil {
				t.Fatal(err)
			}
			one := s
			one.PerChannel = false
			for c := range 3 {
				ch := append(append([]float32(nil), x[c*4:c*4+4]...), x[12+c*4:12+c*4+4]...)
				p := observed(t, Config{Name: "w", Kind: scheme.Weights, Settings: one}, [][]float32{ch})
				if pe := encoding(t, p); pe.Scale[0] != e.Scale[c] {
					t.Errorf("%v %v channel %d: %v, alone %v", st, m, c, e.Scale[c], pe.Scale[0])
				}
				for _, at := range []int{c * 4, 12 + c*4 + 3} {
					if y[at] != float32(q[at])*e.Scale[c] || math.Abs(float64(y[at]-x[at])) > float64(e.Scale[c]) && m == scheme.MaxMin {
						t.Errorf("element %d: %v becomes %v, integer %d", at, x[at], y[at], q[at])
					}
				}
			}
			if err := Apply(nil, y, x, s, e, []int64{2, 4, 3}); err == nil {
				t.Error("a wrong shape was taken")
			}
		}
	}
}

func TestApplyDatatypes(t *testing.T) {
	x := []float32{1.00390625, -0.1, 70000}
	for d, want := range map[scheme.Datatype][]float32{
		scheme.Float32:  x,
		scheme.BFloat16: {1, -0.10009765625, 70144},
		scheme.Float16:  {1.00390625, -0.0999755859375, float32(math.Inf(1))},
	} {
		o, err := New(Config{Name: "x", Kind: scheme.Activation, Settings: scheme.Settings{Datatype: d, PerChannel: true}, Axis: -1})
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Observe(x, []int64{3}); err != nil {
			t.Fatal(err)
		}
		e := encoding(t, o)
		if e.Axis != -1 || e.Scale != nil || e.Batches != 1 {
			t.Errorf("%v: %+v", d, e)
		}
		y := make([]float32, 3)
		if err := Apply(nil, y, x, o.cfg.Settings, e, []int64{3}); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(y, want) {
			t.Errorf("%v: %v, want %v", d, y, want)
		}
		if o.Observe([]float32{float32(math.Inf(-1))}, []int64{1}) == nil {
			t.Errorf("%v: infinity passed", d)
		}
	}
	if Apply(nil, make([]float32, 3), x, scheme.Settings{Datatype: scheme.Int}, scheme.Encoding{Axis: -1}, nil) == nil {
		t.Error("an empty encoding was applied")
	}
}

// TestRoundModesAreKernels: the numbers of both enums agree.
func TestRoundModesAreKernels(t *testing.T) {
	for m, k := range map[scheme.RoundMode]kernel.Round{scheme.HalfEven: kernel.HalfEven, scheme.HalfUp: kernel.HalfUp,
		scheme.HalfDown: kernel.HalfDown, scheme.StdRound: kernel.StdRound} {
		if kernel.Round(m) != k {
			t.Errorf("%v is %d there", m, k)
		}
	}
}

func TestBiasIsSymmetric(t *testing.T) {
	s := scheme.Settings{Datatype: scheme.Int, BitWidth: 8, Method: scheme.MaxMin, RoundMode: scheme.HalfEven, ScaleType: scheme.FloatScale, Signed: true}
	o := observed(t, Config{Name: "b", Kind: scheme.Bias, Settings: s}, [][]float32{{-1, 3}})
	if e := encoding(t, o); e.ZeroPoint[0] != 0 || e.Min != -128 {
		t.Errorf("%+v", e)
	}
}

func TestTwoSidedPercentile(t *testing.T) {
	x := make([]float32, 10000)
	for i := range x {
		x[i] = float32(i)/100 - 20 // -20 .. 80
	}
	s := scheme.Settings{Datatype: scheme.Int, BitWidth: 8, Method: scheme.Percentile, Percentage: 90, RoundMode: scheme.HalfEven,
		ScaleType: scheme.FloatScale, Statistic: scheme.Max}
	lohi := func(e scheme.Encoding) (lo, hi float64) {
		sc, z := float64(e.Scale[0]), float64(e.ZeroPoint[0])
		return -z * sc, (255 - z) * sc
	}
	for pct, want := range map[float64][2]float64{90: {-15, 75}, 100: {-20, 80}, 50: {0, 55}} {
		s.Percentage = pct
		o, err := New(Config{Name: "x", Kind: scheme.Activation, Settings: s})
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Observe(x, []int64{10000}); err != nil {
			t.Fatal(err)
		}
		lo, hi := lohi(encoding(t, o))
		if math.Abs(lo-want[0]) > 0.3 || math.Abs(hi-want[1]) > 0.3 {
			t.Errorf("%v%%: %v..%v, want %v", pct, lo, hi, want)
		}
	}
}

func TestQuality(t *testing.T) {
	var q Quality
	if !math.IsInf(q.SQNR(), 1) || q.Cosine() != 1 || q.MSE() != 0 {
		t.Errorf("nothing compared: %+v", q)
	}
	q.Add(nil, []float32{3, 4}, []float32{3, 3})
	if got := fmt.Sprintf("%.4f %.4f %.2f", q.SQNR(), q.Cosine(), q.MSE()); got != "13.9794 0.9899 0.50" {
		t.Error(got)
	}
	var r Quality
	r.Add(nil, []float32{0}, []float32{1})
	if !math.IsInf(r.SQNR(), -1) || r.Cosine() != 0 {
		t.Errorf("noise without signal: %v %v", r.SQNR(), r.Cosine())
	}
	r.Merge(q)
	if r.Sums.N != 3 || r.Sums.DiffSquares != 2 {
		t.Errorf("%+v", r)
	}
}

// TestNothingOverflows: every integer of every encoding stands for a finite
// value, however large those are that were observed.
func TestNothingOverflows(t *testing.T) {
	const most = math.MaxFloat32
	for _, x := range [][]float32{{-most, 1}, {most, 0}, {-most, most}, {-most / 2, most}, {most / 3}, {-most, 2}} {
		for _, s := range []scheme.Settings{
			{Datatype: scheme.Int, BitWidth: 8, Method: scheme.MaxMin, RoundMode: scheme.HalfEven, Symmetry: true, Signed: true, ScaleType: scheme.FloatScale, Statistic: scheme.Max},
			{Datatype: scheme.Int, BitWidth: 8, Method: scheme.MaxMin, RoundMode: scheme.HalfEven, Symmetry: false, ScaleType: scheme.FloatScale, Statistic: scheme.Max},
			{Datatype: scheme.Int, BitWidth: 2, Method: scheme.MaxMin, RoundMode: scheme.HalfEven, Symmetry: true, Signed: true, ScaleType: scheme.FloatScale, Statistic: scheme.Max},
			{Datatype: scheme.Int, BitWidth: 16, Method: scheme.MaxMin, RoundMode: scheme.HalfEven, Symmetry: false, ScaleType: scheme.FloatScale, Statistic: scheme.Max},
			{Datatype: scheme.Int, BitWidth: 8, Method: scheme.Diffs, RoundMode: scheme.HalfUp, Symmetry: true, Signed: true, ScaleType: scheme.PowerOfTwo, Statistic: scheme.Modal},
			{Datatype: scheme.Int, BitWidth: 8, Method: scheme.MaxMin, RoundMode: scheme.HalfUp, Symmetry: true, Signed: true, ScaleType: scheme.PowerOfTwo, Statistic: scheme.Modal},
		} {
			o, err := New(Config{Name: "x", Settings: s, Axis: -1})
			if err != nil {
				t.Fatal(err)
			}
			if err := o.Observe(x, []int64{int64(len(x))}); err != nil {
				t.Fatal(err)
			}
			e := encoding(t, o)
			for _, q := range []int64{e.Min, e.Max} {
				if v := float32(q-e.ZeroPoint[0]) * e.Scale[0]; math.IsInf(float64(v), 0) || math.IsNaN(float64(v)) {
					t.Errorf("%v, %v: %d stands for %v with scale %v and zero point %d", x, s, q, v, e.Scale[0], e.ZeroPoint[0])
				}
			}
			if s.ScaleType == scheme.PowerOfTwo && float64(e.Scale[0]) != math.Ldexp(1, -e.FixPosition[0]) {
				t.Errorf("%v: fix position %d for scale %v", x, e.FixPosition[0], e.Scale[0])
			}
			got := make([]float32, len(x))
			if err := Apply(nil, got, x, s, e, []int64{int64(len(x))}); err != nil {
				t.Fatal(err)
			}
			for _, v := range got {
				if math.IsInf(float64(v), 0) || math.IsNaN(float64(v)) {
					t.Errorf("%v, %v becomes %v", x, s, got)
				}
			}
		}
	}
}

// Values beyond those that count are taken for the nearest that do.
func TestBounds(t *testing.T) {
	const low, high = -0.25, 0.5
	for i, s := range everySetting() {
		data := batchesOf(5, uint64(i), !s.Signed)
		cut := make([][]float32, len(data))
		for k, x := range data {
			cut[k] = Bounded(nil, x, low, high)
		}
		cfg := Config{Name: "x", Kind: scheme.Activation, Settings: s}
		want := encoding(t, observed(t, cfg, cut))
		cfg.Low, cfg.High = low, high
		if got := encoding(t, observed(t, cfg, data)); !reflect.DeepEqual(got, want) {
			t.Errorf("%+v: %+v, want %+v", s, got, want)
		}
		o, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		r, err := NewRecord(nil, "x", data[0], []int64{int64(len(data[0]))})
		if err != nil {
			t.Fatal(err)
		}
		if o.ObserveRecord(r) == nil {
			t.Errorf("%+v: a record of values beyond was taken", s)
		}
	}
}
