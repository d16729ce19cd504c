package calibrate

import (
	"bytes"
	"encoding/gob"
	"time"

	"narrow/diag"
	"narrow/plan"
)

// Checkpoint lets a calibration that was interrupted resume, to the same bytes.
// It does not go with [SaveStats].
type Checkpoint struct {
	// State is what Save got last, of a calibration of the same plan with the
	// same samples, batches and options on the same engine and machine; nil to
	// begin anew. With it the batches may begin at any of the first, but at a
	// multiple of 8 of them, so that those need not be read again that the state
	// is beyond.
	State []byte
	// Save is called with all there is to know, after the first batch that ends
	// Every after the last call, and after the last batch of all.
	Save  func(samples int, state []byte) error
	Every time.Duration
}

// checkpointFormat begins a state. Another number, another shape of it.
const checkpointFormat = "narrow.checkpoint/3"

// state is a calibration between two batches. Lists go by the plan's tensors
// and the corrector's layers.
type state struct {
	Format                    string
	Samples, Batches, Invalid int
	// Rows is how many samples the first batch had that the loaded network saw,
	// Loaded the layers that it runs twice.
	Rows      int
	Loaded    []int
	Observers [][]byte // nil for constants and floats
	Empty     []bool
	Ties      []Ties
	Layers    []layerState
	Patches   map[int]inputMeansState // by index of their node
	Kept      []byte                  // samples, in float propagation
}

// layerState is a [correction].
type layerState struct {
	Now, Baked            []float32
	Sum                   []byte
	Samples               int
	Efficiency, Deviation float64
	Stopped               bool
}

// inputMeansState is a [input means].
type inputMeansState struct {
	Sum              []byte
	Samples, Invalid int
}

// snapshot returns the state of the moment.
func (c *calibration) snapshot() ([]byte, error) {
	s := state{
		Format: checkpointFormat, Samples: c.out.Samples, Batches: c.out.Batches, Invalid: c.out.Invalid,
		Rows: c.loaded.rows, Patches: map[int]inputMeansState{},
	}
	for _, t := range c.plan.Tensors {
		var seen []byte
		if o := c.obs[t]; o != nil && t.Constant == nil {
			var err error
			if seen, err = o.MarshalBinary(); err != nil {
				return nil, diag.Errorf("layer %s: %w", t.Layer.Name, err)
			}
		}
		s.Observers = append(s.Observers, seen)
		s.Empty = append(s.Empty, c.empty[t])
		s.Ties = append(s.Ties, c.out.Ties[t])
	}
	for i, l := range c.bias.layers {
		s.Layers = append(s.Layers, layerState{l.now, l.baked, appendSums(nil, l.sum), l.samples, l.efficiency, l.deviation, l.stopped})
		for _, op := range c.loaded.twice {
			if op == l.op {
				s.Loaded = append(s.Loaded, i)
			}
		}
	}
	if c.float != nil {
		for i, p := range c.float.means {
			if p.samples > 0 || p.invalid > 0 {
				s.Patches[i] = inputMeansState{appendSums(nil, p.sum), p.samples, p.invalid}
			}
		}
	}
	if c.keep != nil {
		s.Kept = c.keep.appendBinary(nil)
	}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(s); err != nil {
		return nil, diag.Errorf("keeping the state of the calibration: %w", err)
	}
	return b.Bytes(), nil
}

var errOtherState = diag.Errorf("the state is of another calibration")

// restore takes up a state, and returns the layers that have settled since the
// network was loaded: they count as settled only when it is loaded again.
func (c *calibration) restore(data []byte) (settled []*correction, err error) {
	var s state
	if err := gob.NewDecoder(bytes.NewReader(data)).Decode(&s); err != nil {
		return nil, diag.Errorf("the state of the calibration is damaged: %w", err)
	}
	n := len(c.plan.Tensors)
	if s.Format != checkpointFormat || len(s.Observers) != n || len(s.Empty) != n || len(s.Ties) != n || len(s.Layers) != len(c.bias.layers) || s.Samples < 1 {
		return nil, errOtherState
	}
	c.out.Samples, c.out.Batches, c.out.Invalid = s.Samples, s.Batches, s.Invalid
	for i, t := range c.plan.Tensors {
		o := c.obs[t]
		if (o != nil && t.Constant == nil) != (len(s.Observers[i]) > 0) {
			return nil, errOtherState
		}
		if len(s.Observers[i]) > 0 {
			if err := o.UnmarshalBinary(s.Observers[i]); err != nil {
				return nil, diag.Errorf("layer %s: %w", t.Layer.Name, err)
			}
		}
		if s.Empty[i] {
			c.empty[t] = true
		}
		if s.Ties[i] != (Ties{}) {
			c.out.Ties[t] = s.Ties[i]
		}
	}
	for i, l := range c.bias.layers {
		was := s.Layers[i]
		r := cursor{b: was.Sum}
		sum := r.sums()
		if r.bad || len(was.Now) != len(l.float) || len(was.Baked) > 0 && len(was.Baked) != len(l.float) || len(sum) > 0 && len(sum) != len(l.float) {
			return nil, errOtherState
		}
		l.now, l.baked, l.sum, l.samples = was.Now, was.Baked, sum, was.Samples
		l.efficiency, l.deviation, l.stopped = was.Efficiency, was.Deviation, was.Stopped
	}
	c.loaded = loadedNetwork{rows: s.Rows, twice: []*plan.Operation{}}
	for _, i := range s.Loaded {
		if i < 0 || i >= len(c.bias.layers) {
			return nil, errOtherState
		}
		l := c.bias.layers[i]
		c.loaded.twice = append(c.loaded.twice, l.op)
		if l.stopped {
			settled = append(settled, l)
		}
	}
	for i, was := range s.Patches {
		r := cursor{b: was.Sum}
		sum := r.sums()
		if r.bad || c.float == nil || c.float.means[i] == nil || len(sum) > 0 && !c.float.means[i].fits(len(sum)) {
			return nil, errOtherState
		}
		p := c.float.means[i]
		p.sum, p.samples, p.invalid = sum, was.Samples, was.Invalid
	}
	if c.keep != nil {
		r := cursor{b: s.Kept}
		if err := r.keeper(c.keep); err != nil {
			return nil, err
		}
	}
	return settled, nil
}

// keeper calls Checkpoint.Save when it is time.
type keeper struct {
	c    *calibration
	last time.Time
}

// keep saves the state if it is time, or if this is the end.
func (k *keeper) keep(end bool) error {
	p := k.c.opts.Checkpoint
	if p == nil || p.Save == nil || !end && time.Since(k.last) < p.Every {
		return nil
	}
	b, err := k.c.snapshot()
	if err != nil {
		return err
	}
	if err := p.Save(k.c.out.Samples, b); err != nil {
		return err
	}
	k.last = time.Now()
	return nil
}
