package refine

import (
	"bytes"
	"encoding/gob"

	"narrow/calibrate"
	"narrow/calibrate/observe"
	"narrow/diag"
)

// pass is what is known between two batches: the states of both calibrations (see
// [calibrate.Checkpoint]), after how many samples, and what was found of ranges beside
// the own one. What is chosen behind the last batch is no part of it: that is done anew.
type pass struct {
	// Batch is how many samples the first batch had.
	Batch               int
	Own, Guide          []byte
	Samples, GuideAfter int
	// NoGuide says that the guide's way came to nothing, or to more samples than are
	// kept.
	NoGuide bool
	Tallies [][]byte
	Largest int64
}

// passing keeps a pass, where k is set.
type passing struct {
	pass
	k     *calibrate.Checkpoint
	found *ranges
	// passed says that the own calibration has seen all samples.
	passed bool
}

// newPassing takes up the state of k.
func newPassing(k *calibrate.Checkpoint, found *ranges) (*passing, error) {
	p := &passing{k: k, found: found}
	if k == nil || k.State == nil {
		return p, nil
	}
	if err := gob.NewDecoder(bytes.NewReader(k.State)).Decode(&p.pass); err != nil {
		return nil, diag.Errorf("the state of the calibration is damaged: %w", err)
	}
	tallies := found.tallies()
	if len(tallies) != len(p.Tallies) {
		return nil, diag.Errorf("the state is of another calibration")
	}
	for i, b := range p.Tallies {
		t, _, err := observe.DecodeTally(b)
		if err != nil {
			return nil, diag.Errorf("the state of the calibration is damaged: %w", err)
		}
		*tallies[i] = *t
	}
	found.largest = p.Largest
	return p, nil
}

// own returns what keeps the plan's own calibration, guide the guide's.
func (p *passing) own() *calibrate.Checkpoint {
	if p.k == nil {
		return nil
	}
	return &calibrate.Checkpoint{State: p.Own, Every: p.k.Every, Save: func(samples int, state []byte) error {
		p.Samples, p.Own, p.Largest, p.Tallies = samples, state, p.found.largest, nil
		for _, t := range p.found.tallies() {
			b, err := t.AppendBinary(nil)
			if err != nil {
				return err
			}
			p.Tallies = append(p.Tallies, b)
		}
		return p.save()
	}}
}

func (p *passing) guide() *calibrate.Checkpoint {
	if p.k == nil {
		return nil
	}
	return &calibrate.Checkpoint{State: p.Guide, Every: p.k.Every, Save: func(samples int, state []byte) error {
		p.GuideAfter, p.Guide = samples, state
		if !p.passed {
			return nil // the own one is saved soon, and this with it
		}
		return p.save()
	}}
}

// save keeps what both know. Batches have to begin again behind what the one knows that
// knows less.
func (p *passing) save() error {
	done := p.Samples
	if !p.NoGuide {
		done = min(done, p.GuideAfter)
	}
	if done == 0 {
		return nil
	}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(p.pass); err != nil {
		return diag.Errorf("keeping the state of the calibration: %w", err)
	}
	return p.k.Save(done, b.Bytes())
}
