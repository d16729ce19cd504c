package compare

import (
	"fmt"
	"slices"
	"strings"

	"narrow/scheme"
)

// listed is how many layers words name before they count the rest.
const listed = 3

// words sums a difference up; total is how many tensors of each kind are
// quantized under either strategy.
func (d *Difference) words(total map[scheme.Kind]int) []string {
	var out []string
	for _, c := range d.Switches {
		out = append(out, fmt.Sprintf("%s %s → %s", c.Key, c.From, c.To))
	}
	// One line for all changes that the same tensors have in common, those of
	// many tensors first.
	type line struct {
		phrases []string
		tensors []int
	}
	var lines []*line
	of := map[Change][]int{}
	var changes []Change // in order of first appearance
	for i, t := range d.Tensors {
		for _, c := range t.Changes {
			if of[c] == nil {
				changes = append(changes, c)
			}
			of[c] = append(of[c], i)
		}
	}
	for _, c := range changes {
		i := slices.IndexFunc(lines, func(l *line) bool { return slices.Equal(l.tensors, of[c]) })
		if i < 0 {
			i = len(lines)
			lines = append(lines, &line{tensors: of[c]})
		}
		lines[i].phrases = append(lines[i].phrases, c.phrase())
	}
	slices.SortStableFunc(lines, func(a, b *line) int { return len(b.tensors) - len(a.tensors) })
	for _, l := range lines {
		out = append(out, strings.Join(l.phrases, ", ")+" on "+d.where(l.tensors, total))
	}
	if len(d.Rewritten) > 0 {
		out = append(out, "rewrites "+layers(d.Rewritten)+" otherwise")
	}
	if out == nil {
		out = []string{"nothing: it quantizes every tensor alike"}
	}
	return out
}

// phrase says one change.
func (c Change) phrase() string {
	pick := func(yes, no string) string {
		if c.To == "true" {
			return yes
		}
		return no
	}
	switch c.Key {
	case "per_channel":
		return pick("per channel", "per tensor")
	case "symmetry":
		return pick("symmetric", "asymmetric")
	case "signed":
		return pick("signed", "unsigned")
	case "narrow_range":
		return pick("narrow range", "full range")
	case "scale_type":
		if c.To == "poweroftwo" {
			return "scales that are powers of two"
		}
		return "scales of any size"
	case "format":
		return fmt.Sprintf("%s → %s", c.From, c.To)
	}
	return fmt.Sprintf("%s %s → %s", c.Key, c.From, c.To)
}

// where says which tensors are meant.
func (d *Difference) where(tensors []int, total map[scheme.Kind]int) string {
	byKind := map[scheme.Kind][]string{} // their layers
	for _, i := range tensors {
		t := &d.Tensors[i]
		byKind[t.Kind] = append(byKind[t.Kind], t.Layer)
	}
	everything := len(byKind) > 1
	for k, n := range total {
		everything = everything && len(byKind[k]) == n
	}
	if everything {
		return fmt.Sprintf("all %d tensors", len(tensors))
	}
	var parts []string
	for _, k := range []scheme.Kind{scheme.Input, scheme.Weights, scheme.Bias, scheme.Activation} {
		switch names := byKind[k]; {
		case len(names) == 0:
		case len(names) == 1 && total[k] == 1:
			parts = append(parts, "the "+kindName(k, 1))
		case len(names) == total[k]:
			parts = append(parts, fmt.Sprintf("all %d %s", total[k], kindName(k, total[k])))
		default:
			parts = append(parts, fmt.Sprintf("%d of %d %s (%s)", len(names), total[k], kindName(k, total[k]), layers(names)))
		}
	}
	return join(parts)
}

// kindName names n tensors of a kind.
func kindName(k scheme.Kind, n int) string {
	switch {
	case k == scheme.Weights || n == 1:
		return k.String()
	case k == scheme.Bias:
		return "biases"
	}
	return k.String() + "s"
}

// layers names a few layers and counts the rest.
func layers(names []string) string {
	if n := len(names); n > listed+1 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:listed], ", "), n-listed)
	}
	return join(names)
}

// join writes a, b and c.
func join(parts []string) string {
	if n := len(parts); n > 1 {
		return strings.Join(parts[:n-1], ", ") + " and " + parts[n-1]
	}
	return strings.Join(parts, "")
}
