package footprint

import "narrow/graph"

// heavyFrom is how many bytes the weights of a heavy network take.
const heavyFrom = 64 << 20

// Heavy reports whether the weights of m take so much memory that no more copies of them
// should be held at once than must be, even where that takes time.
func Heavy(m *graph.Model) bool { return weights(m.Graph) >= heavyFrom }
