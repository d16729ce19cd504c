package compare

import (
	"slices"

	"narrow/diag"
	"narrow/scheme"
)

// listed is how many layers words name before they count the rest.
const listed = 3

// words sums a difference up; total is how many tensors of each kind are
// quantized under either strategy.
func (d *Difference) words(total map[scheme.Kind]int) []diag.Text {
	var out []diag.Text
	for _, c := range d.Switches {
		out = append(out, c.phrase())
	}
	// One line for all changes that the same tensors have in common, those of
	// many tensors first.
	type line struct {
		phrases []diag.Text
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
		out = append(out, diag.Textf("%s on %s", list(l.phrases), d.where(l.tensors, total)))
	}
	if len(d.Rewritten) > 0 {
		out = append(out, diag.Textf("rewrites otherwise: %s", some(d.Rewritten)))
	}
	if out == nil {
		out = []diag.Text{diag.Textf("nothing: it quantizes every tensor alike")}
	}
	return out
}

// phrase says one change.
func (c Change) phrase() diag.Text {
	pick := func(yes, no diag.Text) diag.Text {
		if c.To == "true" {
			return yes
		}
		return no
	}
	switch c.Key {
	case "per_channel":
		return pick(diag.Textf("per channel"), diag.Textf("per tensor"))
	case "symmetry":
		return pick(diag.Textf("symmetric"), diag.Textf("asymmetric"))
	case "signed":
		return pick(diag.Textf("signed"), diag.Textf("unsigned"))
	case "narrow_range":
		return pick(diag.Textf("narrow range"), diag.Textf("full range"))
	case "scale_type":
		if c.To == scheme.PowerOfTwo.String() {
			return diag.Textf("scales that are powers of two")
		}
		return diag.Textf("scales of any size")
	case "format":
		return diag.Verbatim(c.From + " → " + c.To)
	}
	return diag.Verbatim(c.Key + " " + c.From + " → " + c.To)
}

// where says which tensors are meant.
func (d *Difference) where(tensors []int, total map[scheme.Kind]int) diag.Text {
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
		return diag.Textf("all %d tensors", len(tensors))
	}
	var parts []diag.Text
	for _, k := range []scheme.Kind{scheme.Input, scheme.Weights, scheme.Bias, scheme.Activation} {
		switch names := byKind[k]; {
		case len(names) == 0:
		case len(names) == 1 && total[k] == 1:
			parts = append(parts, diag.Textf("the %s", kindName(k, 1)))
		case len(names) == total[k]:
			parts = append(parts, diag.Textf("all %d %s", total[k], kindName(k, total[k])))
		default:
			parts = append(parts, diag.Textf("%d of %d %s (%s)", len(names), total[k], kindName(k, total[k]), some(names)))
		}
	}
	return diag.And(parts)
}

// kindName names n tensors of a kind.
func kindName(k scheme.Kind, n int) diag.Text {
	switch k {
	case scheme.Weights:
		return diag.Textf("weights")
	case scheme.Bias:
		if n == 1 {
			return diag.Textf("bias")
		}
		return diag.Textf("biases")
	case scheme.Input:
		if n == 1 {
			return diag.Textf("input")
		}
		return diag.Textf("inputs")
	}
	if n == 1 {
		return diag.Textf("activation")
	}
	return diag.Textf("activations")
}

// list joins phrases with commas.
func list(parts []diag.Text) diag.Text {
	t := parts[0]
	for _, p := range parts[1:] {
		t = diag.Textf("%s, %s", t, p)
	}
	return t
}

// some names a few layers and counts the rest.
func some(names []string) diag.Text {
	if n := len(names); n > listed+1 {
		var few []diag.Text
		for _, name := range names[:listed] {
			few = append(few, diag.Verbatim(name))
		}
		return diag.Textf("%s and %d more", list(few), n-listed)
	}
	return diag.And(names)
}
