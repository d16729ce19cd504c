package refine

import (
	"context"
	"fmt"
	"slices"

	"narrow/engine"
	"narrow/graph"
	"narrow/graph/infer"
	"narrow/plan"
)

// relay runs a network piece by piece over all batches, keeping between two
// pieces only the values that a later piece reads. So each node runs once,
// however many stops there are.
type relay struct {
	runner  engine.Runner
	threads int
	sim     *plan.Simulation
	types   map[string]graph.DataType
	// constants are the values known beforehand, by name.
	constants map[string]*graph.Tensor
	at        int // nodes before this one have run
	lastRead  map[string]int
}

// lane is one version of the network's values: each batch's live ones by name.
type lane struct {
	live []map[string]engine.Tensor
	// replace holds constants to compute with instead of the network's, by name.
	replace map[string]*graph.Tensor
	// hook is called at the taps of the simulation.
	hook engine.Hook
}

// newRelay prepares p's network with a tap at every quantized activation.
func newRelay(p *plan.Plan, r engine.Runner, threads int) (*relay, error) {
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
		runner: r, threads: threads, sim: sim, types: infer.Types(p.Model),
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

// run takes the lanes on to the node with index stop.
func (y *relay) run(ctx context.Context, stop int, lanes ...*lane) error {
	if stop <= y.at {
		return nil
	}
	nodes := y.sim.Model.Graph.Nodes[y.at:stop]
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
			if o != "" && y.lastRead[o] >= stop && y.constants[o] == nil {
				keep = append(keep, o)
			}
		}
	}
	for _, l := range lanes {
		if err := y.runLane(ctx, l, nodes, taps, reads, keep, stop); err != nil {
			return err
		}
	}
	y.at = stop
	return nil
}

func (y *relay) runLane(ctx context.Context, l *lane, nodes []*graph.Node, taps []int, reads map[string]bool, keep []string, stop int) error {
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
	var session engine.Session
	var loaded []*graph.Value
	defer func() {
		if session != nil {
			session.Close()
		}
	}()
	for _, live := range l.live {
		if len(keep) > 0 {
			var vs []*graph.Value
			in := map[string]engine.Tensor{}
			for _, v := range inputs {
				t, ok := live[v]
				if !ok {
					return fmt.Errorf("nothing gave the value %q before it was read", v)
				}
				in[v] = t
				dims := make([]graph.Dim, len(t.Shape))
				for i, d := range t.Shape {
					dims[i].Size = d
				}
				vs = append(vs, &graph.Value{Name: v, Type: t.Type, Shape: dims})
			}
			if session == nil || !slices.EqualFunc(vs, loaded, sameValue) {
				if session != nil {
					session.Close()
				}
				m.Graph.Inputs, loaded = vs, vs
				var err error
				if session, err = y.runner.Load(ctx, m, engine.LoadOptions{Threads: y.threads, Outputs: keep, AnyOrder: func(int) bool { return true }}); err != nil {
					return err
				}
			}
			out, err := session.Run(ctx, in, hook)
			if err != nil {
				return err
			}
			for v, t := range out {
				live[v] = t
			}
		}
		for v := range live {
			if y.lastRead[v] < stop {
				delete(live, v)
			}
		}
	}
	return nil
}

func sameValue(a, b *graph.Value) bool { return a.Name == b.Name && slices.Equal(a.Shape, b.Shape) }
