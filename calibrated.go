package narrow

import (
	"context"
	"fmt"

	"narrow/calibrate"
	"narrow/diag"
	"narrow/engine"
	"narrow/export"
	"narrow/graph"
	"narrow/plan"
	"narrow/scheme"
)

// Calibrated is a resolved model with an encoding for every tensor. Only
// [Resolved.Calibrate] and [Load] make one.
type Calibrated struct {
	*Resolved
	// Result holds the encodings.
	Result *calibrate.Calibrated
}

// Calibrate runs the batches through the network and finds the scales; for
// [High] it goes through them twice. Of opts.Source the caller gives the
// samples' hash.
func (r *Resolved) Calibrate(ctx context.Context, run engine.Runner, in engine.Batches, opts calibrate.Options) (*Calibrated, error) {
	opts, err := r.propagation(opts)
	if err != nil {
		return nil, fmt.Errorf("calibrating %s: %w", r.Model.Path, err)
	}
	if err := r.complete(ctx, run); err != nil {
		return nil, err
	}
	c, err := calibrate.Calibrate(ctx, r.Plan, run, in, r.sourced(opts))
	if err != nil {
		return nil, fmt.Errorf("calibrating %s: %w", r.Model.Path, err)
	}
	if err := r.refine(ctx, c, run, in, opts); err != nil {
		return nil, err
	}
	return &Calibrated{Resolved: r, Result: c}, nil
}

// sourced completes what options say of the calibration.
func (r *Resolved) sourced(opts calibrate.Options) calibrate.Options {
	opts.Source.ModelPath, opts.Source.ModelSHA256, opts.Source.Version = r.Model.Path, r.Model.SHA256, Version()
	opts.Accuracy = r.Accuracy
	return opts
}

// Loaded reports whether [Load] read c. The reasons of its plan then name the
// lines of the strategy in quant_info.json, not those of the author's file.
func (c *Calibrated) Loaded() bool { return c.Result.Reasons != nil }

// Encoding returns how a tensor of the plan is quantized.
func (c *Calibrated) Encoding(name string, kind scheme.Kind) (scheme.Encoding, bool) {
	for _, t := range c.Plan.Tensors {
		if t.Name == name && t.Kind == kind {
			return c.Result.Encodings[t], true
		}
	}
	return scheme.Encoding{}, false
}

// Export returns the quantized network with QuantizeLinear and
// DequantizeLinear around what the plan quantizes. The findings say what the
// format could not hold.
func (c *Calibrated) Export(opts export.Options) (*graph.Model, diag.List, error) {
	m, list, err := export.QDQ(c.Result, opts)
	if err != nil {
		return nil, list, fmt.Errorf("exporting %s: %w", c.Model.Path, err)
	}
	return m, list, nil
}

// StoredBiases returns the biases that an export with opts stores otherwise than
// they were calibrated, for [TestOptions].
func (c *Calibrated) StoredBiases(opts export.Options) (map[*plan.Tensor][]float32, error) {
	stored, err := export.StoredBiases(c.Result, opts)
	if err != nil {
		return nil, fmt.Errorf("exporting %s: %w", c.Model.Path, err)
	}
	return stored, nil
}

// ExportVAI returns the encodings as vai_q_pytorch's own quant_info.json.
func (c *Calibrated) ExportVAI() ([]byte, error) {
	data, err := export.VAI(c.Result)
	if err != nil {
		return nil, fmt.Errorf("exporting %s: %w", c.Model.Path, err)
	}
	return data, nil
}
