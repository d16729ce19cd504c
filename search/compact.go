package search

import (
	"fmt"
	"slices"
	"strings"

	"narrow/scheme"
	"narrow/strategy"
)

// comparer is an [Evaluator] that can tell whether two strategies set the same.
type comparer interface {
	// Same reports whether a network is quantized alike by both.
	Same(a, b *strategy.Strategy) (bool, error)
}

// compact returns a point's strategy in fewer lines where that says the same: rules
// by a pattern for all layers below a name, and by a list of names.
func (s *search) compact(p *point) (*strategy.Strategy, error) {
	ev, ok := s.ev.(comparer)
	if !ok {
		return p.strategy, nil
	}
	for _, patterns := range []bool{true, false} {
		short, err := s.space.grouped(s.layers, p.candidate, patterns)
		if err != nil {
			return nil, err
		}
		if short == nil || len(short.Rules) >= len(p.strategy.Rules) {
			continue
		}
		same, err := ev.Same(p.strategy, short)
		if err != nil {
			return nil, err
		}
		if same {
			return short, nil
		}
	}
	return p.strategy, nil
}

// group are layers with one rule.
type group struct {
	rung  int
	kinds []scheme.Kind
	names []string
}

// grouped is Strategy with rules for several layers at once, also by patterns where
// they are wanted. Nil where these make a mistake.
func (s *Space) grouped(layers []Layer, c Candidate, patterns bool) (*strategy.Strategy, error) {
	most := s.most(layers, c)
	var groups []group
	done := make([]bool, len(layers))
	if patterns {
		for _, below := range folders(layers) {
			g, members := s.pattern(layers, c, most, below, done)
			if g != nil {
				groups = append(groups, *g)
				for _, l := range members {
					done[l] = true
				}
			}
		}
	}
	at := map[string]int{}
	for i, l := range layers {
		if done[i] || s.same(l, c.Rungs[i], most) {
			continue
		}
		key := fmt.Sprint(c.Rungs[i], l.Weighted, l.Input)
		k, ok := at[key]
		if !ok {
			k = len(groups)
			at[key] = k
			groups = append(groups, group{rung: c.Rungs[i], kinds: l.kinds()})
		}
		groups[k].names = append(groups[k].names, l.Name)
	}
	return s.write(c, most, groups)
}

// folders returns the names that layers lie below, the highest first.
func folders(layers []Layer) []string {
	var out []string
	for _, l := range layers {
		for i, r := range l.Name {
			if r == '/' && i > 0 && !slices.Contains(out, l.Name[:i+1]) {
				out = append(out, l.Name[:i+1])
			}
		}
	}
	slices.SortStableFunc(out, func(a, b string) int { return strings.Count(a, "/") - strings.Count(b, "/") })
	return out
}

// pattern returns the rule for all layers below a name, if they are two or more and
// one rule does for all of them, and which they are.
func (s *Space) pattern(layers []Layer, c Candidate, most int, below string, done []bool) (*group, []int) {
	if strings.ContainsAny(below, "*?[") {
		return nil, nil
	}
	var members []int
	rung := -1 // that of the weighted ones, else of any
	weighted := false
	for i, l := range layers {
		if !strings.HasPrefix(l.Name, below) {
			continue
		}
		if done[i] || l.Input || s.same(l, c.Rungs[i], most) {
			return nil, nil
		}
		members = append(members, i)
		if rung < 0 || l.Weighted && !weighted {
			rung = c.Rungs[i]
		}
		weighted = weighted || l.Weighted
	}
	if len(members) < 2 {
		return nil, nil
	}
	for _, i := range members {
		if !s.same(layers[i], c.Rungs[i], rung) {
			return nil, nil
		}
	}
	return &group{rung, Layer{Weighted: weighted}.kinds(), []string{below + "**"}}, members
}

// write writes a strategy with rules for groups. It is nil where they make a mistake.
func (s *Space) write(c Candidate, most int, groups []group) (*strategy.Strategy, error) {
	file := s.file(c, most)
	var rules []object
	for _, g := range groups {
		var name any = g.names
		if len(g.names) == 1 {
			name = g.names[0]
		}
		rules = append(rules, s.rule(c, g.rung, name, g.kinds))
	}
	st, _, err := withRules(file, rules)
	return st, err
}
