package ort

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"

	"narrow/calibrate/ort/internal/capi"
	"narrow/graph"
)

// ONNX Runtime computes convolutions on channels in blocks of 8 or 16 (NCHWc),
// and puts a copy before and after each operator that it does not know to work
// on that layout: around every tap. A Concat of one tensor along the channels
// is an operator that it does know, whenever the channels fill their blocks.
// So a network is loaded in two steps: with such a Concat in the place of each
// tap that takes any order, for ONNX Runtime to choose layouts and fuse
// operators; and then what came of it, the Concats turned into taps, as it is.

// standIn is the start of the names of the Concats.
const standIn = "narrow.stand-in.tap."

// errNotBlocked says that a network cannot be loaded in two steps. It is then
// loaded in one, which takes longer to run and gives the same values.
var errNotBlocked = errors.New("taps did not survive the choice of layouts")

// loadBlocked loads p in two steps. No stand-ins is an error of errNotBlocked
// too.
func (r *Runner) loadBlocked(ctx context.Context, p *prepared, anyOrder func(int) bool, cfg capi.Config) (*capi.Session, error) {
	model, standIns := withStandIns(p, anyOrder)
	if standIns == 0 {
		return nil, errNotBlocked
	}
	dir, err := os.MkdirTemp("", "narrow-*")
	if err != nil {
		return nil, err
	}
	// The second session maps the weights from there; a mapped file may be
	// removed wherever the system allows it, and where not this is a temporary
	// folder after all.
	defer os.RemoveAll(dir)

	first := cfg
	first.Optimized = filepath.Join(dir, "blocked.onnx")
	first.Entries = maps.Clone(cfg.Entries)
	first.Entries["session.optimized_model_external_initializers_file_name"] = "blocked.data"
	first.Entries["session.optimized_model_external_initializers_min_size_in_bytes"] = "1024"
	s, err := r.newSession(model, first)
	if err != nil {
		return nil, err
	}
	s.Close()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(first.Optimized)
	if err != nil {
		return nil, err
	}
	data, found, err := withTaps(data, p.taps)
	if err != nil {
		return nil, err
	}
	if found != standIns {
		return nil, fmt.Errorf("%w: %d of %d", errNotBlocked, found, standIns)
	}
	cfg.Level = capi.LevelNone
	cfg.Entries = maps.Clone(cfg.Entries)
	cfg.Entries["session.model_external_initializers_file_folder_path"] = dir
	return r.lib.NewSession(data, cfg)
}

// withStandIns returns a clone of the model with a stand-in for each tap that
// takes any order and watches what may be computed in blocks, and how many.
func withStandIns(p *prepared, anyOrder func(int) bool) (*graph.Model, int) {
	m := p.model.Clone()
	// blocked holds the values that come from a convolution by operators that
	// keep the order of dimensions.
	blocked := map[string]bool{}
	watched := map[string]bool{}
	tap, standIns := 0, 0
	for _, n := range m.Graph.Nodes {
		switch {
		case isTap(n):
			in := n.Inputs[0]
			blocked[n.Outputs[0]] = blocked[in]
			// Two Concats of one tensor would be made one.
			if len(n.Inputs) == 1 && blocked[in] && !watched[in] && anyOrder(tap) {
				n.Name = standIn + strconv.Itoa(tap)
				n.Domain, n.OpType = "", "Concat"
				n.Attrs = []*graph.Attr{{Name: "axis", Kind: graph.AttrInt, Int: 1}}
				n.Source = nil
				watched[in] = true
				standIns++
			}
			tap++
		case n.Is("Conv"), n.Is(keepOrder...) && blocked[n.Input(0)]:
			blocked[n.Outputs[0]] = true
		}
	}
	return m, standIns
}

// keepOrder are operators of one shape in and out, or nearly, that a layout in
// blocks may pass through. A wrong guess costs nothing but loading time.
var keepOrder = []string{
	"Add", "AveragePool", "BatchNormalization", "Clip", "Concat", "Elu", "GlobalAveragePool", "GlobalMaxPool",
	"HardSigmoid", "HardSwish", "LeakyRelu", "MaxPool", "Mul", "Relu", "Resize", "Sigmoid", "Sum", "Tanh", "Upsample",
}
