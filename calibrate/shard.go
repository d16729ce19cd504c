package calibrate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"narrow/calibrate/observe"
	"narrow/diag"
	"narrow/engine"
	"narrow/internal/exact"
	"narrow/plan"
)

// ShardOf says what calibration a shard is of. Shards that agree in all but
// ModelPath merge.
type ShardOf struct {
	// Version is narrow's, Engine the name and version of what runs networks.
	Version string `json:"version"`
	Engine  string `json:"engine"`
	// ModelPath is the model's file as it was given, ModelSHA256 the hash of its bytes.
	ModelPath      string `json:"model_path"`
	ModelSHA256    string `json:"model_sha256"`
	StrategySHA256 string `json:"strategy_sha256"`
	Accuracy       string `json:"accuracy"`
	SkipInvalid    bool   `json:"skip_invalid"`
	// Samples is how many the whole calibration has, SamplesHead how they are read, as
	// [samples.Set.HashHead] tells it.
	Samples     int    `json:"samples"`
	SamplesHead string `json:"samples_head"`
	// Keeps says that samples are kept.
	Keeps bool `json:"keeps_samples"`
	// Decided is what was decided over samples before the network was rewritten, for the
	// caller.
	Decided string `json:"decided,omitempty"`
}

// Span is some samples: Count from First on.
type Span struct {
	First int `json:"first"`
	Count int `json:"count"`
	// Sum is the SHA-256 of what was observed over them, in hex.
	Sum string `json:"sha256"`
}

func (s Span) end() int { return s.First + s.Count }

// String names the samples, from 0.
func (s Span) String() string { return fmt.Sprintf("%d to %d", s.First, s.end()-1) }

// Shard is what a calibration in float propagation observed over a part of the
// samples: what [CalibrateShard] needs of them. Shards of other parts merge with it, in
// any order, to what a run over all of these samples would have observed.
type Shard struct {
	ShardOf
	// Machine names the machine and the processor that computed it.
	Machine string
	// File is where it was read, for messages.
	File string
	// Spans are the samples, ascending, those of each shard that was merged on its own.
	Spans []Span
	// Tallies are what package refine adds up of them, Largest how many values one
	// sample has at most at one place.
	Tallies []*observe.Tally
	Largest int64

	digests []digests
	parts   []shardPart
	keep    *Keeper
	// first are the first samples of all, by which canaries are computed, where the
	// shard has them.
	first []stored
}

// digests are those of the samples of a span, which [samples.Set.Digests] gives.
type digests struct {
	first int
	sums  [][sha256.Size]byte
}

// shardPart is what one plan observed.
type shardPart struct {
	network string
	// canary is the hash of all taps for the first samples of all.
	canary           Digest
	batches, invalid int
	observers        []observe.State // by the plan's inputs and activations
	empty            []bool          // likewise
	means            map[int]partMeans
	layers           []partSum // of bias correction, by its layers
}

// partMeans are [inputMeans] of a node.
type partMeans struct {
	sum              []exact.Sum
	samples, invalid int
}

// partSum is what a [correction] without input means adds up.
type partSum struct {
	sum     []exact.Sum
	samples int
}

// ShardSamples are the samples of a shard.
type ShardSamples struct {
	// Own yields those of the shard, of which the first has the index First and there
	// are Count. First is a multiple of 8 and of the network's batch.
	Own          engine.Batches
	First, Count int
	// Canary yields the first 8 samples of all, or the network's first batch.
	Canary engine.Batches
	// Digests are those of the shard's samples; they may be nil in all shards.
	Digests [][sha256.Size]byte
}

// NewShard returns a shard of s that has observed nothing.
func NewShard(of ShardOf, machine string, s ShardSamples) (*Shard, error) {
	out := &Shard{ShardOf: of, Machine: machine, Spans: []Span{{First: s.First, Count: s.Count}}}
	if s.Count < 1 || s.First+s.Count > of.Samples {
		return nil, diag.Errorf("a shard of the samples %v of %d is impossible", out.Spans[0], of.Samples)
	}
	if s.Digests != nil {
		if len(s.Digests) != s.Count {
			return nil, diag.Errorf("there are %d digests of %d samples", len(s.Digests), s.Count)
		}
		out.digests = []digests{{s.First, s.Digests}}
	}
	if of.Keeps {
		out.keep = &Keeper{}
	}
	return out, nil
}

