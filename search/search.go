package search

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"narrow/diag"
	"narrow/strategy"
)

// Evaluator measures strategies for one network. The same strategy gives the
// same numbers every time. With [Options.Jobs] above 1, its methods are called
// from several goroutines at once.
type Evaluator interface {
	// Layers are the layers that a rule can name and that have something to
	// quantize, in network order.
	Layers() []Layer
	// Cost returns what the network costs next to float32, in (0, 1].
	Cost(s *strategy.Strategy) (float64, error)
	// Noise returns, for each of Layers, what it does to the network's output when
	// it alone is quantized by s: noise as in [Score].
	Noise(ctx context.Context, s *strategy.Strategy) ([]float64, error)
	// Search scores s on the search split. With giveUp set it is asked now and
	// then, with the score so far, whether to stop.
	Search(ctx context.Context, s *strategy.Strategy, giveUp func(Score) bool) (Score, error)
	// Confirm tests s on all test samples.
	Confirm(ctx context.Context, s *strategy.Strategy) (*Promise, error)
}

// Options say how to search.
type Options struct {
	// MaxDrop is how much top-1 may be lower than the float network's, as a share
	// of the samples: 0.01 is one point.
	MaxDrop float64
	// Least, when set, is what a metric must be at least: see [Goal].
	Least *float64
	// Metric is what the metric is called, in words.
	Metric string
	// Budget is after how long no further trial begins but one that confirms the
	// best so far; 0 for no limit. The time that known trials took does not count.
	Budget time.Duration
	// Known are the trials of an earlier run of this search; nil for none.
	Known []Trial
	// Trial, when set, is called after each trial that was measured, with all
	// trials that are known then, and a guess of the time that is left. An error
	// ends the search.
	Trial func(t Trial, all []Trial, left time.Duration) error
	// Found, when set, is called when the best so far is better than before. An
	// error ends the search.
	Found func(f *Found) error
	// Jobs is how many measurements may be made at once; 0 and 1 mean one after the
	// other. What is found and the trials do not depend on it: beside the trial that
	// comes next, those are measured that are likely to follow.
	Jobs int
	// Now is the clock; nil for [time.Now].
	Now func() time.Time
}

// Found is a strategy that keeps within the drop on all test samples.
type Found struct {
	Strategy *strategy.Strategy
	// Tried is the hash by which trials name it: Strategy may say the same in fewer
	// lines.
	Tried string
	// Words say what it is, Why the reasons for it.
	Words diag.Text
	Why   []diag.Text
	// Cost is what the network costs with it next to float32.
	Cost    float64
	Promise Promise
}

// Outcome is what a search came to.
type Outcome struct {
	// Best is the cheapest strategy that was confirmed; nil where none was.
	Best *Found
	// Trials are all of the search, in order; where it is not complete, those
	// that were known and not asked for yet come last.
	Trials []Trial
	// Complete says that no budget cut the search off.
	Complete bool
	// Strategies are all that this run laid over the network, by their hash: those
	// of Trials but for what only an earlier run asked for.
	Strategies map[string]*strategy.Strategy
}

// errBudget ends a search when its time is over.
var errBudget = diag.Errorf("the budget is used up")

