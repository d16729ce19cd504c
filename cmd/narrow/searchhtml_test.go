package main

import (
	"testing"

	"narrow/report"
	"narrow/search"
	"narrow/strategy"
)

// TestSearchPage: every trial is told as what became of it, with its strategy
// where that is known.
func TestSearchPage(t *testing.T) {
	st := strategy.Default()
	sha := st.SHA256()
	score := func(n, lost int) *search.Score {
		return &search.Score{Samples: n, Float: n, Quantized: n - lost, Lost: lost}
	}
	stopped, failed := score(64, 30), score(0, 0)
	stopped.Stopped, failed.Failed = true, "NaN"
	promise := func(lost int) *search.Promise {
		return &search.Promise{Samples: 300, Float: 1, Quantized: 1 - float64(lost)/300, All: *score(300, lost), HeldOut: score(100, lost)}
	}
	out := &search.Outcome{
		Best: &search.Found{Strategy: st, Tried: sha, Promise: *promise(2)},
		Trials: []search.Trial{
			{Number: 1, Phase: search.Wide, StrategySHA256: "other", Score: score(200, 2)},
			{Number: 2, Phase: search.Mix, StrategySHA256: sha, Score: score(200, 3)},
			{Number: 3, Phase: search.Mix, Score: stopped},
			{Number: 4, Phase: search.Mix, Score: failed},
			{Number: 5, Phase: search.Rank, StrategySHA256: sha},
			{Number: 6, Phase: search.Confirm, StrategySHA256: "other", Confirm: promise(30)},
			{Number: 7, Phase: search.Confirm, StrategySHA256: sha, Confirm: promise(2)},
		},
		Strategies: map[string]*strategy.Strategy{sha: st},
	}
	s := searchPage(out, report.Objective{}, search.Goal{MaxDrop: 0.01}).Search
	want := []struct {
		state    report.TrialState
		strategy int
		value    float64
	}{
		{report.TrialWithin, -1, 0.99}, {report.TrialBeyond, 0, 0.985}, {report.TrialStopped, -1, 34.0 / 64}, {report.TrialFailed, -1, -1},
		{report.TrialRanked, 0, -1}, {report.TrialBeyond, -1, 0.9}, {report.TrialFound, 0, 1 - 2.0/300},
	}
	for i, w := range want {
		got := s.Trials[i]
		value := -1.0
		if got.Value != nil {
			value = float64(*got.Value)
		}
		if got.State != w.state || got.Strategy != w.strategy || value != w.value {
			t.Errorf("trial %d is %s with strategy %d and %v, want %+v", i+1, got.State, got.Strategy, value, w)
		}
	}
	if s.Best != 6 || len(s.Strategies) != 1 || *s.HeldOutDrop != 0.02 {
		t.Errorf("best %d, %d strategies, held out %v", s.Best, len(s.Strategies), *s.HeldOutDrop)
	}
	if none := searchPage(&search.Outcome{Trials: out.Trials[:3]}, report.Objective{}, search.Goal{MaxDrop: 0.01}).Search; none.Best != -1 || none.HeldOutDrop != nil || none.Complete {
		t.Errorf("nothing found: %+v", none)
	}
}

// TestSearchPageOfMetric: the page of a search without labels has the metric's values,
// and the drop and standard error only where there are some.
func TestSearchPageOfMetric(t *testing.T) {
	least, float := 20.0, 0.5
	db := &search.Score{Samples: 9, Value: &search.Value{Quantized: 21}}
	error := &search.Score{Samples: 9, Value: &search.Value{Float: &float, Quantized: 0.7, LowerIsBetter: true}}
	for _, tt := range []struct {
		score *search.Score
		goal  search.Goal
		state report.TrialState
	}{
		{db, search.Goal{Least: &least}, report.TrialWithin},
		{error, search.Goal{MaxDrop: 0.1}, report.TrialBeyond},
	} {
		got := searchPage(&search.Outcome{Trials: []search.Trial{{Number: 1, Phase: search.Spare, Score: tt.score}}}, report.Objective{}, tt.goal).Search.Trials[0]
		if got.State != tt.state || float64(*got.Value) != tt.score.Value.Quantized || got.StdErr != nil || (got.Drop == nil) != (tt.score.Value.Float == nil) {
			t.Errorf("%+v", got)
		}
	}
	j := &searchJob{f: &searchFlags{maxDrop: 0.1}, metric: "cer", lower: true, floatValue: &float}
	if o := j.objective(0); o.Name != "cer" || !o.LowerIsBetter || float64(*o.Limit) != 0.6 {
		t.Errorf("%+v", o)
	}
}
