package refine

import (
	"context"
	"maps"
	"slices"

	"narrow/calibrate"
	"narrow/engine"
	"narrow/graph"
	"narrow/graph/infer"
)

// Where values are large few samples choose, each of which has many places. Behind them,
// where a layer has more weights and its input fewer places, others join: they run through
// the layers that have been chosen at once, in the quantized network and in the float one.

// joinedBytes is how much memory the inputs take that run at once, at most.
const joinedBytes = 16 << 20

// toJoin returns those of samples that wait which may join: none that judges, at most so
// many, which together take no more than keptBytes.
func toJoin(waiting []calibrate.Waiting, most int) (out []calibrate.Waiting) {
	bytes := 0
	for _, w := range waiting[:max(min(most, len(waiting)), 0)] {
		if byDigest(w.Digest) {
			continue
		}
		if bytes += w.Stored(); bytes > keptBytes {
			break
		}
		out = append(out, w)
	}
	return out
}

// joins returns how many of those that wait join before each layer. They join when they at
// least double what chooses, or are the last.
func (f *refiner) joins(layers []layer, choosing []*engine.Batch, waiting []calibrate.Waiting) []int {
	out, n := make([]int, len(layers)), count(choosing)
	if len(waiting) == 0 || n == 0 {
		return out
	}
	for i, elements := range lanesFrom(f.c.Plan.Model, choosing[0].SampleShapes(), layers)[1:] {
		room := min(int(laneBytes/max(4*elements, 1)), choosers)
		k := 0
		for total := n; k < len(waiting); k++ {
			if total += waiting[k].Count; total > room {
				break
			}
		}
		if more := samplesIn(waiting[:k]); more >= n || more > 0 && (k == len(waiting) || n+more == choosers) {
			out[i+1], n, waiting = k, n+more, waiting[k:]
		}
	}
	return out
}

func samplesIn(waiting []calibrate.Waiting) (n int) {
	for _, w := range waiting {
		n += w.Count
	}
	return n
}

// lanesFrom returns, for every node, how many elements a sample has at most in both networks
// from there on: of the values that are read later, before and behind a piece. Layers are the
// pieces' ends. It tells as much as the shapes of the inputs do.
func lanesFrom(m *graph.Model, inputs map[string][]graph.Dim, layers []layer) []int64 {
	known := infer.Infer(m, inputs).Shapes
	made, last := map[string]int{}, map[string]int{}
	for v := range inputs {
		made[v] = -1
	}
	for i, n := range m.Graph.Nodes {
		for _, v := range n.Outputs {
			made[v] = i
		}
		for _, v := range graph.Reads(n) {
			last[v] = i
		}
	}
	out := make([]int64, len(layers)+1)
	for i, l := range layers {
		at := slices.Index(m.Graph.Nodes, l.form.node)
		for v, n := range made {
			if n < at && last[v] >= at {
				out[i] = min(out[i]+elements(known[v]), unknown)
			}
		}
	}
	for i := range layers {
		out[i] = 2 * (out[i] + out[i+1])
	}
	for i := len(layers) - 2; i >= 0; i-- {
		out[i] = max(out[i], out[i+1])
	}
	return out[:len(layers)]
}

// elements returns how many a value of that shape has; unknown where that is not known.
func elements(shape []graph.Dim) int64 {
	n, ok := infer.Elements(shape)
	if !ok {
		return unknown
	}
	return min(n, unknown)
}

// unknown is more elements than any value has.
const unknown = 1 << 40

// join takes samples through the layers that have been chosen, to those that choose: a few
// at a time, whose inputs take little memory.
func (f *refiner) join(ctx context.Context, y *relay, quantized *lane, float *targets, spans []span, waiting []calibrate.Waiting) ([]span, error) {
	for len(waiting) > 0 {
		var units []*engine.Batch
		for bytes := 0; len(waiting) > 0; waiting = waiting[1:] {
			if bytes += waiting[0].Bytes(); len(units) > 0 && len(units)%f.batch == 0 && bytes > joinedBytes {
				break
			}
			units = append(units, waiting[0].Batch())
		}
		var in, copies []map[string]engine.Tensor
		for b, err := range engine.Fit(batches(units), f.c.Plan.Model, f.batch) {
			if err != nil {
				return nil, err
			}
			b = b.Clone()
			in, copies = append(in, b.Inputs), append(copies, maps.Clone(b.Inputs))
			spans = append(spans, span{b.Count, b.Rows(), false})
		}
		if err := y.join(ctx, quantized, copies); err != nil {
			return nil, err
		}
		if err := float.relay.join(ctx, float.lane, in); err != nil {
			return nil, err
		}
	}
	float.spans = spans
	return spans, nil
}

// join takes batches to where a lane is, and adds them to it.
func (y *relay) join(ctx context.Context, l *lane, in []map[string]engine.Tensor) error {
	more := *l
	more.at, more.live = 0, in
	if err := y.run(ctx, &more, l.at); err != nil {
		return err
	}
	l.live = append(l.live, more.live...)
	return nil
}