// Run searches. Where ctx ends it, or an error of the evaluator or of opts'
// functions, the Outcome tells how far it came.
//
// Where the space says so, a phase before the second one looks for layers that cost
// next to nothing in float and whose 8 bits ruin the outputs, and spares them.
//
//  1. 16-bit floats throughout, with and without equalization: whether
//     equalization suits the network at all.
//  2. The recipe: the options for the whole network that agree best with the
//     float network on the base rung, one choice after the other.
//  3. The layers' noise on every rung, from each layer quantized alone.
//  4. The mix: the cheapest point of the front of rungs (see front) that keeps
//     within the drop on the search split, by bisection.
//  5. The recipe again, with the mix.
//  6. Layers one rung lower where that keeps within the drop, many at once as
//     long as that goes well, those first that save most for their noise.
//
// After 1, 2, 4 and 6 the cheapest is confirmed on all test samples, or else the
// cheapest that these take, by bisection.
func Run(ctx context.Context, space Space, ev Evaluator, opts Options) (*Outcome, error) {
	s := &search{ctx: ctx, space: space, first: space, ev: ev, opts: opts, layers: ev.Layers(), known: map[string]Trial{}, seen: map[string]bool{}, laid: map[string]laid{}}
	if opts.Jobs > 1 {
		s.ahead = newAhead(s, opts.Jobs)
		defer s.ahead.stop()
	}
	if s.opts.Now == nil {
		s.opts.Now = time.Now
	}
	for _, t := range opts.Known {
		s.known[t.id()] = t
	}
	s.start = s.opts.Now()
	err := s.run()
	out := &Outcome{Complete: err == nil, Strategies: map[string]*strategy.Strategy{}}
	if errors.Is(err, errBudget) {
		s.overtime = true
		err = s.confirm()
	}
	if err == nil {
		err = s.tell(true)
	}
	if out.Trials = s.done; !out.Complete {
		out.Trials = s.all()
	}
	if s.best != nil {
		out.Best = s.best.found
	}
	for _, l := range s.laid {
		out.Strategies[l.sha256] = l.strategy
	}
	return out, err
}

// search is a search under way.
type search struct {
	ctx    context.Context
	space  Space
	first  Space // as it was in the beginning
	ev     Evaluator
	opts   Options
	layers []Layer
	start  time.Time

	laid  map[string]laid  // by Candidate.key
	known map[string]Trial // by Trial.id
	seen  map[string]bool  // those in done
	done  []Trial          // the trials of this search so far, in order
	left  []int            // guesses of how many trials each later phase takes; the last one is under way

	measured int // trials that were not known
	// overtime says that the budget is used up, last that the one trial that is
	// left then was made.
	overtime, last bool

	points []point // that keep within the drop on the search split
	best   *point  // the cheapest that was confirmed
	told   *point  // the last one that opts.Found knows of

	base         *point // the recipe on the base rung
	spared       []int  // the layers' rungs with those spared; nil where none is
	reasons      []diag.Text
	from         *point      // what polishing came to; nil where it changed nothing
	extra, noise [][]float64 // by layer and rung: see front

	// ahead measures several trials at once; nil where one is measured at a time. In
	// a search that is run on guesses, results that are not asked for yet are its.
	ahead *ahead
	// guesses are, in such a search, what trials without a result are taken to be,
	// good or bad, by Trial.id; nil in one that decides. asked is the first trial
	// with neither, at which it ends.
	guesses map[string]bool
	asked   *request
}

// laid is a candidate as a strategy.
type laid struct {
	strategy *strategy.Strategy
	sha256   string
	cost     float64
}

// lay returns a candidate as a strategy with its cost.
func (s *search) lay(c Candidate) (laid, error) {
	key := c.key()
	l, ok := s.laid[key]
	if ok {
		return l, nil
	}
	var err error
	if l.strategy, err = s.space.Strategy(s.layers, c); err != nil {
		return l, err
	}
	l.sha256 = l.strategy.SHA256()
	if l.cost, err = s.ev.Cost(l.strategy); err != nil {
		return l, err
	}
	s.laid[key] = l
	return l, nil
}

// point is a candidate that was tried.
type point struct {
	candidate Candidate
	strategy  *strategy.Strategy
	sha256    string // of strategy
	cost      float64
	score     Score
	refused   bool   // by all test samples
	found     *Found // once confirmed
	guess     *bool  // in the place of a score, where the search is run on guesses
}

// id tells trials apart: the same measurement of the same strategy is made once.
func (t Trial) id() string {
	kind := "whole"
	switch {
	case t.Phase == Rank:
		kind = "noise"
	case t.Phase == Confirm:
		kind = "confirm"
	case t.Phase.early():
		kind = "early"
	}
	return kind + " " + t.StrategySHA256
}

// early reports whether trials of a phase may be given up.
func (p Phase) early() bool { return p == Mix || p == Lower }

