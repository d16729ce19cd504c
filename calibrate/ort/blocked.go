package ort

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/encoding/protowire"

	"narrow/calibrate/ort/internal/capi"
	"narrow/graph"
	"narrow/graph/onnx"
)

const marker = "narrow.tap."

func (r *Runner) loadBlocked(ctx context.Context, p *prepared, anyOrder func(int) bool, cfg capi.Config) (*capi.Session, error) {
	saved := make([]*graph.Node, len(p.taps))
	kind := os.Getenv("MARK")
	for i, n := range p.taps {
		saved[i] = n.Clone()
		if anyOrder(i) {
			n.Name = fmt.Sprint(marker, i)
			n.Domain = ""
			n.OpType = kind
			n.Attrs = nil
			if kind == "Concat" {
				n.Attrs = []*graph.Attr{{Name: "axis", Kind: graph.AttrInt, Int: 1}}
			}
		}
	}
	data, err := onnx.Encode(p.model)
	for i, n := range p.taps {
		*n = *saved[i]
	}
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "narrow")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	first := cfg
	first.Optimized = filepath.Join(dir, "m.onnx")
	s, err := r.lib.NewSession(data, first)
	if err != nil {
		return nil, err
	}
	s.Close()
	opt, err := os.ReadFile(first.Optimized)
	if err != nil {
		return nil, err
	}
	if f := os.Getenv("DUMP"); f != "" {
		os.WriteFile(f, opt, 0o644)
	}
	m, err := onnx.Decode(opt, "")
	if err != nil {
		return nil, err
	}
	for _, n := range m.Graph.Nodes {
		var i int
		if _, err := fmt.Sscanf(n.Name, marker+"%d", &i); err == nil {
			n.Name = p.taps[i].Name
			n.Domain = "narrow"
			n.OpType = "Tap"
			n.Attrs = []*graph.Attr{{Name: tapIndex, Kind: graph.AttrInt, Int: int64(i)}}
		}
	}
	if os.Getenv("SHOW") != "" {
		for _, n := range m.Graph.Nodes {
			fmt.Println(n.Domain, n.OpType, n.Name, n.Inputs, n.Outputs)
		}
	}
	m.Opsets["narrow"] = 1
	data, err = onnx.Encode(m)
	if err != nil {
		return nil, err
	}
	cfg.Level = capi.LevelNone
	_ = protowire.Number(0)
	return r.lib.NewSession(data, cfg)
}
