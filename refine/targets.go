package refine

import (
	"context"
	"math/rand/v2"
	"slices"

	"narrow/diag"
	"narrow/engine"
	"narrow/internal/kernel"
	"narrow/plan"
	"narrow/scheme"
)

// targetBytes is how much memory what layers put out in the float network takes, at
// most, but for one layer.
const targetBytes = 48 << 20

// targets tell what the layers to refine put out in the float network, at places
// drawn from the samples. The network runs over several layers at once.
type targets struct {
	layers []layer
	joins  []int // how many samples join before a layer
	spans  []span
	relay  *relay
	lane   *lane
	// taps are the layers by the tap behind them, stops the nodes at which their
	// taps have run.
	taps  map[int]int
	stops []int
	// ready are the layers before this one, drawn what was drawn for them, by layer
	// and batch.
	ready int
	drawn [][]drawn
}

// drawn is what was drawn of one batch for one layer.
type drawn struct {
	put    layout
	places []place
	y      []float32 // place by place, what all groups put out
}

// place is one of a sample's.
type place struct{ sample, at int }

// newTargets returns those of the layers of p over the batches of in.
func newTargets(p *plan.Plan, layers []layer, joins []int, run engine.Runner, pool *kernel.Pool, in []map[string]engine.Tensor, spans []span) (*targets, error) {
	watched := *p
	watched.Tensors = nil
	for _, l := range layers {
		v := l.form.node.Outputs[0]
		watched.Tensors = append(watched.Tensors, &plan.Tensor{Name: v, Kind: scheme.Activation, Layer: &plan.Layer{Name: v}, Axis: -1})
	}
	y, err := newRelay(&watched, run, pool)
	if err != nil {
		return nil, err
	}
	t := &targets{layers: layers, joins: joins, spans: spans, relay: y, taps: map[int]int{}, stops: make([]int, len(layers)), drawn: make([][]drawn, len(layers))}
	for i, n := range y.sim.Model.Graph.Nodes {
		if tap, ok := y.sim.TapOf[n]; ok {
			l := slices.IndexFunc(layers, func(l layer) bool { return l.form.node.Outputs[0] == y.sim.Taps[tap].Tensor.Name })
			t.taps[tap], t.stops[l] = l, i+1
		}
	}
	t.lane = &lane{live: in, watch: t.watch}
	return t, nil
}

// of returns what was drawn for a layer, by batch, and forgets it. Layers must be asked
// for in their order.
func (t *targets) of(ctx context.Context, layer int) ([]drawn, error) {
	if layer >= t.ready {
		choosing, judging := samplesOf(t.spans)
		stop, bytes := 0, 0
		for ; t.ready < len(t.layers); t.ready++ {
			f := t.layers[t.ready].form
			bytes += 4 * f.groups * f.rows * (f.takes(choosing)*choosing + heldOf(judging)*judging)
			if t.ready > layer && (bytes > targetBytes || t.joins[t.ready] > 0) {
				break
			}
			t.drawn[t.ready] = make([]drawn, len(t.spans))
			stop = max(stop, t.stops[t.ready])
		}
		if err := t.relay.run(ctx, t.lane, stop); err != nil {
			return nil, diag.Errorf("running the float network: %w", err)
		}
	}
	out := t.drawn[layer]
	t.drawn[layer] = nil
	return out, nil
}

// watch takes what a layer puts out for a batch.
func (t *targets) watch(batch, tap int, x []float32, shape []int64) {
	l := t.taps[tap]
	if t.drawn[l] == nil {
		return
	}
	choosing, judging := samplesOf(t.spans)
	t.drawn[l][batch] = t.layers[l].form.draw(x, shape, t.spans[batch], choosing, judging, rand.New(rand.NewPCG(uint64(l), uint64(batch))))
}

// draw draws places of a batch, and takes what the layer puts out there.
func (f *weighted) draw(x []float32, shape []int64, s span, choosing, judging int, r *rand.Rand) drawn {
	put, ok := f.layout(shape, s.rows)
	if !ok || len(x) < put.samples*put.places*f.groups*f.rows {
		return drawn{}
	}
	count, take := s.count, f.takes(choosing)
	if s.judges {
		take = heldOf(judging)
	}
	if put.samples == 1 {
		count, take = 1, take*count
	}
	take = min(take, put.places)
	d := drawn{put: put, places: make([]place, 0, count*take), y: make([]float32, count*take*f.groups*f.rows)}
	for i := range count {
		for k := range take {
			// One place out of each of take stretches.
			lo, hi := k*put.places/take, (k+1)*put.places/take
			d.places = append(d.places, place{i, lo + r.IntN(hi-lo)})
		}
	}
	for i, p := range d.places {
		f.result(d.y[i*f.groups*f.rows:][:f.groups*f.rows], x, put, p)
	}
	return d
}

// layout tells how the elements of a layer's input or output lie.
type layout struct {
	samples int // samples in the batch, with padding
	per     int // how often the first axis is as long as that
	spatial int // columns one element of the first axis has for each group
	places  int // columns a sample has for each group
}

// layout returns that of an output of that shape, which belongs to rows samples; ok
// is false where it does not fit the layer.
func (f *weighted) layout(shape []int64, rows int) (o layout, ok bool) {
	if len(shape) < 2 || f.windows != nil && len(shape) != 2+f.spatial {
		return o, false
	}
	o.samples, o.spatial = rows, 1
	if shape[0] == 0 || int(shape[0])%rows != 0 {
		o.samples = 1 // the first axis is not the samples': all belongs to all
	}
	o.per = int(shape[0]) / o.samples
	inner, channels := shape[1:len(shape)-1], shape[len(shape)-1]
	if f.windows != nil {
		inner, channels = shape[2:], shape[1]
	}
	for _, d := range inner {
		o.spatial *= int(d)
	}
	o.places = o.per * o.spatial
	return o, o.places > 0 && int(channels) == f.groups*f.rows
}

// result writes what the layer put out for all groups at a place to dst.
func (f *weighted) result(dst, x []float32, o layout, p place) {
	if f.windows == nil {
		copy(dst, x[(p.sample*o.places+p.at)*f.rows:])
		return
	}
	at := (p.sample*o.per+p.at/o.spatial)*len(dst)*o.spatial + p.at%o.spatial
	for i := range dst {
		dst[i] = x[at+i*o.spatial]
	}
}

// samplesOf counts those that choose and those that judge.
func samplesOf(spans []span) (choosing, judging int) {
	for _, s := range spans {
		if s.judges {
			judging += s.count
		} else {
			choosing += s.count
		}
	}
	return choosing, judging
}
