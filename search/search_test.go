package search

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"narrow/scheme"
)

// TestOptimum holds searches to the least cost there is: exactly in nearly all
// cases, and never far from it.
func TestOptimum(t *testing.T) {
	exact := 0
	const networks = 8
	for seed := range uint64(networks) {
		for _, target := range []scheme.Target{scheme.CPU, scheme.DPU} {
			space := SpaceFor(target)
			net := random(6, seed)
			const most = 0.02
			want, err := net.optimum(space, most)
			if err != nil {
				t.Fatal(err)
			}
			out, err := Run(context.Background(), space, net, Options{MaxDrop: most})
			if err != nil {
				t.Fatal(err)
			}
			if out.Best == nil || !out.Complete {
				t.Fatalf("seed %d, %v: nothing was found: %+v", seed, target, out)
			}
			if d := out.Best.Promise.All.Drop(); d > most {
				t.Errorf("seed %d, %v: the drop is %v", seed, target, d)
			}
			if cost, _ := net.Cost(out.Best.Strategy); cost != out.Best.Cost {
				t.Errorf("seed %d, %v: the strategy costs %v, not %v", seed, target, cost, out.Best.Cost)
			}
			equalized := 0
			for _, tr := range out.Trials {
				if strings.Contains(tr.Words, equalization+" true") {
					equalized++
				}
			}
			if equalized != 1 {
				t.Errorf("seed %d, %v: equalization ruins this network, and was tried %d times", seed, target, equalized)
			}
			switch ratio := out.Best.Cost / want; {
			case ratio < 1-1e-9:
				t.Fatalf("seed %d, %v: %v is less than the optimum %v", seed, target, out.Best.Cost, want)
			case ratio > 1.15:
				t.Errorf("seed %d, %v: the cost is %v, the optimum %v", seed, target, out.Best.Cost, want)
			case ratio < 1+1e-9:
				exact++
			}
			t.Logf("seed %d, %v: %d trials, cost %.4f, optimum %.4f: %s", seed, target, len(out.Trials), out.Best.Cost, want, out.Best.Words)
		}
	}
	if exact < 14 {
		t.Errorf("only %d of %d searches found the optimum", exact, 2*networks)
	}
}

// TestConfirm: where the samples searched on were lucky, the others refuse, and
// the search goes back to what they take.
func TestConfirm(t *testing.T) {
	net := random(6, 3)
	net.luck = 60
	out, err := Run(context.Background(), SpaceFor(scheme.CPU), net, Options{MaxDrop: 0.02})
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, tr := range out.Trials {
		if tr.Phase == Confirm && !tr.Confirm.Within(0.02) {
			refused++
		}
	}
	if refused == 0 || out.Best == nil || out.Best.Promise.All.Drop() > 0.02 {
		t.Errorf("%d were refused, the best is %+v", refused, out.Best)
	}
	// Held-out samples refuse by themselves only where they are sure.
	p := Promise{All: Score{Samples: 300, Lost: 3}, HeldOut: &Score{Samples: 100, Lost: 3}}
	if !p.Within(0.015) {
		t.Errorf("%v ± %v was refused", p.HeldOut.Drop(), p.HeldOut.StdErr())
	}
	if p.HeldOut.Lost = 6; p.Within(0.015) {
		t.Errorf("%v ± %v was taken", p.HeldOut.Drop(), p.HeldOut.StdErr())
	}
}

// TestPolishCostsNoMore: an option that gives more accuracy for more cost, once
// layers have datatypes of their own, is tried and not taken, so that no layer is
// lowered from there.
func TestPolishCostsNoMore(t *testing.T) {
	tried, lowered := 0, 0
	for seed := range uint64(8) {
		net := random(6, seed)
		net.dear = scheme.Percentile
		out, err := Run(context.Background(), SpaceFor(scheme.CPU), net, Options{MaxDrop: 0.02})
		if err != nil || out.Best == nil {
			t.Fatalf("seed %d: %+v, %v", seed, out, err)
		}
		for _, tr := range out.Trials {
			dear := strings.Contains(tr.Words, "percentile")
			switch {
			case tr.Phase == Polish && dear:
				tried++
			case tr.Phase == Lower && dear:
				t.Errorf("seed %d: layers are lowered where the method costs more: %s", seed, tr.Words)
			case tr.Phase == Lower:
				lowered++
			}
		}
	}
	if tried == 0 || lowered == 0 {
		t.Errorf("the method was tried %d times, and %d trials lower layers: the test tests nothing", tried, lowered)
	}
}

