package refine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"narrow/engine"
	"narrow/graph"
	"narrow/graph/infer"
	"narrow/internal/kernel"
	"narrow/plan"
)

// relay runs a network piece by piece over all batches, keeping between two
// pieces only the values that a later piece reads. So each node runs once,
// however many stops there are.
type relay struct {
	runner engine.Runner
	pool   *kernel.Pool
	sim    *plan.Simulation
	types  map[string]graph.DataType
	// constants are the values known beforehand, by name.
	constants map[string]*graph.Tensor
	lastRead  map[string]int
}

// lane is one version of the network's values: each batch's live ones by name.
type lane struct {
	at   int // nodes before this one have run
	live []map[string]engine.Tensor
	// replace holds constants to compute with instead of the network's, by name.
	replace map[string]*graph.Tensor
	// hook is called at the taps of the simulation.
	hook engine.Hook
}

// newRelay prepares p's network with a tap at every quantized activation.
func newRelay(p *plan.Plan, r engine.Runner, pool *kernel.Pool) (*relay, error) {
	// Every constant gets a name of its own, to be replaced by itself.
	own := map[*plan.Tensor]*graph.Tensor{}
	for _, t := range p.Tensors {
		if t.Constant != nil {
			own[t] = t.Constant
		}
	}
	sim, err := p.Simulation(plan.SimulationOptions{Replace: own})
	if err != nil {
		return nil, fmt.Errorf("building the network to refine: %w", err)
	}
	y := &relay{
		runner: r, pool: pool, sim: sim, types: infer.Types(p.Model),
		constants: graph.NewIndex(sim.Model.Graph).Constant,
		lastRead:  map[string]int{},
	}
	for i, n := range sim.Model.Graph.Nodes {
		for _, v := range graph.Reads(n) {
			y.lastRead[v] = i
		}
	}
	return y, nil
}

// stopBefore returns the index of the first of the plan's nodes.
func (y *relay) stopBefore(nodes []*graph.Node) int {
	stop := len(y.sim.Model.Graph.Nodes)
	for _, n := range nodes {
		stop = min(stop, slices.Index(y.sim.Model.Graph.Nodes, y.sim.NodeOf[n]))
	}
	return stop
}

// run takes a lane on to the node with index stop. The value also, which it makes on
// the way, is kept until the next call, whoever reads it.
func (y *relay) run(ctx context.Context, l *lane, stop int, also string) error {
	if stop <= l.at {
		return nil
	}
	nodes := y.sim.Model.Graph.Nodes[l.at:stop]
	made := map[string]bool{}
	reads := map[string]bool{}
	var taps []int
	for _, n := range nodes {
		for _, v := range graph.Reads(n) {
			if !made[v] {
				reads[v] = true
			}
		}
		for _, o := range n.Outputs {
			if o != "" {
				made[o] = true
			}
		}
		if i, ok := y.sim.TapOf[n]; ok {
			taps = append(taps, i)
		}
	}
	var keep []string
	for _, n := range nodes {
		for _, o := range n.Outputs {
			if o != "" && (y.lastRead[o] >= stop || o == also) && y.constants[o] == nil {
				keep = append(keep, o)
			}
		}
	}
	l.at = stop
	return y.runPiece(ctx, l, nodes, taps, reads, keep, also)
}

// runPiece runs some nodes of a lane.
func (y *relay) runPiece(ctx context.Context, l *lane, nodes []*graph.Node, taps []int, reads map[string]bool, keep []string, also string) error {
	m := &graph.Model{
		Graph: &graph.Graph{Name: y.sim.Model.Graph.Name, Nodes: nodes}, Opsets: y.sim.Model.Opsets,
		Producer: y.sim.Model.Producer, IRVersion: y.sim.Model.IRVersion,
	}
	names := make([]string, 0, len(reads))
	for v := range reads {
		names = append(names, v)
	}
	slices.Sort(names)
	var inputs []string
	for _, v := range names {
		switch t := y.constants[v]; {
		case l.replace[v] != nil:
			r := *l.replace[v]
			r.Name = v
			m.Graph.Initializers = append(m.Graph.Initializers, &r)
		case t != nil:
			c := *t
			c.Name = v
			m.Graph.Initializers = append(m.Graph.Initializers, &c)
		default:
			inputs = append(inputs, v)
		}
	}
	for _, v := range keep {
		typ := y.types[v]
		if typ == 0 {
			typ = graph.Float32 // the values around a tap
		}
		m.Graph.Outputs = append(m.Graph.Outputs, &graph.Value{Name: v, Type: typ})
	}
	var hook engine.Hook
	if l.hook != nil {
		hook = func(tap int, dst, src []float32, shape []int64) error { return l.hook(taps[tap], dst, src, shape) }
	}
	// Sessions of one thread over batches side by side: small pieces gain nothing by
	// sharing one batch's work.
	var sessions []*piece
	defer func() {
		for _, p := range sessions {
			p.session.Close()
		}
	}()
	of := make([]*piece, len(l.live))
	if len(keep) > 0 {
		for i, live := range l.live {
			vs, err := valuesOf(live, inputs)
			if err != nil {
				return err
			}
			at := slices.IndexFunc(sessions, func(p *piece) bool { return slices.EqualFunc(p.inputs, vs, sameValue) })
			if at < 0 {
				m.Graph.Inputs = vs
				s, err := y.runner.Load(ctx, m, engine.LoadOptions{Threads: 1, Outputs: keep, AnyOrder: func(int) bool { return true }})
				if err != nil {
					return err
				}
				at, sessions = len(sessions), append(sessions, &piece{s, vs})
			}
			of[i] = sessions[at]
		}
	}
	errs := make([]error, len(l.live))
	y.pool.Run(len(l.live), func(i int) {
		live := l.live[i]
		if p := of[i]; p != nil {
			in := make(map[string]engine.Tensor, len(inputs))
			for _, v := range inputs {
				in[v] = live[v]
			}
			out, err := engine.Run(ctx, p.session, in, hook)
			if err != nil {
				errs[i] = err
				return
			}
			for v, t := range out {
				live[v] = t
			}
		}
		for v := range live {
			if y.lastRead[v] < l.at && v != also {
				delete(live, v)
			}
		}
	})
	return errors.Join(errs...)
}

// piece is a session that runs a piece of the network, and what enters it.
type piece struct {
	session engine.Session
	inputs  []*graph.Value
}

// valuesOf describes live values.
func valuesOf(live map[string]engine.Tensor, names []string) ([]*graph.Value, error) {
	var vs []*graph.Value
	for _, v := range names {
		t, ok := live[v]
		if !ok {
			return nil, fmt.Errorf("nothing gave the value %q before it was read", v)
		}
		dims := make([]graph.Dim, len(t.Shape))
		for i, d := range t.Shape {
			dims[i].Size = d
		}
		vs = append(vs, &graph.Value{Name: v, Type: t.Type, Shape: dims})
	}
	return vs, nil
}

func sameValue(a, b *graph.Value) bool { return a.Name == b.Name && slices.Equal(a.Shape, b.Shape) }
