package search

import (
	"context"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"narrow/diag"
	"narrow/engine"
	"narrow/graph"
	"narrow/scheme"
	"narrow/strategy"
)

// detector is a synthetic network that tells a value and no labels: one of its
// layers, that costs nothing, ruins it in 8 bits.
type detector struct {
	*synthetic
	ruins int
	lower bool
}

func (d *detector) Layers() []Layer { return d.layers }

func (d *detector) Noise(ctx context.Context, st *strategy.Strategy) ([]float64, error) {
	noise, err := d.synthetic.Noise(ctx, st)
	if _, a := d.settings(st, d.layers[d.ruins]); a.Datatype == scheme.Int {
		noise[d.ruins] = 0.9
	}
	return noise, err
}

func (d *detector) scored(sc Score, st *strategy.Strategy) Score {
	one := 1.0
	v := &Value{Float: &one, Quantized: 1 - sc.Drop(), LowerIsBetter: d.lower}
	if _, a := d.settings(st, d.layers[d.ruins]); a.Datatype == scheme.Int {
		v.Quantized = 0.05
	}
	if d.lower { // an error in the place of a share
		one, v.Quantized = 0, 1-v.Quantized
	}
	return Score{Samples: sc.Samples, Value: v, Noise: sc.Noise}
}

func (d *detector) Search(ctx context.Context, st *strategy.Strategy, _ func(Score) bool) (Score, error) {
	sc, err := d.synthetic.Search(ctx, st, nil)
	return d.scored(sc, st), err
}

func (d *detector) Confirm(ctx context.Context, st *strategy.Strategy) (*Promise, error) {
	p, err := d.synthetic.Confirm(ctx, st)
	return &Promise{Samples: p.Samples, All: d.scored(p.All, st)}, err
}

func (d *detector) Same(a, b *strategy.Strategy) (bool, error) { return true, nil }

func newDetector(seed uint64) *detector {
	d := &detector{synthetic: random(8, seed)}
	d.ruins = 3
	d.layers[3].Weighted, d.macs[3] = false, 0
	return d
}

// TestSpare: without labels the search finds the layer that ruins the network for
// nothing, leaves it alone in float, and says so; where the value, and not its drop,
// is limited as well, and where lower is better.
func TestSpare(t *testing.T) {
	space := SpaceFor(scheme.CPU)
	space.Spares = true
	least, most, named := 0.95, 0.05, 0
	for name, opts := range map[string]Options{"drop": {MaxDrop: 0.05}, "least": {Least: &least}, "lower": {MaxDrop: 0.05}, "most": {Least: &most}} {
		for seed := range uint64(4) {
			net := newDetector(seed)
			net.lower = name == "lower" || name == "most"
			opts.Metric = "kept"
			out, err := Run(context.Background(), space, net, opts)
			if err != nil || out.Best == nil {
				t.Fatalf("%s: %+v, %v", name, out, err)
			}
			if v := out.Best.Promise.All.Value; math.Abs(v.Quantized-*v.Float) > 0.05+1e-9 {
				t.Errorf("%s: %+v", name, v)
			}
			if out.Best.Cost >= 0.25 {
				t.Errorf("%s: the cost is %v, that of 16 bits throughout", name, out.Best.Cost)
			}
			why := strings.Join(texts(out.Best.Why), "\n")
			if !strings.Contains(why, "int8 throughout: kept") {
				t.Errorf("%s: no reason: %s", name, why)
			}
			if strings.Contains(why, "layer3: int8 for it alone leaves the outputs 0.5 dB") {
				named++
			}
			// Several at once find the same.
			opts.Jobs = 3
			again, err := Run(context.Background(), space, net, opts)
			if err != nil || !reflect.DeepEqual(encoded(t, again), encoded(t, out)) {
				t.Errorf("%s: 3 jobs find something else, %v", name, err)
			}
			opts.Jobs = 0
		}
	}
	if named < 8 {
		t.Errorf("only %d of 16 searches name the layer that ruins the network", named)
	}
}

// TestGoal: what keeps to a goal, by drop and by value.
func TestGoal(t *testing.T) {
	f := func(v float64) *float64 { return &v }
	for _, tt := range []struct {
		goal Goal
		v    Value
		want bool
	}{
		{Goal{MaxDrop: 0.1}, Value{Float: f(0.5), Quantized: 0.41}, true},
		{Goal{MaxDrop: 0.1}, Value{Float: f(0.5), Quantized: 0.39}, false},
		{Goal{MaxDrop: 0.1}, Value{Float: f(0.5), Quantized: 0.59, LowerIsBetter: true}, true},
		{Goal{MaxDrop: 0.1}, Value{Float: f(0.5), Quantized: 0.61, LowerIsBetter: true}, false},
		{Goal{MaxDrop: 0.1}, Value{Quantized: 9}, false}, // no drop can be told
		{Goal{Least: f(20)}, Value{Quantized: 20}, true},
		{Goal{Least: f(20)}, Value{Quantized: 19}, false},
		{Goal{Least: f(20)}, Value{Quantized: 21, LowerIsBetter: true}, false},
	} {
		p := &Promise{All: Score{Samples: 9, Value: &tt.v}}
		if got := tt.goal.Kept(p); got != tt.want {
			t.Errorf("%+v of %+v: %v", tt.goal, tt.v, got)
		}
	}
}

