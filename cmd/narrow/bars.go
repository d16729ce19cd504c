package main

import (
	"fmt"
	"time"

	"narrow/diag"
	"narrow/internal/progress"
)

// bar returns a progress bar for n samples and the function that moves it.
func (a *app) bar(what diag.Text, n int) (*progress.Bar, func(int)) {
	b := progress.New(a.stderr, n, a.samplesDone(what))
	return b, b.Set
}

// partsOfWork is how many steps a bar has that shows a share of the work.
const partsOfWork = 1000

// shareBar returns a progress bar for work that is not counted in samples, and
// the function that moves it.
func (a *app) shareBar(what diag.Text) (*progress.Bar, func(done, all int)) {
	b := progress.New(a.stderr, partsOfWork, func(s progress.Status) string {
		t := what
		if s.Rate > 0 {
			t = diag.Textf("%s, %s left", what, shortTime(s.Left))
		}
		return a.lang.Sprint(t)
	})
	return b, func(done, all int) {
		if all > 0 {
			b.Set(done * partsOfWork / all)
		}
	}
}

// samplesDone says how far a run over samples has come.
func (a *app) samplesDone(what diag.Text) func(progress.Status) string {
	return func(s progress.Status) string {
		t := diag.Textf("%s %d/%d", what, s.Done, s.Total)
		if s.Rate > 0 {
			t = diag.Textf("%s, %s samples/s, %s left", t, rateText(s.Rate), shortTime(s.Left))
		}
		return a.lang.Sprint(t)
	}
}

// rateText writes a rate with two digits that count, or all before the point.
func rateText(r float64) string {
	switch {
	case r >= 10:
		return fmt.Sprintf("%.0f", r)
	case r >= 1:
		return fmt.Sprintf("%.1f", r)
	}
	return fmt.Sprintf("%.2f", r)
}

// shortTime writes a time as 45s, 3m20s or 2h05m.
func shortTime(d time.Duration) string {
	s := int(d.Round(time.Second).Seconds())
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	}
	return fmt.Sprintf("%dh%02dm", s/3600, s%3600/60)
}
