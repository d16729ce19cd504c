package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"narrow/report"
	"narrow/search"
)

// writeSearchPage writes a search as a page of package report.
func (j *searchJob) writeSearchPage(c *cobra.Command, engine string, float float64, out *search.Outcome) error {
	d := searchPage(out, j.objective(float), search.Goal{MaxDrop: j.f.maxDrop, Least: j.f.least})
	p, k := &j.provenance, &j.key
	d.Model = report.Model{Name: filepath.Base(j.model.Path), Path: j.model.Path, SHA256: j.model.SHA256}
	d.Search.Searched, d.Search.HeldOut = p.Searched, p.HeldOut
	if out.Best != nil {
		d.Search.File = filepath.Base(j.f.file)
	}
	d.Reproduce = &report.Reproduce{
		Commands: [][]string{commandLine(c)},
		Facts: []report.Fact{
			{Name: report.FactVersion, Value: k.Version}, {Name: report.FactEngine, Value: engine}, {Name: report.FactModel, Value: k.ModelSHA256},
			{Name: report.FactSamples, Value: k.CalibrationSHA256}, {Name: report.FactCount, Value: fmt.Sprint(p.Calibration.Samples)}, {Name: report.FactPropagate, Value: k.Propagate},
		},
	}
	return j.a.writePage(c.Context(), j.f.html, d)
}

// objective is what the search goes by.
func (j *searchJob) objective(float float64) report.Objective {
	if j.metric != "" {
		o := report.Objective{Name: j.metric, LowerIsBetter: j.lower}
		if j.metric == "sqnr" {
			o.Unit = report.Decibel
		}
		drop := j.f.maxDrop
		if j.lower {
			drop = -drop
		}
		if j.floatValue != nil {
			f, limit := report.Number(*j.floatValue), report.Number(*j.floatValue-drop)
			o.Float, o.Limit = &f, &limit
		}
		if j.f.least != nil {
			limit := report.Number(*j.f.least)
			o.Limit = &limit
		}
		return o
	}
	f, limit := report.Number(float), report.Number(float-j.f.maxDrop)
	return report.Objective{Name: "top-1", Unit: report.Share, Float: &f, Limit: &limit}
}

// searchPage returns the page's document.
func searchPage(out *search.Outcome, o report.Objective, goal search.Goal) *report.Document {
	s := &report.Search{Objective: o, Complete: out.Complete, Best: -1}
	files := map[string]int{}
	best := ""
	if out.Best != nil {
		best = out.Best.Tried
		if h := out.Best.Promise.HeldOut; h != nil && (h.Value == nil || h.Value.Float != nil) {
			drop := report.Number(h.Drop())
			s.HeldOutDrop = &drop
		}
	}
	for i, t := range out.Trials {
		if st := out.Strategies[t.StrategySHA256]; st != nil {
			if _, ok := files[t.StrategySHA256]; !ok {
				files[t.StrategySHA256] = s.AddStrategy(string(st.Format()))
			}
		}
		s.Trials = append(s.Trials, trialOf(&t, goal))
		if at, ok := files[t.StrategySHA256]; ok {
			s.Trials[i].Strategy = at
		}
		if t.Phase == search.Confirm && t.StrategySHA256 == best && s.Trials[i].State == report.TrialFound {
			s.Best = i
		}
	}
	return &report.Document{Format: report.Format, Search: s}
}

// trialOf returns a trial, without its strategy.
func trialOf(t *search.Trial, goal search.Goal) report.Trial {
	r := report.Trial{Number: t.Number, Phase: string(t.Phase), Words: report.Text{Text: t.Tried()}, Cost: report.Number(t.Cost), State: report.TrialRanked, Strategy: -1}
	score := t.Score
	if t.Confirm != nil {
		score = &t.Confirm.All
	}
	if score == nil {
		return r
	}
	r.Samples = score.Samples
	if score.Failed != "" {
		r.State, r.Failed = report.TrialFailed, report.Text{Text: score.Failure()}
		return r
	}
	_, value := score.Top1()
	if t.Confirm != nil {
		value = t.Confirm.Quantized
	}
	v, drop, e := report.Number(value), report.Number(score.Drop()), report.Number(score.StdErr())
	r.Value, r.Drop, r.StdErr = &v, &drop, &e
	if score.Value != nil { // of which no standard error is known
		r.Value, r.StdErr = (*report.Number)(&score.Value.Quantized), nil
		if score.Value.Float == nil {
			r.Drop = nil
		}
	}
	switch {
	case score.Stopped:
		r.State = report.TrialStopped
	case t.Confirm != nil && goal.Kept(t.Confirm):
		r.State = report.TrialFound
	case t.Confirm == nil && goal.Met(*score):
		r.State = report.TrialWithin
	default:
		r.State = report.TrialBeyond
	}
	return r
}
