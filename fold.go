package narrow

import (
	"context"
	"fmt"

	"narrow/engine"
	"narrow/graph/infer"
	"narrow/rewrite"
)

// Fold computes the constants that nodes of the network make of others, such as
// weights behind a Cast or a weight norm. Plans are the same without, and can be
// looked at; calibrating, testing and exporting need the numbers. open is called
// only where there is something to compute. [Resolved.Calibrate] does this by
// itself; do it before [Load].
//
// A network is folded before it is shared between goroutines.
func (m *Model) Fold(ctx context.Context, open func() (engine.Runner, error)) error {
	if m.values != nil {
		return nil
	}
	g, _, err := rewrite.Apply(m.Graph, rewrite.Constants()...)
	if err != nil {
		return fmt.Errorf("model %s: %w", m.Path, err)
	}
	if len(g.Unknown) == 0 {
		return nil
	}
	run, err := open()
	if err != nil {
		return fmt.Errorf("model %s: nodes compute constants such as %q, which takes an engine: %w", m.Path, g.Unknown[0], err)
	}
	part, err := infer.ConstantPart(m.Graph, g.Unknown)
	if err != nil {
		return fmt.Errorf("model %s: %w", m.Path, err)
	}
	if m.values, err = engine.Constants(ctx, run, part); err != nil {
		return fmt.Errorf("model %s: %w", m.Path, err)
	}
	return nil
}

// complete gives the plan the constants that were missing when it was made.
func (r *Resolved) complete(ctx context.Context, run engine.Runner) error {
	if len(r.Plan.Model.Unknown) == 0 {
		return nil
	}
	if err := r.Model.Fold(ctx, func() (engine.Runner, error) { return run, nil }); err != nil {
		return err
	}
	full, _, err := r.Model.ResolveFor(r.Plan.Strategy, r.Accuracy)
	if err != nil {
		return err
	}
	*r = *full
	return nil
}
