package onnx

import (
	"fmt"

	"narrow/diag"
	"narrow/graph"
	pb "narrow/graph/onnx/internal/onnxpb"
)

// The standard operator sets that narrow reads.
const (
	MinOpset = 7
	MaxOpset = 28
)

// CheckOpsets returns an error where m's standard operator set is one that
// narrow does not know.
func CheckOpsets(m *graph.Model) error {
	v, ok := m.Opsets[""]
	switch {
	case !ok && usesStandard(m.Graph):
		return diag.Errorf("the model does not tell which ONNX operator set it is written for (opset_import); was the file cut off?")
	case !ok:
		return nil
	case v < MinOpset:
		return diag.Errorf("the model is written for ONNX operator set %d; narrow reads %d to %d: convert it with onnx.version_converter", v, MinOpset, MaxOpset)
	case v > MaxOpset:
		return diag.Errorf("the model is written for ONNX operator set %d; narrow reads %d to %d: export it with an older opset_version", v, MinOpset, MaxOpset)
	}
	return nil
}

func usesStandard(g *graph.Graph) bool {
	for _, n := range g.Nodes {
		if n.Domain == "" {
			return true
		}
	}
	return false
}

// Check returns an error where m is no network that could run: two things of
// one name, a value that is read and never made, a part without a name. It
// does not look at what operators demand of their inputs, nor for cycles:
// [graph.Graph.Sort] does.
func Check(m *graph.Model) error {
	return checkGraph(m.Graph, nil)
}

// scope is the names that a graph can read, those of the graphs around it
// included.
type scope struct {
	made  map[string]maker
	outer *scope
}

// maker is what a value comes from: a node, or what tells.
type maker struct {
	node *graph.Node
	what string
}

func (m maker) String() string {
	if m.node != nil {
		return fmt.Sprintf("an output of node %q", m.node.Label())
	}
	return m.what
}

func (s *scope) knows(name string) bool {
	for ; s != nil; s = s.outer {
		if _, ok := s.made[name]; ok {
			return true
		}
	}
	return false
}

func checkGraph(g *graph.Graph, outer *scope) error {
	s := &scope{made: map[string]maker{}, outer: outer}
	inputs := make(map[string]bool, len(g.Inputs))
	for _, v := range g.Inputs {
		if v.Name == "" {
			return diag.Errorf("an input of the graph has no name")
		}
		if inputs[v.Name] {
			return diag.Errorf("two inputs of the graph have the name %q", v.Name)
		}
		inputs[v.Name] = true
		s.made[v.Name] = maker{what: "an input of the graph"}
	}
	stored := map[string]bool{}
	constant := func(name string) error {
		if name == "" {
			return diag.Errorf("an initializer has no name")
		}
		if stored[name] {
			return diag.Errorf("two initializers have the name %q", name)
		}
		stored[name] = true
		s.made[name] = maker{what: "an initializer"}
		return nil
	}
	for _, t := range g.Initializers {
		if err := constant(t.Name); err != nil {
			return err
		}
	}
	if src, ok := g.Source.(*pb.GraphProto); ok {
		for _, t := range src.SparseInitializer {
			if err := constant(t.GetValues().GetName()); err != nil {
				return err
			}
		}
	}
	for _, n := range g.Nodes {
		if n.OpType == "" {
			return diag.Errorf("node %q has no operator type", n.Label())
		}
		for _, o := range n.Outputs {
			if o == "" {
				continue
			}
			if by, ok := s.made[o]; ok {
				return diag.Errorf("node %q outputs %q, which is already the name of %s", n.Label(), o, by)
			}
			s.made[o] = maker{node: n}
		}
	}
	for _, n := range g.Nodes {
		for _, in := range n.Inputs {
			if in != "" && !s.knows(in) {
				return diag.Errorf("node %q (%s) reads %q, which nothing outputs: no input, initializer or node has that name", n.Label(), n.OpType, in)
			}
		}
		if err := checkAttrs(n, s); err != nil {
			return diag.Errorf("node %q (%s): %w", n.Label(), n.OpType, err)
		}
	}
	for _, v := range g.Outputs {
		if v.Name == "" {
			return diag.Errorf("an output of the graph has no name")
		}
		if !s.knows(v.Name) {
			return diag.Errorf("the graph's output %q is made by nothing: no input, initializer or node has that name", v.Name)
		}
	}
	return nil
}

func checkAttrs(n *graph.Node, s *scope) error {
	seen := make(map[string]bool, len(n.Attrs))
	for _, a := range n.Attrs {
		if a.Name == "" {
			return diag.Errorf("an attribute has no name")
		}
		if seen[a.Name] {
			return diag.Errorf("two attributes have the name %q", a.Name)
		}
		seen[a.Name] = true
		if a.Kind == graph.AttrGraph {
			if err := checkGraph(a.Graph, s); err != nil {
				return diag.Errorf("graph %q: %w", a.Name, err)
			}
		}
	}
	return nil
}