// TestNothingKeeps: a drop that only float32 keeps ends there.
func TestNothingKeeps(t *testing.T) {
	net := random(4, 1)
	for l := range net.loss {
		net.loss[l] = 1e3
	}
	out, err := Run(context.Background(), SpaceFor(scheme.DPU), net, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if out.Best == nil || out.Best.Words.String() != "float32 throughout" || out.Best.Cost != 1 {
		t.Errorf("%+v", out.Best)
	}
}

// encoded is a search's outcome as bytes.
func encoded(t *testing.T, out *Outcome) []byte {
	t.Helper()
	b, err := (&Log{Trials: out.Trials}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	return append(b, out.Best.Strategy.Format()...)
}

// reread returns trials as the next run of a search finds them.
func reread(t *testing.T, trials []Trial) []Trial {
	t.Helper()
	b, err := (&Log{Trials: trials}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	log, err := ReadLog(b)
	if err != nil {
		t.Fatal(err)
	}
	return log.Trials
}

// TestInterrupted breaks a search off in every trial; what is found so far stays,
// and resuming ends as if nothing had been, without measuring anything twice.
func TestInterrupted(t *testing.T) {
	space := SpaceFor(scheme.CPU)
	net := random(4, 3)
	net.luck = 30
	whole, err := Run(context.Background(), space, net.clone(), Options{MaxDrop: 0.02})
	if err != nil {
		t.Fatal(err)
	}
	want := encoded(t, whole)
	for stop := 1; stop <= len(whole.Trials); stop++ {
		ctx, cancel := context.WithCancel(context.Background())
		first := net.clone()
		first.after = func(call int) {
			if call == stop {
				cancel()
			}
		}
		var saved []Trial
		var found *Found
		opts := Options{
			MaxDrop: 0.02,
			Trial:   func(_ Trial, all []Trial, _ time.Duration) error { saved = all; return nil },
			Found:   func(f *Found) error { found = f; return nil },
		}
		if _, err := Run(ctx, space, first, opts); !errors.Is(err, context.Canceled) {
			t.Fatalf("interrupted in trial %d: %v", stop, err)
		}
		if len(saved) != stop-1 {
			t.Fatalf("interrupted in trial %d: %d trials were kept", stop, len(saved))
		}
		confirmed := 0.0
		for _, tr := range saved {
			if tr.Phase == Confirm && tr.Confirm.Within(0.02) {
				confirmed = tr.Cost
			}
		}
		if confirmed != 0 && (found == nil || found.Cost != confirmed) {
			t.Fatalf("interrupted in trial %d: the best is %v, not what cost %v", stop, found, confirmed)
		}
		second := net.clone()
		opts.Known = reread(t, saved)
		out, err := Run(context.Background(), space, second, opts)
		if err != nil {
			t.Fatal(err)
		}
		if got := encoded(t, out); !bytes.Equal(got, want) {
			t.Fatalf("interrupted in trial %d: %s\nnot\n%s", stop, got, want)
		}
		if left := len(whole.Trials) - len(opts.Known); second.calls != left {
			t.Errorf("interrupted in trial %d: %d measurements for %d trials", stop, second.calls, left)
		}
		if found.Cost != out.Best.Cost {
			t.Errorf("interrupted in trial %d: the last that was told cost %v, the best %v", stop, found.Cost, out.Best.Cost)
		}
	}
}

// TestBudget cuts a search off after every number of trials: no more than one
// trial goes beyond, the best so far comes out, and resuming ends as if there had
// been no budget.
func TestBudget(t *testing.T) {
	space := SpaceFor(scheme.CPU)
	net := random(4, 3)
	net.luck = 150
	run := func(budget time.Duration, known []Trial) (*Outcome, []Trial, int) {
		n := net.clone()
		now := time.Unix(0, 0)
		n.after = func(int) { now = now.Add(time.Minute) }
		out, err := Run(context.Background(), space, n, Options{
			MaxDrop: 0.02, Budget: budget, Known: known, Now: func() time.Time { return now },
			Trial: func(_ Trial, all []Trial, left time.Duration) error {
				if len(all) == 0 || left < 0 || budget > 0 && left > budget {
					t.Errorf("%v are left of %v", left, budget)
				}
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		return out, reread(t, out.Trials), n.calls
	}
	whole, _, _ := run(0, nil)
	want := encoded(t, whole)
	for minutes := 1; minutes < len(whole.Trials); minutes++ {
		out, saved, calls := run(time.Duration(minutes)*time.Minute, nil)
		if out.Complete || calls > minutes+1 || calls < minutes {
			t.Errorf("%d trials in a budget of %d; complete %v", calls, minutes, out.Complete)
		}
		if minutes > 3 && out.Best == nil {
			t.Fatalf("nothing was found in %d trials", calls)
		}
		// A second budget finds no less, a third run without one ends it.
		again, saved2, _ := run(3*time.Minute, saved)
		if out.Best != nil && !again.Complete && again.Best.Cost > out.Best.Cost {
			t.Errorf("after %d trials the best cost %v, three trials later %v", calls, out.Best.Cost, again.Best.Cost)
		}
		end, _, _ := run(0, saved2)
		if got := encoded(t, end); !bytes.Equal(got, want) {
			t.Fatalf("cut off after %d trials: %s\nnot\n%s", calls, got, want)
		}
	}
}

// TestErrors: what the evaluator or the caller reports ends the search.
func TestErrors(t *testing.T) {
	failed := errors.New("failed")
	for name, opts := range map[string]Options{
		"Trial": {MaxDrop: 0.02, Trial: func(Trial, []Trial, time.Duration) error { return failed }},
		"Found": {MaxDrop: 0.02, Found: func(*Found) error { return failed }},
	} {
		if _, err := Run(context.Background(), SpaceFor(scheme.CPU), random(4, 1), opts); !errors.Is(err, failed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadLog(t *testing.T) {
	log := &Log{Key: Key{Version: "1", MaxDrop: 0.1}, Trials: []Trial{
		{Number: 1, Phase: Wide, Score: &Score{Samples: 3, Noise: 0.1}},
		{Number: 2, Phase: Rank, Noise: []float64{1.5, 0}},
		{Number: 3, Phase: Confirm, Confirm: &Promise{Samples: 2, HeldOut: &Score{Samples: 1}}},
	}}
	data, err := log.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadLog(data)
	if err != nil || !reflect.DeepEqual(got, log) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{
		"", "{}", `{"format": "narrow.search/2"}`, `{"format": "narrow.search/1", "more": 1}`,
		`{"format": "narrow.search/1", "trials": [{"number": 2, "phase": "wide", "score": {}}]}`,
		`{"format": "narrow.search/1", "trials": [{"number": 1, "phase": "wide"}]}`,
		`{"format": "narrow.search/1", "trials": [{"number": 1, "phase": "confirm", "score": {}}]}`,
	} {
		if _, err := ReadLog([]byte(bad)); err == nil {
			t.Errorf("%s is no log", bad)
		}
	}
	other := log.Key
	other.MaxDrop = 0.2
	if d := log.Key.Differ(other); len(d) != 1 || d[0] != "the largest drop: 0.1 here, 0.2 there" {
		t.Errorf("%q", d)
	}
	if d := log.Key.Differ(log.Key); d != nil {
		t.Errorf("%q", d)
	}
	// Each field counts.
	for i := range reflect.TypeFor[Key]().NumField() {
		other := log.Key
		switch f := reflect.ValueOf(&other).Elem().Field(i); f.Kind() {
		case reflect.String:
			f.SetString("other")
		case reflect.Float64:
			f.SetFloat(9)
		case reflect.Int:
			f.SetInt(9)
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Pointer:
			least := 0.5
			f.Set(reflect.ValueOf(&least))
		default:
			f.SetUint(9)
		}
		if len(log.Key.Differ(other)) != 1 {
			t.Errorf("a key that differs in %s does not", reflect.TypeFor[Key]().Field(i).Name)
		}
	}
}