// ShardPlan is a plan whose network, after the rewrites, has the hash Network.
type ShardPlan struct {
	Plan    *plan.Plan
	Network string
}

// Observe calibrates by the plans on the shard's samples, as far as samples tell. Plans
// of one network share a run where they can. opts.Keep gets the samples that are to be
// kept of the first run.
func (s *Shard) Observe(ctx context.Context, plans []ShardPlan, r engine.Runner, in ShardSamples, opts Options) error {
	opts.Propagate = Float
	done := make([]bool, len(plans))
	for i := range plans {
		if done[i] {
			continue
		}
		first, err := newCalibration(plans[i].Plan, opts)
		if err != nil {
			return err
		}
		first.keep = opts.Keep
		if len(s.parts) > 0 {
			first.keep, first.opts.Watch = nil, nil
		}
		run := []*calibration{first}
		for j := i + 1; j < len(plans); j++ {
			if plans[j].Network != plans[i].Network || done[j] {
				continue
			}
			c, err := newCalibration(plans[j].Plan, opts)
			if err != nil {
				return err
			}
			if first.joins(c) {
				first.join(c)
				run, done[j] = append(run, c), true
			}
		}
		canary, stored, err := first.canary(ctx, r, in.Canary)
		if err != nil {
			return err
		}
		if s.Keeps && in.First == 0 {
			s.first = stored
		}
		if err := first.run(ctx, r, in.Own); err != nil {
			return err
		}
		if first.out.Samples != in.Count {
			return diag.Errorf("there are %d samples from %d on, not %d", first.out.Samples, in.First, in.Count)
		}
		for _, c := range run {
			c.out.Batches = first.out.Batches
			p := c.part(plans[i].Network)
			p.canary = canary
			s.parts = append(s.parts, p)
		}
	}
	return nil
}

// part takes what c observed.
func (c *calibration) part(network string) shardPart {
	p := shardPart{network: network, batches: c.out.Batches, invalid: c.out.Invalid, means: map[int]partMeans{}}
	for _, t := range c.plan.Activations() {
		var o observe.State
		if c.obs[t] != nil {
			o = *c.obs[t].State()
		}
		p.observers = append(p.observers, o)
		p.empty = append(p.empty, c.empty[t])
	}
	for _, l := range c.bias.layers {
		sum := partSum{l.sum, l.samples}
		if m := l.inputMeans; m != nil {
			p.means[c.float.nodes[l.op.Node]] = partMeans{m.sum, m.samples, m.invalid}
		}
		p.layers = append(p.layers, sum)
	}
	return p
}

// restorePart takes up what p holds.
func (c *calibration) restorePart(p *shardPart) error {
	damaged := diag.Errorf("the shards do not fit the plan")
	ts := c.plan.Activations()
	if len(p.observers) != len(ts) || len(p.empty) != len(ts) || len(p.layers) != len(c.bias.layers) {
		return damaged
	}
	c.out.Batches, c.out.Invalid = p.batches, p.invalid
	for i, t := range ts {
		switch o := c.obs[t]; {
		case o != nil:
			if err := o.Restore(&p.observers[i]); err != nil {
				return diag.Errorf("layer %s: %w", t.Layer.Name, err)
			}
		case p.observers[i].Batches() > 0:
			return damaged
		}
		if p.empty[i] {
			c.empty[t] = true
		}
	}
	for i, l := range c.bias.layers {
		if l.inputMeans == nil {
			if n := len(p.layers[i].sum); n > 0 && n != len(l.float) {
				return damaged
			}
			l.sum, l.samples = p.layers[i].sum, p.layers[i].samples
			continue
		}
		m, ok := p.means[c.float.nodes[l.op.Node]]
		if !ok || len(m.sum) > 0 && !l.inputMeans.fits(len(m.sum)) {
			return damaged
		}
		l.inputMeans.sum, l.inputMeans.samples, l.inputMeans.invalid = m.sum, m.samples, m.invalid
	}
	return nil
}

