package graph

// TapDomain and TapOp name the operator that marks a point where a tensor is
// watched while a network runs: one input, one output of the same type and
// shape, and perhaps a second input, which is watched beside the first. A
// network to be watched is the network with such nodes inserted, each consumer
// reading the tap's output in the place of its input. Taps stand in the
// top-level graph only, and carry float32.
const (
	TapDomain = "narrow"
	TapOp     = "Tap"
)

// IsTap reports whether the node is a tap.
func (n *Node) IsTap() bool { return n.Domain == TapDomain && n.OpType == TapOp }
