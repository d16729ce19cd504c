package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"narrow"
	"narrow/calibrate"
	"narrow/diag"
	"narrow/engine"
	"narrow/inspect"
	"narrow/metric"
	"narrow/scheme"
	"narrow/search"
)

// networkParams are what strategies for a network are measured by.
type networkParams struct {
	Model int `json:"model"`
	// Samples calibrate; Test scores. They have no sample in common.
	Samples int `json:"samples"`
	Test    int `json:"test"`
	// Labels are the test samples' classes, for top-1; without them the client is
	// asked to score each batch of outputs ("metric").
	Labels        []int  `json:"labels"`
	Target        string `json:"target"`
	SearchSamples int    `json:"search_samples"`
	Seed          uint64 `json:"seed"`
	Propagate     string `json:"propagate"`
	// Accuracy is "high" or "guide"; "" for high.
	Accuracy string `json:"accuracy"`
}

// network runs the float network over the test samples and returns what measures
// strategies for it. Where that is used by later requests too, now returns the one
// that is being served.
func (p *networkParams) network(ctx context.Context, s *Server, now func() *call) (*search.Network, search.Space, error) {
	var space search.Space
	m, err := get[*model](s, p.Model, "model")
	if err != nil {
		return nil, space, err
	}
	calib, err := get[*spool](s, p.Samples, "set of samples")
	if err != nil {
		return nil, space, err
	}
	test, err := get[*spool](s, p.Test, "set of samples")
	if err != nil {
		return nil, space, err
	}
	if calib.Len() == 0 || test.Len() == 0 {
		return nil, space, usagef("there are %d samples to calibrate and %d to test on: add some to both", calib.Len(), test.Len())
	}
	var target scheme.Target
	if err := target.UnmarshalText([]byte(strings.ToUpper(p.Target))); err != nil {
		return nil, space, usagef("target takes one of %s, not %q", diag.Commas(scheme.TargetNames()), p.Target)
	}
	if len(p.Labels) > 0 && len(p.Labels) != test.Len() {
		return nil, space, usagef("there are %d labels for %d test samples", len(p.Labels), test.Len())
	}
	if p.SearchSamples < 0 {
		return nil, space, usagef("search_samples is %d: give 0 or more", p.SearchSamples)
	}
	how, err := accuracyOf(p.Accuracy)
	if err != nil {
		return nil, space, err
	}
	opts := narrow.CalibrateOptions{Threads: s.cfg.Threads}
	if p.Propagate != "" {
		if opts.Propagate, err = calibrate.ParsePropagation(p.Propagate); err != nil {
			return nil, space, usagef("%v", err)
		}
	}
	if how == narrow.High && opts.Propagate == calibrate.Progressive {
		return nil, space, usagef("progressive propagation is a part of the accuracy guide and does not go with high: leave one of them out")
	}
	run, err := s.runner()
	if err != nil {
		return nil, space, err
	}
	// Samples that memory does not hold are read in each request again.
	batches := func(sp *spool) engine.Batches {
		return func(yield func(*engine.Batch, error) bool) { sp.batches(now().ctx)(yield) }
	}
	in := search.Samples{
		Calibration: batches(calib), Test: batches(test), Labels: engine.Labels{Classes: p.Labels}, Accuracy: how, SearchSamples: p.SearchSamples, Seed: p.Seed,
	}
	if len(p.Labels) == 0 {
		in.Metric = func(ctx context.Context, first, count int, outs []engine.Tensor) ([]float64, error) {
			return now().metric(m)(ctx, first, count, outs)
		}
	}
	space = search.SpaceFor(target)
	space.Spares = len(p.Labels) == 0
	network, err := search.NewNetwork(ctx, m.Model, run, in, space, opts)
	return network, space, err
}

