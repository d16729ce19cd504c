package serve

import (
	"context"
	"encoding/json"

	"narrow"
	"narrow/diag"
	"narrow/internal/machine"
	"narrow/search"
	"narrow/strategy"
)

// A search's trials may be measured by other processes, on other machines too. The
// server that searches asks its client to have them measured ("trial"); the client
// hands each question to a server that holds the same network and samples (method
// evaluator), as the parameters of the method measure, and its answer back.

// trial is a measurement of one strategy.
type trial struct {
	// Kind is "score" for the search split, "confirm" for all test samples, "noise"
	// for each layer alone.
	Kind string `json:"kind"`
	// Strategy is the file's text.
	Strategy string `json:"strategy"`
	// GiveUp says that scoring may end where the drop is certain to be above MaxDrop.
	GiveUp  bool    `json:"give_up"`
	MaxDrop float64 `json:"max_drop"`
}

// result is what a trial came to: one of Score, Noise and Confirm is set.
type result struct {
	// Canary is a hash of what the float network gives for the test samples; Version
	// is narrow's, and Machine says where.
	Canary  string          `json:"canary"`
	Version string          `json:"version"`
	Machine string          `json:"machine"`
	Score   *search.Score   `json:"score,omitempty"`
	Noise   []float64       `json:"noise,omitempty"`
	Confirm *search.Promise `json:"confirm,omitempty"`
}

// elsewhere is a network whose strategies are measured by the client.
type elsewhere struct {
	*search.Network
	call    *call
	canary  string
	maxDrop float64
}

// measure has a trial measured.
func (e *elsewhere) measure(ctx context.Context, t trial) (*result, error) {
	answer, err := e.call.ask(ctx, "trial", t, nil)
	if err != nil {
		return nil, err
	}
	var r result
	if err := json.Unmarshal(answer, &r); err != nil {
		return nil, diag.Errorf("the client's answer to a trial is not what the method measure gives: %w", err)
	}
	if v := narrow.Version(); r.Version != v {
		return nil, diag.Errorf("a trial was measured by narrow %s on %s, and this is narrow %s: install one version everywhere", r.Version, r.Machine, v)
	}
	if r.Canary != e.canary {
		return nil, diag.Errorf("the float network gives other values on %s than here, on %s: processors of unlike kinds differ in last bits, which decide a search; take machines of one kind", r.Machine, machine.Name())
	}
	whole := map[string]bool{"score": r.Score != nil, "noise": len(r.Noise) == len(e.Layers()), "confirm": r.Confirm != nil}
	if !whole[t.Kind] {
		return nil, diag.Errorf("the client's answer to a trial of the kind %q holds none", t.Kind)
	}
	return &r, nil
}

// Noise implements [search.Evaluator].
func (e *elsewhere) Noise(ctx context.Context, s *strategy.Strategy) ([]float64, error) {
	r, err := e.measure(ctx, trial{Kind: "noise", Strategy: string(s.Format())})
	if err != nil {
		return nil, err
	}
	return r.Noise, nil
}

// Search implements [search.Evaluator]. What gives up is [search.GiveUp] with the
// search's own drop.
func (e *elsewhere) Search(ctx context.Context, s *strategy.Strategy, giveUp func(search.Score) bool) (search.Score, error) {
	r, err := e.measure(ctx, trial{Kind: "score", Strategy: string(s.Format()), GiveUp: giveUp != nil, MaxDrop: e.maxDrop})
	if err != nil {
		return search.Score{}, err
	}
	return *r.Score, nil
}

// Confirm implements [search.Evaluator].
func (e *elsewhere) Confirm(ctx context.Context, s *strategy.Strategy) (*search.Promise, error) {
	r, err := e.measure(ctx, trial{Kind: "confirm", Strategy: string(s.Format())})
	if err != nil {
		return nil, err
	}
	return r.Confirm, nil
}

// evaluator measures trials for a search of another process.
type evaluator struct {
	network *search.Network
	canary  string
	call    *call // that is being served
}

// newEvaluator runs the float network over the test samples, to measure trials.
func newEvaluator(ctx context.Context, c *call) (any, []Array, error) {
	var p networkParams
	if err := c.parse(&p); err != nil {
		return nil, nil, err
	}
	e := &evaluator{call: c}
	var err error
	if e.network, _, err = p.network(ctx, c.s, func() *call { return e.call }); err != nil {
		return nil, nil, err
	}
	e.canary = e.network.Canary()
	return map[string]any{"handle": c.s.put(e), "canary": e.canary, "machine": machine.Name()}, nil, nil
}

// measure makes one trial.
func measure(ctx context.Context, c *call) (any, []Array, error) {
	var p struct {
		Evaluator int `json:"evaluator"`
		trial
	}
	if err := c.parse(&p); err != nil {
		return nil, nil, err
	}
	e, err := get[*evaluator](c.s, p.Evaluator, "evaluator")
	if err != nil {
		return nil, nil, err
	}
	e.call = c
	st, list := strategy.Parse("", []byte(p.Strategy))
	if err := list.Err(); err != nil {
		return nil, nil, err
	}
	r := &result{Canary: e.canary, Version: narrow.Version(), Machine: machine.Name()}
	switch p.Kind {
	case "noise":
		r.Noise, err = e.network.Noise(ctx, st)
	case "score":
		var giveUp func(search.Score) bool
		if p.GiveUp {
			giveUp = search.GiveUp(p.MaxDrop)
		}
		var s search.Score
		s, err = e.network.Search(ctx, st, giveUp)
		r.Score = &s
	case "confirm":
		r.Confirm, err = e.network.Confirm(ctx, st)
	default:
		err = usagef("kind takes score, noise or confirm, not %q", p.Kind)
	}
	if err != nil {
		return nil, nil, err
	}
	return r, nil, nil
}