// canary runs the first samples of all through c's network, without observing, and
// returns the hash of all that passes its taps.
func (c *calibration) canary(ctx context.Context, r engine.Runner, in engine.Batches) (Digest, []stored, error) {
	var sum Digest
	loaded := c.loaded
	defer func() { c.loaded = loaded }()
	n, err := c.network(floatChunk, false)
	if err != nil {
		return sum, nil, err
	}
	s, err := n.load(ctx, r)
	if err != nil {
		return sum, nil, err
	}
	defer s.Close()
	var first []stored
	h := sha256.New()
	kept := func(yield func(*engine.Batch, error) bool) {
		for b, err := range in {
			if err == nil {
				first = append(first, store(b))
			}
			if !yield(b, err) {
				return
			}
		}
	}
	for b, err := range engine.Fit(kept, c.plan.Model, floatChunk) {
		if err != nil {
			return sum, nil, err
		}
		taps := make([][2]Digest, len(n.taps))
		if _, err := engine.Run(ctx, s, b.Inputs, func(tap int, dst, src []float32, shape []int64) error {
			if dst != nil && !engine.SameMemory(dst, src) {
				copy(dst, src)
			}
			x, _, _ := b.Samples(src, shape)
			taps[tap][flag(dst == nil)] = hashFloats(x)
			return nil
		}); err != nil {
			return sum, nil, err
		}
		for _, t := range taps {
			h.Write(t[0][:])
			h.Write(t[1][:])
		}
	}
	if len(first) == 0 {
		return sum, nil, diag.Errorf("there are no samples to calibrate with")
	}
	h.Sum(sum[:0])
	return sum, first, nil
}

func hashFloats(x []float32) (d Digest) {
	h := sha256.New()
	var buf []byte
	for len(x) > 0 {
		n := min(len(x), 4096)
		buf = appendFloats(buf[:0], x[:n])
		h.Write(buf)
		x = x[n:]
	}
	h.Sum(d[:0])
	return d
}

// Name says which shard it is, for messages.
func (s *Shard) Name() diag.Text {
	if s.File != "" {
		return diag.Verbatim(s.File)
	}
	return diag.Textf("the shard of the samples %s", s.Spans[0].String())
}

// served pairs what is known of a calibration before it has samples.
func served(own, kept ShardOf) []pairing {
	return []pairing{
		{"calibration", diag.Textf("another version of narrow"), own.Version, kept.Version},
		{"model", diag.Textf("another model"), own.ModelSHA256, kept.ModelSHA256},
		{"strategy", diag.Textf("another strategy"), own.StrategySHA256, kept.StrategySHA256},
		{"calibration", diag.Textf("another accuracy"), own.Accuracy, kept.Accuracy},
	}
}

// Serves says whether s serves a calibration by the version, model, strategy and
// accuracy of own. The error is a [*MismatchError].
func (s *Shard) Serves(own ShardOf) error {
	if of, what, differs := mismatch(served(own, s.ShardOf)); differs {
		return &MismatchError{Of: of, Message: diag.Textf("%s is of a calibration with %s: give what the shards were computed with, or compute them anew", s.Name(), what)}
	}
	return nil
}

