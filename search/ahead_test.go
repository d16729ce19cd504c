package search

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"narrow/scheme"
	"narrow/strategy"
)

// slow is a network whose measurements take unlike times; it counts those that are
// under way.
type slow struct {
	*synthetic
	mu        sync.Mutex
	now, most int
	started   int
	// wait, when set, is how long a measurement takes.
	wait func() time.Duration
	// fail, when set, is asked before each measurement.
	fail func(call int) error
}

func (s *slow) enter(ctx context.Context) error {
	s.mu.Lock()
	s.now++
	s.most = max(s.most, s.now)
	s.started++
	call := s.started
	s.mu.Unlock()
	defer func() { s.mu.Lock(); s.now--; s.mu.Unlock() }()
	if s.fail != nil {
		if err := s.fail(call); err != nil {
			return err
		}
	}
	wait := time.Duration(rand.IntN(1500)) * time.Microsecond
	if s.wait != nil {
		wait = s.wait()
	}
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *slow) Noise(ctx context.Context, st *strategy.Strategy) ([]float64, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	return s.synthetic.Noise(ctx, st)
}

func (s *slow) Search(ctx context.Context, st *strategy.Strategy, giveUp func(Score) bool) (Score, error) {
	if err := s.enter(ctx); err != nil {
		return Score{}, err
	}
	return s.synthetic.Search(ctx, st, giveUp)
}

func (s *slow) Confirm(ctx context.Context, st *strategy.Strategy) (*Promise, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	return s.synthetic.Confirm(ctx, st)
}

// TestJobs: how many trials are measured at once, and which of them ends first,
// changes neither the trials nor what is found; no more than that are under way.
func TestJobs(t *testing.T) {
	for seed := range uint64(4) {
		for _, target := range []scheme.Target{scheme.CPU, scheme.DPU} {
			net := random(5, seed)
			net.luck = int(seed) * 30
			one, err := Run(context.Background(), SpaceFor(target), net.clone(), Options{MaxDrop: 0.02})
			if err != nil {
				t.Fatal(err)
			}
			want := encoded(t, one)
			for _, jobs := range []int{2, 3, 8} {
				ev := &slow{synthetic: net.clone()}
				numbers := 0
				out, err := Run(context.Background(), SpaceFor(target), ev, Options{MaxDrop: 0.02, Jobs: jobs, Trial: func(tr Trial, all []Trial, _ time.Duration) error {
					if numbers++; tr.Number != numbers || len(all) != numbers {
						t.Errorf("trial %d is told of as number %d of %d", numbers, tr.Number, len(all))
					}
					return nil
				}})
				if err != nil {
					t.Fatal(err)
				}
				if got := encoded(t, out); !bytes.Equal(got, want) {
					t.Fatalf("seed %d, %v, %d jobs: %s\nnot\n%s", seed, target, jobs, got, want)
				}
				if ev.most < 2 || ev.most > jobs || ev.now != 0 { // a busy machine may not start all at once
					t.Errorf("seed %d, %v: %d trials were measured at once, with %d jobs; %d never ended", seed, target, ev.most, jobs, ev.now)
				}
				t.Logf("seed %d, %v, %d jobs: %d measurements for %d trials", seed, target, jobs, ev.started, len(out.Trials))
			}
		}
	}
}

// TestJobsAreFaster measures a search by trials that take a second each, in the
// time of a bubble: several at once end sooner, though some are made in vain.
func TestJobsAreFaster(t *testing.T) {
	var took, made [17]float64
	for _, jobs := range []int{1, 2, 4, 8, 16} {
		trials := 0
		for seed := range uint64(3) {
			for _, target := range []scheme.Target{scheme.CPU, scheme.DPU} {
				net := random(12, seed)
				for i := range net.loss {
					net.loss[i] /= 2
				}
				synctest.Test(t, func(t *testing.T) {
					ev := &slow{synthetic: net, wait: func() time.Duration { return time.Second }}
					start := time.Now()
					out, err := Run(t.Context(), SpaceFor(target), ev, Options{MaxDrop: 0.02, Jobs: jobs})
					if err != nil {
						t.Fatal(err)
					}
					took[jobs] += time.Since(start).Seconds()
					made[jobs] += float64(ev.started)
					trials += len(out.Trials)
				})
			}
		}
		t.Logf("%2d at once: %4.0f measurements for %d trials, %.2f times as fast", jobs, made[jobs], trials, took[1]/took[jobs])
	}
	for jobs := 2; jobs <= 16; jobs *= 2 {
		if !(took[jobs] < 0.9*took[jobs/2]) {
			t.Errorf("%d at once take %v s, %d %v s", jobs, took[jobs], jobs/2, took[jobs/2])
		}
	}
}