func (s *search) run() error {
	recipes := 0
	for _, c := range s.space.Choices {
		recipes += len(c.Options) - 1
	}
	s.left = []int{len(s.layers), recipes, 8, len(s.space.Rungs) - 1, recipes + 1, 3, 2}
	if !s.space.Spares {
		s.left[5] = 0
	}
	for _, phase := range []func() error{s.wide, s.spare, s.recipe, s.rank, s.mix, s.polish, s.lower} {
		if err := phase(); err != nil {
			return err
		}
		s.left = s.left[:len(s.left)-1]
	}
	return nil
}

// try scores a candidate on the search split.
func (s *search) try(phase Phase, c Candidate) (*point, error) {
	l, err := s.lay(c)
	if err != nil {
		return nil, err
	}
	p := &point{candidate: c, strategy: l.strategy, sha256: l.sha256, cost: l.cost}
	want := p.trial(phase, s.space.words(s.layers, c))
	if whole := (Trial{StrategySHA256: p.sha256}).id(); s.seen[whole] {
		t, _ := s.result(whole)
		p.take(t) // which is in the points already
		return p, nil
	}
	t, err := s.trial(want, p)
	if err != nil {
		return nil, err
	}
	p.take(t)
	if s.within(p) && !slices.ContainsFunc(s.points, func(q point) bool { return q.sha256 == p.sha256 }) {
		s.points = append(s.points, *p)
	}
	return p, nil
}

// trial is a trial of a point that was not measured yet.
func (p *point) trial(phase Phase, tried diag.Text) Trial {
	return Trial{Phase: phase, Words: tried.String(), tried: tried, StrategySHA256: p.sha256, Cost: p.cost}
}

// take notes what a trial came to.
func (p *point) take(t Trial) {
	if p.guess = t.guess; t.guess == nil {
		p.score = *t.Score
	}
}

func (s *search) goal() Goal { return Goal{s.opts.MaxDrop, s.opts.Least} }

func (s *search) within(p *point) bool {
	if p.guess != nil {
		return *p.guess
	}
	return !p.score.Stopped && s.goal().met(p.score)
}

// better reports whether a point promises more than another one.
func (p *point) better(q *point) bool {
	if p.guess != nil || q.guess != nil {
		return p.guess != nil && *p.guess
	}
	return p.score.better(q.score)
}

// better reports whether a point promises more than another one: by a metric of all
// samples, where the difference counts, else by the scores.
func (s *search) better(p, q *point) bool {
	a, b := p.score.Value, q.score.Value
	if p.guess == nil && q.guess == nil && a != nil && b != nil && !s.goal().near(a.Quantized, b.Quantized) {
		return a.worse(b.Quantized, a.Quantized)
	}
	return p.better(q)
}

// result returns what is known of a trial, or guessed.
func (s *search) result(id string) (Trial, bool) {
	if t, ok := s.known[id]; ok {
		return t, true
	}
	if s.guesses == nil {
		return Trial{}, false
	}
	if m, ok := s.ahead.done[id]; ok && m.err == nil {
		return m.trial, true
	}
	g, ok := s.guesses[id]
	return Trial{guess: &g, Noise: make([]float64, len(s.layers))}, ok
}

// measure makes a trial of a point.
func (s *search) measure(ctx context.Context, t *Trial, p *point) error {
	var err error
	switch {
	case t.Phase == Rank:
		t.Noise, err = s.ev.Noise(ctx, p.strategy)
	case t.Phase == Confirm:
		t.Confirm, err = s.ev.Confirm(ctx, p.strategy)
	default:
		var giveUp func(Score) bool
		if t.Phase.early() {
			giveUp = GiveUp(s.opts.MaxDrop)
		}
		var sc Score
		sc, err = s.ev.Search(ctx, p.strategy, giveUp)
		t.Score = &sc
	}
	return err
}

