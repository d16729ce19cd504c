package main

import (
	"context"

	"narrow/diag"
	"narrow/engine"
	"narrow/engine/ort"
	"narrow/graph"
)

// watchedEngine is ONNX Runtime, with notes of what it is at for the case that
// it crashes.
type watchedEngine struct {
	*ort.Runner
	a *app
}

// Load notes that it loads.
func (e *watchedEngine) Load(ctx context.Context, m *graph.Model, opts engine.LoadOptions) (engine.Session, error) {
	if e.a.record == nil {
		return e.Runner.Load(ctx, m, opts)
	}
	loading := diag.Textf("loading the network into ONNX Runtime")
	if len(m.Graph.Nodes) == 1 {
		n := m.Graph.Nodes[0]
		loading = diag.Textf("loading the network, of one node %q (%s), into ONNX Runtime", n.Label(), n.OpType)
	}
	e.a.step(loading)
	s, err := e.Runner.Load(ctx, m, opts)
	if err != nil {
		return nil, err
	}
	return &watchedSession{Session: s, a: e.a, taps: tapped(m.Graph)}, nil
}

// tapped returns the names of the nodes whose values taps see, in the order of
// the taps.
func tapped(g *graph.Graph) []string {
	from := map[string]string{}
	var names []string
	for _, n := range g.Nodes {
		if n.Domain == graph.TapDomain && n.OpType == graph.TapOp {
			name := from[n.Inputs[0]]
			names = append(names, name)
			from[n.Outputs[0]] = name
			continue
		}
		for _, o := range n.Outputs {
			from[o] = n.Label()
		}
	}
	return names
}

// watchedSession is a loaded network that notes how far it has come.
type watchedSession struct {
	engine.Session
	a    *app
	taps []string
}

// Run notes the layers that have run.
func (s *watchedSession) Run(ctx context.Context, in map[string]engine.Tensor, hook engine.Hook) (map[string]engine.Tensor, error) {
	s.a.step(diag.Textf("running the network"))
	inner := hook
	if hook != nil {
		inner = func(tap int, dst, src []float32, shape []int64) error {
			s.a.record.Node(s.taps[tap])
			return hook(tap, dst, src, shape)
		}
	}
	return s.Session.Run(ctx, in, inner)
}

// Block passes on what [engine.Blocked] tells.
func (s *watchedSession) Block(tap int) int {
	if b, ok := s.Session.(engine.Blocked); ok {
		return b.Block(tap)
	}
	return 1
}