// TestJobsInterrupted: a search of several jobs that is broken off ends by the
// trials in order, and another one resumes there.
func TestJobsInterrupted(t *testing.T) {
	space := SpaceFor(scheme.CPU)
	net := random(4, 3)
	one, err := Run(context.Background(), space, net.clone(), Options{MaxDrop: 0.02})
	if err != nil {
		t.Fatal(err)
	}
	want := encoded(t, one)
	for stop := 1; stop < 2*len(one.Trials); stop += 5 {
		ctx, cancel := context.WithCancel(context.Background())
		ev := &slow{synthetic: net.clone(), fail: func(call int) error {
			if call == stop {
				cancel()
			}
			return nil
		}}
		var saved []Trial
		_, err := Run(ctx, space, ev, Options{MaxDrop: 0.02, Jobs: 3, Trial: func(_ Trial, all []Trial, _ time.Duration) error { saved = all; return nil }})
		cancel()
		// A measurement that nobody asked for may be the last one to begin.
		if !errors.Is(err, context.Canceled) && (err != nil || len(saved) < len(one.Trials)) {
			t.Fatalf("interrupted in measurement %d, after %d trials: %v", stop, len(saved), err)
		}
		if ev.now != 0 {
			t.Errorf("interrupted in measurement %d: %d never ended", stop, ev.now)
		}
		out, err := Run(context.Background(), space, &slow{synthetic: net.clone()}, Options{MaxDrop: 0.02, Jobs: 2, Known: reread(t, saved)})
		if err != nil {
			t.Fatal(err)
		}
		if got := encoded(t, out); !bytes.Equal(got, want) {
			t.Fatalf("interrupted in measurement %d: %s\nnot\n%s", stop, got, want)
		}
	}
}

// TestJobsFail: the error of a trial that the search asks for ends it; that of one
// which it never comes to does not.
func TestJobsFail(t *testing.T) {
	space := SpaceFor(scheme.CPU)
	net := random(4, 3)
	one, err := Run(context.Background(), space, net.clone(), Options{MaxDrop: 0.02})
	if err != nil {
		t.Fatal(err)
	}
	asked := map[string]bool{}
	for _, tr := range one.Trials {
		asked[tr.StrategySHA256] = true
	}
	failed := errors.New("failed")
	var others atomic.Int64
	ev := &picky{synthetic: net.clone(), refuse: func(sha string) error {
		if !asked[sha] {
			others.Add(1)
			return failed
		}
		return nil
	}}
	out, err := Run(context.Background(), space, ev, Options{MaxDrop: 0.02, Jobs: 6})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(encoded(t, out), encoded(t, one)) {
		t.Error("trials that nobody asked for failed, and the result is another one")
	}
	if others.Load() == 0 {
		t.Error("nothing was measured that was not asked for: the test tests nothing")
	}
	last := one.Trials[len(one.Trials)-1].StrategySHA256
	ev.refuse = func(sha string) error {
		if sha == last {
			return failed
		}
		return nil
	}
	if _, err := Run(context.Background(), space, ev, Options{MaxDrop: 0.02, Jobs: 6}); !errors.Is(err, failed) {
		t.Errorf("a trial failed: %v", err)
	}
}

// picky is a network whose measurements fail for some strategies.
type picky struct {
	*synthetic
	refuse func(sha256 string) error
}

func (p *picky) Search(ctx context.Context, st *strategy.Strategy, giveUp func(Score) bool) (Score, error) {
	if err := p.refuse(st.SHA256()); err != nil {
		return Score{}, err
	}
	return p.synthetic.Search(ctx, st, giveUp)
}