// fits says whether o is of the same calibration as s, computed alike.
func (s *Shard) fits(o *Shard) error {
	if of, what, differs := mismatch(append(served(s.ShardOf, o.ShardOf), []pairing{
		{"calibration", diag.Textf("another engine"), s.Engine, o.Engine},
		{"calibration", diag.Textf("another choice of skipping invalid values"), s.SkipInvalid, o.SkipInvalid},
		{"samples", diag.Textf("another number of samples"), s.Samples, o.Samples},
		{"samples", diag.Textf("other samples, or another preprocessing"), s.SamplesHead, o.SamplesHead},
		{"calibration", diag.Textf("another choice of keeping samples"), s.Keeps, o.Keeps},
		{"samples", diag.Textf("other decisions over samples"), s.Decided, o.Decided},
		{"network", diag.Textf("another network: the model's external data, or its rewriting, differs"), s.networks(), o.networks()},
	}...)); differs {
		return &MismatchError{Of: of, Message: diag.Textf("%s is of a calibration with %s than %s: give shards of one calibration", o.Name(), what, s.Name())}
	}
	for i := range s.parts {
		if s.parts[i].canary != o.parts[i].canary {
			return &MismatchError{Of: "machine", Message: diag.Textf("%s, from %s, has other values than %s, from %s, for the same first samples: the samples differ, or these machines differ in the last bits; run it again on a machine like the others, from the same samples",
				o.Name(), o.Machine, s.Name(), s.Machine)}
		}
	}
	return nil
}

// networks returns the hashes of the plans' networks.
func (s *Shard) networks() string {
	var all []string
	for _, p := range s.parts {
		all = append(all, p.network)
	}
	return strings.Join(all, " ")
}

// Merge adds what o observed, which stays valid for nothing else. The same samples
// twice count once, if they are cut alike. The error names both; s is then as before.
func (s *Shard) Merge(o *Shard) error {
	if err := s.fits(o); err != nil {
		return err
	}
	twice := 0
	for _, b := range o.Spans {
		for _, a := range s.Spans {
			switch {
			case a == b:
				twice++
			case a.First == b.First && a.Count == b.Count:
				return diag.Errorf("%s and %s are both of the samples %v, and differ: compute them again", s.Name(), o.Name(), a)
			case a.First < b.end() && b.First < a.end():
				return diag.Errorf("%s and %s overlap: one is of the samples %v, the other of %v; cut all shards alike", s.Name(), o.Name(), a, b)
			}
		}
	}
	switch {
	case twice == len(o.Spans):
		return nil
	case twice > 0:
		return diag.Errorf("%s and %s share some of their shards: merge each of them once", s.Name(), o.Name())
	}
	for i := range s.parts {
		if err := s.parts[i].check(&o.parts[i]); err != nil {
			return diag.Errorf("%s does not go with %s: %w", o.Name(), s.Name(), err)
		}
	}
	if len(s.Tallies) != len(o.Tallies) || (len(s.digests) == 0) != (len(o.digests) == 0) {
		return diag.Errorf("%s does not go with %s: they hold different things", o.Name(), s.Name())
	}
	for i := range s.parts {
		if err := s.parts[i].merge(&o.parts[i]); err != nil {
			return err
		}
	}
	for i, t := range o.Tallies {
		s.Tallies[i].Merge(t)
	}
	s.Largest = max(s.Largest, o.Largest)
	if s.keep != nil && o.keep != nil {
		s.keep.Merge(o.keep)
	}
	if s.first == nil {
		s.first = o.first
	}
	s.digests = append(s.digests, o.digests...)
	s.Spans = append(s.Spans, o.Spans...)
	slices.SortFunc(s.Spans, func(a, b Span) int { return a.First - b.First })
	slices.SortFunc(s.digests, func(a, b digests) int { return a.first - b.first })
	return nil
}

// check says whether o merges with p.
func (p *shardPart) check(o *shardPart) error {
	different := diag.Errorf("they hold different things")
	if len(p.observers) != len(o.observers) || len(p.empty) != len(o.empty) || len(p.layers) != len(o.layers) || len(p.means) != len(o.means) {
		return different
	}
	unlike := func(a, b []exact.Sum) bool { return len(a) > 0 && len(b) > 0 && len(a) != len(b) }
	for i, l := range o.layers {
		if unlike(p.layers[i].sum, l.sum) {
			return different
		}
	}
	for node, m := range o.means {
		if own, ok := p.means[node]; !ok || unlike(own.sum, m.sum) {
			return different
		}
	}
	for i := range p.observers {
		if err := p.observers[i].Fits(&o.observers[i]); err != nil {
			return err
		}
	}
	return nil
}