// searchFor looks for the cheapest strategy whose accuracy, as the client's metric
// tells it, drops by no more than it may.
func searchFor(ctx context.Context, c *call) (any, []Array, error) {
	var p struct {
		networkParams
		// MaxDrop is how much the mean score may be lower than the float network's.
		MaxDrop float64 `json:"max_drop"`
		// Seconds after which no trial begins; 0 for no limit.
		Seconds float64 `json:"seconds"`
		// Trials is how many trials the client measures at once ("trial"); 0 where
		// they are measured here.
		Trials int `json:"trials"`
	}
	if err := c.parse(&p); err != nil {
		return nil, nil, err
	}
	if !(p.MaxDrop >= 0) || p.Seconds < 0 || p.Trials < 0 {
		return nil, nil, usagef("max_drop, seconds and trials are %v, %v and %d: give 0 or more", p.MaxDrop, p.Seconds, p.Trials)
	}
	network, space, err := p.network(ctx, c.s, func() *call { return c })
	if err != nil {
		return nil, nil, err
	}
	var ev search.Evaluator = network
	if p.Trials > 0 {
		ev = &elsewhere{Network: network, call: c, canary: network.Canary(), maxDrop: p.MaxDrop}
	}
	out, err := search.Run(ctx, space, ev, search.Options{
		MaxDrop: p.MaxDrop, Budget: time.Duration(p.Seconds * float64(time.Second)), Jobs: p.Trials,
		Trial: func(t search.Trial, all []search.Trial, left time.Duration) error {
			c.say("search", trialText(t, left))
			return nil
		},
	})
	if err != nil {
		return nil, nil, err
	}
	searched, held := network.Split()
	res := struct {
		// Found is false where no strategy came within max_drop.
		Found    bool            `json:"found"`
		Strategy string          `json:"strategy,omitempty"`
		Words    string          `json:"words,omitempty"`
		Cost     float64         `json:"cost,omitempty"`
		Promise  *search.Promise `json:"promise,omitempty"`
		Float    float64         `json:"float"`
		Searched int             `json:"searched"`
		HeldOut  int             `json:"held_out"`
		Complete bool            `json:"complete"`
		Trials   []search.Trial  `json:"trials"`
	}{Float: network.Top1(), Searched: searched, HeldOut: held, Complete: out.Complete, Trials: out.Trials}
	if b := out.Best; b != nil {
		res.Found, res.Strategy, res.Words, res.Cost, res.Promise = true, string(b.Strategy.Format()), b.Words.String(), b.Cost, &b.Promise
	}
	return res, nil, nil
}

// sensitivity ranks the layers by what quantizing each alone costs, by the client's
// metric where it has one.
func sensitivity(ctx context.Context, c *call) (any, []Array, error) {
	var p struct {
		Calibration int   `json:"calibration"`
		Samples     int   `json:"samples"`
		Labels      []int `json:"labels"`
		// Metric says that the client scores samples ("metric").
		Metric bool `json:"metric"`
	}
	if err := c.parse(&p); err != nil {
		return nil, nil, err
	}
	cal, err := get[*calibration](c.s, p.Calibration, "calibration")
	if err != nil {
		return nil, nil, err
	}
	sp, err := get[*spool](c.s, p.Samples, "set of samples")
	if err != nil {
		return nil, nil, err
	}
	run, err := c.s.runner()
	if err != nil {
		return nil, nil, err
	}
	opts := inspect.SensitivityOptions{Threads: c.s.cfg.Threads, Labels: engine.Labels{Classes: p.Labels}}
	opts.Progress = func(done, all int) { c.progress("sensitivity", all)(done) }
	if p.Metric {
		opts.Metric = metric.PerSample("score", c.metric(&model{cal.Model}))
	}
	rank, err := inspect.Sensitivity(ctx, cal.Calibrated, run, sp.batches(ctx), opts)
	if err != nil {
		return nil, nil, err
	}
	if len(p.Labels) > 0 && !p.Metric {
		rank.ByTop1()
	}
	return rank, nil, nil
}

// metric asks the client to score the samples of a batch by a network's outputs.
func (c *call) metric(m *model) func(ctx context.Context, first, count int, outs []engine.Tensor) ([]float64, error) {
	return func(ctx context.Context, first, count int, outs []engine.Tensor) ([]float64, error) {
		arrays := make([]Array, len(outs))
		for i, t := range outs {
			var err error
			if arrays[i], err = fromTensor(m.Graph.Graph.Outputs[i].Name, t); err != nil {
				return nil, err
			}
		}
		answer, err := c.ask(ctx, "metric", map[string]int{"first": first, "count": count}, arrays)
		if err != nil {
			return nil, diag.Errorf("the metric failed on the samples from %d on: %w", first, err)
		}
		var scores []float64
		if json.Unmarshal(answer, &scores) == nil {
			return scores, nil
		}
		var one float64
		if err := json.Unmarshal(answer, &one); err != nil {
			return nil, diag.Errorf("the metric returned %.60s for the samples from %d on: it must be a number, or one for each sample", answer, first)
		}
		return slices.Repeat([]float64{one}, count), nil
	}
}

// trialText tells of a trial on one line.
func trialText(t search.Trial, left time.Duration) string {
	s := fmt.Sprintf("%3d %-8s cost %5.2f %%", t.Number, t.Phase, 100*t.Cost)
	switch {
	case t.Confirm != nil:
		s += fmt.Sprintf("  drop %7.4f on all test samples", t.Confirm.All.Drop())
	case t.Score != nil && t.Score.Failed != "":
		s += "  " + t.Score.Failed
	case t.Score != nil:
		s += fmt.Sprintf("  drop %7.4f", t.Score.Drop())
	}
	return fmt.Sprintf("%s  %s (about %v left)", s, t.Words, left.Round(time.Second))
}
