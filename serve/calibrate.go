package serve

import (
	"context"
	"maps"
	"slices"
	"time"

	"narrow"
	"narrow/calibrate"
	"narrow/engine"
	"narrow/export"
	"narrow/graph"
	"narrow/samples"
	"narrow/strategy"
)

// spool is a set of samples that the client fills.
type spool struct {
	*samples.Spool
	model *model
}

// newSamples begins a set of samples for a model.
func newSamples(_ context.Context, c *call) (any, []Array, error) {
	var p struct {
		Model int `json:"model"`
		// From is a set of samples to take over, of a model with the same inputs;
		// its handle is closed.
		From int `json:"from"`
	}
	if err := c.parse(&p); err != nil {
		return nil, nil, err
	}
	m, err := get[*model](c.s, p.Model, "model")
	if err != nil {
		return nil, nil, err
	}
	sp := samples.NewSpool(m.Inputs(), c.s.cfg.MemoryPerSamples)
	if p.From != 0 {
		from, err := get[*spool](c.s, p.From, "set of samples")
		if err != nil {
			return nil, nil, err
		}
		if err := sp.Move(from.Spool); err != nil {
			return nil, nil, usagef("%v", err)
		}
		delete(c.s.objects, p.From)
	}
	return map[string]int{"handle": c.s.put(&spool{sp, m})}, nil, nil
}

// addBatch adds a batch to a set of samples.
func addBatch(_ context.Context, c *call) (any, []Array, error) {
	var p struct {
		Samples int `json:"samples"`
		// Count is how many samples the batch has; 0 to take the first axis.
		Count int `json:"count"`
		// Shared are the inputs that are one value for the whole batch.
		Shared []string `json:"shared"`
	}
	if err := c.parse(&p); err != nil {
		return nil, nil, err
	}
	sp, err := get[*spool](c.s, p.Samples, "set of samples")
	if err != nil {
		return nil, nil, err
	}
	inputs := sp.model.Inputs()
	b, err := batchOf(c.arrays, inputs, p.Count, p.Shared)
	if err != nil {
		return nil, nil, err
	}
	arrays := map[string]samples.SpoolArray{}
	for _, a := range c.arrays {
		name := a.Name
		if name == "" {
			name = inputs[0].Name
		}
		arrays[name] = samples.SpoolArray{Type: dataType(a.Type), Shape: a.Shape, Data: a.Data, Shared: b.Shared[name]}
	}
	if c.keep, err = sp.Add(b.Count, arrays); err != nil {
		return nil, nil, err
	}
	return map[string]int{"samples": sp.Len(), "batches": sp.Count()}, nil, nil
}

// batches yields the samples in the batches that they were added in.
func (sp *spool) batches(ctx context.Context) engine.Batches {
	return sp.Batches(ctx, engine.FixedBatch(sp.model.Graph))
}

// calibration is a calibrated plan.
type calibration struct {
	*narrow.Calibrated
}

type calibrationResult struct {
	Handle  int `json:"handle"`
	Samples int `json:"samples"`
	Batches int `json:"batches"`
	Tensors int `json:"tensors"`
	// Invalid counts tensors that were skipped since they held NaN or Inf.
	Invalid   int    `json:"invalid"`
	Propagate string `json:"propagate"`
	Accuracy  string `json:"accuracy"`
	// Target is the strategy's target_device.
	Target string `json:"target"`
	found
}

// calibrateOn finds the scales of a plan on a set of samples.
func calibrateOn(ctx context.Context, c *call) (any, []Array, error) {
	var p struct {
		Plan    int `json:"plan"`
		Samples int `json:"samples"`
		// Propagate is "progressive" or "float"; "" for what the accuracy asks.
		Propagate   string `json:"propagate"`
		SkipInvalid bool   `json:"skip_invalid"`
		// KeepIntegers is that of [narrow.CalibrateOptions].
		KeepIntegers bool `json:"keep_integers"`
	}
	if err := c.parse(&p); err != nil {
		return nil, nil, err
	}
	r, err := get[*planned](c.s, p.Plan, "plan")
	if err != nil {
		return nil, nil, err
	}
	sp, err := get[*spool](c.s, p.Samples, "set of samples")
	if err != nil {
		return nil, nil, err
	}
	if sp.Len() == 0 {
		return nil, nil, usagef("there are no samples to calibrate on: add some batches first")
	}
	opts := narrow.CalibrateOptions{
		Threads: c.s.cfg.Threads, SkipInvalid: p.SkipInvalid, KeepIntegers: p.KeepIntegers, Progress: c.progress("calib", sp.Len()),
		RefineProgress: func(done, all int) { c.progress("refine", all)(done) },
	}
	if p.Propagate != "" {
		if opts.Propagate, err = calibrate.ParsePropagation(p.Propagate); err != nil {
			return nil, nil, usagef("%v", err)
		}
	}
	run, err := c.s.runner()
	if err != nil {
		return nil, nil, err
	}
	if opts.SamplesSHA256, err = sp.Hash(ctx); err != nil {
		return nil, nil, err
	}
	done, err := r.Calibrate(ctx, run, sp.batches(ctx), opts)
	if err != nil {
		return nil, nil, err
	}
	return c.s.calibrated(done, c.s.found(done.Result.Findings, nil)), nil, nil
}

