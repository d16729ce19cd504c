package search

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"narrow/scheme"
	"narrow/strategy"
)

// synthetic is a network whose layers each lose a known share of the samples,
// which add up, and of which everything else is known too.
type synthetic struct {
	layers []Layer
	macs   []float64
	loss   []float64 // of each layer with 8 bits throughout
	// worse is how much more is lost with symmetric activations; ruined says that
	// equalization leaves nothing.
	worse  float64
	ruined bool
	// dear is a method of activations that loses less in a mix of datatypes, at half
	// as much cost again; 0 means none.
	dear scheme.Method
	// luck is how many of the samples searched on are right by chance.
	luck  int
	mu    sync.Mutex // guards calls
	calls int
	// after, when set, is called before every measurement.
	after func(call int)
}

const syntheticSamples = 10_000

// random returns a network of n layers, some without weights.
func random(n int, seed uint64) *synthetic {
	r := rand.New(rand.NewPCG(seed, 1))
	s := &synthetic{worse: 1.5, ruined: true}
	for i := range n {
		s.layers = append(s.layers, Layer{Name: fmt.Sprintf("layer%d", i), Weighted: i == 0 || r.IntN(4) > 0, Input: i == n-1})
		if s.layers[i].Input {
			s.layers[i].Weighted = false
		}
		s.macs = append(s.macs, 1+float64(r.IntN(100)))
		s.loss = append(s.loss, math.Exp(-4*r.Float64())/25)
	}
	return s
}

// settings returns what a layer's weights and activations are stored as.
func (s *synthetic) settings(st *strategy.Strategy, l Layer) (w, a scheme.Settings) {
	var own []*strategy.Rule
	for _, r := range st.Rules {
		if r.LayerName == l.Name {
			own = append(own, r)
		}
	}
	var rule *strategy.Rule
	if i := strategy.Winner(own); i >= 0 {
		rule = own[i]
	}
	kind := scheme.Activation
	if l.Input {
		kind = scheme.Input
	}
	return st.Resolve(scheme.Weights, rule).Settings, st.Resolve(kind, rule).Settings
}

func bitsOf(s scheme.Settings) float64 {
	switch s.Datatype {
	case scheme.Int:
		return float64(s.BitWidth)
	case scheme.Float32:
		return 32
	}
	return 16
}

// error returns what a tensor of some datatype loses, next to 8 bits.
func errorOf(s scheme.Settings) float64 {
	switch s.Datatype {
	case scheme.Float32:
		return 0
	case scheme.Int:
		return math.Pow(2, 8-float64(s.BitWidth))
	}
	return 1.0 / 64
}

func (s *synthetic) lossOf(st *strategy.Strategy, l int) float64 {
	w, a := s.settings(st, s.layers[l])
	loss := s.loss[l] * errorOf(a)
	if s.layers[l].Weighted {
		loss = s.loss[l] * (errorOf(w) + errorOf(a)) / 2
	}
	if a.Symmetry && a.Datatype == scheme.Int {
		loss *= s.worse
	}
	if s.isDear(st) {
		if len(st.Rules) == 0 {
			loss *= 1.3
		} else {
			loss *= 0.8
		}
	}
	return loss
}

func (s *synthetic) isDear(st *strategy.Strategy) bool {
	return s.dear != 0 && st.Resolve(scheme.Activation, nil).Settings.Method == s.dear
}

func (s *synthetic) Layers() []Layer { return s.layers }

func (s *synthetic) Cost(st *strategy.Strategy) (float64, error) {
	var sum, all float64
	for i, l := range s.layers {
		w, a := s.settings(st, l)
		if !l.Weighted {
			w = a
		}
		sum += s.macs[i] * bitsOf(w) * bitsOf(a)
		all += s.macs[i] * 32 * 32
	}
	if s.isDear(st) && len(st.Rules) > 0 {
		sum *= 1.5
	}
	return sum / all, nil
}

func (s *synthetic) call(ctx context.Context) error {
	s.mu.Lock()
	s.calls++
	n := s.calls
	s.mu.Unlock()
	if s.after != nil {
		s.after(n)
	}
	return ctx.Err()
}

func (s *synthetic) Noise(ctx context.Context, st *strategy.Strategy) ([]float64, error) {
	noise := make([]float64, len(s.layers))
	for l := range noise {
		noise[l] = s.lossOf(st, l) * 3
	}
	return noise, s.call(ctx)
}

func (s *synthetic) score(st *strategy.Strategy, luck int) Score {
	var loss float64
	for l := range s.layers {
		loss += s.lossOf(st, l)
	}
	if s.ruined && st.IncludeCLE {
		loss = 0.9
	}
	lost := min(int(math.Round(loss*syntheticSamples)), syntheticSamples)
	gained := min(luck, lost)
	return Score{Samples: syntheticSamples, Float: syntheticSamples - gained, Quantized: syntheticSamples - lost, Lost: lost, Gained: gained, Agree: syntheticSamples - lost, Noise: loss}
}

func (s *synthetic) Search(ctx context.Context, st *strategy.Strategy, giveUp func(Score) bool) (Score, error) {
	sc := s.score(st, s.luck)
	if giveUp != nil && giveUp(sc) {
		sc.Stopped = true
	}
	return sc, s.call(ctx)
}

func (s *synthetic) Confirm(ctx context.Context, st *strategy.Strategy) (*Promise, error) {
	sc := s.score(st, 0)
	f, q := sc.Top1()
	return &Promise{Samples: sc.Samples, Float: f, Quantized: q, Agreement: sc.Agreement(), All: sc}, s.call(ctx)
}

// optimum returns the least cost of any mix of rungs that loses at most most,
// with the first options, by trying all of them.
func (s *synthetic) optimum(space Space, most float64) (float64, error) {
	type option struct{ cost, loss float64 }
	base := space.candidate(s.layers, space.Base)
	var options [][]option
	var least float64 // the cost of the base
	for l, layer := range s.layers {
		var own []option
		for _, r := range space.rungs(layer) {
			st, err := space.Strategy(s.layers, base.on(l, r))
			if err != nil {
				return 0, err
			}
			cost, _ := s.Cost(st)
			own = append(own, option{cost, s.lossOf(st, l)})
			if r == space.Base {
				least = cost
			}
		}
		options = append(options, own)
	}
	best := math.Inf(1)
	var try func(l int, cost, loss float64)
	try = func(l int, cost, loss float64) {
		switch {
		case l < len(options):
			for _, o := range options[l] {
				try(l+1, cost+o.cost-least, loss+o.loss)
			}
		case cost < best && math.Round(loss*syntheticSamples) <= most*syntheticSamples:
			best = cost
		}
	}
	try(0, least, 0)
	return best, nil
}

// clone returns a network of its own calls.
func (s *synthetic) clone() *synthetic {
	return &synthetic{
		layers: slices.Clone(s.layers), macs: s.macs, loss: s.loss, worse: s.worse, ruined: s.ruined, dear: s.dear, luck: s.luck,
	}
}
