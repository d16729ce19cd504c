package narrow

import (
	"bytes"
	"encoding/gob"
	"encoding/json"

	"narrow/calibrate"
	"narrow/diag"
	"narrow/plan"
	"narrow/refine"
)

// keptDecided is what shards and checkpoints keep of [decided], and what joining
// functions brings, zero where they are not joined.
type keptDecided struct {
	Equalization *calibrate.Equalization `json:"equalization,omitempty"`
	Functions    plan.Functions          `json:"functions,omitzero"`
	refine.Joined
}

// of takes over what p was decided to be.
func (d keptDecided) of(p *Planned) keptDecided {
	d.Equalization, d.Functions = p.decided.equalization, p.decided.functions
	return d
}

// text is what [readDecided] reads.
func (d keptDecided) text() (string, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return "", diag.Errorf("keeping what was decided of the network: %w", err)
	}
	return string(text), nil
}

func readDecided(text string) (d keptDecided, err error) {
	return d, json.Unmarshal([]byte(text), &d)
}

// as plans p anew by what was decided.
func (p *Planned) as(d keptDecided) (*Planned, error) {
	return p.Model.plan(p.Plan.Strategy, High, decided{d.Equalization, d.Functions})
}

// highState is the state of a checkpoint for [High]: what was decided, and the state of
// package refine.
type highState struct {
	Decided string
	Pass    []byte
}

// decidedOr is p as keep knows that it was decided, or as decide decides, with the state
// that keep has for package refine.
func (p *Planned) decidedOr(keep *calibrate.Checkpoint, decide func() (*Planned, refine.Joined, error)) (_ *Planned, d keptDecided, state []byte, err error) {
	if keep == nil || keep.State == nil {
		p, d.Joined, err = decide()
		if err != nil {
			return nil, d, nil, err
		}
		return p, d.of(p), nil, nil
	}
	var was highState
	if err := gob.NewDecoder(bytes.NewReader(keep.State)).Decode(&was); err != nil {
		return nil, d, nil, diag.Errorf("the state of the calibration is damaged: %w", err)
	}
	if d, err = readDecided(was.Decided); err != nil {
		return nil, d, nil, diag.Errorf("the state of the calibration is damaged: %w", err)
	}
	p, err = p.as(d)
	return p, d, was.Pass, err
}

// keepDecided is keep for package refine, d being kept with what that knows.
func keepDecided(keep *calibrate.Checkpoint, d keptDecided, state []byte) *calibrate.Checkpoint {
	if keep == nil {
		return nil
	}
	return &calibrate.Checkpoint{State: state, Every: keep.Every, Save: func(samples int, state []byte) error {
		text, err := d.text()
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if err := gob.NewEncoder(&b).Encode(highState{text, state}); err != nil {
			return diag.Errorf("keeping the state of the calibration: %w", err)
		}
		return keep.Save(samples, b.Bytes())
	}}
}
