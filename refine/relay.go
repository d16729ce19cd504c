package refine

import (
	"context"
	"errors"
	"runtime"
	"slices"

	"narrow/diag"
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
	// quantized returns the constant of that name to compute with instead of the
	// network's; nil where there is none.
	quantized func(name string) (*graph.Tensor, error)
	// hook is called at the taps of the simulation, watch with what each batch has
	// there, in C order.
	hook  engine.Hook
	watch func(batch, tap int, x []float32, shape []int64)
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
		return nil, diag.Errorf("building the network to refine: %w", err)
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

// run takes a lane on to the node with index stop.
func (y *relay) run(ctx context.Context, l *lane, stop int) error {
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
			if o != "" && y.lastRead[o] >= stop && y.constants[o] == nil {
				keep = append(keep, o)
			}
		}
	}
	l.at = stop
	return y.runPiece(ctx, l, nodes, taps, reads, keep)
}

// runPiece runs some nodes of a lane.
func (y *relay) runPiece(ctx context.Context, l *lane, nodes []*graph.Node, taps []int, reads map[string]bool, keep []string) error {
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
		t := y.constants[v]
		if t == nil {
			inputs = append(inputs, v)
			continue
		}
		if l.quantized != nil {
			q, err := l.quantized(v)
			if err != nil {
				return err
			}
			if q != nil {
				t = q
			}
		}
		c := *t
		c.Name = v
		m.Graph.Initializers = append(m.Graph.Initializers, &c)
	}
	for _, v := range keep {
		typ := y.types[v]
		if typ == 0 {
			typ = graph.Float32 // the values around a tap
		}
		m.Graph.Outputs = append(m.Graph.Outputs, &graph.Value{Name: v, Type: typ})
	}
	hook := func(batch int) engine.Hook {
		switch {
		case l.watch != nil:
			return func(tap int, dst, src []float32, shape []int64) error {
				if !engine.SameMemory(dst, src) {
					copy(dst, src)
				}
				l.watch(batch, taps[tap], src, shape)
				return nil
			}
		case l.hook != nil:
			return func(tap int, dst, src []float32, shape []int64) error { return l.hook(taps[tap], dst, src, shape) }
		}
		return nil
	}
	var session engine.Session
	if len(keep) > 0 || l.watch != nil && len(taps) > 0 {
		var err error
		if m.Graph.Inputs, err = valuesOf(l.live, inputs); err != nil {
			return err
		}
		// A session of one thread for batches side by side: small pieces gain nothing by
		// sharing one batch's work.
		o := engine.LoadOptions{Threads: 1, Outputs: keep}
		switch n := convolutions(nodes); {
		case n == 0:
			o.Unoptimized = true
		case l.watch == nil && n > 1:
			o.AnyOrder = func(int) bool { return true }
		}
		s, err := y.runner.Load(ctx, m, o)
		if err != nil {
			return err
		}
		defer s.Close()
		session = s
	}
	errs := make([]error, len(l.live))
	y.pool.Run(len(l.live), func(i int) {
		live := l.live[i]
		if session != nil {
			in := make(map[string]engine.Tensor, len(inputs))
			for _, v := range inputs {
				in[v] = live[v]
			}
			out, err := engine.Run(ctx, session, in, hook(i))
			if err != nil {
				errs[i] = err
				return
			}
			for v, t := range out {
				live[v] = t
			}
		}
		for v := range live {
			if y.lastRead[v] < l.at {
				delete(live, v)
			}
		}
	})
	if sizeOf(l.live) > collectFrom {
		runtime.GC() // little to mark, and much that the piece's inputs held
	}
	return errors.Join(errs...)
}

// collectFrom is how many bytes a lane's live values take where what they replaced is
// collected at once.
const collectFrom = 8 << 20

func sizeOf(batches []map[string]engine.Tensor) (n int) {
	for _, live := range batches {
		for _, t := range live {
			n += 4*len(t.Floats) + len(t.Raw)
		}
	}
	return n
}

// valuesOf describes live values of all batches; the first axis is open where it
// differs.
func valuesOf(batches []map[string]engine.Tensor, names []string) ([]*graph.Value, error) {
	var vs []*graph.Value
	for _, v := range names {
		var value *graph.Value
		for _, live := range batches {
			t, ok := live[v]
			switch {
			case !ok:
				return nil, diag.Errorf("nothing gave the value %q before it was read", v)
			case value == nil:
				value = &graph.Value{Name: v, Type: t.Type, Shape: make([]graph.Dim, len(t.Shape))}
				for i, d := range t.Shape {
					value.Shape[i].Size = d
				}
			case len(value.Shape) != len(t.Shape):
				return nil, diag.Errorf("the value %q has %d dimensions for one sample and %d for another", v, len(value.Shape), len(t.Shape))
			}
			for i, d := range t.Shape {
				if value.Shape[i].Size != d {
					value.Shape[i] = graph.Dim{Size: -1}
				}
			}
		}
		vs = append(vs, value)
	}
	return vs, nil
}

func convolutions(nodes []*graph.Node) (n int) {
	for _, x := range nodes {
		if x.Is("Conv") {
			n++
		}
	}
	return n
}
