package main

import (
	"fmt"
	"slices"
	"strings"

	"narrow"
	"narrow/diag"
	"narrow/export/xmodel"
	"narrow/graph"
	"narrow/plan"
)

// xmodelExplained is the JSON document of explain --format xmodel.
type xmodelExplained struct {
	Model string `json:"model"`
	// Layers are the network's operations in its order.
	Layers []xmodel.Layer `json:"layers"`
	// Findings are those about the strategy, and every reason why no file can
	// be written.
	Findings diag.List `json:"findings"`
}

// explainXModel prints what each layer becomes in an .xmodel. The exit code is
// that of the export.
func (a *app) explainXModel(m *narrow.Model, p *plan.Plan, layer string, list diag.List, asJSON bool) error {
	layers, refused := xmodel.Explain(p)
	only, err := layersNamed(p, layer)
	if err != nil {
		return err
	}
	if only != nil {
		layers = slices.DeleteFunc(layers, func(l xmodel.Layer) bool {
			for named := range only {
				if slices.ContainsFunc(named.Nodes, func(n *graph.Node) bool { return n.Label() == l.Name }) {
					return false
				}
			}
			return true
		})
	}
	if asJSON {
		doc := xmodelExplained{Model: m.Path, Layers: append([]xmodel.Layer{}, layers...), Findings: append(append(diag.List{}, list...), refused...)}
		if err := a.printJSON(doc); err != nil {
			return err
		}
	} else {
		width := 0
		for _, l := range layers {
			width = max(width, len(l.Name)+len(l.Op)+3)
		}
		width = min(width, 60)
		for _, l := range layers {
			head := fmt.Sprintf("%-*s ", width, clean(fmt.Sprintf("%s (%s)", l.Name, l.Op)))
			if err := a.say(diag.Textf("%s %s", head, xmodelForm(l))); err != nil {
				return err
			}
			for _, n := range l.Notes {
				if err := a.say(diag.Textf("%s %s", strings.Repeat(" ", 3), n)); err != nil {
					return err
				}
			}
		}
		if err := a.say(diag.Textf("which of these a certain DPU runs, and which it leaves to the CPU, only its compiler knows")); err != nil {
			return err
		}
		// What is refused stands with its layer; the rest is about the whole.
		a.printFindings(a.stderr, slices.DeleteFunc(slices.Clone(refused), func(f diag.Finding) bool { return f.Code == xmodel.CodeRefused }), nil)
	}
	if refused.HasErrors() {
		return &exitError{code: xmodelCode(refused)}
	}
	return a.verdict(list)
}

// xmodelForm tells what a layer becomes.
func xmodelForm(l xmodel.Layer) diag.Text {
	switch {
	case !l.Refused.IsZero() && l.Fix.IsZero():
		return diag.Textf("refused: %s", l.Refused)
	case !l.Refused.IsZero():
		return diag.Textf("refused: %s (%s)", l.Refused, l.Fix)
	case len(l.Becomes) == 0:
		return diag.Textf("part of its neighbours")
	}
	return diag.Verbatim(strings.Join(l.Becomes, ", "))
}

// xmodelCode returns the exit code of a refused network: a strategy that an
// .xmodel cannot hold is a mistake of its own.
func xmodelCode(list diag.List) int {
	if slices.ContainsFunc(list, func(f diag.Finding) bool { return f.Code == xmodel.CodeStrategy }) {
		return exitUsage
	}
	return exitOther
}
