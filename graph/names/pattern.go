package names

import (
	"slices"
	"strings"

	"narrow/graph"
	"narrow/strategy"
)

// FindAll returns what the names of a rule mean, one match for each.
// A name that is a pattern (see [strategy.IsPattern]) means every layer that has
// a matching name of any form; a name that is spelled exactly so comes first.
func (t *Table) FindAll(names []string) []Match {
	all := make([]Match, len(names))
	for i, name := range names {
		m := t.Find(name)
		if m.Form == "" && strategy.IsPattern(name) {
			m = t.pattern(name)
			if m.Form == "" && t.before != nil {
				m = t.before.pattern(name)
				m.Nodes, m.Gone = t.follow(m.Nodes)
			}
		}
		m.Name = name
		all[i] = m
	}
	return all
}

// pattern returns what a pattern means.
func (t *Table) pattern(pattern string) Match {
	m := Match{Form: Pattern}
	keep := map[*graph.Node]bool{}
	matched := map[string]bool{} // module paths, by whether they match
	for _, e := range t.Entries {
		if isConstant(e.Node) {
			continue
		}
		if glob(pattern, e.Name) || e.Vai != "" && (glob(pattern, e.Vai) || glob(pattern, e.Vai+"/x")) {
			keep[e.Node] = true
		}
		if !e.Scoped {
			continue
		}
		// From the outermost module on: one that matches is everything inside.
		for i := range len(e.Module) + 1 {
			if i < len(e.Module) && e.Module[i] != '.' || i == 0 {
				continue
			}
			path := e.Module[:i]
			hit, known := matched[path]
			if !known {
				hit = glob(pattern, path)
				matched[path] = hit
				if hit {
					for _, n := range t.module(path) {
						keep[n] = true
					}
				}
			}
			if hit {
				break
			}
		}
	}
	for _, v := range t.ix.Graph.Inputs {
		if t.ix.IsInput(v.Name) && glob(pattern, v.Name) {
			m.Inputs = append(m.Inputs, v.Name)
		}
	}
	for _, e := range t.Entries {
		if keep[e.Node] {
			m.Nodes = append(m.Nodes, e.Node)
		}
	}
	if len(m.Nodes) == 0 && len(m.Inputs) == 0 {
		return Match{}
	}
	return m
}

// glob reports whether a name fits a pattern: * stands for any characters but
// those that part a path, ** for any at all. A pattern with a slash is one of
// paths parted by slashes, another one of paths parted by dots (and no star of it
// crosses a slash either).
func glob(pattern, name string) bool {
	part := "./"
	if strings.Contains(pattern, "/") {
		part = "/"
	}
	type tries struct{ p, s int }
	var again tries // after a star: where in the pattern to go on, and how far it has eaten
	wide, back := false, false
	var outer *tries // the last **, which may eat more where * may not
	p, s := 0, 0
	for p < len(pattern) || s < len(name) {
		switch {
		case strings.HasPrefix(pattern[p:], "**"):
			p += 2
			again, wide, back = tries{p, s}, true, true
			outer = &tries{p, s}
			continue
		case p < len(pattern) && pattern[p] == '*':
			p++
			again, wide, back = tries{p, s}, false, true
			continue
		case p < len(pattern) && s < len(name) && pattern[p] == name[s]:
			p++
			s++
			continue
		}
		switch {
		case back && again.s < len(name) && (wide || !strings.ContainsRune(part, rune(name[again.s]))):
			again.s++
			p, s = again.p, again.s
			if wide {
				outer.s = again.s
			}
		case outer != nil && outer.s < len(name):
			outer.s++
			again, wide = *outer, true
			p, s = again.p, again.s
		default:
			return false
		}
	}
	return true
}

// reused reports whether the nodes are several uses of one module, each the same
// operators.
func (t *Table) reused(nodes []*graph.Node) bool {
	if len(nodes) < 2 {
		return false
	}
	var calls []string
	ops := map[string][]string{}
	for _, n := range nodes {
		e := t.Entry(n)
		if e == nil || !e.Scoped || e.Module == "" {
			return false
		}
		if !slices.Contains(calls, e.Module) {
			calls = append(calls, e.Module)
		}
		ops[e.Module] = append(ops[e.Module], n.OpType)
	}
	if len(calls) == 1 {
		return t.Entry(nodes[0]).scope.metadata && repeats(ops[calls[0]])
	}
	for _, c := range calls[1:] {
		if uncounted(c) != calls[0] || !slices.Equal(ops[c], ops[calls[0]]) {
			return false
		}
	}
	return true
}

// repeats reports whether a list is a shorter one several times over.
func repeats(list []string) bool {
	for k := 1; k <= len(list)/2; k++ {
		if len(list)%k == 0 && slices.Equal(list[k:], list[:len(list)-k]) {
			return true
		}
	}
	return false
}
