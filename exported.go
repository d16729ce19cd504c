package narrow

import (
	"fmt"

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
