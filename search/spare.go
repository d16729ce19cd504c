package search

import (
	"cmp"
	"math"
	"slices"

	"narrow/diag"
)

const (
	// spareCost is how much of float32's cost a layer may add that is spared, and
	// sparesCost all of them.
	spareCost, sparesCost = 0.002, 0.005
	// spareNoise is from what share of the worst layer's noise on one is spared.
	spareNoise = 0.1
)

// spare leaves in float32 what costs next to nothing there and ruins the outputs in 8
// bits, such as a Concat of boxes and scores: only then the settings of the whole
// network can be told apart. The few worst are tried first, then all.
func (s *search) spare() error {
	if !s.space.Spares {
		return nil
	}
	base := s.space.candidate(s.layers, s.space.Base)
	p, err := s.try(Spare, base)
	if err != nil || s.within(p) {
		return err
	}
	noise, err := s.noiseOf(base)
	if err != nil {
		return err
	}
	wide := len(s.space.Rungs) - 1
	extra := make([]float64, len(s.layers))
	var order []int
	for l := range s.layers {
		one, err := s.lay(base.on(l, wide))
		if err != nil {
			return err
		}
		if extra[l] = one.cost - p.cost; extra[l] <= spareCost && noise[l] > 0 {
			order = append(order, l)
		}
	}
	if len(order) == 0 {
		return nil
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(noise[b], noise[a]) })
	best := p
	for _, share := range []float64{0.5, spareNoise} {
		c, sum := base, 0.0
		for _, l := range order {
			if noise[l] < share*slices.Max(noise) || sum+extra[l] > sparesCost {
				continue
			}
			sum += extra[l]
			c = c.on(l, wide)
		}
		q, err := s.try(Spare, c)
		if err != nil {
			return err
		}
		if s.better(q, best) {
			best, s.spared = q, q.candidate.Rungs
		}
		if s.within(q) {
			break
		}
	}
	if s.spared != nil {
		s.reasons = append(s.reasons, diag.Textf("int8 throughout: %s; without 8 bits for what costs next to nothing in float32: %s", s.scored(p), s.scored(best)))
		for _, l := range order[:min(len(order), 3)] {
			if s.spared[l] == wide {
				s.reasons = append(s.reasons, diag.Textf("%s: int8 for it alone leaves the outputs %.1f dB", s.layers[l].Name, decibels(noise[l])))
			}
		}
	}
	return nil
}

// scored says in a few words what a point scored.
func (s *search) scored(p *point) diag.Text {
	switch v := p.score.Value; {
	case p.guess != nil:
		return diag.Verbatim("")
	case p.score.Failed != "":
		return p.score.Failure()
	case v != nil:
		name := diag.Textf("metric")
		if s.opts.Metric != "" {
			name = diag.Verbatim(s.opts.Metric)
		}
		return diag.Textf("%s %.4g", name, v.Quantized)
	}
	_, q := p.score.Top1()
	return diag.Textf("score %.4g", q)
}

// rankSpared fits the tables of rank to layers that are spared: one keeps its rung to
// choose, and of those that cost nothing only those are spared whose noise counts.
func (s *search) rankSpared() {
	if !s.space.Spares {
		return
	}
	base := s.space.Base
	most := 0.0
	for l := range s.layers {
		if n := s.noise[l][base]; !math.IsInf(n, 0) {
			most = max(most, n)
		}
	}
	for l := range s.layers {
		if s.spared != nil && s.spared[l] != base {
			s.noise[l][s.spared[l]], s.extra[l][s.spared[l]] = 0, 0
			continue
		}
		for r := base + 1; r < len(s.space.Rungs); r++ {
			if s.extra[l][r]-s.extra[l][base] < 1e-12 && s.noise[l][base] < spareNoise*most {
				s.extra[l][r], s.noise[l][r] = math.Inf(1), math.Inf(1)
			}
		}
	}
}

// why gives reasons for a point: what was found on the way, and what 8 bits do to
// the layers that have more.
func (s *search) why(p *point) []diag.Text {
	out := slices.Clone(s.reasons)
	if s.noise == nil {
		return out
	}
	type wider struct {
		layer int
		noise float64
	}
	var list []wider
	for l, r := range p.candidate.Rungs {
		spared := s.spared != nil && s.spared[l] == r // which reasons name
		if n := s.noise[l][s.space.Base]; !spared && r > s.space.Base && n > 0 && !math.IsInf(n, 0) && !s.space.same(s.layers[l], r, s.space.Base) {
			list = append(list, wider{l, n})
		}
	}
	slices.SortStableFunc(list, func(a, b wider) int { return cmp.Compare(b.noise, a.noise) })
	for i, w := range list {
		if i == 5 {
			out = append(out, diag.Textf("and %d layers more that have more than 8 bits", len(list)-i))
			break
		}
		out = append(out, diag.Textf("%s has %v: int8 for it alone leaves the outputs %.1f dB", s.layers[w.layer].Name, s.space.Rungs[p.candidate.Rungs[w.layer]], decibels(w.noise)))
	}
	return out
}