// calibrated keeps a calibration and tells of it.
func (s *Server) calibrated(c *narrow.Calibrated, f found) calibrationResult {
	return calibrationResult{
		Handle: s.put(&calibration{c}), Samples: c.Result.Samples, Batches: c.Result.Batches, Tensors: len(c.Plan.Tensors), Invalid: c.Result.Invalid,
		Propagate: c.Result.Propagate.String(), Accuracy: c.Accuracy.String(), Target: c.Plan.Strategy.Target.String(), found: f,
	}
}

// save writes a calibration into a folder, as calib does.
func save(_ context.Context, c *call) (any, []Array, error) {
	var p struct {
		Calibration int    `json:"calibration"`
		Dir         string `json:"dir"`
	}
	if err := c.parse(&p); err != nil {
		return nil, nil, err
	}
	cal, err := get[*calibration](c.s, p.Calibration, "calibration")
	if err != nil {
		return nil, nil, err
	}
	if p.Dir == "" {
		return nil, nil, usagef("save needs the name of a folder")
	}
	files, err := export.Files(cal.Result)
	if err != nil {
		return nil, nil, err
	}
	if err := cal.Save(p.Dir); err != nil {
		return nil, nil, err
	}
	return map[string]any{"files": slices.Sorted(maps.Keys(files))}, nil, nil
}

// load reads a calibration of a model from a folder. A strategy that is given
// must be the one that it was made by.
func load(_ context.Context, c *call) (any, []Array, error) {
	var p struct {
		Model int    `json:"model"`
		Dir   string `json:"dir"`
		strategyParams
		Float []string `json:"float"`
	}
	if err := c.parse(&p); err != nil {
		return nil, nil, err
	}
	m, err := get[*model](c.s, p.Model, "model")
	if err != nil {
		return nil, nil, err
	}
	var st *strategy.Strategy
	if p.File != "" || p.Text != nil {
		s, list, err := p.read()
		if err != nil {
			return nil, nil, err
		}
		if list.HasErrors() {
			return nil, nil, c.s.strategyError(list, s.Source)
		}
		if st, _, err = keepFloat(m, s, p.Float); err != nil {
			return nil, nil, err
		}
	}
	cal, err := narrow.Load(p.Dir, m.Model, st)
	if err != nil {
		return nil, nil, err
	}
	return c.s.calibrated(cal, c.s.found(cal.Findings, nil)), nil, nil
}

// session is a network that stays loaded.
type session struct {
	*engine.Loaded
	inputs  []samples.InputSpec
	outputs []*graph.Value
}

// newSession loads a network to run batches on: the quantized one of a
// calibration, or a model in float.
func newSession(ctx context.Context, c *call) (any, []Array, error) {
	var p struct {
		Calibration int `json:"calibration"`
		Model       int `json:"model"`
	}
	if err := c.parse(&p); err != nil {
		return nil, nil, err
	}
	run, err := c.s.runner()
	if err != nil {
		return nil, nil, err
	}
	var s session
	if p.Calibration != 0 {
		cal, err := get[*calibration](c.s, p.Calibration, "calibration")
		if err != nil {
			return nil, nil, err
		}
		n, err := cal.Result.Network(c.s.cfg.Threads, nil)
		if err != nil {
			return nil, nil, err
		}
		if s.Loaded, err = n.Keep(ctx, run, c.s.cfg.Threads); err != nil {
			return nil, nil, err
		}
		s.inputs, s.outputs = cal.Model.Inputs(), cal.Plan.Model.Graph.Outputs
	} else {
		m, err := get[*model](c.s, p.Model, "model")
		if err != nil {
			return nil, nil, err
		}
		if s.Loaded, err = (engine.Network{Model: m.Graph}).Keep(ctx, run, c.s.cfg.Threads); err != nil {
			return nil, nil, err
		}
		s.inputs, s.outputs = m.Inputs(), m.Graph.Graph.Outputs
	}
	return map[string]int{"handle": c.s.put(&s)}, nil, nil
}

// runBatch runs a session over one batch and returns the outputs.
func runBatch(ctx context.Context, c *call) (any, []Array, error) {
	var p struct {
		Session int      `json:"session"`
		Count   int      `json:"count"`
		Shared  []string `json:"shared"`
	}
	if err := c.parse(&p); err != nil {
		return nil, nil, err
	}
	s, err := get[*session](c.s, p.Session, "session")
	if err != nil {
		return nil, nil, err
	}
	b, err := batchOf(c.arrays, s.inputs, p.Count, p.Shared)
	if err != nil {
		return nil, nil, err
	}
	start := time.Now()
	out, err := s.Run(ctx, b)
	if err != nil {
		return nil, nil, err
	}
	took := time.Since(start)
	arrays := make([]Array, len(out))
	for i, t := range out {
		if arrays[i], err = fromTensor(s.outputs[i].Name, t); err != nil {
			return nil, nil, err
		}
	}
	return map[string]float64{"seconds": took.Seconds()}, arrays, nil
}
