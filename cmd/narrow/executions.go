package main

import (
	"context"

	"narrow"
	"narrow/diag"
	"narrow/export"
	"narrow/internal/scratch"
)

// executionSummary says, in the JSON documents of export and run, how ONNX
// Runtime computes the weighted layers of the exported model on this machine.
type executionSummary struct {
	Weighted int             `json:"weighted"`
	Integer  int             `json:"integer"`
	Float    []floatLayerRow `json:"float"`
	// joined says that calib could have kept functions apart from these layers.
	joined bool
}

// floatLayerRow is a weighted layer that no integer kernel computes.
type floatLayerRow struct {
	Layer  string `json:"layer"`
	Reason string `json:"reason"`
	reason diag.Text
}

// mostOptimized is the size in bytes of the largest model that is looked at.
// Looking takes some three times that of memory.
const mostOptimized = 1 << 30

// executions asks ONNX Runtime how it would compute the exported model. It
// returns nil where that cannot be asked: another runtime's form, or a large
// model. A model that ONNX Runtime does not load is a warning.
func (a *app) executions(ctx context.Context, in *inputFlags, form export.Form, m exportSummary) (*executionSummary, error) {
	if form != export.ORT || m.Opset == 0 || m.Bytes > mostOptimized {
		return nil, nil
	}
	engine, err := in.engine(a)
	if err != nil {
		return nil, nil // nothing of the export depends on it
	}
	dir, err := scratch.New()
	if err != nil {
		return nil, err
	}
	defer dir.Remove()
	exported, err := narrow.Open(ctx, m.File)
	if err != nil {
		return nil, err
	}
	optimized, err := engine.Optimized(ctx, m.File, dir.Path)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		a.printFindings(a.stderr, diag.List{{Severity: diag.Warning, Code: "not-loaded", Message: diag.Textf("ONNX Runtime does not load the exported model: %v", err)}}, nil)
		return nil, nil
	}
	sum := &executionSummary{Float: []floatLayerRow{}}
	for _, e := range export.Executions(exported.Graph, optimized) {
		sum.Weighted++
		if e.Integer {
			sum.Integer++
			continue
		}
		sum.Float = append(sum.Float, floatLayerRow{Layer: e.Layer, Reason: e.Reason.String(), reason: e.Reason})
	}
	return sum, nil
}

// mostFloatLayers is how many layers are named for one reason.
const mostFloatLayers = 3

// lines says how many layers run in integers, and why the others do not: a line
// for each reason.
func (s *executionSummary) lines() []diag.Text {
	if s == nil || s.Weighted == 0 {
		return nil
	}
	out := []diag.Text{diag.Textf("%d of %d weighted layers run in integers in ONNX Runtime", s.Integer, s.Weighted)}
	var reasons []string
	layers := map[string][]floatLayerRow{}
	for _, r := range s.Float {
		if layers[r.Reason] == nil {
			reasons = append(reasons, r.Reason)
		}
		layers[r.Reason] = append(layers[r.Reason], r)
	}
	for _, reason := range reasons {
		rows := layers[reason]
		names := diag.Verbatim(rows[0].Layer)
		for _, r := range rows[1:min(len(rows), mostFloatLayers)] {
			names = diag.Textf("%s, %s", names, diag.Verbatim(r.Layer))
		}
		if n := len(rows) - mostFloatLayers; n > 0 {
			names = diag.Textf("%s, %s", names, diag.Textf("%d more", n))
		}
		out = append(out, diag.Textf("  in float: %s: %s", names, rows[0].reason))
	}
	if s.joined {
		out = append(out, diag.Textf("  functions were joined to layers, for accuracy: calib --keep-integers keeps these layers in integers"))
	}
	return out
}