func (p *shardPart) merge(o *shardPart) error {
	p.batches += o.batches
	p.invalid += o.invalid
	for i := range p.observers {
		if err := p.observers[i].Merge(&o.observers[i]); err != nil {
			return err
		}
		p.empty[i] = p.empty[i] || o.empty[i]
	}
	for i, l := range o.layers {
		p.layers[i].sum = mergeSums(p.layers[i].sum, l.sum)
		p.layers[i].samples += l.samples
	}
	for node, m := range o.means {
		own := p.means[node]
		p.means[node] = partMeans{mergeSums(own.sum, m.sum), own.samples + m.samples, own.invalid + m.invalid}
	}
	return nil
}

// mergeSums adds b to a, either of which may be nil.
func mergeSums(a, b []exact.Sum) []exact.Sum {
	if a == nil {
		return b
	}
	for i := range b {
		a[i].Merge(&b[i])
	}
	return a
}

// Complete says whether the shard holds all samples; the error names those that are
// missing.
func (s *Shard) Complete() error {
	var missing []string
	at := 0
	for _, p := range append(slices.Clone(s.Spans), Span{First: s.Samples}) {
		if p.First > at {
			missing = append(missing, Span{First: at, Count: p.First - at}.String())
		}
		at = max(at, p.end())
	}
	if len(missing) > 0 {
		return diag.Errorf("the samples %s of %d are in no shard that was given: give the shards of these too", strings.Join(missing, ", "), s.Samples)
	}
	return nil
}

// SamplesSHA256 is the hash of all samples, as [samples.Set.Hash] gives it; "" where
// shards hold no digests.
func (s *Shard) SamplesSHA256() string {
	if len(s.digests) == 0 {
		return ""
	}
	h := sha256.New()
	h.Write([]byte(s.SamplesHead))
	for _, d := range s.digests {
		for _, sum := range d.sums {
			h.Write(sum[:])
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Kept are the samples that were kept, nil where none were.
func (s *Shard) Kept() *Keeper { return s.keep }

// Calibrate returns what [Calibrate] in float propagation returns for all samples,
// bit for bit, for the i-th plan that the shard observed. The shard must be complete. The
// engine is needed where samples were kept: it runs the canary, and counts ties over
// these samples unless opts.Keep is set.
func (s *Shard) Calibrate(ctx context.Context, i int, p ShardPlan, r engine.Runner, opts Options) (*Calibrated, error) {
	if err := s.Complete(); err != nil {
		return nil, err
	}
	if i >= len(s.parts) || s.parts[i].network != p.Network {
		return nil, &MismatchError{Of: "network", Message: diag.Textf("%s is of another network than this strategy makes of this model: compute the shards again", s.Name())}
	}
	opts.Propagate = Float
	opts.Source.SamplesSHA256 = s.SamplesSHA256()
	c, err := newCalibration(p.Plan, opts)
	if err != nil {
		return nil, err
	}
	part := &s.parts[i]
	if s.first != nil {
		own, _, err := c.canary(ctx, r, s.Canary())
		if err != nil {
			return nil, err
		}
		if own != part.canary {
			return nil, &MismatchError{Of: "machine", Message: diag.Textf("this machine has other values than %s, from %s, for the same first samples: they differ in the last bits; merge on a machine like those that computed the shards", s.Name(), s.Machine)}
		}
	}
	if err := c.restorePart(part); err != nil {
		return nil, err
	}
	c.out.Samples = s.Samples
	if err := c.finish(); err != nil {
		return nil, err
	}
	if s.keep != nil {
		c.keep = s.keep
		if err := c.ties(ctx, r); err != nil {
			return nil, err
		}
	}
	return c.out, nil
}

// Canary yields the first samples of all, none where the shard does not have them.
func (s *Shard) Canary() engine.Batches {
	return func(yield func(*engine.Batch, error) bool) {
		for i := range s.first {
			if !yield(s.first[i].batch(), nil) {
				return
			}
		}
	}
}
