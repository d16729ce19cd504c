package search

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"narrow/diag"
)

// A search decides one trial after the other. To keep several evaluations busy,
// those trials are measured ahead that it would ask for next if the results it
// waits for were good, or bad: the search is run again from its beginning, with
// every result that is known and guesses for those that are not, up to a trial
// that has neither. What a guess leads to is measured, never decided by: results
// that the search does not come to ask for are dropped, so that its trials are
// those of a search that measures one at a time.

// request is a measurement that a search asks for.
type request struct {
	id    string
	trial Trial
	point *point
}

// errAsked ends a search that is run on guesses: see search.asked.
var errAsked = diag.Errorf("a trial without a result or a guess")

// chances are how often a trial is good, roughly: within the drop, or better than
// what there was. They order what is measured ahead.
var chances = map[Phase]float64{Wide: 0.9, Spare: 0.7, Recipe: 0.25, Rank: 1, Mix: 0.5, Polish: 0.2, Lower: 0.5, Confirm: 0.8}

// ahead measures the trials of a search, jobs at once.
type ahead struct {
	s        *search
	jobs     int
	running  map[string]context.CancelFunc
	done     map[string]measured // not asked for yet
	finished chan measured
}

// measured is what came of a request.
type measured struct {
	id      string
	trial   Trial
	err     error
	dropped bool // it was cancelled: measured by then or not
}

func newAhead(s *search, jobs int) *ahead {
	return &ahead{s: s, jobs: jobs, running: map[string]context.CancelFunc{}, done: map[string]measured{}, finished: make(chan measured)}
}

// measure returns the result of a request, and has others measured meanwhile.
func (a *ahead) measure(r request) (Trial, error) {
	for {
		if m, ok := a.done[r.id]; ok {
			delete(a.done, r.id)
			return m.trial, m.err
		}
		a.fill(r)
		a.settle(<-a.finished)
	}
}

// settle notes what came of a request.
func (a *ahead) settle(m measured) {
	ctx := a.s.ctx.Err()
	a.running[m.id]()
	delete(a.running, m.id)
	if m.err == nil || !m.dropped || ctx != nil {
		a.done[m.id] = m
	}
}

// stop cancels what is still being measured and waits for its end.
func (a *ahead) stop() {
	for _, cancel := range a.running {
		cancel()
	}
	for len(a.running) > 0 {
		a.settle(<-a.finished)
	}
}

// fill begins as many measurements as there is room for: r, which the search waits
// for, then what it is likely to ask for next. Those that nothing leads to any
// more are cancelled where they are in the way.
func (a *ahead) fill(r request) {
	wanted := a.predict(r)
	for _, w := range wanted {
		if a.running[w.id] != nil {
			continue
		}
		if len(a.running) < a.jobs {
			a.begin(w)
			continue
		}
		for id, cancel := range a.running {
			if !slices.ContainsFunc(wanted, func(w request) bool { return w.id == id }) {
				cancel() // and its room is used once it has ended
			}
		}
		return
	}
}

func (a *ahead) begin(r request) {
	ctx, cancel := context.WithCancel(a.s.ctx)
	a.running[r.id] = cancel
	go func() {
		t := r.trial
		err := a.s.measure(ctx, &t, r.point)
		a.finished <- measured{r.id, t, err, ctx.Err() != nil}
	}()
}

// branch is a way that a search may go: what it guesses, and how likely it is.
type branch struct {
	guesses map[string]bool
	chance  float64
	ranked  bool // a noise is guessed: what follows from it is worth nothing
}

// predict returns r and, the likely first, what the search may ask for next: as
// many requests as are measured at once.
func (a *ahead) predict(r request) []request {
	wanted := []request{r}
	if a.s.overtime {
		return wanted
	}
	var open []branch
	split := func(b branch, r request) {
		good := chances[r.trial.Phase]
		for _, g := range []bool{true, false} {
			chance := b.chance * good
			if !g {
				chance = b.chance * (1 - good)
			}
			if chance == 0 {
				continue
			}
			guesses := maps.Clone(b.guesses)
			guesses[r.id] = g
			open = append(open, branch{guesses, chance, b.ranked || r.trial.Phase == Rank})
		}
	}
	split(branch{map[string]bool{}, 1, false}, r)
	// Several branches may lead to the same request.
	for range 8 * a.jobs {
		if len(open) == 0 || len(wanted) >= a.jobs {
			break
		}
		slices.SortStableFunc(open, func(p, q branch) int { return cmp.Compare(q.chance, p.chance) })
		b := open[0]
		open = open[1:]
		next := a.follow(b)
		if next == nil || b.ranked && next.trial.Phase != Rank {
			continue
		}
		if !slices.ContainsFunc(wanted, func(w request) bool { return w.id == next.id }) {
			wanted = append(wanted, *next)
		}
		split(b, *next)
	}
	return wanted
}

// follow returns what the search asks for at the end of a branch; nil where it
// comes to its end.
func (a *ahead) follow(b branch) *request {
	s := a.s
	g := &search{
		ctx: s.ctx, space: s.first, first: s.first, ev: s.ev, opts: Options{MaxDrop: s.opts.MaxDrop, Least: s.opts.Least}, layers: s.layers,
		known: s.known, seen: map[string]bool{}, laid: s.laid, guesses: b.guesses, ahead: a,
	}
	_ = g.run() // an error of the evaluator's costs will be the search's own
	return g.asked
}