// trial returns the result of a trial of p: a known one, or measured now.
func (s *search) trial(t Trial, p *point) (Trial, error) {
	id := t.id()
	known, ok := s.result(id)
	if !ok {
		switch {
		case s.guesses != nil:
			s.asked = &request{id, t, p}
			return t, errAsked
		case s.ctx.Err() != nil:
			return t, s.ctx.Err()
		case s.opts.Budget > 0 && s.opts.Now().Sub(s.start) >= s.opts.Budget:
			if !s.overtime || s.last {
				return t, errBudget
			}
			s.last = true
		}
		if err := s.tell(false); err != nil {
			return t, err
		}
		var err error
		if s.ahead == nil {
			err = s.measure(s.ctx, &t, p)
		} else {
			var m Trial
			m, err = s.ahead.measure(request{id, t, p})
			t.Score, t.Noise, t.Confirm = m.Score, m.Noise, m.Confirm
		}
		if err != nil {
			return t, err
		}
		s.measured++
		known = t
		s.known[id] = t
	}
	known.tried = t.tried // which no log holds
	if s.seen[id] {
		return known, nil
	}
	s.seen[id] = true
	t = known
	t.Number = len(s.done) + 1
	s.done = append(s.done, t)
	if n := len(s.left) - 1; n >= 0 && s.left[n] > 1 {
		s.left[n]--
	}
	if !ok && s.opts.Trial != nil {
		return t, s.opts.Trial(t, s.all(), s.remaining())
	}
	return t, nil
}

// all returns the trials of this search, and behind them those that are known
// but were not asked for yet.
func (s *search) all() []Trial {
	all := slices.Clone(s.done)
	for _, t := range s.opts.Known {
		if !s.seen[t.id()] {
			t.Number = len(all) + 1
			all = append(all, t)
		}
	}
	return all
}

// remaining estimates how long the search will take.
func (s *search) remaining() time.Duration {
	took := s.opts.Now().Sub(s.start)
	n := 0
	for _, k := range s.left {
		n += k
	}
	left := took / time.Duration(s.measured) * time.Duration(n)
	if s.opts.Budget > 0 {
		left = min(left, max(s.opts.Budget-took, 0))
	}
	return left
}

// tell hands on the best so far, if it is news. Unless at the end, it waits as
// long as an earlier run is known to have found something cheaper.
func (s *search) tell(end bool) error {
	if s.best == nil || s.best == s.told {
		return nil
	}
	for _, t := range s.opts.Known {
		if !end && t.Confirm != nil && !s.seen[t.id()] && t.Cost < s.best.cost && s.goal().Kept(t.Confirm) {
			return nil
		}
	}
	s.told = s.best
	if s.opts.Found == nil {
		return nil
	}
	return s.opts.Found(s.best.found)
}

// confirm tests the cheapest point on all test samples. Where these refuse it, it
// looks for the cheapest that they take by bisection. When the budget is used
// up, one test is made, and others only if known.
func (s *search) confirm() error {
	var open []int
	for i := range s.points {
		p := &s.points[i]
		if !p.refused && p.found == nil && (s.best == nil || p.cost < s.best.cost) {
			open = append(open, i)
		}
	}
	slices.SortStableFunc(open, func(a, b int) int {
		p, q := s.points[a], s.points[b]
		return cmp.Or(cmp.Compare(p.cost, q.cost), cmp.Compare(q.score.Agree, p.score.Agree))
	})
	if s.overtime {
		for _, i := range open {
			if err := s.test(&s.points[i]); err != nil && !errors.Is(err, errBudget) {
				return err
			}
			if s.points[i].found != nil {
				break
			}
		}
		return nil
	}
	for low, high, k := -1, len(open), 0; high-low > 1; k = low + (high-low)/2 {
		if err := s.test(&s.points[open[k]]); err != nil {
			return err
		}
		if s.points[open[k]].found != nil {
			high = k
		} else {
			low = k
		}
	}
	return nil
}