// TestNoise: the scores of a detector are not drowned by its boxes; a row of classes
// is one channel.
func TestNoise(t *testing.T) {
	boxes := engine.Tensor{Type: graph.Float32, Shape: []int64{1, 2, 3}, Floats: []float32{100, 200, 300, 0.1, 0.2, 0.3}}
	lost := engine.Tensor{Type: graph.Float32, Shape: []int64{1, 2, 3}, Floats: []float32{100, 200, 300, 0, 0, 0}}
	row := engine.Tensor{Type: graph.Float32, Shape: []int64{1, 2}, Floats: []float32{3, 4}}
	off := engine.Tensor{Type: graph.Float32, Shape: []int64{1, 2}, Floats: []float32{3, 3}}
	ragged := engine.Tensor{Type: graph.Float32, Shape: []int64{1, 2, 2}, Floats: []float32{1, 2, 3, 4}}
	for _, tt := range []struct {
		f, q engine.Tensor
		want float64
	}{
		{boxes, boxes, 0},
		{boxes, lost, 0.5},
		{row, off, 1.0 / 25},
		{boxes, ragged, 1},
	} {
		p := newProbe([]engine.Tensor{tt.f}, 1)
		s := newSpectrum(p)
		s.add(p.rows([]engine.Tensor{tt.f}, 1)[0], p.rows([]engine.Tensor{tt.q}, 1)[0])
		if got := s.worst(); got != tt.want {
			t.Errorf("%v for %v: %v, not %v", tt.q.Floats, tt.f.Floats, got, tt.want)
		}
	}
	// Every channel is seen, wherever it lies.
	wide := engine.Tensor{Type: graph.Float32, Shape: []int64{1, 5000, 12}, Floats: make([]float32, 60000)}
	for i := range wide.Floats {
		wide.Floats[i] = 1
	}
	p := newProbe([]engine.Tensor{wide}, 1)
	s := newSpectrum(p)
	s.add(p.rows([]engine.Tensor{wide}, 1)[0], p.rows([]engine.Tensor{wide}, 1)[0])
	if len(s.signal) != 12 || slices.Min(s.signal) == 0 {
		t.Errorf("%v", s.signal)
	}
}

// TestCompact: rules for all below a name become one by a pattern, others with the
// same settings one with a list; a name's neighbours with another rung stay out.
func TestCompact(t *testing.T) {
	space := SpaceFor(scheme.CPU)
	layers := []Layer{
		{Name: "x", Input: true}, {Name: "/body/conv", Weighted: true}, {Name: "/body/add"}, {Name: "/body/conv2", Weighted: true}, {Name: "/body/conv3", Weighted: true},
		{Name: "/head/a/conv", Weighted: true}, {Name: "/head/a/relu"}, {Name: "/head/b/conv", Weighted: true}, {Name: "/headless", Weighted: true},
		{Name: "/a", Weighted: true}, {Name: "/b", Weighted: true}, {Name: "/c", Weighted: true},
	}
	wide := len(space.Rungs) - 1
	c := space.candidate(layers, space.Base)
	for l, r := range map[int]int{1: wide, 3: wide, 5: wide, 6: wide, 7: wide} {
		c = c.on(l, r)
	}
	st, err := space.grouped(layers, c, true)
	if err != nil || st == nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range st.Rules {
		got = append(got, strings.Join(append(r.LayerNames, r.LayerName), " "))
	}
	if want := []string{"/head/**", "/body/conv /body/conv2"}; !slices.EqualFunc(got, want, func(a, b string) bool { return strings.TrimSpace(a) == b }) {
		t.Errorf("%q", got)
	}
	// One layer of it on another rung, and there is no pattern for all.
	st, err = space.grouped(layers, c.on(7, space.Base), true)
	if err != nil || len(st.Rules) != 2 || !strings.Contains(string(st.Format()), "/head/a/**") {
		t.Errorf("%s, %v", st.Format(), err)
	}
}

func texts(list []diag.Text) []string {
	var out []string
	for _, t := range list {
		out = append(out, t.String())
	}
	return out
}
