package main

import (
	"context"
	"slices"

	"narrow"
	"narrow/diag"
	"narrow/export"
	"narrow/strategy"
)

// lintModel returns what a strategy's rules do wrong in a model.
func lintModel(ctx context.Context, path string, s *strategy.Strategy, how narrow.Accuracy, known diag.List) (diag.List, error) {
	m, err := narrow.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	p, list, err := m.Draft(s, narrow.PlanOptions{Accuracy: how})
	if err != nil {
		return nil, err
	}
	if !list.HasErrors() {
		list = append(list, export.CheckOpset(p)...)
	}
	// A type that is nothing at all has been reported with its own way out.
	list = slices.DeleteFunc(list, func(f diag.Finding) bool {
		return slices.ContainsFunc(known, func(k diag.Finding) bool {
			return k.Severity == diag.Error && k.Range == f.Range && !f.Range.IsZero()
		})
	})
	return append(list, p.Overlaps(slices.Concat(known, list))...), nil
}
