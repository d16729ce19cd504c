package refine

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"

	"narrow/calibrate"
	"narrow/engine"
	"narrow/plan"
)

const (
	// apartShare is which part of the error that the other activations make those that stay
	// apart may add, by what each adds alone.
	apartShare = 0.06
	// apartCosts is by how many dB the network may be worse for them over all samples.
	apartCosts = 0.3
	// apartRuns is how many runs of the network for one sample tell what each function adds,
	// about; they share these out, but each takes one sample at least and apartSamples at most.
	apartRuns    = 64
	apartSamples = 4
)

// A separation says which functions stay apart from the operators before them.
type separation struct {
	apart []string
	// score is how near the network then is to the float one, in dB, all how near it is
	// with all functions joined.
	score, all float64
}

// separate decides over samples which of the functions behind joints, those of c's plan,
// stay apart: as many as cost next to nothing. What each one's own quantizer adds to the
// error of the outputs is measured alone, all other activations being float: such errors
// add up as long as they are small. The sum is then held against all samples. The
// result is nil where the network is no nearer than least dB with all of them joined.
func (j *jury) separate(ctx context.Context, c *calibrate.Calibrated, joints []plan.Joint, some []*engine.Batch, least float64) (*separation, error) {
	joined := map[*plan.Tensor]bool{}
	for _, x := range joints {
		joined[x.Entering] = true
	}
	all, err := j.scoreWithout(ctx, c, joined)
	if err != nil || !(all > least) {
		return nil, err
	}
	s := &separation{score: all, all: all}
	added, err := j.added(ctx, c, joints, joined, some)
	if err != nil {
		return nil, err
	}
	order := make([]int, len(joints))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(added[a], added[b]) })
	for share := apartShare; share > apartShare/16; share /= 2 {
		sum, n := 0.0, 0
		for n < len(order) && sum+added[order[n]] <= share {
			sum += added[order[n]]
			n++
		}
		if n == 0 {
			break
		}
		left := map[*plan.Tensor]bool{}
		for _, i := range order[n:] {
			left[joints[i].Entering] = true
		}
		score, err := j.scoreWithout(ctx, c, left)
		if err != nil {
			return nil, err
		}
		if score < all-apartCosts {
			continue
		}
		s.score = score
		for i, x := range joints {
			if slices.Contains(order[:n], i) {
				s.apart = append(s.apart, x.Function)
			}
		}
		break
	}
	return s, nil
}

// added returns, for each of joints, what its quantizer alone adds to the squared error of
// the worst output, as a part of what the other activations add where all functions are
// joined; the first of some tell. Weights count neither here nor there: they are chosen later.
func (j *jury) added(ctx context.Context, c *calibrate.Calibrated, joints []plan.Joint, joined map[*plan.Tensor]bool, some []*engine.Batch) ([]float64, error) {
	samples := min(max(apartRuns/len(joints), 1), apartSamples)
	var b *engine.Batch
	for first, err := range engine.Fit(batches(some), j.float, samples) {
		if err != nil {
			return nil, err
		}
		b = first.Clone()
		break
	}
	hook, err := j.load(ctx, c)
	if err != nil {
		return nil, err
	}
	taps := j.loaded.taps
	run := func(silent map[*plan.Tensor]bool) ([]engine.Tensor, error) {
		return engine.Outputs(ctx, j.loaded.session, b, without(hook, taps, silent), j.loaded.reads.order, nil)
	}
	silent := map[*plan.Tensor]bool{}
	for _, t := range c.Plan.Activations() {
		silent[t] = true
	}
	float, err := run(silent)
	if err != nil {
		return nil, err
	}
	base, err := run(joined)
	if err != nil {
		return nil, err
	}
	// Where a Softmax makes an output, what goes into it counts instead.
	var counts []int
	for i, v := range j.loaded.reads.at {
		if v >= len(j.soft) || j.soft[v] == 0 {
			counts = append(counts, i)
		}
	}
	there := furthest(counts, float, base)
	added, errs := make([]float64, len(joints)), make([]error, len(joints))
	j.pool.Run(len(joints), func(i int) {
		one := map[*plan.Tensor]bool{}
		for t := range silent {
			one[t] = t != joints[i].Entering
		}
		var got []engine.Tensor
		if got, errs[i] = run(one); errs[i] == nil {
			added[i] = furthest(counts, float, got) / there
		}
	})
	return added, errors.Join(errs...)
}

// furthest returns the squared error as a part of the squares, of the worst of some outputs.
func furthest(of []int, want, got []engine.Tensor) (worst float64) {
	for _, o := range of {
		for _, e := range squaresOf(want[o], got[o], 1) {
			if e.noise > 0 {
				worst = max(worst, e.noise/e.signal)
			}
		}
	}
	return worst
}

// without is hook, but that the taps of some tensors hand values on as they are.
func without(hook engine.Hook, taps []plan.Tap, silent map[*plan.Tensor]bool) engine.Hook {
	return func(tap int, dst, src []float32, shape []int64) error {
		if silent[taps[tap].Tensor] {
			copy(dst, src)
			return nil
		}
		return hook(tap, dst, src, shape)
	}
}

// scoreWithout is [jury.score] of a network some of whose quantizers hand values on as they
// are.
func (j *jury) scoreWithout(ctx context.Context, c *calibrate.Calibrated, silent map[*plan.Tensor]bool) (float64, error) {
	if _, err := j.prepare(ctx, math.MaxInt); err != nil {
		return 0, err
	}
	hook, err := j.load(ctx, c)
	if err != nil {
		return 0, err
	}
	each, err := j.measuredBy(ctx, without(hook, j.loaded.taps, silent), 0, len(j.cut))
	if err != nil {
		return 0, err
	}
	es, err := j.summed(c, each)
	return worst(es, -1), err
}

// lacks returns the activations of p that q does not quantize; same is false where q
// quantizes one of the others in another way.
func lacks(p, q *plan.Plan) (missing []*plan.Tensor, same bool) {
	type place struct {
		name string
		own  bool
	}
	in := map[place]*plan.Tensor{}
	for _, t := range q.Activations() {
		in[place{t.Name, t.Uses != nil}] = t
	}
	same = true
	for _, t := range p.Activations() {
		u := in[place{t.Name, t.Uses != nil}]
		if u == nil {
			missing = append(missing, t)
			continue
		}
		same = same && u.Kind == t.Kind && u.Settings.Settings == t.Settings.Settings && u.Low == t.Low && u.High == t.High
	}
	return missing, same
}
