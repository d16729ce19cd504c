package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"math"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"narrow/diag"
	"narrow/evaluate"
	"narrow/internal/atomicfile"
)

// gateFlags are the limits that a result must keep, for use in a CI.
type gateFlags struct {
	top1, drop, agreement, sqnr, metric float64
	junit                               string
	set                                 *pflag.FlagSet
}

func (g *gateFlags) add(c *cobra.Command) {
	g.set = c.Flags()
	g.set.Float64Var(&g.top1, "min-top1", 0, "fail (exit code 1) where the quantized network's top-1 is below this share, 0 to 1")
	g.set.Float64Var(&g.drop, "max-drop", 0, "fail where top-1 falls by more than this share of the samples, 0 to 1")
	g.set.Float64Var(&g.agreement, "min-agreement", 0, "fail where agreement with the float network is below this share, 0 to 1")
	g.set.Float64Var(&g.sqnr, "min-sqnr", 0, "fail where the worst output's SQNR is below this, in dB")
	g.set.Float64Var(&g.metric, "min-metric", 0, "fail where --metric is worse than this for the quantized network: below it, or above with --lower-is-better")
	g.set.StringVar(&g.junit, "junit", "", "write each limit, and whether it was kept, to this file as JUnit XML")
}

// check refuses limits that mean nothing, before any work.
func (g *gateFlags) check(m *metricFlags) error {
	var errs []error
	if g.set.Changed("min-metric") && !m.set() {
		errs = append(errs, usagef("--min-metric limits what a --metric tells: give one"))
	}
	if math.IsNaN(g.metric) || math.IsInf(g.metric, 0) {
		errs = append(errs, usagef("--min-metric is %v: give a number", g.metric))
	}
	for _, l := range []struct {
		flag  string
		value float64
	}{{"min-top1", g.top1}, {"max-drop", g.drop}, {"min-agreement", g.agreement}} {
		if !(l.value >= 0 && l.value <= 1) {
			errs = append(errs, usagef("--%s is %v: give a share from 0 to 1, such as 0.01 for one per cent", l.flag, l.value))
		}
	}
	if math.IsNaN(g.sqnr) || math.IsInf(g.sqnr, 0) {
		errs = append(errs, usagef("--min-sqnr is %v: give a number of dB", g.sqnr))
	}
	if g.junit != "" {
		errs = append(errs, checkJUnit(g.junit))
	}
	return errors.Join(errs...)
}

// checkJUnit makes sure that the file can be written.
func checkJUnit(file string) error {
	var dir *atomicfile.DirError
	if err := atomicfile.CheckDir(filepath.Dir(file)); errors.As(err, &dir) {
		return diag.Errorf("--junit %s: cannot be written: %s: %w: name another file", file, dir.Dir, dir.Err)
	} else if err != nil {
		return err
	}
	return nil
}

// gate is one limit and what became of it.
type gate struct {
	name string
	// broken says how the limit is missed; zero where it is kept.
	broken diag.Text
}

// gates holds the limits that were given against a result.
func (g *gateFlags) gates(r *evaluate.Result) []gate {
	var out []gate
	add := func(flag, limit string, figure *float64, missed func(v float64) bool, show func(v float64) string, need diag.Text) {
		if !g.set.Changed(flag) {
			return
		}
		x := gate{name: "--" + flag + " " + limit}
		switch {
		case figure == nil:
			x.broken = diag.Textf("--%s %s cannot be checked: %s", flag, limit, need)
		case missed(*figure):
			x.broken = diag.Textf("%s, which --%s %s does not allow", diag.Verbatim(show(*figure)), flag, limit)
		}
		out = append(out, x)
	}
	labels := diag.Textf("there are no labels: give --labels")
	share := func(what string) func(float64) string {
		return func(v float64) string { return what + " " + percent(v) }
	}
	var top1, drop, sqnr *float64
	if r.Quantized != nil && r.Float != nil {
		d := r.Float.Top1 - r.Quantized.Top1
		top1, drop = &r.Quantized.Top1, &d
	}
	if v := float64(r.SQNR); !math.IsNaN(v) {
		sqnr = &v
	}
	below := func(limit float64) func(float64) bool { return func(v float64) bool { return v < limit } }
	add("min-top1", fmt.Sprint(g.top1), top1, below(g.top1), share("top-1"), labels)
	add("max-drop", fmt.Sprint(g.drop), drop, func(v float64) bool { return v > g.drop+1e-12 }, share("top-1 drop"), labels)
	add("min-agreement", fmt.Sprint(g.agreement), r.Agreement, below(g.agreement), share("agreement"), diag.Textf("no output is a classification"))
	add("min-sqnr", fmt.Sprint(g.sqnr), sqnr, below(g.sqnr), func(v float64) string { return "SQNR " + decibel(evaluate.Decibel(v)).String() },
		diag.Textf("no sample could be compared"))
	if m := r.Metric; m != nil {
		worse := below(g.metric)
		if m.LowerIsBetter {
			worse = func(v float64) bool { return v > g.metric }
		}
		add("min-metric", fmt.Sprint(g.metric), m.Quantized, worse, func(v float64) string { return m.Name + " " + metricValue(&v) }, diag.Text{})
	}
	return out
}

// verdict writes the JUnit file, if one is asked for, and returns an error that
// names every limit that is missed.
func (g *gateFlags) verdict(a *app, c *cobra.Command, model string, r *evaluate.Result) error {
	gates := g.gates(r)
	if g.junit != "" {
		data, err := junit(model, gates)
		if err != nil {
			return err
		}
		dir, name := filepath.Split(g.junit)
		if dir == "" {
			dir = "."
		}
		if err := a.commit(c.Context(), func() error { return atomicfile.Write(dir, atomicfile.Bytes(name, data)) }); err != nil {
			return diag.Errorf("--junit %s: %w", g.junit, err)
		}
	}
	var broken []diag.Text
	for _, x := range gates {
		if !x.broken.IsZero() {
			broken = append(broken, x.broken)
		}
	}
	if len(broken) == 0 {
		return nil
	}
	a.printFindings(a.stderr, a.later, nil) // what to do about it
	text := diag.Commas(broken)
	return &exitError{code: exitOther, err: errors.New(text.String()), text: text}
}

// junit returns a test suite with a case for each limit, and one for the test itself.
func junit(model string, gates []gate) ([]byte, error) {
	type failure struct {
		Message string `xml:"message,attr"`
	}
	type testcase struct {
		Class   string   `xml:"classname,attr"`
		Name    string   `xml:"name,attr"`
		Failure *failure `xml:"failure,omitempty"`
	}
	suite := struct {
		XMLName  xml.Name   `xml:"testsuite"`
		Name     string     `xml:"name,attr"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Cases    []testcase `xml:"testcase"`
	}{Name: "narrow", Cases: []testcase{{Class: filepath.Base(model), Name: "test"}}}
	for _, g := range gates {
		c := testcase{Class: filepath.Base(model), Name: g.name}
		if !g.broken.IsZero() {
			c.Failure = &failure{g.broken.String()}
			suite.Failures++
		}
		suite.Cases = append(suite.Cases, c)
	}
	suite.Tests = len(suite.Cases)
	data, err := xml.MarshalIndent(suite, "", "  ")
	if err != nil {
		return nil, err
	}
	return append([]byte(xml.Header), append(data, '\n')...), nil
}