// test tests a point on all test samples: they take it, and it is the best so
// far, or they refuse it.
func (s *search) test(p *point) error {
	words := s.space.words(s.layers, p.candidate)
	t, err := s.trial(p.trial(Confirm, words), p)
	if err != nil {
		return err
	}
	if t.guess != nil {
		t.Confirm = &Promise{}
		p.refused = !*t.guess
	} else {
		p.refused = !s.goal().Kept(t.Confirm)
	}
	if p.refused {
		return nil
	}
	p.found = &Found{Strategy: p.strategy, Tried: p.sha256, Words: words, Cost: p.cost, Promise: *t.Confirm}
	if t.guess == nil && s.guesses == nil {
		p.found.Why = s.why(p)
		if p.found.Strategy, err = s.compact(p); err != nil {
			return err
		}
	}
	best := *p
	s.best = &best
	return nil
}

// wide tries 16-bit floats throughout. Where they do not keep within the drop
// with equalization, which turns ReLU6 into ReLU, nothing will: that option is
// taken out of the space.
func (s *search) wide() error {
	c := s.space.candidate(s.layers, s.space.half())
	if _, err := s.try(Wide, c); err != nil {
		return err
	}
	for i, ch := range s.space.Choices {
		if ch.Name != equalization {
			continue
		}
		p, err := s.try(Wide, c.with(i, 1))
		if err != nil {
			return err
		}
		if !s.within(p) {
			s.space.Choices = slices.Clone(s.space.Choices)
			s.space.Choices[i].Options = ch.Options[:1]
		}
	}
	return s.confirm()
}

// recipe finds the options of the whole network on the base rung.
func (s *search) recipe() error {
	c := s.space.candidate(s.layers, s.space.Base)
	if s.spared != nil {
		c.Rungs = s.spared
	}
	p, err := s.try(Recipe, c)
	if err != nil {
		return err
	}
	if p, err = s.descend(Recipe, p); err != nil {
		return err
	}
	s.base = p
	return s.confirm()
}

// descend goes through the choices once and takes each option that is better
// than what was there; in the phase Polish, it must keep within the drop, and
// cost no more.
func (s *search) descend(phase Phase, p *point) (*point, error) {
	for i, ch := range s.space.Choices {
		from := p.candidate
		for o := range ch.Options {
			c := from.with(i, o)
			if o == from.Options[i] || !s.space.allowed(c) {
				continue
			}
			q, err := s.try(phase, c)
			if err != nil {
				return nil, err
			}
			if s.better(q, p) && (phase == Recipe || s.within(q) && q.cost <= p.cost) {
				p = q
			}
		}
	}
	return p, nil
}

// rank measures the layers' noise and estimates their cost, on every rung; where
// the base keeps within the drop, only up to there.
func (s *search) rank() error {
	top := len(s.space.Rungs) - 1
	if s.within(s.base) && !s.refused(s.base) {
		top = s.space.Base
	}
	base := s.base.candidate
	s.noise, s.extra = s.table(), s.table()
	for r := range s.space.Rungs[:top+1] {
		c := Candidate{base.Options, s.space.candidate(s.layers, r).Rungs}
		noise := make([]float64, len(s.layers)) // float32 makes none
		if r != len(s.space.Rungs)-1 && top > 0 {
			var err error
			if noise, err = s.noiseOf(c); err != nil {
				return err
			}
		}
		for l, layer := range s.layers {
			if !slices.Contains(s.space.rungs(layer), r) {
				continue
			}
			one, err := s.lay(base.on(l, r))
			if err != nil {
				return err
			}
			s.noise[l][r], s.extra[l][r] = noise[l], one.cost-s.base.cost
		}
	}
	s.rankSpared()
	return nil
}

// refused reports whether all test samples refused a point.
func (s *search) refused(p *point) bool {
	return slices.ContainsFunc(s.points, func(q point) bool { return q.refused && q.sha256 == p.sha256 })
}

// table returns a table of layers and rungs without any finite number.
func (s *search) table() [][]float64 {
	t := make([][]float64, len(s.layers))
	for l := range t {
		t[l] = slices.Repeat([]float64{math.Inf(1)}, len(s.space.Rungs))
	}
	return t
}

