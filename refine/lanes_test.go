package refine

import (
	"slices"
	"testing"

	"narrow/calibrate"
	"narrow/engine"
	"narrow/graph"
	"narrow/graph/graphtext"
)

// Values that live in front of and behind a layer count, and the largest of those that
// follow; one whose shape is unknown leaves no room.
func TestLanesFrom(t *testing.T) {
	m, err := graphtext.Parse(`net (float[N, 2, 4, 4] x) => (float[N, 3, 1, 1] y)
		<float[3, 2, 1, 1] a = {1, ...}, float[3, 3, 2, 2] b = {1, ...}, float[3, 3, 1, 1] c = {1, ...}> {
			h = Conv (x, a)
			s = Conv <strides = [2, 2]> (h, b)
			z = MaxPool <kernel_shape = [2, 2]> (h)
			p = GlobalAveragePool (z)
			g = GlobalAveragePool (s)
			k = Add (g, p)
			y = Conv (k, c)
		}`)
	if err != nil {
		t.Fatal(err)
	}
	var layers []layer
	for _, n := range m.Graph.Nodes {
		if n.Is("Conv") {
			layers = append(layers, layer{form: &weighted{node: n}})
		}
	}
	for _, tt := range []struct {
		side int64
		want []int64
	}{
		// x (32) and h (48); h and k (3); k.
		{4, []int64{2 * (32 + 48), 2 * (48 + 3), 2 * 3}},
		{-1, []int64{4 * unknown, 2 * (unknown + 3), 2 * 3}},
	} {
		in := map[string][]graph.Dim{"x": {{Size: 1}, {Size: 2}, {Size: tt.side}, {Size: tt.side}}}
		if got := lanesFrom(m, in, layers); !slices.Equal(got, tt.want) {
			t.Errorf("side %d: %v, want %v", tt.side, got, tt.want)
		}
	}
}

// What waits is what was kept behind the first ones; none of it that judges joins, nor more
// than may.
func TestToJoin(t *testing.T) {
	k := &calibrate.Keeper{}
	for _, err := range k.Watch(func(yield func(*engine.Batch, error) bool) {
		for i := range 64 {
			x := engine.Tensor{Type: graph.Float32, Shape: []int64{1, 1}, Floats: []float32{float32(i)}}
			if !yield(&engine.Batch{First: i, Count: 1, Inputs: map[string]engine.Tensor{"x": x}}, nil) {
				return
			}
		}
	}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	waiting, all := k.Waiting(8), k.Kept(64, 0)
	if len(waiting) != 56 || waiting[0].Digest != all[8].Digest || waiting[0].Batch().Inputs["x"].Floats[0] != all[8].Batch.Inputs["x"].Floats[0] {
		t.Fatalf("%d wait", len(waiting))
	}
	if n := len(k.Waiting(65)); n != 0 {
		t.Errorf("%d wait behind all", n)
	}
	for _, most := range []int{-1, 0, 20, 100} {
		want := 0
		for _, w := range waiting[:min(max(most, 0), 56)] {
			if w.Digest[31] >= judging {
				want++
			}
		}
		got := toJoin(waiting, most)
		if len(got) != want || slices.ContainsFunc(got, func(w calibrate.Waiting) bool { return w.Digest[31] < judging }) {
			t.Errorf("of %d %d join, want %d", most, len(got), want)
		}
	}
}
