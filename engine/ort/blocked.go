package ort

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"strconv"

	"narrow/diag"
	"narrow/engine"
	"narrow/engine/ort/internal/capi"
	"narrow/graph"
	"narrow/internal/scratch"
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
var errNotBlocked = diag.Errorf("taps did not survive the choice of layouts")

// loadBlocked loads p in two steps. No stand-ins is an error of errNotBlocked
// too.
//
// It also returns which taps see channels in blocks.
func (r *Runner) loadBlocked(ctx context.Context, p *prepared, opts engine.LoadOptions, cfg capi.Config) (*capi.Session, map[int]bool, error) {
	model, standIns, sides := withStandIns(p, opts)
	if standIns == 0 {
		return nil, nil, errNotBlocked
	}
	scratch, err := scratch.New()
	if err != nil {
		return nil, nil, err
	}
	dir := scratch.Path
	// The second session maps the weights from there; a mapped file may be
	// removed wherever the system allows it, and where not this is a temporary
	// folder after all.
	defer func() { _ = scratch.Remove() }() // what stays, the next run clears away

	first := cfg
	first.Optimized = filepath.Join(dir, "blocked.onnx")
	first.Entries = maps.Clone(cfg.Entries)
	first.Entries["session.optimized_model_external_initializers_file_name"] = "blocked.data"
	first.Entries["session.optimized_model_external_initializers_min_size_in_bytes"] = "1024"
	s, err := r.newSession(model, first)
	if err != nil {
		return nil, nil, err
	}
	s.Close()
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	data, err := os.ReadFile(first.Optimized)
	if err != nil {
		return nil, nil, err
	}
	data, found, blocked, err := withTaps(data, p.taps, sides)
	if err != nil {
		return nil, nil, err
	}
	if found != standIns {
		return nil, nil, diag.Errorf("%w: %d of %d", errNotBlocked, found, standIns)
	}
	cfg.Level = capi.LevelNone
	cfg.Entries = maps.Clone(cfg.Entries)
	cfg.Entries["session.model_external_initializers_file_folder_path"] = dir
	s, err = r.lib.NewSession(data, cfg)
	return s, blocked, err
}

// withStandIns returns a clone of the model with a stand-in for each tap that
// takes any order, or channels in blocks, and watches what may be computed in
// blocks; how many; and the second inputs of those that have one, which the
// stand-ins leave out: they are the clone's outputs, so that they stay.
func withStandIns(p *prepared, opts engine.LoadOptions) (*graph.Model, int, map[int]string) {
	m := p.model.Clone()
	sides := map[int]string{}
	takes := func(tap, inputs int) bool {
		return inputs == 1 && opts.AnyOrder != nil && opts.AnyOrder(tap) || opts.InBlocks != nil && opts.InBlocks(tap)
	}
	// blocked holds the values that come from a convolution by operators that
	// keep the order of dimensions.
	blocked := map[string]bool{}
	watched := map[string]bool{}
	tap, standIns := 0, 0
	for _, n := range m.Graph.Nodes {
		switch {
		case n.IsTap():
			in := n.Inputs[0]
			blocked[n.Outputs[0]] = blocked[in]
			// Two Concats of one tensor would be made one.
			if blocked[in] && !watched[in] && takes(tap, len(n.Inputs)) {
				if len(n.Inputs) > 1 {
					sides[tap] = n.Inputs[1]
					m.Graph.Outputs = append(m.Graph.Outputs, &graph.Value{Name: n.Inputs[1]})
					n.Inputs = n.Inputs[:1]
				}
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
	return m, standIns, sides
}

// keepOrder are operators of one shape in and out, or nearly, that a layout in
// blocks may pass through. A wrong guess costs nothing but loading time.
var keepOrder = []string{
	"Add", "AveragePool", "BatchNormalization", "Clip", "Concat", "Elu", "GlobalAveragePool", "GlobalMaxPool",
	"HardSigmoid", "HardSwish", "LeakyRelu", "MaxPool", "Mul", "Relu", "Resize", "Sigmoid", "Sum", "Tanh", "Upsample",
}

// blockSize returns how many channels ONNX Runtime puts together on this
// processor, found out by a network of one convolution; 1 where it uses no
// blocks.
func (r *Runner) blockSize(ctx context.Context) int {
	r.blockOnce.Do(func() {
		r.block = 1
		const channels, positions = 32, 4
		eye := make([]float32, channels*channels)
		x := make([]float32, channels*positions)
		for c := range channels {
			eye[c*channels+c] = 1
			for p := range positions {
				x[c*positions+p] = float32(1 + c*positions + p)
			}
		}
		shape := []graph.Dim{{Size: 1}, {Size: channels}, {Size: 2}, {Size: 2}}
		m := &graph.Model{IRVersion: 7, Opsets: map[string]int64{"": 13, graph.TapDomain: 1}, Graph: &graph.Graph{
			Name:   "block size",
			Inputs: []*graph.Value{{Name: "x", Type: graph.Float32, Shape: shape}},
			Nodes: []*graph.Node{
				{OpType: "Conv", Inputs: []string{"x", "w"}, Outputs: []string{"y"}},
				{OpType: graph.TapOp, Domain: graph.TapDomain, Name: "tap", Inputs: []string{"y"}, Outputs: []string{"seen"}},
				{OpType: "Conv", Inputs: []string{"seen", "w"}, Outputs: []string{"z"}},
			},
			Outputs:      []*graph.Value{{Name: "z", Type: graph.Float32}},
			Initializers: []*graph.Tensor{graph.NewFloats("w", []int64{channels, channels, 1, 1}, eye)},
		}}
		s, err := r.load(ctx, m, engine.LoadOptions{Threads: 1, AnyOrder: func(int) bool { return true }})
		if err != nil {
			return
		}
		defer s.Close()
		_, _ = s.Run(ctx, map[string]engine.Tensor{"x": {Type: graph.Float32, Shape: []int64{1, channels, 2, 2}, Floats: x}},
			func(_ int, dst, src []float32, _ []int64) error {
				together := 0
				for together < channels && src[together] == x[together*positions] {
					together++
				}
				// The first of the second position tells that blocks are what they are taken for.
				if together > 1 && channels%together == 0 && src[together] == x[1] {
					r.block = together
				}
				if !engine.SameMemory(dst, src) {
					copy(dst, src)
				}
				return nil
			})
	})
	return r.block
}
