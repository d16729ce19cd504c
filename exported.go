package narrow

import (
	"context"
	"fmt"

	"narrow/calibrate"
	"narrow/engine"
	"narrow/export"
)

// OpenExported reads a model that [Calibrated.Export] made of c. The error says
// where the file is of another model or strategy.
func (c *Calibrated) OpenExported(path string) (*Model, error) {
	m, err := Open(path)
	if err != nil {
		return nil, err
	}
	for _, want := range []struct{ key, what, sha string }{
		{export.MetaModel, "model", c.Model.SHA256},
		{export.MetaStrategy, "strategy", c.Plan.Strategy.SHA256()},
	} {
		switch got := m.Graph.Metadata[want.key]; got {
		case want.sha:
		case "":
			return nil, fmt.Errorf("%s: is no model that narrow exported: it has no %s", path, want.key)
		default:
			return nil, fmt.Errorf("%s: was exported from another %s (its hash begins with %.12s, not %.12s): export anew", path, want.what, got, want.sha)
		}
	}
	return m, nil
}

// TestExported is [Calibrated.Test] with the exported model in the place of the
// quantized network: nothing is simulated, the engine runs x as any program would.
func (c *Calibrated) TestExported(ctx context.Context, run engine.Runner, x *Model, in engine.Batches, opts calibrate.TestOptions) (*calibrate.Result, error) {
	res, err := calibrate.Compare(ctx, run, c.Model.Graph, x.Graph, in, opts)
	if err != nil {
		return nil, fmt.Errorf("testing %s: %w", x.Path, err)
	}
	return res, nil
}