// noiseOf measures the noise of each layer alone.
func (s *search) noiseOf(c Candidate) ([]float64, error) {
	l, err := s.lay(c)
	if err != nil {
		return nil, err
	}
	p := &point{candidate: c, strategy: l.strategy, sha256: l.sha256, cost: l.cost}
	t, err := s.trial(p.trial(Rank, diag.Textf("each layer alone, %s", s.space.words(s.layers, c))), p)
	if err == nil && len(t.Noise) != len(s.layers) {
		err = diag.Errorf("the noise of %d layers is known, but there are %d", len(t.Noise), len(s.layers))
	}
	return t.Noise, err
}

// mix finds the cheapest point of the front that keeps within the drop.
func (s *search) mix() error {
	start, steps := front(s.extra, s.noise)
	if len(steps) == 0 {
		return nil // the base, and nothing but the base
	}
	// The end of the front is the base, which is known to hold, or float32.
	low, high := -1, len(steps)
	for high-low > 1 {
		mid := low + (high-low)/2
		p, err := s.try(Mix, Candidate{s.base.candidate.Options, climb(start, steps, mid)})
		if err != nil {
			return err
		}
		if s.within(p) {
			high = mid
		} else {
			low = mid
		}
	}
	if high == len(steps) {
		if _, err := s.try(Mix, Candidate{s.base.candidate.Options, climb(start, steps, high)}); err != nil {
			return err
		}
	}
	return s.confirm()
}

// polish tries the options of the whole network again for the best so far.
func (s *search) polish() error {
	if s.best == nil || !s.lowerable(s.best.candidate) {
		return nil
	}
	p, err := s.descend(Polish, s.best)
	if err != nil || p == s.best {
		return err
	}
	s.from = p
	return nil
}

// lower takes layers of the best so far one rung down.
func (s *search) lower() error {
	if s.best == nil {
		return nil
	}
	p := s.best
	if s.from != nil {
		p = s.from
	}
	failed := map[step]bool{}
	for again := true; again; {
		again = false
		moves := s.moves(p.candidate, failed)
		s.left[len(s.left)-1] = len(moves)
		for size := max(len(moves)/2, 1); len(moves) > 0; {
			group := moves[:min(size, len(moves))]
			q, err := s.down(p, group)
			if err != nil {
				return err
			}
			switch {
			case q != nil:
				p, again = q, true
				moves, size = moves[len(group):], 2*size
			case len(group) == 1:
				failed[group[0]] = true
				moves = moves[1:]
			default:
				size = len(group) / 2
			}
		}
	}
	return s.confirm()
}

// down tries p with some layers on lower rungs; nil where that is not cheaper, or
// not within the drop.
func (s *search) down(p *point, group []step) (*point, error) {
	c := Candidate{p.candidate.Options, climb(p.candidate.Rungs, group, len(group))}
	if l, err := s.lay(c); err != nil || l.cost >= p.cost {
		return nil, err
	}
	q, err := s.try(Lower, c)
	if err != nil || !s.within(q) {
		return nil, err
	}
	return q, nil
}

// moves returns, for each layer, the next rung that costs less, the one first
// that saves most for the noise it adds. Those that failed are left out.
func (s *search) moves(c Candidate, failed map[step]bool) []step {
	type priced struct {
		step
		noise float64 // added per cost saved
	}
	var all []priced
	for l, r := range c.Rungs {
		to := -1
		for k, e := range s.extra[l] {
			if e < s.extra[l][r] && (to < 0 || e > s.extra[l][to]) {
				to = k
			}
		}
		if to >= 0 && !failed[step{l, to}] {
			all = append(all, priced{step{l, to}, (s.noise[l][to] - s.noise[l][r]) / (s.extra[l][r] - s.extra[l][to])})
		}
	}
	slices.SortStableFunc(all, func(a, b priced) int { return cmp.Compare(a.noise, b.noise) })
	steps := make([]step, len(all))
	for i, p := range all {
		steps[i] = p.step
	}
	return steps
}

// lowerable reports whether a candidate has a layer that could cost less.
func (s *search) lowerable(c Candidate) bool { return len(s.moves(c, nil)) > 0 }
