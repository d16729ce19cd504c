package names

import (
	"regexp"
	"strings"

	"narrow/graph"
)

// Singles returns the names that mean n alone, the one that tells most first: as
// vai_q_pytorch lists it, the node's name, its module path.
func (t *Table) Singles(n *graph.Node) []string {
	var candidates, out []string
	e := t.Entry(n)
	if e != nil && e.Vai != "" {
		tail := strings.ToLower(n.OpType)
		if len(n.Outputs) > 0 && plainTail.MatchString(n.Outputs[0]) {
			tail = n.Outputs[0]
		}
		candidates = append(candidates, e.Vai+"/"+tail)
	}
	candidates = append(candidates, n.Label())
	if e != nil && e.Scoped {
		candidates = append(candidates, e.Module)
	}
	for _, c := range candidates {
		if f := t.Find(c); len(f.Nodes) == 1 && f.Nodes[0] == n {
			out = append(out, c)
		}
	}
	return out
}

var plainTail = regexp.MustCompile(`^[A-Za-z0-9_.]+$`)
